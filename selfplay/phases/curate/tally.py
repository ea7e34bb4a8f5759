"""Counts what curation decides: attempts by outcome, reason and tag, and corrections; and writes notes for the user."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

from selfplay.curate.quotas import REASON as QUOTA
from selfplay.curate.screening import Screening
from selfplay.records import Outcome, Task, Trace
from selfplay.runtime.attempts import COPY
from selfplay.tasks.levels import UNTRIED
from selfplay.verify import Judged

EXAMPLES, EXAMPLE_CHARS, NOTES = 3, 80, 100
"""How many dropped attempts a note shows for a reason, how many characters of each, and how many notes of the screen are kept."""


@dataclass
class Tally:
    """The counts of one round."""

    sampled: int = 0
    accepted: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    """The first dropped attempts by reason, as examples for the notes."""
    judged: Counter[str] = field(default_factory=Counter)
    """Verdicts by type of verifier."""
    no_verdict: dict[str, list[str]] = field(default_factory=dict)
    """Reasons of the `error` verdicts by type of verifier."""
    leaks: Counter[str] = field(default_factory=Counter)
    """Contaminated attempts by rule; one that repeats several evaluation tasks counts once for each rule."""
    notes: dict[str, str] = field(default_factory=dict)
    """Attempt id -> the screen's note on it, for the first contaminated attempts."""
    by_difficulty: dict[str, list[int]] = field(default_factory=dict)
    """Difficulty -> [right attempts, attempts], from which the curriculum sets its level. Only first tries at drawn tasks count, since
    synthesized tasks are not drawn evenly. A task whose difficulty is not measured yet does not count."""
    disagreements: int = 0
    tasks_passed: int = 0
    """Tasks with a right attempt."""
    solved: list[str] = field(default_factory=list)
    """Ids of the tasks with an accepted attempt; synthesis starts from them."""
    strata: Counter[str] = field(default_factory=Counter)
    """The number of solved tasks by tag, from which the coverage of rare strata is measured."""
    synthesized: Counter[str] = field(default_factory=Counter)
    """Attempts at synthesized tasks that were sampled, passed, accepted."""
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
    """A dropped attempt in short: the reason of its verdict, and its beginning. `note`: the screen's note; "" if there is none."""
    if note:
        return f"{trace.attempt.id} ({note})"
    reason = next((v.reason for v in trace.verdicts if v.outcome is trace.outcome and v.reason), "")
    return (
        f"{trace.attempt.id} ({reason or 'no reason given'}): {' '.join(trace.attempt.text.split())[:EXAMPLE_CHARS]!r}"
    )


REMEDIES = {
    "contaminated": "they share text with evaluation tasks ({rules}); if that is no leak, leave the rule out of curate.decontaminate.rules",
    "privacy": "they contain what looks like personal data; curate.privacy: off keeps them",
    "error": "their verifier failed, so it is not known whether they are right",
    "unverified": "all verifiers abstained",
    "truncated": "they were cut off; raise generate.max_new_tokens",
    "invalid": "no answer was found in them; the task's prompt should say in which form to answer",
    "failed": "they are wrong; if the examples look right, correct the check, otherwise easier tasks or more samples help",
}
"""Reasons with an explanation and a remedy."""


def notices(tally: Tally) -> list[str]:
    """A note for the reason that dropped more than half of the round's attempts, and one for each type of verifier that gave no
    verdict in more than half of its tries. The lines after the first are examples.
    """
    rules = ", ".join(f"{rule}: {count}" for rule, count in tally.leaks.most_common())
    found = []
    for reason, count in tally.reasons.items():
        if 2 * count > tally.sampled:
            why = f"; {REMEDIES[reason].format(rules=rules)}" if reason in REMEDIES else ""
            said = f"{count} of {tally.sampled} attempts were dropped as {reason}{why}"
            found.append("\n    ".join([said, *tally.examples[reason]]))
    for kind, reasons in sorted(tally.no_verdict.items()):
        if 2 * len(reasons) > tally.judged[kind]:
            said = f"the verifier {kind} gave no verdict on {len(reasons)} of {tally.judged[kind]} attempts; correct it"
            found.append(f"{said}\n    {reasons[0]}")
    return found


def tally_up(tally: Tally, traces: Sequence[Trace], judged: Sequence[Judged]) -> None:
    """Counts a group of decided traces. All attempts at a task must be in one group."""
    passed: set[str] = set()
    solved: dict[str, Task] = {}
    votes: dict[str, tuple[int | None, bool]] = {}  # task id -> the difficulty it counts for, whether it is synthesized
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
        for verdict in one.verdicts:
            kind = verdict.verifier.rpartition("/")[0]
            tally.judged[kind] += 1
            if verdict.outcome is Outcome.ERROR:
                tally.no_verdict.setdefault(kind, []).append(verdict.reason)
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
    """The `data/` metrics of a round. `kinds`: training rows by kind; `filtered`: drawn tasks that were left out."""
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
    """The metrics of corrections; {} without any. The delta is over all first tries (Kumar et al. 2024, 2409.12917: t2 - t1)."""
    if not tally.corrections:
        return {}
    made = tally.corrections
    return {
        "data/correction_sampled": made,
        "data/correction_passed": tally.corrections_passed,
        "data/correction_accepted": tally.corrections_accepted,
        "data/correction_accept_rate": round(tally.corrections_accepted / made, 6),
        "data/correction_pass_rate": round(tally.corrections_passed / made, 6),
        "data/correction_copy_rate": round(tally.corrections_copied / made, 6),
        "data/correction_delta": round(tally.corrections_passed / max(1, tally.first_turn), 6),
    }
