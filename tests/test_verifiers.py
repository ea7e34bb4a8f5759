"""Verifiers as parts: steps and form as leaves, routing by configuration, weak tests found out, near misses."""

import gzip
import importlib.util
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from selfplay.errors import ConfigError, DataError
from selfplay.records import Attempt, Outcome, Task
from selfplay.sandbox import Executor, Limits
from selfplay.tasks.jsonl import JsonlTasks
from selfplay.tasks.reasoning_gym import ReasoningGym
from selfplay.tasks.word_problems import WordProblems
from selfplay.verify import Verifier, admit, routed, verify
from selfplay.verify.code_tests import CodeTests
from selfplay.verify.heuristic import Heuristic
from selfplay.verify.math_answer import MathAnswer
from selfplay.verify.mutants import broken_programs
from selfplay.verify.steps import Steps
from selfplay.verify.strengthen import changed, hidden_cases, inputs_of, strength, strengthened

LEAVES: Mapping[str, Verifier] = {"steps": Steps(), "heuristic": Heuristic(), "math": MathAnswer()}
GYM = importlib.util.find_spec("reasoning_gym") is not None


def outcome(check: dict[str, Any], text: str) -> Outcome:
    task = Task.model_validate({"id": "t", "prompt": "p", "verifier": check})
    [judged] = verify([task], [Attempt(task_id="t", attempt=0, round=1, text=text)], LEAVES)
    return judged.outcome


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("3 * 4 = 12\n12 + 5 = 17\nA: 17", Outcome.PASS),
        ("3 * 4 = 12\n12 + 5 = 18\nA: 18", Outcome.FAIL),
        ("Clearly it is so.\nA: 17", Outcome.ABSTAIN),
    ],
)
def test_steps_fail_where_one_is_wrong_and_abstain_where_none_is_readable(text: str, word: Outcome) -> None:
    assert outcome({"type": "steps", "answer": "17"}, text) is word


@pytest.mark.parametrize(
    "text",
    [
        "1 + 1 = 2\nA: 17",
        "1 + 1 = 2\nA: 2",
        "3 * 4 = 12\n12 + 5 = 17\nA: 18",
        "3 * 4 = 12\n12 + 6 = 18\nA: 18",
        "3 * 4 = 12\n12 + 5 = 17",
        "34 / 2 = 17\n1 + 1 = 2\nA: 17",
        "50 / 3 = 17\nA: 17",
        "A: 17",
        "17 = 17\nA: 17",
        "3 * 4 = 12\n12 + 5 = 17\nA: 17 or 18",
    ],
)
def test_steps_pass_nothing_whose_answer_does_not_follow(text: str) -> None:
    assert outcome({"type": "steps", "answer": "17"}, text) is Outcome.ABSTAIN


@pytest.mark.parametrize("text", ["1 + 1 = 2\nA: 17", "1 + 1 = 2\nA: 2", "3 * 4 = 12\n12 + 5 = 17\nA: 17"])
def test_steps_alone_accept_nothing_without_an_answer_to_reach(text: str) -> None:
    assert outcome({"type": "steps"}, text) is Outcome.ABSTAIN
    assert outcome({"type": "steps", "stronger": {"type": "math", "answer": "17"}}, text) is Outcome.ABSTAIN


def test_steps_take_the_answer_of_the_math_check_beside_them() -> None:
    check = {"type": "any", "of": [{"type": "steps"}, {"type": "math", "answer": "17"}]}
    task = Task.model_validate({"id": "t", "prompt": "p", "verifier": check})
    attempts = [Attempt(task_id="t", attempt=0, round=1, text=f"12 + 5 = 17\nA: {n}") for n in (17, 12)]
    words = Steps().verify([{"type": "steps"}] * 2, [task] * 2, attempts)
    assert [word.outcome for word in words] == [Outcome.PASS, Outcome.ABSTAIN]
    assert words[1].reason == "1 steps hold, and the final answer is not shown to follow from them"


def test_steps_name_the_line_and_never_what_would_be_right() -> None:
    task = Task.model_validate({"id": "t", "prompt": "p", "verifier": {"type": "steps"}})
    [verdict] = Steps().verify([{}], [task], [Attempt(task_id="t", attempt=0, round=1, text="so\n6 * 7 = 41\nA: 41")])
    assert (verdict.reason, verdict.evidence) == ("step 2 does not hold", "6 * 7 = 41")


def test_form_alone_accepts_nothing_unless_it_says_so() -> None:
    good, loop = "Each box holds four pears, and there are three boxes.\nA: 12", "so it is " * 60
    assert outcome({"type": "heuristic", "repetition": 0.5}, good) is Outcome.ABSTAIN
    assert outcome({"type": "heuristic", "repetition": 0.5, "accepts": True}, good) is Outcome.PASS
    assert outcome({"type": "heuristic", "repetition": 0.5, "accepts": True}, loop) is Outcome.FAIL
    assert outcome({"type": "heuristic", "length": {"at_least": 0.9, "low": 1, "high": 5}}, good) is Outcome.FAIL
    assert outcome({"type": "heuristic", "language": 0.9}, "Это ответ") is Outcome.FAIL
    assert outcome({"type": "heuristic", "format": 0.9}, " ") is Outcome.INVALID


@pytest.mark.parametrize(
    ("check", "said"),
    [
        ({}, "format, length, repetition, language"),
        ({"beauty": 0.5}, "beauty is no grader; give one of format, length, repetition, language"),
        ({"length": 2}, r"length is 2; give a bar in \[0, 1\]"),
        ({"length": {"at_least": 0.5, "high": 9, "words": 3}}, "length has words, .* its settings: high, low"),
        ({"format": True}, r"format is True; give a bar in \[0, 1\]"),
    ],
    ids=str,
)
def test_form_that_cannot_be_graded_is_refused_with_the_remedy(check: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        outcome({"type": "heuristic", **check}, "text")


def test_parts_combine_and_the_one_without_opinion_is_passed_over() -> None:
    both = {
        "type": "all",
        "of": [{"type": "math", "answer": "17"}, {"type": "steps"}, {"type": "heuristic", "repetition": 0.3}],
    }
    assert outcome(both, "A: 17") is Outcome.PASS
    assert outcome(both, "3 * 4 = 13\n13 + 4 = 17\nA: 17") is Outcome.FAIL
    first = {"type": "first", "of": [{"type": "steps"}, {"type": "math", "answer": "17"}]}
    assert outcome(first, "no sum here\nA: 17") is Outcome.PASS
    assert outcome({"type": "any", "of": both["of"]}, "3 * 4 = 13\nA: 17") is Outcome.PASS


def test_routing_puts_the_tasks_own_check_in_its_place_or_keeps_it_for_the_audit() -> None:
    task = Task.model_validate({"id": "t", "prompt": "p", "verifier": {"type": "math", "answer": "1"}})
    inside = routed(task, {"type": "all", "of": [{"type": "steps"}, {"type": "task"}]})
    assert inside.check == {"type": "all", "of": [{"type": "steps"}, {"type": "math", "answer": "1"}]}
    assert routed(task, {"type": "judge"}).check == {"type": "judge", "stronger": task.check}
    assert routed(task, None) is task


# ---- weak tests ----

WEAK = Task.model_validate(
    {
        "id": "weak",
        "prompt": "The sum of the numbers above two in a list.",
        "verifier": {"type": "code_tests", "entry_point": "total", "cases": [[[[1]], 0], [[[4]], 4]]},
        "reference": "def total(xs):\n    return sum(x for x in xs if x > 2)\n",
    }
)
STRONG = WEAK.model_copy(
    update={"id": "strong", "check": {**WEAK.check, "cases": [[[[1, 2, 3, 4, -2, 0]], 7], [[[]], 0], [[[2, 2, 3]], 3]]}}
)


def test_weak_tests_let_broken_programs_through_and_made_cases_catch_a_wrong_one() -> None:
    with Executor(workers=1, require_tier="best") as executor:
        items = [(task, task.check, str(task.reference)) for task in (WEAK, STRONG)]
        weak, strong = strength(items, executor, Limits(), mutants=12, cases=8, seed=1)
        assert weak.survivors > strong.survivors
        assert weak.proven > 0
        made = hidden_cases(items, executor, Limits(), count=8, seed=1)
        assert made == hidden_cases(items, executor, Limits(), count=8, seed=1)
        wrong = "def total(xs):\n    return xs[0] if xs[0] > 2 else 0\n"
        checks = [WEAK.check, strengthened(WEAK.check, made[0])]
        words = []
        for text in (wrong, str(WEAK.reference)):
            attempt = Attempt(task_id="weak", attempt=0, round=1, text=text)
            tasks = [WEAK.model_copy(update={"check": check}) for check in checks]
            words.append(
                [j.outcome for j in verify(tasks, [attempt] * 2, {"code_tests": CodeTests(executor, Limits())})]
            )
    assert words == [[Outcome.PASS, Outcome.FAIL], [Outcome.PASS, Outcome.PASS]]


def test_inputs_are_read_from_asserts_and_never_run() -> None:
    source = "import math\nassert f([1, 2], 'a') == 3\nassert math.isclose(f([x for x in range(3)], 'b'), 1)\nassert f((3,), 'c')"
    assert inputs_of({"entry_point": "f", "source": source}) == [([1, 2], "a"), ((3,), "c")]
    assert inputs_of({"entry_point": "f", "source": "assert f("}) == []


@settings(derandomize=True, deadline=None, max_examples=200)
@given(
    st.recursive(
        st.integers(-99, 99) | st.floats(-9, 9) | st.text(max_size=5) | st.booleans() | st.none(),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.tuples(inner, inner)
            | st.dictionaries(st.text(max_size=2), inner, max_size=3)
        ),
        max_leaves=8,
    ),
    st.integers(0, 2**32),
)
@example(0, 1)
@example(1e-9, 1)
@example(-5e-324, 1)
def test_changed_inputs_keep_type_sign_and_whether_they_are_empty(value: Any, seed: int) -> None:
    new = changed(value, random.Random(seed))
    assert type(new) is type(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        assert (new > 0) == (value > 0) and (new < 0) == (value < 0)
    elif hasattr(value, "__len__"):
        assert bool(new) == bool(value)


def test_broken_programs_differ_in_one_place_and_hostile_text_breaks_nothing() -> None:
    code = "def f(a, b):\n    return a + b if a < b else a * 2\n"
    made = broken_programs(code, 10, random.Random(0))
    assert len(made) == len(set(made)) == 4
    assert broken_programs("def f(:", 5, random.Random(0)) == []
    assert broken_programs("(" * 500, 5, random.Random(0)) == []


# ---- tasks ----


def lines(path: Path, *rows: dict[str, Any]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_svamp_aqua_and_gsm_hard_rows_become_tasks_that_their_own_answers_pass(tmp_path: Path) -> None:
    svamp = [
        {"Body": f"Ann has {n} pears", "Question": "How many?", "Answer": float(n), "Type": "Sum"} for n in range(3, 9)
    ]
    aqua = [
        {"question": f"{n}+1?", "options": [f"A){n}", f"B){n + 1}", "C)0"], "correct": "B", "rationale": "Add."}
        for n in range(3, 9)
    ]
    hard = [{"input": f"What is {n} tenths?", "target": n / 10, "code": "import os"} for n in range(3, 9)]
    for name, rows in (("svamp", svamp), ("aqua", aqua), ("gsm_hard", hard)):
        section = WordProblems.model_validate(
            {"source": name, "path": lines(tmp_path / f"{name}.jsonl", *rows), "dev": 2, "test_rows": 1}
        )
        source = section.open(seed=0, eval_seed=0, folder=tmp_path)
        fixed = source.fixed
        assert (len(fixed.dev), len(fixed.test), len(source.pool)) == (2, 1, 3)
        tasks = [*fixed.dev, *source.pool]
        gold = [task.model_copy(update={"reference": f"A: {task.check['answer']}"}) for task in tasks]
        found = admit(gold, [source.near_misses(task) for task in tasks], LEAVES)
        assert [one.problem for one in found] == [""] * len(tasks)
        assert all(one.near_misses_checked >= 2 for one in found)


def test_svamp_is_read_as_its_publisher_has_it_one_indented_array(tmp_path: Path) -> None:
    row = {
        "ID": "chal-1",
        "Body": "Each pack of dvds costs 76 dollars. If there is a discount of 25 dollars on each pack",
        "Question": "How much do you have to pay to buy each pack?",
        "Equation": "( 76.0 - 25.0 )",
        "Answer": 51.0,
        "Type": "Subtraction",
    }
    rows = [{**row, "ID": f"chal-{n}", "Answer": answer} for n, answer in enumerate([51.0, "51.0", 12.5, 7])]
    (tmp_path / "SVAMP.json").write_text(json.dumps(rows, indent=4))
    section = WordProblems(source="svamp", path="SVAMP.json", dev=1, test_rows=1)
    source = section.open(seed=0, eval_seed=0, folder=tmp_path)
    tasks = [*source.pool, *source.fixed.dev, *source.fixed.test]
    assert sorted(str(task.check["answer"]) for task in tasks) == ["12.5", "51", "51", "7"]
    assert tasks[0].text.startswith("Each pack of dvds") and "each pack. How much" in tasks[0].text
    assert tasks[0].tags == ("topic:Subtraction",)
    (tmp_path / "SVAMP.json").write_text(json.dumps([row, 3]))
    with pytest.raises(DataError, match=r"SVAMP.json: item 2 is a number, not an object"):
        section.open(seed=0, eval_seed=0, folder=tmp_path)


def test_row_of_another_layout_is_told_with_its_place(tmp_path: Path) -> None:
    path = lines(tmp_path / "x.jsonl", {"question": "q", "answer": "a"})
    with pytest.raises(DataError, match=r"x.jsonl:1: has no 'Body' .*tasks.source"):
        WordProblems(source="svamp", path=path).open(seed=0, eval_seed=0, folder=tmp_path)


@pytest.mark.parametrize(("name", "rows"), [("aqua", 254), ("gsm_hard", 500)])
def test_real_rows_are_all_read_and_told_from_their_near_misses(shared_data: Path, name: str, rows: int) -> None:
    path = shared_data / name / "dev.jsonl.gz"
    with gzip.open(path, "rt") as file:
        assert sum(1 for _ in file) == rows
    section = WordProblems.model_validate({"source": name, "path": str(path)})
    source = section.open(seed=0, eval_seed=0, folder=shared_data)
    tasks = [*source.fixed.dev, *source.fixed.test, *source.pool]
    assert len(tasks) == rows
    gold = [task.model_copy(update={"reference": f"A: {task.check['answer']}"}) for task in tasks]
    found = admit(gold, [source.near_misses(task) for task in tasks], LEAVES)
    assert [one for one in found if not one.admitted] == []


def test_task_of_ones_own_brings_its_near_misses(tmp_path: Path) -> None:
    check = {"type": "judge", "rubric": "It rhymes.", "near_misses": ["no rhyme"]}
    rows = [{"id": f"t{n}", "prompt": "Rhyme.", "verifier": check} for n in range(4)]
    section = JsonlTasks(source="jsonl", train=lines(tmp_path / "t.jsonl", *rows))
    source = section.open(seed=0, eval_seed=0, folder=tmp_path)
    assert source.near_misses(source.pool[0]) == ["no rhyme"]


@pytest.mark.skipif(GYM, reason="reasoning-gym is installed")
def test_reasoning_gym_without_the_extra_is_told_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"pip install 'selfplay\[tasks\]'"):
        ReasoningGym(source="reasoning_gym", datasets=("chain_sum",)).open(seed=0, eval_seed=1, folder=tmp_path)
