"""The composition of the training rows: share of human data, age, concentration. Keys `collapse_data/`."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from selfplay.errors import DataError, EmptyMetric


def gini(counts: ArrayLike) -> float:
    """Gini coefficient of counts a task, zeros included, in [0, 1): 0 all equal, near 1 all rows from one task."""
    x = np.sort(np.asarray(counts, dtype=np.float64).ravel())
    if x.size == 0 or x.sum() <= 0:
        raise EmptyMetric("gini: no counts; leave the metric out of this round")
    return float((2 * np.arange(1, x.size + 1) - x.size - 1) @ x / (x.size * x.sum()))


def provenance_metrics(
    origins: Sequence[int | None],
    task_ids: Sequence[str],
    weights: Sequence[float] | None = None,
    *,
    now: int,
    tasks_total: int | None = None,
) -> dict[str, float]:
    """collapse_data/ keys of one round's training rows.

    `origins`: the round a row was sampled in, None for real text (human, or a teacher where you count it so);
    `weights`: tokens or loss weight of each row (default 1). `synthetic_age_mean` is `now` minus the round of origin over
    synthetic rows. `tasks_total` adds tasks without rows to the Gini. Empty gives an empty dict.
    """
    if len(origins) != len(task_ids) or (weights is not None and len(weights) != len(origins)):
        raise DataError(f"provenance: {len(origins)} origins, {len(task_ids)} task ids; give one of each a row")
    if not origins:
        return {}
    w = np.ones(len(origins)) if weights is None else np.asarray(weights, dtype=np.float64)
    real = np.asarray([origin is None for origin in origins])
    out = {"collapse_data/rows": float(len(origins)), "collapse_data/tokens_total": float(w.sum())}
    if weights is None:
        del out["collapse_data/tokens_total"]
    if w.sum() > 0:
        out["collapse_data/human_data_share"] = float(w[real].sum() / w.sum())
    made = w[~real].sum()
    if made > 0:
        ages = np.asarray([now - origin for origin in origins if origin is not None], dtype=np.float64)
        out["collapse_data/synthetic_age_mean"] = float(ages @ w[~real] / made)
    per_task = _per_task(task_ids, tasks_total)
    out["collapse_data/tasks_covered"] = float(np.count_nonzero(per_task))
    out["collapse_data/per_task_gini"] = gini(per_task)
    return out


def _per_task(task_ids: Iterable[str], tasks_total: int | None) -> list[int]:
    counts = list(Counter(task_ids).values())
    return counts + [0] * max(0, (tasks_total or 0) - len(counts))
