"""The third corpus: none passes, none has an outside effect, none is an outage of ours, the next program is served."""

import pytest

from selfplay.sandbox import CheckTests, Executor, Job, Limits, Result, Status
from selfplay.sandbox.traces import leaves_traces
from tests.support.sandbox.arena import RIGHT
from tests.support.sandbox.arena_second import faults
from tests.support.sandbox.attacks_third import COSTS
from tests.support.sandbox.attacks_third_system import FOLDER, POLLUTING, STATE, THIRD, WRITTEN
from tests.support.sandbox.reach import ARENA, as_a_user, require

SCRIPT = ARENA.with_name("arena_second.py")
SLOW = {case.name for case in [*STATE, *FOLDER, *WRITTEN, *COSTS]}
QUICK = [case for case in THIRD if case.name not in SLOW and not case.limits]
QUICK += [case for case in [*STATE, *FOLDER, *WRITTEN] if not case.limits][::5]


def test_the_third_corpus_has_two_hundred_named_attacks() -> None:
    assert len({case.name for case in THIRD}) == len(THIRD) >= 270
    assert len(QUICK) >= 100


@pytest.mark.parametrize("tier", [3, 2])
def test_attacks_of_the_third_corpus_never_pass(tier: int) -> None:
    require(tier)
    assert faults(QUICK[tier % 2 :: 2], tier) == []  # the others at the other tier; all of both under `make prove`


def test_a_program_that_closes_its_folder_to_an_ordinary_user_is_no_outage() -> None:
    require(3)
    assert as_a_user(3, ["--third", "--only", "w33"], SCRIPT)["faults"] == []


@pytest.mark.prove
@pytest.mark.parametrize("tier", [3, 2])
@pytest.mark.parametrize("user", [False, True])
def test_the_whole_third_corpus_never_passes(tier: int, user: bool) -> None:
    require(tier)
    assert (as_a_user(tier, ["--third"], SCRIPT)["faults"] if user else faults(THIRD, tier)) == []


def said(executor: Executor, code: str, tests: CheckTests) -> Result:
    (result,) = executor.run([Job("it", code, tests, Limits(1.0, 1.5))])
    return result


def test_nothing_that_a_test_source_changes_meets_the_next_one() -> None:
    end = "\nassert solve(3) == 16\n"
    with Executor(workers=1) as executor:
        for name, changes, holds in POLLUTING:
            assert leaves_traces(changes), name
            assert said(executor, RIGHT, CheckTests(changes + end, "solve")).status is Status.PASSED, name
            assert said(executor, RIGHT, CheckTests(holds + end, "solve")).status is Status.PASSED, name
