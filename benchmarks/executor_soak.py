"""Soak the sandbox: many short programs, a tenth of them hostile; memory, descriptors and processes must not grow.

nice -n 15 python benchmarks/executor_soak.py 20000 --json benchmarks/results/executor-soak.json
"""

import argparse
import json
import os
import platform
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from selfplay.sandbox import Executor, Job, Limits  # noqa: E402
from tests.support.sandbox.arena import CORPUS, IO  # noqa: E402
from tests.support.sandbox.processes import descendants  # noqa: E402

LIMITS = Limits(cpu_seconds=0.1, wall_seconds=0.2)
HOSTILE = [
    attack
    for attack in CORPUS
    if attack.mode in ("io", "both")
    and "SECRET" not in attack.code
    and "VICTIM" not in attack.code
    and "CALLER" not in attack.code
]


def jobs(first: int, count: int) -> list[Job]:
    """Programs number `first` and on: every tenth hostile, the others right or wrong in turn."""
    found = []
    for at in range(first, first + count):
        if at % 10 == 0:
            attack = HOSTILE[at // 10 % len(HOSTILE)]
            found.append(Job("hostile", f"{attack.code}\n# {at}\n", IO, LIMITS))
        else:
            found.append(
                Job(
                    "right" if at % 3 else "wrong",
                    f"def solve(n): return n * n + {7 if at % 3 else 8}\n# {at}\n",
                    IO,
                    LIMITS,
                )
            )
    return found


def resident(pids: set[int]) -> int:
    """Proportional resident bytes of some processes, as far as they still live."""
    total = 0
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        total += sum(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:"))
    return total


def sample(done: int) -> dict[str, Any]:
    """What this process and all below it hold now."""
    below = descendants(os.getpid())
    descriptors = 0
    for pid in {os.getpid(), *below}:
        try:
            descriptors += len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208
        except OSError:
            continue
    return {
        "programs": done,
        "processes": len(below),
        "descriptors": descriptors,
        "bytes": resident(below | {os.getpid()}),
    }


def main() -> None:
    """Run and report; exit status 1 when a hostile program passed or a right one did not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", type=int)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch", type=int, default=2000)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    statuses: Counter[str] = Counter()
    samples, wrong, began = [], 0, time.monotonic()
    with Executor(workers=given.workers) as executor:
        for first in range(0, given.programs, given.batch):
            for result in executor.run(jobs(first, min(given.batch, given.programs - first))):
                statuses[f"{result.id}: {result.status.value}"] += 1
                wrong += result.passed is not (result.id == "right") or result.passed is None
            samples.append(sample(first + given.batch))
            print(samples[-1], file=sys.stderr)
        tier = executor.tier
    report = {
        "programs": given.programs, "tier": tier, "python": platform.python_version(), "kernel": platform.release(),
        "seconds": round(time.monotonic() - began, 1), "misjudged": wrong, "left_processes": len(descendants(os.getpid())),
        "statuses": dict(statuses), "samples": samples,
    }  # fmt: skip
    text = json.dumps(report, indent=1)
    if given.json:
        given.json.write_text(text + "\n")
    print(text)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
