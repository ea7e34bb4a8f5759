"""Task files as people write them: each fault of each type of verifier is told with file, line, key and remedy, before any model."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from selfplay.cli.check import check_command
from selfplay.cli.validate import validate_command
from selfplay.errors import ConfigError, DataError
from selfplay.tasks.gsm8k import Gsm8k
from selfplay.tasks.jsonl import JsonlTasks
from selfplay.tasks.mbpp import Mbpp
from selfplay.verify import faults
from selfplay.verify.faults import fault_of, golds_of, unparsed_golds
from tests.support import strangers

MATH = {"type": "math", "answer": "4"}
CODE = {"type": "code_tests", "entry_point": "f", "cases": [[[4], 5]]}
HEURISTIC = {"type": "heuristic", "repetition": 0.5, "length": {"at_least": 0.8, "low": 20, "high": 300}}
GYM = {
    "type": "reasoning_gym",
    "data": {"name": "chain_sum", "seed": 1, "size": 2, "settings": {}},
    "index": 0,
    "mark": "x",
}


@pytest.mark.parametrize(
    "check",
    [
        MATH,
        {"type": "math", "answer": 4, "tolerance": 0.01, "precision": 3, "near_misses": ["A: 5"]},
        {"type": "math", "answer": -2.5},
        CODE,
        {**CODE, "atol": 1e-6, "strict": True, "cpu_seconds": 3, "model_written": False, "hidden_cases": [[[1], 2]]},
        {"type": "code_tests", "entry_point": "Solution().f", "source": "assert Solution().f(1) == 2", "prefix": "import math\n"},
        {"type": "code_tests", "stdio": [["1\n", "2\n"]]},
        {"type": "steps"},
        {"type": "steps", "answer": "18"},
        HEURISTIC,
        {"type": "heuristic", "format": 1, "accepts": True, "language": {"at_least": 0.9, "script": "LATIN"}},
        {"type": "judge"},
        {"type": "judge", "rubric": "Be brief.", "threshold": 1, "stronger": MATH},
        GYM,
        {"type": "python:my_checks:is_prime", "floor": 90, "any": {"key": ["is", "mine"]}},
        {"type": "python:a.b.c:d"},
        {"type": "all", "of": [MATH, {"type": "any", "of": [HEURISTIC, {"type": "first", "of": [CODE]}]}]},
    ],
)  # fmt: skip
def test_sound_check_has_no_fault(check: dict[str, Any]) -> None:
    assert fault_of(check) == ""


def without(check: dict[str, Any], key: str, **more: Any) -> dict[str, Any]:
    return {k: v for k, v in {**check, **more}.items() if k != key}


@pytest.mark.parametrize(
    ("check", "says"),
    [
        ("math", "verifier is 'math', must be an object"),
        (None, "verifier is None, must be an object"),
        ({}, "type is None; give one of math, code_tests, steps"),
        ({"type": 5}, "type is 5; give one of"),
        ({"type": "maths"}, "maths: there is no such type of verifier; did you mean math?"),
        ({"type": "Code_Test"}, "there is no such type of verifier; did you mean code_tests?"),
        ({"type": "exec"}, "there is no such type of verifier; known: math,"),
        ({"type": "task"}, "there is no such type of verifier"),
        ({"type": "python:my_checks"}, "type names no function; write python:package.module:function"),
        ({"type": "python:my checks:f"}, "type names no function"),
        ({"type": "python:os.system('x'):f"}, "type names no function"),
        ({"type": "math"}, "math: answer is missing; add the right answer"),
        ({**MATH, "tolerence": 0.1}, "math: tolerence is 0.1, but there is no such key; did you mean tolerance?"),
        ({**MATH, "colour": 1}, "colour is 1, but there is no such key; known keys: answer, near_misses, precision, stronger"),
        ({**MATH, "answer": None}, "math: answer is None, must be text or a number; write it in quotes"),
        ({**MATH, "answer": True}, "answer is True, must be text or a number"),
        (
            {**MATH, "answer": ["4", "four"]},
            "answer is ['4', 'four'], must be one text or number; for several right answers write verifier: {type: any, of: "
            "[{type: math, answer: '4'}, ...]}, for one answer of several parts a text such as '3, 5', and to take a place of a list "
            "set tasks.fields.answer to COLUMN.0",
        ),
        ({**MATH, "answer": ""}, "answer: the reference is empty; give the answer"),
        ({**MATH, "answer": "  "}, "answer: the reference is empty"),
        ({**MATH, "answer": "nan"}, "answer: the reference 'nan' is no value but a missing one"),
        ({**MATH, "answer": "\\frac{1}{2"}, "has braces that do not match"),
        ({**MATH, "answer": "word " * 50}, "has more than 40 words and marks no answer"),
        ({**MATH, "tolerance": "0.1"}, "tolerance is '0.1', must be a number from 0"),
        ({**MATH, "tolerance": -1}, "tolerance is -1, must be a number from 0"),
        ({**MATH, "precision": 2.5}, "precision is 2.5, must be a whole number from 0 to 50"),
        ({**MATH, "near_misses": "A: 5"}, "near_misses is 'A: 5', must be a list of texts"),
        ({**MATH, "near_misses": [5]}, "near_misses is [5], must be a list of texts"),
        ({**MATH, "stronger": "judge"}, "math: stronger: verifier is 'judge', must be an object"),
        ({"type": "judge", "stronger": {"type": "math"}}, "judge: stronger: math: answer is missing"),
        ({**CODE, "cases": [[4, 5]]}, "code_tests: cases[0] must be [[arguments...], expected]"),
        ({**CODE, "cases": []}, "cases must be a list that is not empty"),
        ({**CODE, "cases": {"4": 5}}, "cases must be a list that is not empty"),
        ({**CODE, "cases": [[[4], 5], [[1]]]}, "cases[1] must be [[arguments...], expected]"),
        (without(CODE, "cases"), "it has no cases, source or stdio; add one of them"),
        (without(CODE, "entry_point"), "entry_point must name a function"),
        ({**CODE, "entry_point": "f(x)"}, "entry_point must name a function"),
        ({**CODE, "entrypoint": "f"}, "entrypoint is 'f', but there is no such key; did you mean entry_point?"),
        ({**CODE, "test": "assert f(1) == 2"}, "test is 'assert f(1) == 2', but there is no such key"),
        ({**CODE, "stdio": [["", ""]]}, "it has cases and stdio; keep one of them"),
        ({"type": "code_tests", "entry_point": "f", "source": "  "}, "source is empty; give asserts"),
        ({"type": "code_tests", "entry_point": "f", "source": ["assert f(1)"]}, "source must be text"),
        ({"type": "code_tests", "stdio": [["1", 2]]}, "stdio[0] must be [input text, output text]"),
        ({**CODE, "strict": "yes"}, "strict must be true or false"),
        ({**CODE, "cpu_seconds": 0}, "cpu_seconds must be a number from 0.01 to 3600"),
        ({**CODE, "atol": "small"}, "atol must be a number"),
        ({**CODE, "hidden_cases": [[4, 5]]}, "hidden_cases[0] must be [[arguments...], expected]"),
        ({"type": "steps", "answer": 1.5j}, "steps: answer is 1.5j, must be text or a number"),
        ({"type": "steps", "anser": "1"}, "did you mean answer?"),
        ({"type": "heuristic"}, "heuristic: it names no grader; give one of format, length, repetition, language"),
        ({"type": "heuristic", "lenght": 0.5}, "lenght is 0.5, but there is no such key; did you mean length?"),
        ({"type": "heuristic", "length": 2}, "length is 2; give a bar in [0, 1]"),
        ({"type": "heuristic", "length": {"low": 3}}, "give a bar in [0, 1]"),
        ({"type": "heuristic", "length": {"at_least": 1, "min": 3}}, "length has min, which it does not know; its settings: high, low"),
        ({"type": "heuristic", "length": {"at_least": 1, "low": "3"}}, "length: low is '3', must be a whole number"),
        ({"type": "heuristic", "length": {"at_least": 1, "low": 9, "high": 3}}, "length: length_score: low is 9 and high is 3"),
        ({"type": "heuristic", "format": 1, "accepts": "yes"}, "accepts is 'yes', must be true or false"),
        ({"type": "judge", "rubric": ""}, "judge: rubric is '', must be text"),
        ({"type": "judge", "rubric": ["x"]}, "rubric is ['x'], must be text"),
        ({"type": "judge", "threshold": 0}, "threshold is 0, must be a number above 0, up to 1"),
        ({"type": "judge", "threshold": 7}, "threshold is 7, must be a number above 0, up to 1"),
        ({**GYM, "data": "chain_sum"}, "data is 'chain_sum', must name a data set"),
        ({**GYM, "index": -1}, "index is -1, must be a whole number"),
        ({"type": "all"}, "all: of is None, must be a list of verifiers, each with a type"),
        ({"type": "any", "of": []}, "any: of is [], must be a list of verifiers"),
        ({"type": "any", "of": MATH}, "must be a list of verifiers"),
        ({"type": "all", "of": [MATH, {"type": "math"}]}, "all: of[1]: math: answer is missing"),
        ({"type": "all", "of": [{"type": "first", "of": ["math"]}]}, "all: of[0]: first: of[0]: verifier is 'math'"),
        ({"type": "all", "of": [MATH], "weights": [1]}, "all: weights is [1], but there is no such key"),
    ],
)  # fmt: skip
def test_fault_of_a_check_names_key_value_and_remedy(check: Any, says: str) -> None:
    found = fault_of(check)
    assert says in found and "\n" not in found and len(found) < 300


def test_place_of_a_task_s_own_check_is_allowed_in_the_configuration_alone() -> None:
    check = {"type": "all", "of": [{"type": "task"}, HEURISTIC]}
    assert fault_of(check, own=True) == "" and "of[0]: task: there is no such type" in fault_of(check)


# ---- golds that need the worker ----

UNPARSED = ["x^2 +", "\\sqrt{}", "sin(x", "x ==", "3x+", "\\foo{3}", "?", "(x+1", "x^^2", "[1, x^)"]


@pytest.mark.parametrize("gold", UNPARSED)
def test_gold_that_the_worker_cannot_read_is_told(gold: str) -> None:
    found, untried = unparsed_golds([gold])
    assert "cannot be read as mathematics; write its LaTeX in full" in found[gold] and untried == 0


def test_golds_that_can_be_read_are_let_through() -> None:
    golds = [
        "18",
        "1/2",
        "-2.50",
        "x^2+1",
        "\\frac{1}{2}x",
        "(1, 2)",
        "[1, x^2)",
        "B) 12",
        "No",
        "6:30 PM",
        "3:2",
        "π/2",
    ]
    golds += ["2 apples", "Marie & Pierre Curie", "width = 3, length = 5", "\\{1, 2\\}", "x = 5 or x = -5", "f(x) = 2x"]
    golds += ["\\begin{pmatrix}1&2\\\\3&x\\end{pmatrix}", "\\text{odd}", "O'Brien", "Washington, D.C.", "$5 million"]
    assert unparsed_golds(golds) == ({}, 0)


def test_plain_golds_ask_no_worker_and_slow_ones_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def late(gold: str) -> str:
        asked.append(gold)
        return ""

    monkeypatch.setattr(faults, "unparsed", late)
    assert unparsed_golds([str(n) for n in range(3_000)] + ["No", "(1, 2)"], seconds=0.0) == ({}, 0) and asked == []
    assert unparsed_golds(["x+1", "x+1", "x+2"], seconds=60) == ({}, 0) and asked == ["x+1", "x+2"]
    assert unparsed_golds(["x+1", "x+2"], seconds=-1) == ({}, 2)


def test_golds_of_parts_and_of_the_stronger_check_are_found() -> None:
    check = {"type": "all", "of": [MATH, {"type": "steps", "answer": 7}], "stronger": {"type": "math", "answer": "x"}}
    assert golds_of(check) == ["4", "7", "x"] and golds_of(CODE) == []


# ---- whole files ----

CONFIG = """\
name: own
rounds: 1
tasks: {source: jsonl, train: tasks.jsonl}
student: {kind: tiny}
generate: {samples_per_task: 2}
verify: {sandbox: {require_tier: best}}
train: {steps: 1, warmup: {steps: 1}}
launch: {device: cpu, threads: 1}
tracking: {mode: disabled}
"""


def folder_of(folder: Path, *rows: dict[str, Any], config: str = CONFIG) -> Path:
    (folder / "config.yaml").write_text(config, encoding="utf-8")
    (folder / "tasks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder / "config.yaml"


def task(name: str, check: Any = None, **more: Any) -> dict[str, Any]:
    return {"id": name, "prompt": "2 + 2\n", "verifier": MATH if check is None else check, "reference": "A: 4", **more}


SOUND = [task(f"s{number}") for number in range(12)]


def checked(config: Path) -> None:
    check_command(config, [], False)


def validated(config: Path) -> None:
    validate_command(config, [], tasks=True)


def started(config: Path) -> None:
    from selfplay.config import load_config
    from selfplay.loop import run

    run(load_config(config, [f"runs_dir={config.parent / 'runs'}"]))


def lines_of(error: BaseException, folder: Path) -> list[str]:
    """The faults as they are told, without the folder and without the number of faults that `validate` ends with."""
    lines = [line.removeprefix(f"{folder}/") for line in str(error).splitlines()]
    return lines[:-1] if lines[-1] in (f"{len(lines) - 1} faults", "1 fault") else lines


FAULTY = (ConfigError, DataError)
WAYS = pytest.mark.parametrize("way", [checked, validated, started])


@WAYS
def test_faults_of_all_rows_are_told_at_once_with_their_lines(tmp_path: Path, way: Callable[[Path], None]) -> None:
    bad = [
        task("a", {"type": "code_tests", "entry_point": "f", "cases": [[4, 5]]}),
        task("b", {"type": "math"}),
        task("c", {**MATH, "tolerence": 0.1}),
        task("d", prompt="  \n"),
        task("e", promt="x"),
        task("f", {**MATH, "answer": "nan"}),
        task("s1"),
        {"id": 7, "prompt": "x", "verifier": MATH, "split": "panel"},
        {"id": "h", "messages": [], "verifier": MATH},
        {"id": "i", "prompt": "x", "verifier": {"type": "all", "of": [{"type": "maths"}]}},
    ]
    with pytest.raises(FAULTY) as refused:
        way(folder_of(tmp_path, *SOUND, *bad))
    assert lines_of(refused.value, tmp_path) == [
        "tasks.jsonl:13: task 'a': verifier: code_tests: cases[0] must be [[arguments...], expected], as [[[4], 5]] has one, not [4, 5]",
        "tasks.jsonl:14: task 'b': verifier: math: answer is missing; add the right answer",
        "tasks.jsonl:15: task 'c': verifier: math: tolerence is 0.1, but there is no such key; did you mean tolerance?",
        "tasks.jsonl:16: prompt is empty; write what the student is asked",
        "tasks.jsonl:17: promt is 'x', but there is no such key; did you mean prompt?",
        "tasks.jsonl:18: task 'f': verifier: math: answer: the reference 'nan' is no value but a missing one; give the answer, or leave the task out",
        f"tasks.jsonl:19: the id 's1' is used twice, first at {tmp_path}/tasks.jsonl:2; ids must be unique",
        "tasks.jsonl:20: id is 7, should be a valid string; correct it",
        "tasks.jsonl:20: split is 'panel', should be 'train', 'anchor', 'dev' or 'test'; correct it",
        "tasks.jsonl:21: messages is empty; write what the student is asked",
        "tasks.jsonl:22: task 'i': verifier: all: of[0]: maths: there is no such type of verifier; did you mean math?",
    ]  # fmt: skip
    assert not (tmp_path / "runs/own/fingerprint.json").exists()


@WAYS
def test_gold_that_cannot_be_parsed_is_refused_with_its_line(tmp_path: Path, way: Callable[[Path], None]) -> None:
    config = folder_of(tmp_path, *SOUND, task("x", {"type": "all", "of": [{"type": "math", "answer": "x^2 +"}]}))
    with pytest.raises(FAULTY, match=r"tasks\.jsonl:13: task 'x': verifier: answer: the reference 'x\^2 \+' cannot be"):
        way(config)


@WAYS
def test_missing_files_are_all_named_at_once(tmp_path: Path, way: Callable[[Path], None]) -> None:
    tasks = "{source: jsonl, train: tasks.jsonl, dev: p.jsonl, test: t.jsonl}"
    text = CONFIG.replace("{source: jsonl, train: tasks.jsonl}", tasks)
    config = folder_of(tmp_path, *SOUND, task("b", {"type": "math"}), config=text)
    with pytest.raises(FAULTY) as refused:
        way(config)
    told = lines_of(refused.value, tmp_path)
    assert {line.split(":")[0] for line in told} == {"tasks.jsonl", "p.jsonl", "t.jsonl"} and len(told) == 3


@WAYS
def test_check_of_the_configuration_is_held_to_the_same(tmp_path: Path, way: Callable[[Path], None]) -> None:
    text = CONFIG.replace("verify: {", "verify: {check: {type: heuristic, lenght: 0.5}, ")
    with pytest.raises(ConfigError, match=r"verify\.check: .*lenght is 0\.5, .*did you mean length\?"):
        way(folder_of(tmp_path, *SOUND, config=text))


def test_a_hundred_faults_are_fifty_lines_and_a_count(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, *(task(f"t{n}", {"type": "math"}) for n in range(100)))
    with pytest.raises(ConfigError) as refused:
        validated(folder)
    lines = str(refused.value).splitlines()
    assert len(lines) == 51 and lines[-1] == "100 faults, of which 50 are shown"


def test_validate_reads_recorded_replies(tmp_path: Path) -> None:
    text = CONFIG.replace("{samples_per_task: 2}", "{samples_per_task: 2, backend: {kind: recorded, path: r.jsonl}}")
    config = folder_of(tmp_path, *SOUND, config=text)
    (tmp_path / "r.jsonl").write_text('{"id": "s1", "text": "A: 4"}\n', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"r\.jsonl:1: has no task_id, only id, text; name the field"):
        validated(config)


def test_validate_says_that_sound_tasks_are_sound(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    validated(folder_of(tmp_path, *SOUND))
    assert "sound" in capsys.readouterr().out


def test_golds_of_published_layouts_are_held_to_the_same(tmp_path: Path) -> None:
    rows = [{"question": f"Q{n}?", "answer": f"So.\n#### {gold}"} for n, gold in enumerate(["4", "1,000", "", "nan"])]
    (tmp_path / "g.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    section = Gsm8k(source="gsm8k", train="g.jsonl", test="g.jsonl", dev=1)
    with pytest.raises(DataError) as refused:
        section.open(seed=0, eval_seed=1, folder=tmp_path, fault_of=fault_of)
    told = [line.split(": ")[0].rpartition(":")[2] for line in str(refused.value).splitlines()]
    assert told == ["3", "4", "3", "4"]


def test_all_rows_of_another_layout_are_told(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_text('{"text": "x", "code": "y"}\n{"a": 1}\n', encoding="utf-8")
    with pytest.raises(DataError) as refused:
        Mbpp(source="mbpp", path="m.jsonl").open(seed=0, eval_seed=1, folder=tmp_path)
    assert [line.split(": ")[1][:11] for line in str(refused.value).splitlines()] == ["has no 'tes", "has no 'pro"]


def test_rows_are_read_without_verifiers_where_nobody_asks(tmp_path: Path) -> None:
    folder_of(tmp_path, *SOUND, task("b", {"type": "mine", "x": 1}))
    source = JsonlTasks(source="jsonl", train="tasks.jsonl").open(seed=0, eval_seed=1, folder=tmp_path)
    assert source.fixed.places["b"] == f"{tmp_path}/tasks.jsonl:13"


# ---- what check tries, and what it says that it did not try ----

CODE_TESTS = {"type": "code_tests", "entry_point": "f", "source": "assert f(1) == 2"}


def bare(name: str, check: dict[str, Any]) -> dict[str, Any]:
    """A task without a reference."""
    return {"id": name, "prompt": "Do it.\n", "verifier": check}


def told(folder: Path, capsys: pytest.CaptureFixture[str], *rows: dict[str, Any]) -> tuple[int, str]:
    capsys.readouterr()
    code = check_command(folder_of(folder, *rows), [], as_json=False)
    said = capsys.readouterr()
    return code, said.out + said.err


def test_check_tries_the_answer_of_a_math_task_as_a_reply(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    golds = ["4", "-2.5", "1/2", "x^2+1", "(1, 2)", "No", "6:30 PM", "B) 12", "\\frac{\\pi}{2}", "1,000", "20%"]
    code, said = told(tmp_path, capsys, *(bare(f"t{n}", {**MATH, "answer": g}) for n, g in enumerate(golds)))
    assert code == 0 and f"{len(golds)} tasks, 0 gold answers, {len(golds)} answers as replies" in said
    assert "not sound" not in said and "no reference" not in said


def test_answer_that_cannot_be_replied_is_not_sound(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [*SOUND, bare("ratio", {"type": "all", "of": [{**MATH, "answer": "A:B = 1:2"}, {"type": "steps"}]})]
    code, said = told(tmp_path, capsys, *rows)
    assert code == 1 and "1 tasks are not sound" in said
    assert (
        "tasks.jsonl:13: task 'ratio': its own answer, replied as \"A: A:B = 1:2\", is judged fail; write the" in said
    )


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("import pytest\nassert f(1) == 2", "`import pytest`: tests are run without pytest"),
        ("from solution import f\nassert f(1) == 2", "`from solution import f` fails, ModuleNotFoundError"),
        ("def check(f):\n    import not_there\n    assert f(1) == 2", "`import not_there`"),
        ("x = 1", "they never call the program"),
    ],
)
def test_tests_that_cannot_run_are_told_with_their_import(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], source: str, says: str
) -> None:
    check = {**CODE_TESTS, "source": source}
    with_reference = {**bare("with", check), "reference": "def f(x):\n    return x + 1\n"}
    code, said = told(tmp_path, capsys, *SOUND, bare("without", check), with_reference)
    assert code == 1 and "2 tasks are not sound" in said and said.count(says) == 2
    assert "tasks.jsonl:13: task 'without': it cannot be judged, whatever the reply; tests" in said


def test_tests_that_do_not_parse_are_no_sound_row(tmp_path: Path) -> None:
    rows = [
        bare("torn", {**CODE_TESTS, "source": "assert f(1) =="}),
        bare("nul", {**CODE_TESTS, "source": "f(1)\f\n\f x"}),
    ]
    with pytest.raises(
        DataError, match=r"tasks\.jsonl:13: task 'torn': .*source does not parse \(invalid syntax, line 1\)"
    ):
        checked(folder_of(tmp_path, *SOUND, *rows))


def test_stub_that_passes_is_shown_where_no_reference_is_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weak = [
        bare("weak", {**CODE_TESTS, "source": "f(1)"}),
        bare("method", {**CODE_TESTS, "entry_point": "Solution().f", "source": "assert Solution().f(1) is None"}),
    ]
    code, said = told(tmp_path, capsys, *SOUND, *weak, bare("sound", CODE_TESTS))
    assert code == 1 and "2 tasks are not sound" in said
    assert "task 'weak': near miss 0 is judged pass" in said and "task 'method': near miss 0 is judged pass" in said


def test_check_says_what_it_did_not_try(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = CONFIG + "judge: {backend: {kind: pretrained, model: none, model_family: [other]}, rubric: Is it right}\n"
    rows = [
        *SOUND,
        bare("judged", {"type": "judge"}),
        bare("form", {"type": "heuristic", "format": 0.5}),
        bare("code", CODE_TESTS),
    ]
    config = folder_of(tmp_path, *rows, config=text)
    assert check_command(config, [], as_json=True) == 0
    found = json.loads(capsys.readouterr().out)
    wanted = {"left_to_a_judge": 1, "without_right_reply": 2, "without_near_miss": 1, "answers_not_parsed": 0}
    assert {key: found[key] for key in wanted} == wanted and (found["gold"], found["answers"]) == (12, 12)
    assert check_command(config, [], as_json=False) == 0
    said = capsys.readouterr().out
    assert "1 tasks are graded by a judge" in said and "2 tasks have no reference and no answer" in said
    assert "1 tasks have no near miss, so it is not tested that a wrong reply fails; give near_misses" in said


def test_judge_that_is_not_configured_is_told_by_check_and_validate_too(tmp_path: Path) -> None:
    config = folder_of(tmp_path, *SOUND, bare("judged", {"type": "judge"}))
    for way in (checked, validated, started):
        with pytest.raises(ConfigError, match="no judge is configured; add judge"):
            way(config)


# ---- by the command, from another directory ----


def test_command_names_all_faults_without_a_traceback(tmp_path: Path) -> None:
    rows = [*SOUND, task("a", {**CODE, "cases": [[4, 5]]}), task("b", {"type": "math"})]
    folder = strangers.folder_of(tmp_path / "own", rows, {})
    for command in (["run"], ["check"], ["validate"]):
        ended = strangers.played(folder, *command)
        assert ended.code == 2 and "Traceback" not in ended.said, ended.said
        assert "tasks.jsonl:13: task 'a': verifier: code_tests: cases[0] must be" in ended.said
        assert "tasks.jsonl:14: task 'b': verifier: math: answer is missing; add the right answer" in ended.said


def test_failed_start_does_not_keep_its_name(tmp_path: Path) -> None:
    folder = strangers.folder_of(tmp_path / "own", SOUND, {f"s{number}": "A: 4" for number in range(12)})
    failed = strangers.played(folder, "run", "student.model=nowhere-at-all", "generate.samples_per_task=1")
    assert failed.code not in (0, None) and (folder / "runs/own/fingerprint.json").is_file(), failed.said
    mended = strangers.played(folder)
    assert mended.code == 0, mended.said
    assert [row["round"] for row in mended.rows()] == [0, 1]
