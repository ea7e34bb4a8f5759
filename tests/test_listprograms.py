"""The list programs: held-out sequences stay apart, tests can tell, the tail is Zipf's, everything follows the seed."""

import itertools
import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfplay.errors import DataError
from selfplay.records import Task
from selfplay.tasks.list_programs import operations as ops
from selfplay.tasks.list_programs import programs as lp
from tests.support.list_programs import passes

HELD_OUT = lp.held_out(0)
EXCLUDE = frozenset(lp.sequence_of(task) for task in HELD_OUT)


@st.composite
def chains(draw: st.DrawFn, longest: int = 6) -> ops.Chain:
    chosen = draw(st.lists(st.sampled_from(ops.OPERATIONS), min_size=1, max_size=longest, unique_by=lambda op: op.name))
    return tuple(ops.Step(op.name, draw(st.sampled_from(op.arguments)) if op.arguments else None) for op in chosen)


def test_the_table_has_25_to_30_operations_and_half_are_the_tail() -> None:
    assert 25 <= len(ops.OPERATIONS) <= 30
    assert len(lp.RARE) * 2 == len(ops.OPERATIONS)
    assert len({op.phrase for op in ops.OPERATIONS}) == len(ops.OPERATIONS) == len(ops.BY_NAME)


@pytest.mark.parametrize("op", ops.OPERATIONS, ids=lambda op: op.name)
def test_every_way_to_write_an_operation_computes_it(op: ops.Operation) -> None:
    inputs: list[list[int]] = [[], [4], [3, -1, 3, 8, -12, 0], [5, 5, 6, 6, 1, 2, 20, -3, 9, 11]]
    for argument in op.arguments or (None,):
        step = ops.Step(op.name, argument)
        for variant in range(len(op.codes)):
            for xs in inputs:
                assert eval(ops.python(step, variant), {"xs": list(xs)}) == ops.run((step,), xs)


@given(chains())
@settings(derandomize=True, deadline=None, max_examples=200)
def test_a_prompt_reads_back_to_its_chain_and_the_task_is_json(chain: ops.Chain) -> None:
    for step in chain:
        assert ops.read(ops.english(step)) == step
    task = lp.make_task(chain)
    if task is not None:
        assert lp.chain_of(task) == chain
        assert lp.sequence_of(task) == tuple(step.operation for step in chain)
        again = Task.model_validate(json.loads(task.model_dump_json(by_alias=True)))
        assert again == task
        assert lp.make_task(chain) == task


@given(chains(), st.integers(0, 5))
@settings(derandomize=True, deadline=None, max_examples=150)
def test_solutions_pass_and_near_misses_and_shortened_programs_fail(chain: ops.Chain, seed: int) -> None:
    task = lp.make_task(chain)
    if task is None:
        return
    assert passes(lp.solution(chain), task)
    assert not passes(lp.near_miss(task, seed), task)
    for left_out in range(len(chain)):
        assert not passes(lp.solution(chain[:left_out] + chain[left_out + 1 :]), task)


@pytest.mark.parametrize(
    "steps",
    [
        [("reverse", None), ("sort", None)],  # the first step cannot matter
        [("keep_even", None), ("keep_odd", None)],  # always empty
        [("take_first", 3), ("cap", 2), ("keep_above", 5)],  # always empty
        [("unique", None), ("sort", None), ("unique", None)],
        [("square", None), ("absolute", None)],
        [("square", None), ("square", None), ("square", None), ("square", None)],  # big integers
    ],
)
def test_a_task_whose_tests_cannot_tell_is_refused(steps: list[tuple[str, int | None]]) -> None:
    assert lp.make_task(tuple(ops.Step(*step) for step in steps)) is None


def test_no_reference_output_is_empty_or_constant() -> None:
    for task in HELD_OUT:
        outputs = [tuple(expected) for _, expected in task.check["cases"]]
        assert len(outputs) == lp.CASES
        assert all(outputs)
        assert len(set(outputs)) >= 4


def test_panel_and_test_have_100_a_length_and_share_no_sequence() -> None:
    counts = Counter((task.split, task.tag("difficulty")) for task in HELD_OUT)
    assert counts == {(split, str(n)): 100 for split in ("dev", "test") for n in range(2, 7)}
    assert len(EXCLUDE) == len(HELD_OUT) == 1000
    assert len({task.id for task in HELD_OUT}) == 1000
    assert all(task.reference is None for task in HELD_OUT)


def test_held_out_tasks_use_every_operation_equally_often() -> None:
    for split in ("dev", "test"):
        for n in lp.HELD_OUT_LENGTHS:
            rows = [t for t in HELD_OUT if t.split == split and t.tag("difficulty") == str(n)]
            used = Counter(name for task in rows for name in lp.sequence_of(task))
            assert len(used) == len(ops.OPERATIONS)
            assert max(used.values()) - min(used.values()) <= 2


def test_another_eval_seed_draws_other_held_out_tasks() -> None:
    assert lp.held_out(0) == HELD_OUT
    other = {lp.sequence_of(task) for task in lp.held_out(1)}
    long = {names for names in EXCLUDE if len(names) > 2}
    assert len(other & long) < 30


def test_one_operation_tasks_cover_the_table_once() -> None:
    tasks = lp.one_operation(0)
    assert [lp.sequence_of(task) for task in tasks] == [(op.name,) for op in ops.OPERATIONS]
    assert {task.split for task in tasks} == {"test"}


def test_the_anchor_follows_zipf_and_passes_its_own_tests() -> None:
    tasks = lp.anchor(3, exclude=EXCLUDE)
    assert len(tasks) == len({task.prompt for task in tasks}) == 400
    used = Counter(name for task in tasks for name in lp.sequence_of(task))
    slots = sum(used.values())
    for rank, op in enumerate(ops.OPERATIONS, start=1):
        expected = slots / rank / sum(ops.ZIPF)
        assert abs(used[op.name] - expected) <= max(2.5, 0.1 * expected)
    for task in tasks:
        assert task.reference is not None
        assert passes(task.reference, task)
        assert 1 <= len(lp.sequence_of(task)) <= 3
        assert len(lp.sequence_of(task)) == 1 or lp.sequence_of(task) not in EXCLUDE
        rare = bool(lp.RARE & set(lp.sequence_of(task)))
        assert task.tag("frequency") == ("rare" if rare else "common")


def test_the_anchor_shows_more_than_one_way_to_write_an_operation() -> None:
    text = "".join(task.reference or "" for task in lp.anchor(0))
    assert text.count("list(reversed(xs))") >= 5
    assert text.count("xs[::-1]") > 2 * text.count("list(reversed(xs))")


def test_anchor_and_proposals_follow_their_seed() -> None:
    assert lp.anchor(1) == lp.anchor(1) != lp.anchor(2)
    assert lp.propose(1, 50, {2: 1.0}) == lp.propose(1, 50, {2: 1.0}) != lp.propose(2, 50, {2: 1.0})


@given(st.integers(0, 10_000))
@settings(derandomize=True, deadline=None, max_examples=8)
def test_propose_never_hands_out_a_held_out_sequence_and_counts_what_it_refused(seed: int) -> None:
    tasks, refused = lp.propose(seed, 200, {1: 0.1, 2: 0.5, 3: 0.2, 5: 0.2}, EXCLUDE)
    assert Counter(task.tag("difficulty") for task in tasks) == {"1": 20, "2": 100, "3": 40, "5": 40}
    assert not EXCLUDE & {lp.sequence_of(task) for task in tasks}
    assert refused > 5
    assert len({task.id for task in tasks}) == 200
    assert all(task.reference is None for task in tasks)


def test_lengths_and_exhaustion_are_refused_with_a_remedy() -> None:
    with pytest.raises(DataError, match=r"operation counts 1\.\.10.*fix it"):
        lp.propose(0, 10, {0: 1.0})
    with pytest.raises(DataError, match="positive sum"):
        lp.propose(0, 10, {2: 0.0})
    with pytest.raises(DataError, match="positive sum"):
        lp.propose(0, 10, {})
    with pytest.raises(DataError, match="ask for fewer"):
        lp.propose(0, 300, {1: 1.0})


@pytest.mark.parametrize(
    "prompt",
    ["1. boil an egg\n", "Write f(xs) that does this to a list:\n- boil an egg\n- return the list\n", "\n"],
)
def test_a_prompt_of_another_source_is_not_read(prompt: str) -> None:
    task = Task(id="x", prompt=prompt, check={"type": "code_tests"})
    with pytest.raises(DataError, match=r"task x: .*(its own source|none of the)"):
        lp.chain_of(task)


def plainly_shortened(chain: ops.Chain, inputs: list[list[int]], expected: list[list[int]]) -> bool:
    """Every proper subsequence run from the start, one by one."""
    for length in range(len(chain)):
        for program in itertools.combinations(chain, length):
            if all(ops.run(program, xs) == want for xs, want in zip(inputs, expected, strict=True)):
                return True
    return False


@given(chains(), st.lists(st.lists(st.integers(-12, 20), min_size=1, max_size=5), min_size=1, max_size=3))
@settings(derandomize=True, deadline=None, max_examples=300)
def test_shortened_programs_are_found_as_by_trying_each(chain: ops.Chain, inputs: list[list[int]]) -> None:
    expected = [ops.run(chain, xs) for xs in inputs]
    kept = [(xs, out) for xs, out in zip(inputs, expected, strict=True) if out is not None]
    if kept:
        asked, wanted = [xs for xs, _ in kept], [out for _, out in kept]
        assert ops.shortened_agrees(chain, asked, wanted) == plainly_shortened(chain, asked, wanted)


@given(st.sampled_from([op for op in ops.OPERATIONS if not op.grows]), st.data())
@settings(derandomize=True, deadline=None, max_examples=300)
def test_an_operation_that_is_not_said_to_grow_never_does(op: ops.Operation, data: st.DataObject) -> None:
    edge = st.sampled_from([-ops.MAX_VALUE, ops.MAX_VALUE])
    xs = data.draw(st.lists(st.integers(-ops.MAX_VALUE, ops.MAX_VALUE) | edge, max_size=ops.MAX_ITEMS))
    out = op.apply(xs, data.draw(st.sampled_from(op.arguments or (0,))))
    assert len(out) <= len(xs)
    assert all(abs(x) <= ops.MAX_VALUE for x in out)
