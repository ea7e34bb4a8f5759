"""Measures how long the phases take over all starts of a run, and how much of that is actual work."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from selfplay.runtime.progress import Progress
from selfplay.store import read_json, write_json


@contextmanager
def timed(folder: Path, progress: Progress, *, write: bool) -> Iterator[None]:
    """Adds the wall time of its body, and the part of it that is actual work, to the phase's `time.json`, in seconds.

    The time of a start that was killed is not counted.
    """
    started = time.perf_counter()
    progress.pop_timings()
    yield
    seconds, busy = time.perf_counter() - started, sum(progress.pop_timings().values())
    if write and folder.is_dir():
        before = read_json(folder / "time.json") if (folder / "time.json").is_file() else {"seconds": 0.0, "busy": 0.0}
        write_json(folder / "time.json", {"seconds": before["seconds"] + seconds, "busy": before["busy"] + busy})


def read_times(folders: Sequence[Path]) -> dict[str, float]:
    """The `time/` metrics of a round: seconds per phase, in total, of actual work, and the share of overhead."""
    times = {folder.name: read_json(folder / "time.json") for folder in folders if (folder / "time.json").is_file()}
    total = sum(row["seconds"] for row in times.values())
    busy = sum(row["busy"] for row in times.values())
    return {
        **{f"time/{name}_seconds": round(row["seconds"], 3) for name, row in times.items()},
        "time/round_seconds": round(total, 3),
        "time/work_seconds": round(busy, 3),
        "time/overhead_share": round(1 - busy / total, 4) if total else 0.0,
    }
