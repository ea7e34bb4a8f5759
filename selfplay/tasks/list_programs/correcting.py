"""Correction rows for the anchor: a wrong program with its evidence, and the right program as the reference.

They teach a small student the form of a second try, in the very words of `selfplay.prompts.correction`, before a round asks
for one.
"""

from collections.abc import Collection, Sequence
from typing import Any

from selfplay.prompts.correction import WRONG, evidence_of, plain
from selfplay.records import Outcome, Task, Verdict, digest
from selfplay.seeds import rng_of, seed_of
from selfplay.tasks.list_programs.evolving import read_program
from selfplay.tasks.list_programs.operations import Chain, run
from selfplay.tasks.list_programs.programs import OperationNames, anchor, near_miss

STUB_SHARE = 0.1
"""How often the wrong program is a stub that returns its list as it came."""
STUB = "def f(xs):\n    return xs\n"


def corrections(seed: int, n: int, exclude: Collection[OperationNames] = frozenset()) -> list[Task]:
    """`n` anchor tasks whose prompt is a correction's and whose reference is the right program; none for n = 0.

    Drawn apart from the anchor of the same seed; `exclude`: held-out sequences, which never occur.
    """
    if n == 0:
        return []
    found = []
    for task in anchor(seed_of("listprograms/corrections", seed), n, exclude):
        rng = rng_of("listprograms/corrections", task.id, seed)
        wrong = STUB if rng.random() < STUB_SHARE else near_miss(task, rng.randrange(2**31))
        prompt = plain(task.text, wrong, evidence(task, read_program(wrong)))
        tags = (*task.tags, "correction")
        changed = {"id": f"mend-{digest(prompt)}", "prompt": prompt, "parents": (task.id,), "tags": tags}
        found.append(task.model_copy(update=changed))
    return found


def wrong_of(task: Task) -> str:
    """The wrong program that a task of `corrections` shows."""
    return f"def f(xs):{task.text.partition('def f(xs):')[2].partition(WRONG)[0]}"


def evidence(task: Task, chain: Chain) -> str:
    """What the sandbox would say of the program of a wrong chain: the first case that it fails."""
    cases: Sequence[Any] = task.check["cases"]
    for number, (args, expected) in enumerate(cases):
        came = run(chain, args[0])
        if came != expected:
            said = Verdict(
                verifier="code_tests/1",
                outcome=Outcome.FAIL,
                reason="wrong_answer",
                evidence=f"case {number}: got {came!r}",
            )
            return evidence_of(task, [said])
    return "not accepted"
