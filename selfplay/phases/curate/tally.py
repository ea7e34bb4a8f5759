"""What curation counts: attempts by outcome and by reason, tags, corrections; and what it tells a person about them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

from selfplay.collapse import wilson
from selfplay.curate.screening import Screening
from selfplay.phases.curate.quotas import REASON as QUOTA
from selfplay.records import Task, Trace
from selfplay.runtime.verified import COPY
from selfplay.tasks.levels import UNTRIED
from selfplay.verify import Judged

EXAMPLES, EXAMPLE_CHARS, NOTES = 3, 80, 100
"""How many dropped attempts of a reason a notice shows, how much of each, and of how many the screen's note is kept."""


@dataclass
class Tally:
    """What curation counted."""

    sampled: int = 0
    accepted: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    """The first attempts that were dropped, by reason: what a person looks at where a reason drops too many."""
    leaks: Counter[str] = field(default_factory=Counter)
    """Contaminated attempts by rule; one that repeats several evaluation tasks counts once for each rule."""
    notes: dict[str, str] = field(default_factory=dict)
    """Attempt id -> what the screen says of it, for the first that are contaminated."""
    by_difficulty: dict[str, list[int]] = field(default_factory=dict)
    """Difficulty -> [right attempts, attempts]: the votes on the curriculum's level. First turns at drawn tasks alone, since a
    correction is no second vote and synthesized tasks are not drawn evenly; none at a task whose difficulty is not measured yet."""
    disagreements: int = 0
    tasks_passed: int = 0
    """Tasks with a right attempt."""
    solved: list[str] = field(default_factory=list)
    """Tasks with an accepted attempt: synthesis starts from them."""
    strata: Counter[str] = field(default_factory=Counter)
    """How many of those carry each tag: what the tail is measured on."""
    synthesized: Counter[str] = field(default_factory=Counter)
    """Attempts at synthesized tasks: sampled, passed, accepted."""
    too_long: int = 0
    first_turn: int = 0
    corrections: int = 0
    corrections_passed: int = 0
    corrections_accepted: int = 0
    corrections_copied: int = 0

    def screened(self, found: Screening) -> None:
        """Counts what the screen found in a group."""
        for (_, _, rule), attempts in found.contaminated.items():
            self.leaks[rule] += attempts
        self.notes.update(islice(found.notes.items(), NOTES - len(self.notes)))


def _example(trace: Trace, note: str) -> str:
    """A dropped attempt in a few words: what was said of it, and how it begins. `note`: the screen's, "" for none."""
    if note:
        return f"{trace.attempt.id} ({note})"
    said = next((v.reason for v in trace.verdicts if v.outcome is trace.outcome and v.reason), "")
    return f"{trace.attempt.id} ({said or 'no word'}): {' '.join(trace.attempt.text.split())[:EXAMPLE_CHARS]!r}"


REMEDIES = {
    "contaminated": "they share text with evaluation tasks ({rules}); leave a rule out of curate.decontaminate.rules where that is no leak",
    "privacy": "they hold what looks like personal data; curate.privacy: off keeps them",
    "error": "their verifier failed, so nobody knows whether they are right",
    "unverified": "no verifier had an opinion on them",
    "truncated": "they were cut off; raise generate.max_new_tokens",
    "invalid": "no answer was found in them; the task's prompt should say in which form it is wanted",
}
"""Reasons that say more about the set-up than about the student, and what to do about each."""


def notices(tally: Tally) -> list[str]:
    """A sentence for each reason of REMEDIES that dropped more than half of the round's attempts, with examples."""
    rules = ", ".join(f"{rule}: {count}" for rule, count in tally.leaks.most_common())
    return [
        f"{tally.reasons[reason]} of {tally.sampled} attempts were dropped as {reason}: {remedy.format(rules=rules)}. "
        f"Such as {'; '.join(tally.examples[reason])}"
        for reason, remedy in REMEDIES.items()
        if 2 * tally.reasons[reason] > tally.sampled
    ]


def tally_up(tally: Tally, traces: Sequence[Trace], judged: Sequence[Judged]) -> None:
    """Counts a group of decided traces; all attempts of a task stand in one group."""
    passed: set[str] = set()
    solved: dict[str, Task] = {}
    votes: dict[
        str, tuple[int | None, bool]
    ] = {}  # by task: the difficulty that it votes on, whether it was synthesized
    for trace, one in zip(traces, judged, strict=True):
        right = one.outcome.value == "pass"
        accepted = trace.decision is not None and trace.decision.decision == "accepted"
        tally.sampled += 1
        tally.accepted += accepted
        tally.outcomes[one.outcome.value] += 1
        if trace.decision and not accepted:
            reason = "quota" if trace.decision.reason.startswith(QUOTA) else trace.decision.reason
            tally.reasons[reason] += 1
            if len(shown := tally.examples.setdefault(reason, [])) < EXAMPLES:
                shown.append(_example(trace, tally.notes.get(trace.attempt.id, "") if reason == "contaminated" else ""))
        tally.disagreements += one.disagree
        if right:
            passed.add(trace.task.id)
        if accepted:
            solved[trace.task.id] = trace.task
        if trace.task.id not in votes:
            synthesized = trace.task.synthesized_by is not None
            silent = synthesized or UNTRIED in trace.task.tags
            votes[trace.task.id] = None if silent else trace.task.difficulty, synthesized
        difficulty, synthesized = votes[trace.task.id]
        if synthesized:
            tally.synthesized.update({"sampled": 1, "passed": int(right), "accepted": int(accepted)})
        if trace.attempt.turn:
            tally.corrections += 1
            tally.corrections_passed += right
            tally.corrections_accepted += accepted
            tally.corrections_copied += any(verdict.verifier == COPY for verdict in trace.verdicts)
            continue
        tally.first_turn += 1
        if difficulty is not None:
            count = tally.by_difficulty.setdefault(str(difficulty), [0, 0])
            count[0] += right
            count[1] += 1
    tally.tasks_passed += len(passed)
    tally.solved += solved
    tally.strata.update(tag for task in solved.values() for tag in set(task.tags))


def figures_of(tally: Tally, kinds: Counter[str], filtered: int) -> dict[str, float]:
    """The `data/` figures of a round. `kinds`: training rows by kind; `filtered`: drawn tasks that were left out."""
    rows = kinds.total()
    shares = {f"data/{kind}_share": round(kinds[kind] / max(1, rows), 6) for kind in ("new", "older", "anchor")}
    reasons = {f"data/dropped_{name}": count for name, count in sorted(tally.reasons.items())}
    outcomes = {f"data/outcome_{name}": count for name, count in sorted(tally.outcomes.items())}
    return {
        "data/sampled": tally.sampled,
        "data/passed": tally.outcomes["pass"],
        "data/accepted": tally.accepted,
        "data/accept_rate": round(tally.accepted / max(1, tally.sampled), 6),
        "data/tasks_solved": tally.tasks_passed,
        "data/tasks_filtered": filtered,
        "data/disagreements": tally.disagreements,
        "data/train_rows": rows,
        **shares,
        **outcomes,
        **reasons,
        **{f"data/synthesized_{name}": count for name, count in sorted(tally.synthesized.items())},
        **_correction_figures(tally),
    }


def _correction_figures(tally: Tally) -> dict[str, float]:
    """What second tries came to; nothing where there was none. The delta is over all first attempts (2409.12917: t2 - t1)."""
    if not tally.corrections:
        return {}
    made, passed = tally.corrections, wilson(tally.corrections_passed, tally.corrections)
    return {
        "data/correction_sampled": made,
        "data/correction_passed": tally.corrections_passed,
        "data/correction_accepted": tally.corrections_accepted,
        "data/correction_accept_rate": round(tally.corrections_accepted / made, 6),
        "data/correction_pass_rate": round(passed.value, 6),
        "data/correction_pass_rate_lo": round(passed.lo, 6),
        "data/correction_pass_rate_hi": round(passed.hi, 6),
        "data/correction_copy_rate": round(tally.corrections_copied / made, 6),
        "data/correction_delta": round(tally.corrections_passed / max(1, tally.first_turn), 6),
    }
