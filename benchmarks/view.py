"""The trace browser on many traces: CPU seconds and memory to open the index, to filter, to turn a page, and to search all texts.

    python benchmarks/view.py --traces 1000000 --json benchmarks/results/view-DATE.json

Ten rounds of synthetic traces (300 characters each) are written to a temporary folder. A page that is asked for again is the
figure that a reader feels: the index is in memory by then.
"""

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from selfplay.records import Attempt, Decision, Outcome, Task, Trace
from selfplay.store.traces import write_traces
from selfplay.view.browse import Browser, Query

ROUNDS = 10
GROUP = 1_000
WORDS = ("sort", "filter", "reverse", "sum", "append", "drop", "double", "count")


def write(run: Path, count: int) -> None:
    """Writes the rounds; four attempts a task."""
    rng = np.random.default_rng(0)
    for number in range(1, ROUNDS + 1):
        folder = run / "rounds" / f"{number:03d}"
        folder.mkdir(parents=True)
        starts = range(0, count // ROUNDS, GROUP)
        write_traces(folder / "traces.parquet", (group(number, start, rng) for start in starts))


def group(round: int, start: int, rng: np.random.Generator) -> list[Trace]:
    """The traces of one row group."""
    found = []
    for place in range(start, start + GROUP, 4):
        task = Task(
            id=f"task-{round}-{place // 4:06d}", prompt=f"Solve {place}.", verifier={"type": "math", "answer": "4"}
        )
        for n in range(4):
            right = bool(rng.random() < 0.4)
            text = " ".join(WORDS[i] for i in rng.integers(0, len(WORDS), 52))
            attempt = Attempt(task_id=task.id, attempt=n, round=round, text=f"{text} {place + n}")
            decision = Decision(decision="accepted" if right else "dropped", reason="accepted" if right else "failed")
            outcome = Outcome.PASS if right else Outcome.FAIL
            found.append(Trace(task=task, attempt=attempt, outcome=outcome, decision=decision))
    return found


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds of this process, all its threads included, and the result."""
    before = time.process_time()
    result = work()
    return round(time.process_time() - before, 4), result


def measure(run: Path) -> dict[str, Any]:
    """The figures of a run folder."""
    browser = Browser(run)
    found: dict[str, Any] = {}
    found["open"], index = timed(browser.index)
    found["traces"] = len(index)
    chosen = Query({"outcome": "pass", "round": "7"})
    middle = Query({"decision": "dropped"}, start=len(index) // 4)
    for name, work in (
        ("menus", lambda: browser.menus(chosen)),
        ("first page of a filter", lambda: browser.page(chosen)),
        ("page in the middle", lambda: browser.page(middle)),
        ("one task", lambda: browser.attempts("task-5-000123")),
        ("search, common word", lambda: list(browser.search(Query({}, "double")))),
        ("search, in no trace", lambda: list(browser.search(Query({}, "not there")))),
    ):
        found[name], _ = timed(work)
    found["peak MiB"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return found


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", type=int, default=1_000_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), options.traces)
        found = measure(Path(folder))
    for name, value in found.items():
        print(f"{name:26s} {value}")
    if options.json:
        options.json.write_text(json.dumps({"date": date.today().isoformat(), **found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
