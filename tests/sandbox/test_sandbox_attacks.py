"""The attack corpus: no forged verdict, no escape, no outside effect, and the zygote serves on after each attack."""

# ruff: noqa: UP031

import random

import pytest

from selfplay.sandbox import Executor, Job, Limits
from tests.support.sandbox.arena import CHECK, CORPUS, IO, RIGHT, Bait, faults
from tests.support.sandbox.reach import as_a_user, require

ATTACKS = {attack.name: attack for attack in CORPUS}
# those of the quick ones that end by themselves: time-outs cost their limits
AT_ONCE = [a for a in CORPUS if a.quick and not a.limits and not any(word.startswith("timeout") for word in a.expect)]


def test_the_corpus_has_a_hundred_named_attacks_and_more() -> None:
    assert len(ATTACKS) == len(CORPUS) >= 170
    assert len(AT_ONCE) >= 100


@pytest.mark.parametrize("tier", [3, 2])
def test_attacks_that_end_at_once_never_pass(tier: int) -> None:
    require(tier)
    chosen = AT_ONCE[tier % 2 :: 2]  # the others at the other tier; all of both under `make prove`
    assert faults(chosen, tier) == []


def test_attacks_started_by_an_ordinary_user_never_pass() -> None:
    require(2)
    assert as_a_user(2, ["--only", "p1"])["faults"] == []


@pytest.mark.prove
@pytest.mark.parametrize("tier", [3, 2])
@pytest.mark.parametrize("user", [False, True])
def test_the_whole_corpus_never_passes(tier: int, user: bool) -> None:
    require(tier)
    assert (as_a_user(tier, ["--all"])["faults"] if user else faults(CORPUS, tier)) == []


_NAMES = ("solve", "helper", "check", "candidate", "A", "n")
_LIES = ("__eq__", "__ne__", "__lt__", "__gt__", "__le__", "__ge__", "__sub__", "__rsub__", "__abs__", "__bool__", "__hash__", "__contains__",
         "__instancecheck__", "__len__", "__iter__", "__float__", "__index__", "__round__", "__getattr__", "__call__")  # fmt: skip
_BASES = ("object", "int", "float", "str", "tuple", "list", "dict", "set", "frozenset", "bytes", "complex", "Exception")
_BYTES = (
    "[0,16,null]",
    "[0,32,null]",
    "[9]",
    "passed",
    "[0,true,null]",
    '[0,{"o":"x"},null]',
    '[0,{"a":0},null]',
    '[1,[],""]',
    '[3,""]',
    "ok",
    "0 0 0 0",
)
_ENDS = (
    "os._exit(0)",
    "sys.exit(0)",
    "raise SystemExit(0)",
    "raise KeyboardInterrupt",
    "os.close(3)",
    "pass",
    "exit = 0",
    "sys.stdout = None",
)


def mutant(draw: random.Random) -> str:
    """A wrong program made of random lies: it never computes n * n + 7."""
    lines = ["import os, sys, builtins, gc"]
    kind = draw.choice(_BASES)
    lines.append(f"class A({kind}):" if kind != "object" else "class A:")
    for lie in draw.sample(_LIES, draw.randint(1, 8)):
        lines.append(
            f"    def {lie}(self, *a, **k): return {draw.choice(('True', '0', '1', '0.0', 'self', 'False', 'A()'))}"
        )
    if draw.random() < 0.5:
        for _ in range(draw.randint(1, 6)):
            fd = draw.choice((1, 2, 3, 3, 3, 4, 5))
            # a right answer written by hand would be a right answer; alone among wrong ones it is none
            lines.append(
                "try: os.write(%d, %r)\nexcept OSError: pass"
                % (fd, (draw.choice(_BYTES) + draw.choice(("\n", "", " "))).encode())
            )
    if draw.random() < 0.3:
        lines.append(
            f"builtins.{draw.choice(('isinstance', 'len', 'type', 'AssertionError', 'abs', 'repr', 'compile', 'eval'))} = lambda *a, **k: True"
        )
    if draw.random() < 0.3:
        lines.append(f"{draw.choice(_NAMES)} = lambda *a, **k: A()")
    if draw.random() < 0.2:
        lines.append(draw.choice(_ENDS))
    body = draw.choice(
        (
            "return A()",
            "return [A()]",
            "return A",
            "return {n: A()}",
            "return True",
            "return n",
            "raise A()",
            draw.choice(_ENDS),
        )
    )
    lines.append(f"def solve(n):\n    {body}")
    return "\n".join(lines) + "\n"


def _mutants(count: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    return [f"{mutant(draw)}# {at}\n" for at in range(count)]


def _forged(codes: list[str], tier: int) -> list[str]:
    """Those that passed, in either mode; both answers 16 and 32 written by hand in order would be right answers."""
    with Bait() as bait, Executor(workers=2, require_tier=tier, at_most=tier) as executor:
        limits = Limits(cpu_seconds=0.5, wall_seconds=1.0)
        jobs = [Job(code, code, tests, limits) for code in codes for tests in (IO, CHECK)]
        jobs += [Job("right", f"{RIGHT}# {at}\n", IO) for at in range(50)]
        results = executor.run(jobs)
        assert bait.effects() == []
    assert all(result.passed for result in results if result.id == "right")
    return [result.id for result in results if result.passed and result.id != "right" and not _by_hand(result.id)]


def _by_hand(code: str) -> bool:
    return "[0,16,null]" in code and "[0,32,null]" in code


def test_mutated_forgeries_never_pass() -> None:
    require(3)
    assert _forged(_mutants(60, 1), 3) == []


@pytest.mark.prove
@pytest.mark.parametrize("tier", [3, 2])
def test_ten_thousand_mutated_forgeries_never_pass(tier: int) -> None:
    require(tier)
    assert _forged(_mutants(5_000, tier), tier) == []
