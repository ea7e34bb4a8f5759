"""`selfplay validate` names every fault of a configuration and of its tasks at once, by file and line, without an import of torch."""

import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from selfplay.cli.check import check_command
from selfplay.cli.validate import validate_command
from selfplay.config import load_config
from selfplay.config.faults import positioned
from selfplay.errors import ConfigError
from selfplay.loop import run
from selfplay.models.transformers import hub
from selfplay.prompts.correction import leaves
from selfplay.verify.function_lookup import lookup_fault
from tests.support import ROOT

CONFIG = """\
rounds: 1
tasks: {source: jsonl, train: tasks.jsonl}
student: {kind: tiny}
train: {steps: 1, warmup: {steps: 1}}
"""
CHECKS = """\
import math as m
from json import loads
try:
    from numpy import mean
except ImportError:
    mean = None
limit: int = 3
if limit:
    def grade(task, text):
        return True
def one(text):
    return True
def many(task, text, more):
    return True
def strict(task, text, *, floor):
    return True
def free(*given, **named):
    return True
def optional(task, text, floor=3):
    return True
class Grader:
    pass
"""


def task(name: str, check: Any = None) -> dict[str, Any]:
    return {"id": name, "prompt": "2 + 2\n", "verifier": check or {"type": "math", "answer": "4"}, "reference": "A: 4"}


def folder_of(folder: Path, *rows: dict[str, Any], config: str = CONFIG) -> Path:
    (folder / "config.yaml").write_text(config, encoding="utf-8")
    (folder / "tasks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder / "config.yaml"


def faults_of(config: Path, *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        validate_command(config, overrides)
    return [line.replace(f"{config.parent}/", "") for line in str(refused.value).splitlines()]


def test_faults_of_configuration_and_tasks_are_told_together_in_the_order_of_their_files(tmp_path: Path) -> None:
    text = "train: {steps: 1, warmup: {steps: 1}, args: {save_steps: 3}}\nrounds: many\ntasks: {source: jsonl, train: tasks.jsonl, dev: d.jsonl}\n"
    text += "student: {kind: tiny, layer: 3}\neval: {test: no}\n"
    rows = [task("a"), task("b", {"type": "math"}), task("c", {"type": "math", "answer": "4", "tolerence": 1})]
    (tmp_path / "checks.py").write_text(CHECKS)
    rows += [task("d", {"type": "python:checks:grad"}), task("e", {"type": "math", "answer": "x^2 +"})]
    lines = faults_of(folder_of(tmp_path, *rows, config=text))
    places = [line.split(" ")[0] for line in lines]
    assert places[:4] == ["config.yaml:1:46:", "config.yaml:2:1:", "config.yaml:4:23:", "config.yaml:5:14:"]
    assert places[4:-1] == ["d.jsonl:", "tasks.jsonl:2:", "tasks.jsonl:3:", "tasks.jsonl:4:", "tasks.jsonl:5:"]
    assert lines[-1] == "9 faults"
    assert "did you mean 'layers'" in lines[2] and "did you mean tolerance?" in lines[6]
    assert "checks.py has no function grad; did you mean grade?" in lines[7] and "'x^2 +'" in lines[8]


@pytest.mark.parametrize(
    "section", ["judge: {rubric: x}\n", "generate: {samples_per_task: 0}\n", "verify: {chek: 1}\n"]
)
def test_faulty_section_hides_no_fault_of_a_task_and_makes_none_up(tmp_path: Path, section: str) -> None:
    rows = [task("a"), task("b", {"type": "judge"}), task("c", {"type": "math"})]
    lines = faults_of(folder_of(tmp_path, *rows, config=CONFIG + section))
    assert len(lines) == 3 and lines[0].startswith("config.yaml:5:") and lines[1].startswith("tasks.jsonl:3:")


def test_lines_that_are_no_json_hide_no_other_line_and_no_model(tmp_path: Path) -> None:
    text = CONFIG.replace("{kind: tiny}", "{kind: pretrained, model: no/such}").replace(", warmup: {steps: 1}", "")
    config = folder_of(tmp_path, task("a"), config=text + "generate: {samples_per_task: 0}\n")
    lines = [
        "not json",
        json.dumps(task("b", {"type": "math"})),
        "[1]",
        '{"id": NaN}',
        json.dumps({**task("c"), "prompt": " "}),
    ]
    with (tmp_path / "tasks.jsonl").open("a", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)
    told = faults_of(config)
    assert [line.partition(": ")[0] for line in told[:-1]] == [
        "config.yaml:3:29",
        "config.yaml:5:12",
        *(f"tasks.jsonl:{number}" for number in (2, 3, 4, 5, 6)),
    ]
    assert "answer is missing" in told[3] and "is a list, not an object" in told[4] and "prompt is empty" in told[6]


def test_tasks_are_left_out_where_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = folder_of(tmp_path, task("b", {"type": "math"}))
    validate_command(config, [], tasks=False)
    assert "valid (jsonl, tiny student, 1 round)" in capsys.readouterr().out


# ---- models ----


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("no-such-model-anywhere", "neither a folder nor in the cache"),
        ("nobody/no-such-model", "neither a folder nor in the cache"),
        ("./here/model", "there is no such folder beside the configuration"),
        ("/nowhere/at/all", "there is no such folder beside the configuration"),
        ("empty", "that folder has no config.json"),
    ],
)
def test_model_that_cannot_be_had_is_told_with_its_key(tmp_path: Path, model: str, says: str) -> None:
    (tmp_path / "empty").mkdir()
    text = CONFIG.replace("{kind: tiny}", f"{{kind: pretrained, model: {model}}}").replace(", warmup: {steps: 1}", "")
    lines = faults_of(folder_of(tmp_path, *(task(f"t{n}") for n in range(12)), config=text))
    assert (
        lines[-1] == "1 fault"
        and lines[0].startswith(f"config.yaml:3:29: student.model is {model!r}")
        and says in lines[0]
    )


def test_judge_whose_family_or_whose_students_is_not_given_is_told_with_its_line_and_again_by_run_and_check(
    tmp_path: Path,
) -> None:
    rows = [{**task(f"t{n}"), "verifier": {"type": "judge"}} for n in range(12)]
    judge = "judge:\n  rubric: x\n  backend: {kind: http, url: 'http://127.0.0.1:9/v1', model: m}\n"
    student = "{kind: pretrained, model: base}"
    text = CONFIG.replace("{kind: tiny}", student).replace(", warmup: {steps: 1}", "")
    config = folder_of(tmp_path, *rows, config=text + judge)
    (tmp_path / "base").mkdir()
    (tmp_path / "base/config.json").write_text("{}")
    lines = faults_of(config)
    wanted = "is not given, so the judge m and the student may be related; give the family of the base model, as in model_family: "
    assert lines[0].startswith(f"config.yaml:3:1: student.model_family {wanted}")
    assert lines[1].startswith(f"config.yaml:7:3: judge.backend.model_family {wanted}") and len(lines) == 3
    for command in (
        lambda: check_command(config, [], False),
        lambda: run(load_config(config, [f"runs_dir={tmp_path}"])),
    ):
        with pytest.raises(ConfigError) as found:
            command()
        said = str(found.value)
        assert f"{config}:3: student.model_family is" in said and f"{config}:7: judge.backend.model_family is" in said


def test_line_that_begins_with_a_file_is_not_taken_for_a_key() -> None:
    said = "tasks.jsonl: no such file; x\ntasks.train is 3\nverify.check: x\nname of the thing\njudge: none"
    found = positioned(said, {("tasks",): "c.yaml:2"}, "c.yaml").splitlines()
    prefixes = [line.removesuffix(old) for line, old in zip(found, said.splitlines(), strict=True)]
    assert prefixes == ["", "c.yaml:2: ", "c.yaml: ", "", "c.yaml: "]


def test_judge_without_its_key_and_with_no_address_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KEY_OF_NOBODY", raising=False)
    judge = "judge: {rubric: x, backend: {kind: http, url: 'ftp://there/v1', model: m, model_family: [m]}}\n"
    config = folder_of(tmp_path, *(task(f"t{n}") for n in range(12)), config=CONFIG + judge)
    assert "judge.backend: base_url is 'ftp://there/v1', not an address" in faults_of(config)[0]
    lines = faults_of(config, "judge.backend.url=http://there/v1", "judge.backend.key_env=KEY_OF_NOBODY")
    assert "judge.backend: api_key_env names $KEY_OF_NOBODY, which is not set" in lines[0]


def test_hub_that_does_not_answer_is_no_fault_but_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Down:
        def model_info(self, *_: Any, **__: Any) -> None:
            raise RuntimeError("no route")

    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub, "HfApi", Down)
    text = CONFIG.replace("{kind: tiny}", "{kind: pretrained, model: some/model}").replace(", warmup: {steps: 1}", "")
    validate_command(folder_of(tmp_path, *(task(f"t{n}") for n in range(12)), config=text), [])
    assert (
        "student.model was not looked up, since the hub does not answer (RuntimeError: no route)"
        in capsys.readouterr().err
    )


# ---- functions, found without an import ----


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("checks:grade", ""),
        ("checks:free", ""),
        ("checks:optional", ""),
        ("checks:m", ""),
        ("checks:loads", ""),
        ("checks:mean", ""),
        ("checks:limit", ""),
        ("checks:Grader", ""),
        ("difflib:get_close_matches", ""),
        ("os.path:join", ""),
        ("inner.deep:f", ""),
        ("starred:anything", ""),
        ("checks:grde", "checks.py has no function grde; did you mean grade?"),
        ("checks:zzz", "checks.py has no function zzz; it has free, grade, many, one, optional, strict"),
        ("checks:one", "line 11: one is called with two arguments, (task, text), and takes others"),
        ("checks:many", "many is called with two arguments"),
        ("checks:strict", "strict is called with two arguments"),
        ("cheks:grade", "there is no module cheks in "),
        ("inner.deeper:f", "there is no module inner.deeper in "),
        ("checks.inner:f", "there is no module checks.inner in "),
        ("torn:f", "torn.py, line 2, does not parse"),
    ],
)  # fmt: skip
def test_function_is_found_by_looking_at_its_file(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / "checks.py").write_text(CHECKS)
    (tmp_path / "torn.py").write_text("x = 1\ndef f(:\n")
    (tmp_path / "starred.py").write_text("from checks import *\nraise SystemExit('imported')\n")
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "__init__.py").write_text("raise SystemExit('imported')\n")
    (tmp_path / "inner" / "deep.py").write_text("def f(task, text): ...\n")
    found = lookup_fault(f"python:{name}", tmp_path)
    assert says in found if says else found == ""


def test_misspelt_module_is_told_once_with_the_name_of_the_file_beside(tmp_path: Path) -> None:
    (tmp_path / "checks.py").write_text(CHECKS)
    config = folder_of(tmp_path, *(task(f"t{n}", {"type": "python:cheks:grade"}) for n in range(30)))
    lines = faults_of(config)
    assert len(lines) == 2 and lines[0].startswith("tasks.jsonl:1:") and "did you mean checks?" in lines[0]


# ---- time ----


def test_thousand_tasks_take_a_second_and_no_torch(tmp_path: Path) -> None:
    (tmp_path / "checks.py").write_text(CHECKS)
    checks = [{"type": "math", "answer": "4"}, {"type": "python:checks:grade"}, {"type": "steps", "answer": "18"}]
    checks += [{"type": "code_tests", "entry_point": "f", "cases": [[[4], 5]]}]
    config = folder_of(tmp_path, *(task(f"t{n}", checks[n % 4]) for n in range(1000)))
    code = (
        f"import atexit, sys; sys.argv = ['selfplay', 'validate', {str(config)!r}]\n"
        "atexit.register(lambda: print(*({'torch', 'transformers', 'wandb', 'sympy'} & set(sys.modules)), file=sys.stderr))\n"
        "from selfplay.cli import main; main()"
    )
    spent = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
        if spent[-1] < 1.0:
            break
    assert done.returncode == 0 and done.stderr.strip() == "", done.stderr
    assert min(spent) < 1.0, f"CPU seconds: {spent}"


@pytest.mark.parametrize("own", [7, "abc", ["a"], [{"type": "math"}], {"a": 1}, None])
def test_key_of_a_users_function_may_have_the_name_of_a_combinations_key(tmp_path: Path, own: Any) -> None:
    (tmp_path / "checks.py").write_text(CHECKS, encoding="utf-8")
    check = {"type": "python:checks:grade", "of": own}
    validate_command(folder_of(tmp_path, *(task(f"t{n}", check) for n in range(3))), ())
    assert leaves(check) == [check]


def test_warmup_without_any_reference_is_told_with_its_line(tmp_path: Path) -> None:
    rows = [{key: value for key, value in task(f"t{n}").items() if key != "reference"} for n in range(3)]
    fault, _ = faults_of(folder_of(tmp_path, *rows))
    assert fault.startswith("config.yaml:4:") and "no training task has a reference" in fault


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"verifier": "math"}, 'verifier is \'math\', must be an object; write {"type": "math", "answer": ...}'),
        ({"question": "q"}, "split, answer; for other names set tasks.fields"),
        ({"anser": "4"}, "did you mean answer?"),
    ],
)
def test_line_that_is_no_task_says_what_to_write(tmp_path: Path, row: dict[str, Any], says: str) -> None:
    fault, _ = faults_of(folder_of(tmp_path, task("a"), task("b") | row))
    assert fault.startswith("tasks.jsonl:2:") and says in fault
