"""Attacks by somebody who did not write the sandbox: none passes, none has an outside effect, the next program is served."""

import pytest

from selfplay.sandbox import CheckTests, Executor, IOTests, Job, Limits, Status
from tests.support.sandbox.arena import RIGHT
from tests.support.sandbox.arena_second import CASES, faults
from tests.support.sandbox.attacks_second import CHECK, IO
from tests.support.sandbox.reach import ARENA, PACKAGES, as_a_user, require

SCRIPT = ARENA.with_name("arena_second.py")
NAMES = {case.name for case in CASES}
# those that end by themselves: time-outs cost their limits
AT_ONCE = [case for case in CASES if not case.limits and not any(word.startswith("timeout") for word in case.expect)]
BOMB = CheckTests("assert pow(3, solve(3)) == 3**16\n", "solve")


def test_the_second_corpus_has_a_hundred_named_attacks() -> None:
    assert len(NAMES) == len(CASES) >= 100
    assert len(AT_ONCE) >= 60


@pytest.mark.parametrize("tier", [3, 2])
def test_attacks_of_the_second_author_never_pass(tier: int) -> None:
    require(tier)
    assert faults(AT_ONCE[tier % 2 :: 2], tier) == []  # the others at the other tier; all of both under `make prove`


@pytest.mark.prove
@pytest.mark.parametrize("tier", [3, 2])
@pytest.mark.parametrize("user", [False, True])
def test_the_whole_second_corpus_never_passes(tier: int, user: bool) -> None:
    require(tier)
    assert (as_a_user(tier, ["--packages", PACKAGES], SCRIPT)["faults"] if user else faults(CASES, tier)) == []


def test_a_number_made_of_a_handful_of_bytes_ends_no_judge() -> None:
    """The names of an error, its text, a handle: what is no reply is the program's own failure, not an outage."""
    lines = ('[1,[{"i":"0x' + "f" * 9000 + '"}],"x"]', '[0,{"h":[]},null]', '[0,{"a":9},null]')
    codes = [f"import os\nos.write(3, {line.encode()!r} + b'\\n[9]\\n')\nos._exit(0)\n" for line in lines]
    with Executor(workers=1) as executor:
        results = executor.run([Job(str(at), code, CHECK) for at, code in enumerate(codes)])
    assert [(result.status, result.attempts) for result in results] == [(Status.PROTOCOL_VIOLATION, 1)] * 3


@pytest.mark.prove
def test_an_answer_that_never_lets_the_tests_end_costs_its_neighbours_nothing() -> None:
    bomb = "def solve(n): return 10**9\n"
    jobs = [Job(str(at), f"{RIGHT}# {at}\n", IOTests("solve", [((at,), at * at + 7)])) for at in range(30)]
    jobs[10:10] = [
        Job("right", RIGHT, BOMB),
        Job("bomb", bomb, BOMB, Limits(cpu_seconds=0.1)),
        Job("again", RIGHT, BOMB),
    ]
    with Executor(workers=1) as executor:
        results = executor.run(jobs)
    found = {result.id: result.status for result in results}
    assert found.pop("bomb") is Status.TIMEOUT_WALL
    assert set(found.values()) == {Status.PASSED}


def test_programs_that_raise_stop_iteration_may_be_wanted_by_tests_that_name_it() -> None:
    source = "try:\n    solve(3)\nexcept StopIteration:\n    pass\nelse:\n    assert False\n"
    with Executor(workers=1) as executor:
        wanted, plain = executor.run(
            [
                Job("wanted", "def solve(n): raise StopIteration\n", CheckTests(source, "solve")),
                Job("plain", "def solve(n): return 1\n", CheckTests(source, "solve")),
            ]
        )
    assert (wanted.status, plain.status) == (Status.PASSED, Status.WRONG_ANSWER)


def test_messages_of_any_size_reach_a_program_and_the_next_one() -> None:
    sizes = (0, 50, 70_000, 300_000, 5_000_000)
    jobs = [Job(str(n), f"text = '{'a' * n}'\n{RIGHT}", IO) for n in sizes for _ in range(2)]
    with Executor(workers=1) as executor:
        for job in jobs:
            assert executor.run([job])[0].status is Status.PASSED
