"""Floor 5: from evaluation rows to the round's flat metrics, with intervals and paired changes to round 0.

Greedy accuracy is a mean over tasks. An `error` outcome is left out, never counted as wrong: `..._n` says how many tasks
the mean is over, `..._errors` how many are missing, and where more than `max_error_share` are there is no accuracy at all.
Intervals are 95 % bootstraps over tasks; deltas draw the same tasks for both rounds.
"""

import math
import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

from selfplay.collapse import (
    DevSet,
    bootstrap_mean,
    dev_set_metrics,
    dev_set_of,
    likelihood_metrics,
    paired_delta,
    wilson,
)
from selfplay.config.tree import Evaluate
from selfplay.curate.solution_key import solution_signature
from selfplay.phases.evaluate import drift, wording
from selfplay.records import Outcome, Task
from selfplay.tasks import Fixed

Json = dict[str, Any]
KS = (1, 2, 4, 8, 16)
STRATA = ("difficulty", "frequency", "topic")
"""Tags that are reported by value."""
RARE_SHARE = 0.05
"""A tag value that fewer of the anchor's tasks carry is a rare item, frozen at round 0."""
TAIL_RESAMPLES = 400
"""Most resamples of the human texts' quantiles: each costs a sort."""
ERRORS = ("eval/greedy_accuracy_errors", "eval/samples_errors", "test/greedy_accuracy_errors")
"""Counts of what evaluation could not judge."""
APART = "apart"
"""Tasks with this tag count in their stratum alone, not in the headline figure."""


def measure(
    section: Evaluate,
    fixed: Fixed,
    rows: Iterable[Json],
    first: Mapping[str, Any] | None,
    max_error_share: float = 0.05,
) -> tuple[Json, Json]:
    """The flat metrics of a round, and what later rounds are compared with (kept by round 0 as `dev.json`).

    `first`: round 0's second value; None in round 0 itself. `max_error_share`: see the module; in [0, 1].
    """
    by_part: dict[str, list[Json]] = defaultdict(list)
    for row in rows:
        by_part[row["part"]].append(row)
    frozen: Json = {}
    figures: Json = {}
    for part, tasks, name in (("dev", fixed.dev, "eval"), ("test", fixed.test, "test")):
        known = _without_errors(by_part[part])
        right = {r["task_id"]: float(r["outcome"] == Outcome.PASS.value) for r in known}
        frozen[part] = right
        before = first.get(part) if first else None
        figures |= accuracy(section, name, tasks, right, before, len(by_part[part]) - len(known), max_error_share)
    samples = _without_errors(by_part["samples"])
    if errors := len(by_part["samples"]) - len(samples):
        figures["eval/samples_errors"] = errors
    few = errors <= max_error_share * len(by_part["samples"])
    figures |= _samples(section, fixed, samples if few else [], first, frozen)
    moved, frozen[drift.PART] = drift.figures(section, by_part["samples"], by_part[drift.PART], first)
    told, frozen["wording"] = wording.figures(by_part["samples"], first)
    figures |= moved | told | drift.lengths(section, by_part["samples"])
    figures |= _likelihood(section, by_part["likelihood"], first, frozen)
    return {key: _plain(value) for key, value in figures.items()}, frozen


def _without_errors(rows: Sequence[Json]) -> list[Json]:
    return [row for row in rows if row["outcome"] != Outcome.ERROR.value]


def accuracy(
    section: Evaluate,
    name: str,
    tasks: Sequence[Task],
    right: Mapping[str, float],
    before: Mapping[str, float] | None,
    errors: int = 0,
    max_error_share: float = 0.05,
) -> Json:
    """Greedy accuracy as `name/greedy_accuracy`, and by stratum as `name_TAG/VALUE`; none where nothing was judged.

    `right`: 1 or 0 by task; tasks without an outcome are missing. `errors`: how many of those were asked, and came out as
    `error`.
    """
    key = f"{name}/greedy_accuracy"
    groups: dict[str, list[str]] = {key: [t.id for t in tasks if APART not in t.tags]}
    counts = {f"{key}_n": sum(i in right for i in groups[key]), f"{key}_errors": errors} if right or errors else {}
    if errors > max_error_share * (errors + len(right)):
        return counts
    for task in tasks:
        for tag in STRATA:
            value = task.tag(tag)
            if value is not None:
                groups.setdefault(f"{name}_{tag}/{_word(value)}", []).append(task.id)
    figures: Json = {**counts}
    for key, ids in sorted(groups.items()):
        known = [i for i in ids if i in right]
        if not known:
            continue
        figures |= put(key, bootstrap_mean([right[i] for i in known], resamples=section.bootstrap, seed=section.seed))
        both = [i for i in known if before and i in before]
        if before and both:
            change = paired_delta(
                [right[i] for i in both], [before[i] for i in both], resamples=section.bootstrap, seed=section.seed
            )
            figures |= put(f"{key}_delta", change)
    return figures


def _samples(section: Evaluate, fixed: Fixed, rows: list[Json], first: Mapping[str, Any] | None, frozen: Json) -> Json:
    """pass@k, unique-correct@k, support and tails from the dev set's samples."""
    if not rows:
        return {}
    by_task: dict[str, list[Json]] = defaultdict(list)
    for row in rows:
        by_task[row["task_id"]].append(row)
    tasks = [task for task in fixed.dev if task.id in by_task]
    right = [[row["outcome"] == Outcome.PASS.value for row in by_task[task.id]] for task in tasks]
    labels: list[list[Hashable]] = [
        [solution_signature(task, row["text"]) for row in by_task[task.id]] for task in tasks
    ]
    counted = dev_set_of(
        [task.id for task in tasks],
        right,
        labels,
        labels,
        strata=[task.tag("difficulty") or "all" for task in tasks],
        tail=[task.tag("frequency") == "rare" for task in tasks],
        items=_items_met(rare_items(fixed), tasks, right),
    )
    frozen["samples"] = counted.to_dict()
    base = DevSet.from_dict(first["samples"]) if first and "samples" in first else None
    figures: Json = dict(dev_set_metrics(counted, base, ks=KS, resamples=section.bootstrap, seed=section.seed))
    cut = sum(row["finish_reason"] == "length" for row in rows)
    return figures | put("collapse_drift/trunc_rate", wilson(cut, len(rows)))


def _likelihood(section: Evaluate, rows: list[Json], first: Mapping[str, Any] | None, frozen: Json) -> Json:
    """Nats a token of human text that is never trained on: its mean, its bad tail, its change to round 0."""
    known = {row["task_id"]: row["nats"] / row["tokens"] for row in rows if row["tokens"]}
    if not known:
        return {}
    if not all(map(math.isfinite, known.values())):
        raise ValueError("a likelihood came out as infinite: a token of human text has probability 0")
    frozen["nll"] = known
    again: dict[str, Any] = {"resamples": min(section.bootstrap, TAIL_RESAMPLES), "seed": section.seed}
    before = (first or {}).get("nll") or {}
    both = [name for name in known if name in before]
    figures: Json = dict(likelihood_metrics([[x] for x in known.values()], **again))
    if both:
        paired = likelihood_metrics([[known[i]] for i in both], [[before[i]] for i in both], **again)
        figures |= {key: value for key, value in paired.items() if "_delta" in key}
    return figures


def rare_items(fixed: Fixed) -> set[str]:
    """Tag values of dev tasks that fewer than RARE_SHARE of the anchor's tasks carry; the anchor never changes."""
    counts: dict[str, int] = defaultdict(int)
    for task in fixed.anchor:
        for tag in set(task.tags):
            counts[tag] += 1
    offered = {tag for task in fixed.dev for tag in task.tags if ":" in tag and tag.partition(":")[0] not in STRATA}
    return {tag for tag in offered if counts[tag] < RARE_SHARE * len(fixed.anchor)}


def _items_met(items: set[str], tasks: Sequence[Task], right: Sequence[Sequence[bool]]) -> dict[str, int]:
    """For each rare item, the right attempts at tasks that need it."""
    met = dict.fromkeys(sorted(items), 0)
    for task, row in zip(tasks, right, strict=True):
        for tag in items.intersection(task.tags):
            met[tag] += sum(row)
    return met


def put(key: str, estimate: Any) -> Json:
    """An estimate as three flat keys."""
    return {key: estimate.value, f"{key}_lo": estimate.lo, f"{key}_hi": estimate.hi}


def _word(value: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]+", "_", value)


def _plain(value: Any) -> Any:
    """Floats rounded to what is stable and readable; NaN, which is no JSON, never gets here unnoticed."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"a metric came out as {value}: leave it out where it is not defined")
    return round(value, 6) if isinstance(value, float) else value
