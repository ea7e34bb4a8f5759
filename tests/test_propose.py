"""The curriculum's edge: how tasks spread around it, and when it moves."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfplay.config.tree import Curriculum, Propose
from selfplay.phases.propose import draw, edge_in, edge_shares, next_edge, propose, read_head, read_tasks
from selfplay.store import read_json
from selfplay.tasks.arithmetic import Arithmetic

CURRICULA = st.builds(
    lambda start, more, shares: Curriculum(start=start, end=start + more, next_share=shares[0], after_share=shares[1]),
    st.integers(1, 6),
    st.integers(0, 6),
    st.tuples(st.integers(0, 10), st.integers(0, 10)).map(lambda p: (p[0] / 20, p[1] / 20)),
)


@given(CURRICULA, st.integers(0, 15))
@settings(derandomize=True, deadline=None)
def test_shares_sum_to_one_and_none_lies_beyond_the_end(curriculum: Curriculum, edge: int) -> None:
    shares = edge_shares(curriculum, edge)
    assert abs(sum(shares.values()) - 1) < 1e-9 and min(shares.values()) > 0
    assert max(shares) <= curriculum.end and min(shares) >= 1


@given(CURRICULA)
@settings(derandomize=True, deadline=None)
def test_shares_beyond_the_edge_are_as_asked_while_there_is_room(curriculum: Curriculum) -> None:
    edge = curriculum.start
    shares = edge_shares(curriculum, edge)
    if edge + 2 <= curriculum.end:
        assert abs(shares.get(edge + 1, 0) - curriculum.next_share) < 1e-9
        assert abs(shares.get(edge + 2, 0) - curriculum.after_share) < 1e-9


RIGHT = st.dictionaries(
    st.integers(1, 12), st.tuples(st.integers(0, 9), st.integers(0, 9)).map(lambda p: (min(p), max(p)))
)


@given(CURRICULA, st.integers(0, 15), RIGHT)
@settings(derandomize=True, deadline=None)
def test_edge_moves_on_over_what_is_mastered_and_never_back(
    curriculum: Curriculum, edge: int, right: dict[int, tuple[int, int]]
) -> None:
    before = min(max(edge, curriculum.start), curriculum.end)
    after = next_edge(curriculum, edge, right)
    assert before <= after <= curriculum.end
    for count in range(before + 1, after + 1):
        assert right[count][0] / right[count][1] >= curriculum.advance_at
    passed, attempts = right.get(after + 1, (0, 0))
    assert after == curriculum.end or not attempts or passed / attempts < curriculum.advance_at


def test_edge_of_a_round_is_what_the_rounds_before_left_or_the_schedule() -> None:
    assert edge_in(Curriculum(start=2), 1, {}) == 2
    assert edge_in(Curriculum(start=2), 3, {"edge": 4}) == 4
    fixed = Curriculum(edges=(1, 3, 5))
    assert [edge_in(fixed, number, {"edge": 6}) for number in (1, 2, 3, 4)] == [1, 3, 5, 5]


def test_round_without_a_curriculum_takes_what_the_source_gives(tmp_path: Path) -> None:
    source = Arithmetic(source="arithmetic").open(seed=0, eval_seed=1, folder=tmp_path)
    drawn = draw(Propose(tasks_per_round=30), source, edge=None, seed=4)
    assert drawn == draw(Propose(tasks_per_round=30), source, edge=None, seed=4)
    propose(drawn, tmp_path / "a")
    assert list(read_tasks(tmp_path / "a")) == list(source.propose(30, None, 4).tasks)
    assert read_json(tmp_path / "a" / "DONE")["tasks"] == 30


def test_round_with_a_curriculum_has_its_operation_counts(tmp_path: Path) -> None:
    source = Arithmetic(source="arithmetic").open(seed=0, eval_seed=1, folder=tmp_path)
    section = Propose(tasks_per_round=60, curriculum=Curriculum(start=1, end=3, next_share=0.5, after_share=0.2))
    propose(draw(section, source, edge=1, seed=4), tmp_path)
    assert sum(read_head(tmp_path).shares.values()) == pytest.approx(1)
    assert {task.tag("difficulty") for task in read_tasks(tmp_path)} == {"1", "2", "3"}
