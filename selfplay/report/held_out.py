"""Whether runs were measured on the same held-out tasks, and what can be compared where they were not."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from selfplay.collapse import paired_delta
from selfplay.report.page_model import counted
from selfplay.report.run_data import Point, RunData, setting

PARTS = {"dev": "dev set", "test": "test set"}


@dataclass(frozen=True)
class Common:
    """What the runs have in common of one part, `dev` or `test`."""

    why: str
    """Why their accuracies cannot be compared, in a sentence; "" if all runs were measured on the same tasks."""
    tasks: frozenset[str]
    """Ids of tasks that all runs were measured on, whose outcomes can be compared; empty if there are none, or if nobody can know."""


def common(runs: Sequence[RunData], part: str) -> Common:
    """Compares the ids of the tasks that each run keeps in `evaluate/dev.json`, and the contents of the files they were read from.

    Ids alone do not do: `tasks-17` is the 17th row of any `tasks.jsonl`.
    """
    words = PARTS[part]
    ids = {run.name: _ids(run, part) for run in runs}
    if lacking := [name for name, found in ids.items() if not found]:
        return Common(f"{', '.join(lacking)} did not keep the outcomes of its {words}, task by task.", frozenset())
    first, *others = runs
    for other in others:
        if named := _file_that_differs(first, other, part):
            why = f"The {words} of {first.name} and {other.name} were read from files named {named} whose contents differ."
            return Common(why, frozenset())
    shared = frozenset.intersection(*ids.values())
    for other in others:
        mine, theirs = ids[first.name], ids[other.name]
        if mine != theirs:
            both = f"{counted(len(mine & theirs), 'task')} of them in both" if mine & theirs else "no task in both"
            sizes = f"{first.name} has {counted(len(mine), 'task')} and {other.name} has {len(theirs)}, {both}"
            return Common(f"The {words}s differ: {sizes}.", shared)
    return Common("", shared)


def _ids(run: RunData, part: str) -> frozenset[str]:
    """Ids of the tasks of the first round that has outcomes."""
    return next((frozenset(found) for n in run.rounds if (found := solved(run, n, part))), frozenset())


def _file_that_differs(a: RunData, b: RunData, part: str) -> str:
    """The name of the file of tasks that both runs read, with different contents; "" if there is none."""
    mine, theirs = (_files(run, part) for run in (a, b))
    return next((name for name in mine if name in theirs and mine[name] != theirs[name]), "")


def _files(run: RunData, part: str) -> dict[str, str]:
    """Name -> sha256 of the files that hold the part; without files of its own, of those with all tasks."""
    given = setting(run.config, f"tasks.{part}") or setting(run.config, "tasks.train")
    try:
        files = json.loads((run.path / "fingerprint.json").read_bytes()).get("files")
    except (OSError, ValueError, AttributeError):
        return {}
    names = given if isinstance(given, list) else [given] if given else []
    wanted = {Path(str(name)).name for name in names}
    found = files.items() if isinstance(files, dict) else ()
    return {Path(str(name)).name: str(sha) for name, sha in found if Path(str(name)).name in wanted}


def solved(run: RunData, number: int, part: str) -> Mapping[str, float]:
    """Held-out tasks of a round and whether they were solved (1.0 or 0.0); empty if the run did not keep them."""
    path = run.path / "rounds" / f"{number:03d}" / "evaluate" / "dev.json"
    try:
        return _outcomes(path, path.stat().st_mtime_ns).get(part, {})
    except OSError:
        return {}


@lru_cache(maxsize=512)
def _outcomes(path: Path, changed: int) -> dict[str, dict[str, float]]:
    try:
        frozen = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    parts = {part: frozen.get(part) for part in PARTS} if isinstance(frozen, dict) else {}
    return {
        part: {str(k): float(v) for k, v in found.items() if isinstance(v, int | float)}
        for part, found in parts.items()
        if isinstance(found, dict)
    }


def on_shared(run: RunData, part: str, tasks: frozenset[str]) -> list[Point]:
    """The share of these tasks that each round solved; rounds without all of the outcomes are left out."""
    points: list[Point] = []
    for number in run.rounds if tasks else ():
        found: Mapping[str, Any] = solved(run, number, part)
        if tasks <= found.keys():
            points.append((float(number), sum(found[task] for task in tasks) / len(tasks), None, None))
    return points


def paired(
    a: Mapping[str, float], b: Mapping[str, float]
) -> tuple[tuple[float | None, float | None, float | None], int]:
    """Mean difference over the tasks that both have, its 95 % score interval (Tango), and the number of tasks."""
    both = sorted(a.keys() & b.keys())
    if not both:
        return (None, None, None), 0
    found = paired_delta([a[t] for t in both], [b[t] for t in both], span=1.0)
    return (found.value, found.lo, found.hi), len(both)
