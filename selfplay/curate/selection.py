"""`select` makes one decision per trace, with a reason. Pure; independent of the order of a task's traces.

First, attempts that cannot be trained on get their reason (error, truncated, failed, ...). Then the lanes run in the order of the rules:
duplicates, the bottom share of each task, the cap. A lane only drops, and never a row that another has dropped. Quotas are
shares of a whole round; `quotas` applies them to the decisions that are made here.

Attempts at a task are ranked by outcome (pass, fail, invalid, then what was cut off), then by the verdicts' mean score, then by likelihood and
novelty blended, then the shorter text, then the lower round and attempt number, then the text itself.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from selfplay.curate import dedup
from selfplay.curate.dedup import Archive, Entry
from selfplay.curate.solution_key import exact_key, signature_of
from selfplay.errors import ConfigError, DataError
from selfplay.records import Decision, Outcome, Trace

REASONS = (
    "accepted", "error", "truncated", "failed", "invalid", "unverified", "contaminated", "privacy", "exact_duplicate",
    "near_duplicate", "same_signature", "bottom_share", "over_cap",
)  # fmt: skip
"""Every reason a decision of `select` can have. `unverified`: all verifiers abstained, so nobody has confirmed the attempt."""

LANES = ("exact", "near", "signature", "bottom_share", "cap")
"""The lanes, in the default order."""

_OF_OUTCOME = {
    Outcome.ERROR: "error",
    Outcome.FAIL: "failed",
    Outcome.INVALID: "invalid",
    Outcome.ABSTAIN: "unverified",
}


@dataclass(frozen=True)
class SelectRules:
    """Settings of one selection; every default is stated with its reason in docs/curation.md."""

    verified_only: bool = True
    """False is the unverified control arm: every attempt that is not error or truncated (nor flagged) is kept, no lane
    runs, and no verdict or outcome is read."""
    drop_share: float = 0.5
    """Share of each task's ranked attempts (failed ones included) that is dropped from the bottom, in [0, 1); rounded
    down, and never the task's last accepted one."""
    cap: int | None = 8
    """Most accepted attempts a task, after the lanes before it, taken mode by mode; None: no cap."""
    emphasis_floor: float | None = None
    """None: the same cap for all tasks. Else the cap shrinks to `cap * max(floor, 1 - pass rate)`, at least 1, so that
    easy tasks give fewer rows; in (0, 1]."""
    order: tuple[str, ...] = LANES
    """The lanes that run, in this order; a lane left out does not run."""
    near_threshold: float = dedup.THRESHOLD
    """Jaccard similarity of 5-word shingles from which two attempts are near-duplicates, in (0, 1]."""
    near_scope: str = "task"
    """`task`: near-duplicates are sought among the attempts of one task; `all`: among all, prompt included."""
    number_aware: bool = True
    """Texts whose numbers differ are never near-duplicates."""
    likelihood_weight: float = 0.5
    """Weight of the length-normalised likelihood in the ranking, >= 0, after outcome and verdict score."""
    novelty_weight: float = 0.5
    """Weight of the novelty of the solution's signature, >= 0."""

    def __post_init__(self) -> None:
        faults = []
        if not 0 <= self.drop_share < 1:
            faults.append(f"curate.drop_bottom_share is {self.drop_share}, must be in [0, 1); 0 drops nothing")
        if self.cap is not None and self.cap < 1:
            faults.append(f"curate.max_per_task is {self.cap}, must be >= 1; leave it empty for no cap")
        if self.emphasis_floor is not None and not 0 < self.emphasis_floor <= 1:
            faults.append(
                f"curate.emphasis_floor is {self.emphasis_floor}, must be in (0, 1]; leave it empty for equal caps"
            )
        if self.emphasis_floor is not None and self.cap is None:
            faults.append("curate.emphasis_floor has no effect without curate.max_per_task; give a cap or remove it")
        if not 0 < self.near_threshold <= 1:
            faults.append(
                f"curate.near_threshold is {self.near_threshold}, must be in (0, 1]; leave `near` out of order instead"
            )
        if self.near_scope not in {"task", "all"}:
            faults.append(f"curate.near_scope is {self.near_scope!r}, must be task or all")
        if min(self.likelihood_weight, self.novelty_weight) < 0:
            faults.append("curate.likelihood_weight and novelty_weight must be >= 0; 0 leaves one out")
        unknown = [lane for lane in self.order if lane not in LANES]
        if unknown or len(set(self.order)) != len(self.order):
            faults.append(f"curate.order is {list(self.order)}, must name each of {', '.join(LANES)} once at most")
        if faults:
            raise ConfigError("\n".join(faults))


def select(
    traces: Sequence[Trace], rules: SelectRules, archive: Archive, flags: Mapping[str, str] | None = None
) -> list[Decision]:
    """Makes one decision per trace of a round, in the same order.

    `archive` holds what earlier rounds accepted; pass `Archive()` to forget them. `flags` maps attempt ids to
    `contaminated` or `privacy`, as `screen` finds them; a flagged attempt is dropped in every arm. Raises DataError where
    a trace has no outcome and the rules want verified ones.
    """
    state = _State(traces, rules, archive)
    flags = flags or {}
    for index, trace in enumerate(traces):
        state.reasons[index] = _first_reason(trace, rules, flags.get(trace.attempt.id) if flags else None)
    if rules.verified_only:
        state.rank_tasks()
        for lane in rules.order:
            _LANES[lane](state)
    return [_decision(reason, state.places.get(index)) for index, reason in enumerate(state.reasons)]


@lru_cache(1024)
def _decision(reason: str, rank: int | None) -> Decision:
    """The decision of a trace. A round has only a few different ones, and many traces share them; they are never changed."""
    return Decision(decision="accepted" if reason == "accepted" else "dropped", reason=reason, rank=rank)


def archive_entries(traces: Sequence[Trace], decisions: Sequence[Decision]) -> list[Entry]:
    """Archive entries of the accepted traces, sorted by (round, task, attempt), for `Archive.add`."""
    kept = [i for i, decision in enumerate(decisions) if decision.decision == "accepted"]
    kept.sort(
        key=lambda i: (traces[i].attempt.round, traces[i].task.id, traces[i].attempt.attempt, traces[i].attempt.text)
    )
    found = dedup.sketch([traces[i].attempt.text for i in kept])
    entries = []
    for place, index in enumerate(kept):
        trace = traces[index]
        exact = exact_key(trace.task.text, trace.attempt.text)
        sketch, numbers = dedup.sketch_text(found.minhash[place]), f"{int(found.numbers[place]):016x}"
        entries.append(Entry(trace.attempt.round, trace.task.id, exact, signature_of(trace), sketch, numbers))
    return entries


def _first_reason(trace: Trace, rules: SelectRules, flag: str | None) -> str:
    """The reason before any lane runs; `accepted` marks the candidates."""
    if flag is not None and flag not in {"contaminated", "privacy"}:
        raise ConfigError(f"curate: flag {flag!r} on {trace.attempt.id}; flags are contaminated or privacy")
    if trace.attempt.finish_reason == "error":
        return "error"
    if rules.verified_only:
        if trace.outcome is None:
            raise DataError(
                f"curate: {trace.attempt.id} has no outcome; run verify first, or set curate.verified_only=false"
            )
        if trace.outcome is Outcome.ERROR:
            return "error"
    if flag is not None:
        return flag
    if trace.attempt.finish_reason == "length":
        return "truncated"
    if rules.verified_only and trace.outcome is not None and trace.outcome in _OF_OUTCOME:
        return _OF_OUTCOME[trace.outcome]
    return "accepted"


class _State:
    """The state of the selection. Candidates are the traces whose reason is still `accepted`."""

    def __init__(self, traces: Sequence[Trace], rules: SelectRules, archive: Archive) -> None:
        self.traces = traces
        self.rules = rules
        self.archive = archive
        self.reasons: list[str] = [""] * len(traces)
        self.places: dict[int, int] = {}
        self.signatures: dict[int, str] = {}
        """Of the candidates that the ranking starts from."""
        self.tasks: dict[str, list[int]] = {}
        """Task id -> its ranked traces, best first; errors are in none."""

    def rank_tasks(self) -> None:
        """Ranks the attempts of each task, errors apart; tasks in the order of their ids."""
        groups: dict[str, list[int]] = {}
        for index, reason in enumerate(self.reasons):
            if reason != "error":
                groups.setdefault(self.traces[index].task.id, []).append(index)
        self.signatures = {i: signature_of(self.traces[i]) for i, why in enumerate(self.reasons) if why == "accepted"}
        for task_id in sorted(groups):
            members = groups[task_id]
            signed = {place: self.signatures[i] for place, i in enumerate(members) if i in self.signatures}
            seen = {place: self.archive.count(task_id, signature) for place, signature in signed.items()}
            ranked = rank(
                [self.traces[i] for i in members], signed, seen, self.rules.likelihood_weight, self.rules.novelty_weight
            )
            self.tasks[task_id] = [members[place] for place in ranked]
            self.places.update({index: place for place, index in enumerate(self.tasks[task_id])})

    def left(self, members: Sequence[int]) -> list[int]:
        """Those of a task's traces that are candidates still, in their order."""
        return [index for index in members if self.reasons[index] == "accepted"]

    def candidates(self) -> list[int]:
        """All candidates, best of every task first, ties by task id."""
        rows = [
            (self.places[i], t, i)
            for t, members in self.tasks.items()
            for i in members
            if self.reasons[i] == "accepted"
        ]
        return [index for _, _, index in sorted(rows)]


def _exact(state: _State) -> None:
    rows = state.candidates()
    keys = [exact_key(state.traces[i].task.text, state.traces[i].attempt.text) for i in rows]
    for index, key, copy_of in zip(rows, keys, dedup.exact_duplicates(keys), strict=True):
        if copy_of is not None or state.archive.contains_exact(key):
            state.reasons[index] = "exact_duplicate"


def _near(state: _State) -> None:
    rules, rows = state.rules, state.candidates()
    attempts = [state.traces[i] for i in rows]
    whole = rules.near_scope == "all"
    texts = [f"{t.task.text}\n{t.attempt.text}" if whole else t.attempt.text for t in attempts]
    groups = None if whole else [t.task.id for t in attempts]
    sketches = dedup.sketch(texts)
    copies = dedup.near_duplicates(texts, rules.near_threshold, groups, rules.number_aware, sketches)
    for index, copy_of in zip(rows, copies, strict=True):
        if copy_of is not None:
            state.reasons[index] = "near_duplicate"
    if len(state.archive):
        _near_archive(state, rows)


def _near_archive(state: _State, rows: Sequence[int]) -> None:
    """Compares with the archive's sketches of the same task. The similarity is estimated, since no text of earlier rounds is kept."""
    rows = [i for i in rows if state.reasons[i] == "accepted" and state.archive.of_task(state.traces[i].task.id)]
    sketches = dedup.sketch([state.traces[i].attempt.text for i in rows])
    for place, index in enumerate(rows):
        numbers = f"{int(sketches.numbers[place]):016x}"
        earlier = [
            dedup.read_sketch(entry.sketch)
            for entry in state.archive.of_task(state.traces[index].task.id)
            if entry.sketch and (entry.numbers == numbers or not state.rules.number_aware)
        ]
        if dedup.estimated_similarity(sketches.minhash[place], earlier) >= state.rules.near_threshold:
            state.reasons[index] = "near_duplicate"


def _signature(state: _State) -> None:
    for task_id, members in state.tasks.items():
        left = state.left(members)
        if len(left) < 2 and not state.archive.of_task(task_id):
            continue
        met: set[str] = set()
        for index in left:
            signature = state.signatures[index]
            if signature in met or state.archive.contains(task_id, signature):
                state.reasons[index] = "same_signature"
            met.add(signature)


_DUPLICATES = frozenset({"exact_duplicate", "near_duplicate", "same_signature"})


def _bottom_share(state: _State) -> None:
    """Drops the bottom share of each task. Duplicates found before do not count as attempts, so that copies do not change the share."""
    for members in state.tasks.values():
        ranked = [i for i in members if state.reasons[i] not in _DUPLICATES]
        dropped = int(len(ranked) * state.rules.drop_share + 1e-9)
        if not dropped:
            continue
        bottom = [i for i in ranked[len(ranked) - dropped :] if state.reasons[i] == "accepted"]
        above = any(state.reasons[i] == "accepted" for i in ranked[: len(ranked) - dropped])
        for index in bottom if above else bottom[1:]:
            state.reasons[index] = "bottom_share"


def _cap(state: _State) -> None:
    """Caps each task, taking its solutions (modes) in turn, the one with the best attempt first."""
    if state.rules.cap is None:
        return
    for members in state.tasks.values():
        left = state.left(members)
        cap = _cap_of(state, members, state.rules.cap) if left else 0
        if len(left) <= cap:
            continue
        modes: dict[str, list[int]] = {}
        for index in left:
            modes.setdefault(state.signatures[index], []).append(index)
        turns = [(turn, mode, index) for mode, rows in enumerate(modes.values()) for turn, index in enumerate(rows)]
        for _, _, index in sorted(turns)[cap:]:
            state.reasons[index] = "over_cap"


def _cap_of(state: _State, members: Sequence[int], cap: int) -> int:
    floor = state.rules.emphasis_floor
    passed = sum(state.traces[i].outcome is Outcome.PASS for i in members)
    return cap if floor is None else task_cap(cap, passed, len(members), floor)


_LANES: dict[str, Callable[[_State], None]] = {
    "exact": _exact,
    "near": _near,
    "signature": _signature,
    "bottom_share": _bottom_share,
    "cap": _cap,
}


_CLASSES = {Outcome.PASS: 0, Outcome.FAIL: 1, Outcome.INVALID: 2}


def verdict_score(trace: Trace) -> float | None:
    """Mean of the scores that the verdicts give, in [0, 1]; None where none is scored."""
    scores = [verdict.score for verdict in trace.verdicts if verdict.score is not None]
    return sum(scores) / len(scores) if scores else None


def mean_logprob(trace: Trace) -> float | None:
    """Mean log-likelihood per token, <= 0, under the sampler; None if the backend gave none."""
    values = trace.attempt.logprobs
    return sum(values) / len(values) if values else None


def midranks(values: Sequence[float | None]) -> list[float]:
    """Each value's place among the values, 0 lowest to 1 highest, ties sharing the mean; None stands in the middle, 0.5."""
    known = sorted(value for value in values if value is not None)
    if len(known) < 2 or known[0] == known[-1]:
        return [0.5] * len(values)
    places: dict[float, list[int]] = {}
    for place, value in enumerate(known):
        places.setdefault(value, []).append(place)
    top = len(known) - 1
    return [0.5 if value is None else sum(places[value]) / len(places[value]) / top for value in values]


def rank(
    traces: Sequence[Trace], signatures: Mapping[int, str], seen: Mapping[int, int], likelihood: float, novelty: float
) -> list[int]:
    """Indices of one task's traces, best first.

    `signatures` and `seen` (how often the archive has that signature) are by index, for passed traces only.
    `likelihood` and `novelty` weigh the two places; a signature is the more novel the fewer attempts of the task, this
    round's and earlier, have it.
    """
    if len(traces) < 2:
        return list(range(len(traces)))
    verdicts = midranks([verdict_score(trace) for trace in traces])
    likely = midranks([mean_logprob(trace) for trace in traces])
    counts = Counter(signatures.values())
    novel = midranks(
        [-(counts[signatures[i]] + seen.get(i, 0)) if i in signatures else None for i in range(len(traces))]
    )

    def key(index: int) -> tuple[object, ...]:
        attempt = traces[index].attempt
        blended = likelihood * likely[index] + novelty * novel[index]
        outcome = traces[index].outcome
        cut = 3 if attempt.finish_reason != "stop" else _CLASSES.get(outcome, 2) if outcome is not None else 2
        return (cut, -verdicts[index], -blended, len(attempt.text), attempt.round, attempt.attempt, attempt.text)

    return sorted(range(len(traces)), key=key)


def task_cap(cap: int, passed: int, attempts: int, floor: float) -> int:
    """Most attempts that a task may keep: `cap` times max(floor, 1 - pass rate), rounded up, so at least 1 and at most `cap`.

    Hard tasks keep more than easy ones: a loop that trains on whatever passes fills up with what it already can (ReST-EM
    caps it; Amin et al. boost by 1 - pass rate). `floor`: share of the cap that an always-solved task keeps.
    """
    rate = passed / attempts if attempts else 0.0
    return max(1, min(cap, math.ceil(cap * max(floor, 1 - rate) - 1e-9)))
