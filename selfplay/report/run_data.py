"""What a page needs of a run folder. A partial or damaged folder gives less, and never an error.

What could not be read is a sentence in `notes`. Only a folder that is not a run at all is refused.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from selfplay.config.metrics import BEST, SCORE, best_round
from selfplay.errors import DataError

Row = Mapping[str, Any]
Point = tuple[float, float | None, float | None, float | None]


class EndedRound(NamedTuple):
    """A committed round as `best_round` reads it."""

    round: int
    metrics: Row
    action: str


@dataclass(frozen=True)
class RunData:
    """One run as the pages see it."""

    path: Path
    name: str
    config: dict[str, Any]
    """The resolved config; empty where it cannot be read."""
    rows: list[dict[str, Any]]
    """One a committed round, in order: its row of metrics.jsonl."""
    commits: dict[int, dict[str, Any]]
    """COMMITs by round."""
    curve: list[dict[str, Any]]
    """Training rows of all rounds, in order of (round, train/step), each once."""
    notes: list[str] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)
    """Tasks that were measured: `dev`, `test`, `samples` (dev tasks that are sampled), `nll`; an unknown size is left out."""

    @property
    def rounds(self) -> list[int]:
        """Numbers of the committed rounds."""
        return [row["round"] for row in self.rows]

    @property
    def best(self) -> int | None:
        """The best round, as the gate names it; None if no round has a dev accuracy, or none names it."""
        ended = [
            EndedRound(row["round"], row, str(self.commits.get(row["round"], {}).get("action", "")))
            for row in self.rows
        ]
        return best_round(ended) if self.points(SCORE) and self.points(BEST) else None

    def row(self, number: int) -> dict[str, Any]:
        """The row of a round; empty if there is none."""
        return next((row for row in self.rows if row["round"] == number), {})

    def points(self, key: str) -> list[Point]:
        """A metric over the rounds: (round, value, lo, hi). Rounds without it are left out."""
        found = [(float(row["round"]), *triple(row, key)) for row in self.rows]
        return [point for point in found if point[1] is not None]

    def keys(self, prefix: str) -> list[str]:
        """Numeric keys below a prefix such as `collapse_tails`, in order, without interval ends and changes."""
        found = dict.fromkeys(
            key
            for row in self.rows
            for key in row
            if key.startswith(f"{prefix}/") and number(row, key) is not None and not is_companion(key, row)
        )
        return list(found)

    def strata(self, prefix: str) -> dict[str, list[str]]:
        """Strata of an accuracy family: {`difficulty`: [`eval_difficulty/1`, ...]} for `eval`."""
        families = {key.partition("/")[0] for row in self.rows for key in row if key.startswith(f"{prefix}_")}
        found = {family.removeprefix(f"{prefix}_"): sorted(self.keys(family), key=natural) for family in families}
        return {name: keys for name, keys in sorted(found.items()) if keys}


def number(row: Row, key: str) -> float | None:
    """The value as a finite number, else None."""
    value = row.get(key)
    real = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if real and value is not None else None


def triple(row: Row, key: str) -> tuple[float | None, float | None, float | None]:
    """Value, lo and hi; the interval is None if either end is missing."""
    value, lo, hi = number(row, key), number(row, f"{key}_lo"), number(row, f"{key}_hi")
    return (value, lo, hi) if lo is not None and hi is not None else (value, None, None)


def is_companion(key: str, row: Row) -> bool:
    """Whether the key is an interval end of another, or a change against round 0."""
    stem = key.removesuffix("_lo").removesuffix("_hi")
    return (stem != key and stem in row) or stem.endswith("_delta")


def natural(key: str) -> tuple[str, float, str]:
    """A sort key that puts `eval_difficulty/10` after `eval_difficulty/9`."""
    head, _, tail = key.rpartition("/")
    return (head, float(tail), "") if tail.isdigit() else (head, math.inf, tail)


def read_run(path: Path) -> RunData:
    """Reads a run folder. Raises DataError if there is no folder, or if it is not a run."""
    if not path.is_dir():
        raise DataError(f"{path}: there is no such run folder; give the path of a run, such as runs/quickstart")
    if not any((path / name).exists() for name in ("config.yaml", "metrics.jsonl", "rounds")):
        raise DataError(
            f"{path}: is not a run (it has no config.yaml, metrics.jsonl or rounds); give a folder below runs/"
        )
    notes: list[str] = []
    commits = _commits(path, notes)
    rows = {n: _commit_row(n, commit) for n, commit in commits.items()}
    for row in _json_lines(path / "metrics.jsonl", notes):
        if isinstance(row.get("round"), int):
            rows[row["round"]] = {**rows.get(row["round"], {}), **row}
    curve = [row for file in sorted(path.glob("rounds/*/train/curve.jsonl")) for row in _json_lines(file, notes)]
    steps = {(row.get("round") or 0, row["train/step"]): row for row in curve if number(row, "train/step") is not None}
    return RunData(
        path=path,
        name=path.resolve().name,
        config=_config(path / "config.yaml", notes),
        rows=[rows[n] for n in sorted(rows)],
        commits=commits,
        curve=[steps[place] for place in sorted(steps)],
        notes=notes,
        sizes=_sizes(path / "rounds" / "000" / "evaluate" / "dev.json", notes),
    )


def _sizes(path: Path, notes: list[str]) -> dict[str, int]:
    """Sample sizes from what round 0 froze: {part: {task id: ...}}, samples with their own list of ids."""
    if not path.is_file():
        return {}
    try:
        frozen = json.loads(path.read_bytes())
        samples = frozen.get("samples") or {}
        found = {part: len(frozen.get(part) or ()) for part in ("dev", "test", "nll")}
        found["samples"] = len(samples.get("task_ids") or ())
    except (OSError, ValueError, AttributeError, TypeError) as error:
        notes.append(f"rounds/000/evaluate/dev.json could not be read ({type(error).__name__}).")
        return {}
    return {part: n for part, n in found.items() if n}


def _config(path: Path, notes: list[str]) -> dict[str, Any]:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        notes.append("The run has no config.yaml.")
        return {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        notes.append(f"config.yaml could not be read ({type(error).__name__}).")
        return {}
    return found if isinstance(found, dict) else {}


def _commits(path: Path, notes: list[str]) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for file in sorted(path.glob("rounds/*/COMMIT")):
        try:
            commit = json.loads(file.read_text(encoding="utf-8"))
            found[int(commit["round"])] = commit
        except (OSError, ValueError, KeyError, TypeError) as error:
            notes.append(f"rounds/{file.parent.name}/COMMIT could not be read ({type(error).__name__}).")
    return found


def _commit_row(number_: int, commit: Row) -> dict[str, Any]:
    parts = [commit.get(name) for name in ("metrics", "time", "cost")]
    return {"round": number_, **{k: v for part in parts if isinstance(part, dict) for k, v in part.items()}}


def _json_lines(path: Path, notes: list[str]) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    found, bad = [], 0
    for line in path.read_bytes().split(b"\n"):
        try:
            value = json.loads(line) if line.strip() else {}
        except ValueError:
            bad += 1
            continue
        found += [value] if isinstance(value, dict) and value else []
    if bad:
        notes.append(f"{path.name}: {bad} line{'s' if bad > 1 else ''} could not be read.")
    return found


def setting(config: Mapping[str, Any], place: str) -> Any:
    """A value of the nested config by its dotted key; None if it is not there."""
    value: Any = config
    for part in place.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The nested config as dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        place = f"{prefix}{key}"
        flat |= flatten(value, f"{place}.") if isinstance(value, dict) and value else {place: value}
    return flat


def spread(values: Iterable[float]) -> tuple[float, float, float] | None:
    """Mean, smallest and largest value; None if there are no values."""
    real = list(values)
    return (sum(real) / len(real), min(real), max(real)) if real else None
