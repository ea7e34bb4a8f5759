"""Runs the hostile test sources, each beside a right program, sound tests after each; as a script it prints the faults."""

import argparse
import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from selfplay.sandbox import CheckTests, Executor, Job, Limits, Status
from tests.support.sandbox.arena import RIGHT, Bait, left_since
from tests.support.sandbox.hostile_tests import FORGING, HARM, HONEST, HONEST_WITH_A_FOLDER
from tests.support.sandbox.processes import descendants

WRONG = "def solve(n): return n * n + 6\n"
SOUND = "for n, wanted in [(3, 16), (5, 32)]:\n    assert solve(n) == wanted\n"
SHORT = Limits(cpu_seconds=0.3, wall_seconds=0.5)


def faults(tier: int) -> list[str]:
    """Run the corpus at exactly this tier; every line of the answer is something that must not be."""
    found: list[str] = []
    with Bait() as bait:
        before = descendants(os.getpid())
        with Executor(workers=1, require_tier=tier, at_most=tier) as executor:

            def one(name: str, code: str, source: str, limits: Limits | None = None) -> Status:
                (result,) = executor.run([Job(name, code, CheckTests(source, "solve", sandboxed=True), limits)])
                if result.tier != tier or result.status is Status.INFRA_ERROR:
                    found.append(f"{name}: {result.status}, tier {result.tier}: {result.error[:200]}")
                found.extend(f"{name}: {effect}" for effect in bait.effects())
                return result.status

            for name, source in {**HARM, **FORGING}.items():
                said = one(name, RIGHT, bait.aim(source), SHORT)
                honest = name in HONEST or (tier == 3 and name in HONEST_WITH_A_FOLDER)
                if name in HARM and (said is Status.PASSED) != honest:
                    found.append(f"{name}: {said}")
                if one(f"after {name}", RIGHT, SOUND) is not Status.PASSED:
                    found.append(f"after {name}: a right program does not pass")
                if one(f"after {name}", WRONG, SOUND) is not Status.WRONG_ANSWER:
                    found.append(f"after {name}: a wrong program is not wrong")
        found += left_since(before)
    return found


def main() -> None:
    """Run the corpus and print the faults as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tier", type=int)
    found = faults(parser.parse_args().tier)
    print(json.dumps({"uid": os.getuid(), "sources": len(HARM) + len(FORGING), "faults": found}, indent=1))


if __name__ == "__main__":
    main()
