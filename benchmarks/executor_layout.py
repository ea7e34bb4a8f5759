"""What each part of a zygote's layout saves: CPU of a program without the part, over CPU with all parts.

    nice -n 10 python benchmarks/executor_layout.py --json benchmarks/results/executor_layout-DATE.json

Zygotes with all parts, and others that lack one each, take blocks of programs in turn. A block's figures are the CPU time of its
programs and of their zygote together, and the programs' page faults. A round compares each variant with the full zygote of the same
round, so that a busy machine slows both. The report gives the median ratio over the rounds with its 95 % interval (order statistics).
"""

import argparse
import json
import platform
import statistics
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from selfplay.cores import usable_cores  # noqa: E402
from selfplay.sandbox import Limits, codec, isolation_plan, judge  # noqa: E402
from selfplay.sandbox.probe import try_tier  # noqa: E402
from selfplay.sandbox.zygote import Zygote  # noqa: E402
from tests.support.sandbox.processes import descendants  # noqa: E402

Edits = dict[str, list[tuple[str, str]]]
MAIN, LAYOUT = "zygote_main.py", "fork_layout.py"
WITHOUT: dict[str, Edits] = {
    "the interpreter in huge pages": {MAIN: [('_fork_layout["use_huge_pages"]()', "pass")]},
    "the sample run": {MAIN: [('_fork_layout["run_sample"](globals())', "pass")]},
    "garbage collected before holes are filled": {MAIN: [("globals())\ngc.collect()", "globals())")]},
    "holes between small blocks filled": {LAYOUT: [("    _fill_pools()\n    _fill_heap()", "    _fill_heap()")]},
    "holes between large blocks filled": {LAYOUT: [("    _fill_pools()\n    _fill_heap()", "    _fill_pools()")]},
}
"""A part of the layout -> how the files that run inside are changed to do without it."""
PROGRAMS = {
    "one line": ("def f(n): return n + 22", 20, 42),
    "HumanEval/0": (
        "from typing import List\n\n\ndef f(numbers: List[float], threshold: float = 0.3) -> bool:\n"
        "    for idx, elem in enumerate(numbers):\n        for idx2, elem2 in enumerate(numbers):\n"
        "            if idx != idx2:\n                distance = abs(elem - elem2)\n"
        "                if distance < threshold:\n                    return True\n\n    return False\n",
        [1.0, 2.8, 3.0, 4.0, 5.0, 2.0],
        True,
    ),
    "one line beside numpy": ("import numpy\ndef f(n): return n + 22", 20, 42),
}
LIMITS = Limits()


@contextmanager
def edited(edits: Edits) -> Iterator[None]:
    """Zygotes that start inside the block run changed files."""
    original = isolation_plan.compiled

    def compiled(name: str) -> bytes:
        text = Path(isolation_plan.__file__).with_name(name).read_text(encoding="utf-8")
        for old, new in edits.get(name, ()):
            assert old in text, f"{name} has no {old!r} any more: mend WITHOUT"
            text = text.replace(old, new)
        return isolation_plan.compiled_text(text, name)

    isolation_plan.compiled = compiled  # type: ignore[assignment]
    try:
        yield
    finally:
        isolation_plan.compiled = original


class Runner:
    """One zygote, and the CPU time that programs in it take."""

    def __init__(self, edits: Edits, tier: int, flavour: str) -> None:
        with edited(edits):
            self._zygote = Zygote(isolation_plan.plan_for(tier), flavour)
        (self._inner,) = [pid for pid in (self._zygote.pid, *descendants(self._zygote.pid)) if not descendants(pid)]

    def block(self, count: int, code: str, argument: Any, wanted: Any) -> tuple[float, float]:
        """CPU milliseconds and page faults a program, over `count` of them. Raises AssertionError where one fails."""
        spent, before, faults = 0.0, self._own_seconds(), self._faults()
        for at in range(count):
            calls = [("f", codec.dump(((argument,), {})))]
            self._zygote.start(judge.message(f"{code}\n# {at}", "calls", LIMITS, 1, calls=calls))
            end = self._zygote.finish()
            spent += end.cpu
            verdict = judge.judge_cases(end, judge.read_replies(end, LIMITS, 1), [wanted], 0.0)
            assert verdict.status == "passed", verdict
        return 1000 * (spent + self._own_seconds() - before) / count, (self._faults() - faults) / count

    def _own_seconds(self) -> float:
        return int(Path(f"/proc/{self._inner}/schedstat").read_text().split()[0]) / 1e9

    def _faults(self) -> int:
        """Minor page faults of the zygote's programs that have ended."""
        return int(Path(f"/proc/{self._inner}/stat").read_text().rpartition(")")[2].split()[8])

    def close(self) -> None:
        """End the zygote."""
        self._zygote.close()


def measure(program: str, tier: int, rounds: int, count: int) -> dict[str, Any]:
    """CPU and page faults of a program with the full layout, and for each variant the ratio of CPU and the faults more."""
    code, argument, wanted = PROGRAMS[program]
    run = partial(Runner.block, count=count, code=code, argument=argument, wanted=wanted)
    flavour = isolation_plan.flavour_of(code)
    runners = {name: Runner(edits, tier, flavour) for name, edits in {"": {}, **WITHOUT}.items()}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in runners}
    try:
        for at in range(rounds):
            names = list(runners)
            for name in names[at % len(names) :] + names[: at % len(names)]:
                found[name].append(run(runners[name]))
    finally:
        for runner in runners.values():
            runner.close()
    cpu = {name: [one for one, _ in rows] for name, rows in found.items()}
    faults = {name: statistics.median(more for _, more in rows) for name, rows in found.items()}
    return {
        "cpu_ms": round(statistics.median(cpu[""]), 3),
        "faults": faults[""],
        "without": {
            name: {
                "cpu_ratio": ratio([one / full for one, full in zip(cpu[name], cpu[""], strict=True)]),
                "faults_more": faults[name] - faults[""],
            }
            for name in WITHOUT
        },
    }


def ratio(values: list[float]) -> list[float]:
    """Median, and the ends of its 95 % interval from order statistics (normal approximation to the binomial)."""
    ordered, n = sorted(values), len(values)
    half = 0.98 * n**0.5
    low, high = max(0, int(n / 2 - half)), min(n - 1, int(n / 2 + half))
    return [round(x, 3) for x in (statistics.median(ordered), ordered[low], ordered[high])]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=400)
    parser.add_argument("--count", type=int, default=4, help="programs a block")
    parser.add_argument("--tier", type=int, default=3)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    reach = try_tier(given.tier)
    if not reach.holds:
        parser.error(f"tier {given.tier} lacks {reach.missing}: {reach.reason}")
    result: dict[str, Any] = {
        "date": date.today().isoformat(),
        "what": f"tier {given.tier}, {given.rounds} rounds of {given.count} programs",
        "python": platform.python_version(),
        "cores": usable_cores(),
        "programs": {},
    }
    for program in PROGRAMS:
        result["programs"][program] = found = measure(program, given.tier, given.rounds, given.count)
        print(f"{program}: {found['cpu_ms']} ms, {found['faults']:.0f} page faults", flush=True)
        for name, less in found["without"].items():
            middle, low, high = (100 * (one - 1) for one in less["cpu_ratio"])
            print(
                f"  without {name}: CPU {middle:+.1f} % ({low:+.1f} to {high:+.1f}), faults {less['faults_more']:+.0f}"
            )
    if given.json:
        given.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
