"""Runs cases of the second author, a right program after each; as a script it prints the faults, as another user too."""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from selfplay.sandbox import Executor, Job, Limits, Result
from tests.support.sandbox.arena import RIGHT, Bait, left_since
from tests.support.sandbox.attacks_second import CHECK, IO, STDIO, THOUGHT, Case
from tests.support.sandbox.attacks_second_inside import SECOND
from tests.support.sandbox.attacks_second_system import INSIDE, SCRIPTS, SYSTEM
from tests.support.sandbox.attacks_third_system import THIRD
from tests.support.sandbox.processes import descendants

CASES: list[Case] = [*THOUGHT, *INSIDE, *SYSTEM, *SCRIPTS, *SECOND]
AFTER = (IO, CHECK, STDIO)
SCRIPT = "n = int(input())\nprint(n * n + 7)\n"


def bad_words(result: Result) -> str:
    """What of a result is not bounded or cannot be written as UTF-8."""
    if len(result.error) > 4096 or len(result.stdout_tail) > 8192:
        return f"error of {len(result.error)}, tail of {len(result.stdout_tail)} characters"
    (result.error + result.stdout_tail).encode()
    return "" if result.error.isprintable() else "control characters"


def faults(cases: Iterable[Case], tier: int, verbose: bool = False) -> list[str]:
    """Run cases at exactly this tier, one at a time; every line of the answer is something that must not be."""
    found: list[str] = []
    with Bait() as bait:
        before = descendants(os.getpid())
        with Executor(workers=1, require_tier=tier, at_most=tier) as executor:

            def one(name: str, code: str, tests: object, wanted: Iterable[str], limits: Limits | None = None) -> None:
                began = time.monotonic()
                (result,) = executor.run([Job(name, code, tests, limits)])  # type: ignore[arg-type]
                if result.status not in wanted or result.tier != tier:
                    found.append(f"{name}: {result.status} not in {sorted(wanted)}: {result.error[:200]}")
                found.extend(f"{name}: {fault}" for fault in [*bait.effects(), bad_words(result)] if fault)
                if verbose:
                    print(
                        f"{name:50} {result.status:18} {time.monotonic() - began:5.2f} {result.error[:120]!a}",
                        flush=True,
                    )

            for at, case in enumerate(each for each in cases if tier in each.tiers):
                limits = Limits(**{"cpu_seconds": 1.0, "wall_seconds": 1.5, "memory_bytes": 256 * 2**20, **case.limits})  # type: ignore[arg-type]
                for which, tests in enumerate(case.tests):
                    name = f"{case.name}/{which}"
                    if case.before:
                        one(f"before {name}", f"{case.before}# {name}\n", tests, {"passed"})
                    one(name, bait.aim(case.code), tests, case.expect, limits)
                    after = AFTER[(at + which) % 3]
                    code = SCRIPT if after is STDIO else RIGHT
                    one(f"after {name}", f"{code}# after {name}\n", after, {"passed"})
        found += left_since(before)
    return found


def main() -> None:
    """Run the cases and print the faults as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tier", type=int)
    parser.add_argument("--only", default="")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--packages", default="", help="a folder that has numpy, which some tests import")
    parser.add_argument("--third", action="store_true")
    given = parser.parse_args()
    sys.path += [given.packages] if given.packages else []
    began = time.monotonic()
    cases = [case for case in (THIRD if given.third else CASES) if given.only in case.name]
    found = faults(cases, given.tier, given.verbose)
    print(
        json.dumps(
            {"uid": os.getuid(), "tier": given.tier, "faults": found, "seconds": time.monotonic() - began}, indent=1
        )
    )


if __name__ == "__main__":
    main()
