"""A round's rows as the metrics see them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from selfplay.config import Config
from selfplay.runtime.metrics import RoundView
from selfplay.tasks import Fixed

Json = dict[str, Any]


def view(
    rows: Iterable[Json] = (),
    baseline: Mapping[str, Any] | None = None,
    *,
    fixed: Fixed | None = None,
    number: int | None = None,
    folder: Path = Path("none"),
    tasks: int = 0,
    before: Mapping[str, Any] | None = None,
    **config: Any,
) -> RoundView:
    """Round 0, or round 1 where `baseline` says what round 0 kept; `config` lies over a small configuration."""
    by_part: dict[str, list[Json]] = defaultdict(list)
    for row in rows:
        by_part[row["part"]].append(row)
    plain = {
        "tasks": {"source": "arithmetic"},
        "student": {"kind": "scripted"},
        "propose": {"tasks_per_round": 8},
        "train": {"epochs": 1, "start": "continue"},
        "eval": {"sample_tasks": None},
    }
    return RoundView(
        number=int(baseline is not None) if number is None else number,
        config=Config.model_validate(plain | config),
        folder=folder,
        fixed=fixed or Fixed([], [], []),
        tasks=tasks,
        evaluated=by_part,
        baseline=baseline,
        chain=(),
        before=before,
    )
