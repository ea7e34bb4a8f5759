"""Attacks that are kept as data, on verdicts and on what lies outside: each ends as its row says, the next program is served."""

from pathlib import Path

import pytest

from tests.support.sandbox.arena_cases import PASSES, faults
from tests.support.sandbox.reach import ARENA, PACKAGES, as_a_user, require

SCRIPT = ARENA.with_name("arena_cases.py")


@pytest.fixture(scope="module")
def cases(shared_data: Path) -> Path:
    return shared_data / "attacks" / "cases.jsonl"


@pytest.mark.prove
@pytest.mark.parametrize("tier", [3, 2])
@pytest.mark.parametrize("user", [False, True])
def test_each_attack_ends_as_its_row_says(cases: Path, tier: int, user: bool) -> None:
    require(tier)
    assert (as_a_user(tier, [str(cases), PACKAGES], SCRIPT)["faults"] if user else faults(cases, tier)) == []


def test_what_may_pass_is_three_cases_with_a_reason_each() -> None:
    assert len(PASSES) == 3 and all(PASSES.values())
