"""Ranks the attempts at a task, best first. Pure; independent of the order they come in.

Outcome first (pass, fail, invalid, then what was cut off), then the verdicts' mean score, then likelihood and novelty
blended, then the shorter text, then the lower round and attempt number, then the text itself.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from selfplay.records import Outcome, Trace

_CLASSES = {Outcome.PASS: 0, Outcome.FAIL: 1, Outcome.INVALID: 2}


def verdict_score(trace: Trace) -> float | None:
    """Mean of the scores that the verdicts give, in [0, 1]; None where none is scored."""
    scores = [verdict.score for verdict in trace.verdicts if verdict.score is not None]
    return sum(scores) / len(scores) if scores else None


def mean_logprob(trace: Trace) -> float | None:
    """Log-likelihood a token, <= 0, under the sampler; None where the backend gave none."""
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
