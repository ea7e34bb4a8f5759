"""What isolation costs and what a second worker brings: pairs of the same programs, in alternating blocks of one process.

    python benchmarks/executor_pairs.py --data ../shared/data --blocks 20 --json out.json

Isolation: CPU of the whole tree a program (caller, workers, zygotes, programs) at tier 3 over the same zygote at tier 0,
paired block by block. Scaling: wall time with one worker over wall time with two, beside what the same two cores do for a
bare loop, which is the ceiling. Each is a geometric mean with its 95 % interval (t, over blocks). Other load on the machine
widens the scaling most of all. Also counted: the tests of real sets whose calls are asked one by one.
"""

import argparse
import gzip
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from executor import programs  # noqa: E402

from selfplay.cores import usable_cores  # noqa: E402
from selfplay.sandbox import Executor, IOTests, Job, Limits  # noqa: E402
from selfplay.sandbox.checks import Prepared  # noqa: E402
from selfplay.verify.code_tests import tests_of  # noqa: E402
from tests.support.sandbox.processes import descendants  # noqa: E402


def jobs(rows: list[dict[str, Any]], kind: str, mark: str) -> list[Job]:
    """The programs once, each a text of its own."""
    found = []
    for row in rows:
        check = {"source": row["test"], "entry_point": row["entry_point"], "prefix": row["prompt"]}
        tests: Any = tests_of(check, row["task_id"])
        if kind == "io":
            tests = IOTests(row["entry_point"], eval(row["cases"]), atol=1e-6)
        found.append(Job(row["task_id"], f"{row['code']}\n# {mark}\n", tests, Limits(cpu_seconds=3.0)))
    return found


def _ran(pids: Iterable[int]) -> dict[int, float]:
    """Seconds that each process itself has run, by the scheduler's account."""
    found = {}
    for pid in pids:
        try:
            found[pid] = int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
        except OSError:
            continue
    return found


def block(executor: Executor, listed: list[Job]) -> tuple[float, float]:
    """(CPU milliseconds of the whole tree, wall milliseconds) a program."""
    before, began = _ran(descendants(os.getpid())), time.monotonic()
    own = time.process_time()
    results = executor.run(listed)
    own = time.process_time() - own
    wall, after = time.monotonic() - began, _ran(descendants(os.getpid()))
    assert all(result.passed for result in results), [r for r in results if not r.passed][:2]
    servants = sum(seconds - before.get(pid, 0.0) for pid, seconds in after.items())
    used = own + servants + sum(result.cpu_seconds for result in results)
    return used / len(listed) * 1e3, wall / len(listed) * 1e3


def interval(ratios: list[float]) -> dict[str, float]:
    """Geometric mean of paired ratios with a 95 % interval."""
    logs = [math.log(ratio) for ratio in ratios]
    student = 1.96 + 2.5 / (len(logs) - 1)  # the t quantile, within 0.03 from eight pairs on
    mean, half = statistics.fmean(logs), student * statistics.stdev(logs) / math.sqrt(len(logs))
    return {"ratio": math.exp(mean), "lo": math.exp(mean - half), "hi": math.exp(mean + half), "pairs": len(logs)}


def compared(rows: list[dict[str, Any]], kind: str, blocks: int, first: Executor, second: Executor) -> list[Any]:
    """Pairs of (CPU, wall) of two open executors, the order changing from block to block."""
    for executor in (first, second):
        block(executor, jobs(rows, kind, "warm"))
    found = []
    for at in range(blocks):
        order = (first, second) if at % 2 == 0 else (second, first)
        figures = {id(executor): block(executor, jobs(rows, kind, f"{at}")) for executor in order}
        found.append((figures[id(first)], figures[id(second)]))
    return found


def two_cores(blocks: int) -> list[float]:
    """What a second core of this machine brings at all: a bare loop twice in a row against two at once, wall time."""
    loop = [sys.executable, "-S", "-c", "for _ in range(6_000_000): pass"]
    found = []
    for _ in range(blocks):
        began = time.monotonic()
        for _ in range(2):
            subprocess.run(loop, check=True)
        middle = time.monotonic()
        for one in [subprocess.Popen(loop) for _ in range(2)]:
            one.wait()
        found.append((middle - began) / (time.monotonic() - middle))
    return found


def one_by_one(data: Path) -> dict[str, tuple[int, int]]:
    """Of the tests of each set, those in which a later call's arguments give an answer away, and all."""
    sources = {"humaneval": [(row["test"], row["entry_point"]) for row in programs(data)]}
    with gzip.open(data / "mbpp" / "prompt_train_validation.jsonl.gz", "rt", encoding="utf-8") as lines:
        sources["mbpp"] = [("\n".join(json.loads(line)["test_list"]), "") for line in lines]
    return {
        name: (sum(Prepared(*source).one_by_one for source in found), len(found)) for name, found in sources.items()
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--blocks", type=int, default=20)
    parser.add_argument("--copies", type=int, default=2, help="times the programs are repeated in a scaling block")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rows = [row for row in programs(given.data) if row["task_id"] != "HumanEval/75"]  # 100 ms: it would hide the rest
    report: dict[str, Any] = {"programs": len(rows), "python": platform.python_version(), "kernel": platform.release()}
    report |= {"cores": usable_cores(), "load": os.getloadavg(), "asked one by one": one_by_one(given.data)}
    for kind in ("io", "check"):
        with Executor(1, 3, 3) as walled, Executor(1, 0, 0) as bare:
            pairs = compared(rows, kind, given.blocks, walled, bare)
        report[f"isolation, {kind}"] = interval([a[0] / b[0] for a, b in pairs])
        report[f"tier 3, {kind}, cpu ms"] = statistics.median(a[0] for a, _ in pairs)
    many = [{**row, "code": f"{row['code']}\n# copy {copy}"} for copy in range(given.copies) for row in rows]
    with Executor(1) as single, Executor(2) as double:
        pairs = compared(many, "io", given.blocks, single, double)
    report["two workers against one, wall"] = interval([a[1] / b[1] for a, b in pairs])
    report["cores busy with one worker, with two"] = [
        statistics.median(pair[at][0] / pair[at][1] for pair in pairs) for at in (0, 1)
    ]
    report["two bare loops at once against one after the other, wall"] = interval(two_cores(given.blocks))
    report["two workers against one, cpu"] = interval([b[0] / a[0] for a, b in pairs])
    text = json.dumps(report, indent=1)
    if given.json:
        given.json.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
