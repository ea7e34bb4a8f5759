"""Runs attacks that are kept as data: JSON Lines of programs, tests and the statuses that are right.

As a script it prints one JSON object, so that the same runs as another user: `python arena_cases.py TIER FILE PACKAGES`, the last a
folder that has numpy, which tests and programs of some cases import.
"""

import json
import math
import sys
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from selfplay.sandbox import CheckTests, Executor, IOTests, Job, Limits, StdioTests
from tests.support.sandbox.arena import RIGHT, Bait

PASSES = {
    "b21": "the tests compute what they want from an argument that the program emptied, as plain Python lets it",
    "b22": "as b21, with the reply written by hand",
    "b25/1": "'%d' % x takes an object for the number that its __index__ says it is, as plain Python does",
}
"""What passes by right, each with the reason (docs/sandbox.md, "Not covered")."""
NEXT = IOTests("solve", [((3,), 16), ((5,), 32)])


def value_of(text: str) -> Any:
    """The Python literal, in which Decimal, Fraction, nan and inf may stand."""
    return eval(text, {"Decimal": Decimal, "Fraction": Fraction, "nan": math.nan, "inf": math.inf})


def tests_of(row: dict[str, Any]) -> IOTests | CheckTests | StdioTests:
    """The tests of a row as the sandbox takes them."""
    if row["kind"] == "io":
        return IOTests(row["entry"], value_of(row["cases"]))
    if row["kind"] == "stdio":
        return StdioTests(value_of(row["cases"]))
    return CheckTests(row["source"], row["entry"])


def jobs_of(case: dict[str, Any]) -> Iterator[tuple[str, list[Job]]]:
    """For each of its tests a name, and the jobs in order, the last of which is the attack."""
    limits = Limits(**case.get("limits", {"cpu_seconds": 1.0, "wall_seconds": 2.0}))
    before = [case[key] for key in ("before", "before_any") if key in case]
    for at, row in enumerate(case["tests"]):
        name = f"{case['id']}/{at}" if len(case["tests"]) > 1 else case["id"]
        yield name, [Job(name, code, tests_of(row), limits) for code in (*before, case["code"])]


def faults(path: Path, tier: int) -> list[str]:
    """What is not as it must be: a status that a case does not allow, a right program not served after it, bait touched."""
    found: list[str] = []
    rows = [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]
    with Bait() as bait, Executor(workers=1, require_tier=tier, at_most=tier) as executor:
        for case in rows:
            for name, jobs in jobs_of(case):
                result = [executor.run([job])[0] for job in jobs][-1]
                if tier in case.get("tiers", (2, 3)) and result.status not in case["expect"] and name not in PASSES:
                    found.append(f"{name}: {result.status}, {result.error}")
                after = executor.run([Job("right", f"{RIGHT}# {name}\n", NEXT)])[0]
                if not after.passed:
                    found.append(f"{name}: the next program is not served: {after.status}, {after.error}")
        found += bait.effects()
    return found


if __name__ == "__main__":
    sys.path.append(sys.argv[3])
    print(json.dumps({"faults": faults(Path(sys.argv[2]), int(sys.argv[1]))}))
