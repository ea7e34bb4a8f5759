"""The base of a metric: the definitions of its keys, and how they are computed from a round.

A new metric is one file with a subclass of `Metric`, and one line in `METRICS` (`config/registry.py`). It is computed after each
evaluation, and its keys appear in metrics.jsonl, in the report, and, if they are headline metrics, in W&B.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from selfplay.collapse.estimate import Estimate
from selfplay.config import Config
from selfplay.config.metrics import Definition
from selfplay.records import Outcome
from selfplay.store import Commit
from selfplay.store.traces import read_parquet, read_sources
from selfplay.tasks import Fixed

Json = dict[str, Any]

# Phrases that several definitions share.
SHARE, COUNT, NATS = "0 to 1", "0, 1, 2, ...", "nats, 0 or more"
OVER_TASKS = "95 % score interval over tasks (Wilson; of paired changes Tango)"
SKEWED = "95 % interval over tasks by Hall's transformed t, from 40 tasks on"
DEV_SAMPLES = f"n samples of each sampled dev task at temperature 1 and top-p 1, n = eval.samples; {OVER_TASKS}"
EXACT = "Exact count."
CHEN, HURLBERT = "https://arxiv.org/abs/2107.03374", "https://doi.org/10.2307/1934145"
BSTAR, SIMPSON = "https://arxiv.org/abs/2412.17256", "https://doi.org/10.1038/163688a0"
SHUMAILOV = "https://arxiv.org/abs/2305.17493"


@dataclass(frozen=True)
class RoundView:
    """What a metric reads of a round, after its evaluation and before the gate."""

    number: int
    config: Config
    folder: Path
    """The round's folder, `rounds/NNN`."""
    fixed: Fixed
    """The tasks that never change: anchor, dev set, test set, human text."""
    tasks: int
    """Number of tasks of the round; 0 in round 0."""
    evaluated: Mapping[str, Sequence[Json]]
    """Rows of the evaluation by part: `dev`, `test`, `samples`, `likelihood`, `drift`, `seen`. A missing part has no rows."""
    baseline: Mapping[str, Any] | None
    """What the metrics kept of round 0, by name (see `Measured.kept`); None in round 0 itself."""
    chain: Sequence[Commit]
    """The committed ancestors of the round, oldest first."""
    before: Mapping[str, Any] | None = None
    """What the metrics kept of the parent round; None in round 0."""

    def rows(self, part: str) -> Sequence[Json]:
        """Rows of one part of the evaluation."""
        return self.evaluated.get(part, ())

    def judged(self, part: str) -> tuple[list[Json], int]:
        """Rows of a part that have an outcome, and the number of those whose outcome is `error`."""
        rows = self.rows(part)
        known = [row for row in rows if row["outcome"] != Outcome.ERROR.value]
        return known, len(rows) - len(known)

    def too_many(self, errors: int, total: int) -> bool:
        """Whether the share of errors is above `verify.max_error_share`, so that no metric is computed."""
        return errors > self.config.verify.max_error_share * total

    def traces(self, *columns: str) -> list[Json]:
        """The round's traces, of which only these columns are read; none in round 0."""
        path = self.folder / "traces.parquet"
        return list(read_parquet(path, list(columns))) if path.is_file() else []

    def sources(self) -> list[tuple[str, str, int]]:
        """(kind, source, tokens) of each row that the round trained on: see `selfplay.store.traces.read_sources`."""
        path = self.folder / "train.parquet"
        return read_sources(path) if path.is_file() else []


class Measured(NamedTuple):
    """What a metric computes of one round."""

    figures: Mapping[str, Any]
    """Key -> number or text. A metric that is undefined in the round is left out, never NaN."""
    kept: Mapping[str, Any] = {}
    """Name -> what the round keeps in `evaluate/dev.json`. Later rounds read that of round 0 as `RoundView.baseline`."""


class Metric:
    """A group of keys: `definitions` describes each of them, `compute` returns their values for a round.

    A group without its own `compute` describes keys that a phase writes, such as the counts of curation.
    """

    definitions: ClassVar[Mapping[str, Definition]] = {}

    def compute(self, view: RoundView) -> Measured:
        """The metrics of one round. It is called once per round, on rank 0."""
        return Measured({})


def interval(key: str, estimate: Estimate) -> Json:
    """An estimate as keys: the value and, where there is an interval, `_lo` and `_hi`."""
    return estimate.keyed(key)


def rounded(key: str, value: Any) -> Any:
    """Six digits of a number, which are stable and readable. Raises ValueError for NaN and infinity, which are not JSON."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"metric {key} is {value}; leave it out of a round in which it is not defined")
    return round(value, 6) if isinstance(value, float) else value
