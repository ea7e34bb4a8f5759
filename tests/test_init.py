"""`selfplay init`: folders that run as they stand, the starts that ship with the package, and what it refuses."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from selfplay import load_config, open_run
from selfplay.cli.app import app
from selfplay.cli.init import STARTS, init_command
from selfplay.config.load import load_tree
from selfplay.config.synthesis import DatasetSynthesis
from selfplay.errors import ConfigError
from tests.support import ROOT
from tests.support.runs import launch

NAMES = sorted(path.parent.name for path in STARTS.glob("*/config.yaml"))
SCRIPTED = ["rounds=1", "student={kind: scripted, skill: 0.9}", "generate.samples_per_task=2", "eval.samples=0"]
"""In place of the tiny student one without torch, which can add."""


def said(*arguments: str) -> None:
    """Runs the command line in this process."""
    app(list(arguments), standalone_mode=False)


@pytest.mark.parametrize("start", NAMES)
def test_every_start_gives_a_folder_with_a_sound_configuration_of_its_name(tmp_path: Path, start: str) -> None:
    folder = tmp_path / "mine"
    os.environ.setdefault("SELFPLAY_DATA", str(tmp_path))
    init_command(folder, start)
    path = folder / "config.yaml"
    if start == "synthesize_data":
        load_tree(path, [], DatasetSynthesis)
    else:
        assert load_config(path).config.name == "mine"
    assert {"config.yaml", "README.md", "accelerate_config.yaml", "accelerate_fsdp2.yaml"} <= {
        one.name for one in folder.iterdir()
    }
    page = (folder / "README.md").read_text()
    assert page.startswith("# mine\n") and "NAME" not in page
    assert "configs/" not in path.read_text(), "who installed the wheel has no checkout"


def test_configurations_of_the_repository_are_links_to_the_starts() -> None:
    links = {path.resolve() for path in ROOT.glob("configs/*.yaml")}
    assert links == set(STARTS.glob("*/*.yaml")) and {STARTS / name / "config.yaml" for name in NAMES} <= links
    for name in ("accelerate_config.yaml", "accelerate_fsdp2.yaml"):
        assert (ROOT / name).resolve() == STARTS / name


def test_own_start_has_tasks_of_three_kinds_that_hold_to_their_verifiers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    said("init", "mine")
    assert capsys.readouterr().out.endswith("next: cd mine && selfplay run\n")
    tasks = [json.loads(line) for line in Path("mine/tasks.jsonl").read_text().splitlines()]
    assert {task["verifier"]["type"] for task in tasks} == {"math", "code_tests", "python:checks:even_between"}
    assert 24 <= len(tasks) <= 120 and sum("reference" in task for task in tasks) >= 40
    monkeypatch.chdir(tmp_path / "mine")
    said("check", "verify.sandbox.workers=1")
    assert "all are sound" in capsys.readouterr().out


def test_own_start_runs_from_its_folder_with_no_other_argument_than_overrides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said("init", "mine")
    monkeypatch.chdir(tmp_path / "mine")
    said("run", *SCRIPTED, "verify.sandbox.workers=1")
    run = open_run(tmp_path / "mine/runs/mine")
    named = {verdict["verifier"].partition("/")[0] for trace in run.traces(1) for verdict in trace["verdicts"]}
    assert {"math", "code_tests", "python:checks:even_between"} <= named
    assert run.metrics()[1]["data/passed"] > 30 and not run.metrics()[1].get("data/outcome_error")


@pytest.mark.prove
def test_own_start_runs_on_two_ranks_which_both_find_its_verifier(tmp_path: Path) -> None:
    init_command(tmp_path / "mine", "own")
    done = launch(
        tmp_path / "mine", 2, ["-m", "selfplay"], "run", *SCRIPTED, "launch.ranks=2", "generate.chunk_tasks=4"
    )
    assert done.returncode == 0, done.stderr
    assert not open_run(tmp_path / "mine/runs/mine").metrics()[1].get("data/outcome_error")


@pytest.mark.prove
def test_own_start_gets_better_as_it_stands(tmp_path: Path) -> None:
    init_command(tmp_path / "mine", "own")
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "selfplay", "run"], cwd=tmp_path / "mine", env=env, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = open_run(tmp_path / "mine/runs/mine").metrics()
    assert rows[-1]["data/accept_rate"] > 0.1 and rows[-1]["data/passed"] > rows[1]["data/passed"]


@pytest.mark.parametrize(
    ("name", "start", "says"),
    [
        ("full", "own", r"full: is not empty \(a, b, c and 1 more\); give a new name, nothing was written"),
        ("full/a", "own", r"full/a: is no folder to write to \(Not a directory\); give another name"),
        ("new", "gms8k", r"--from: is 'gms8k', but there is no such start; did you mean gsm8k\? known: .*quickstart"),
        ("new", "../own", r"--from: is '\.\./own', but there is no such start"),
    ],
)
def test_init_refuses_in_a_sentence_and_writes_nothing(tmp_path: Path, name: str, start: str, says: str) -> None:
    (tmp_path / "full").mkdir()
    for file in "abcd":
        (tmp_path / "full" / file).write_text("x")
    with pytest.raises(ConfigError, match=says):
        init_command(tmp_path / name, start)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "b", "c", "d", "full"]


@pytest.mark.parametrize(
    ("folder", "name"), [("7", "7"), ("no", "no"), ("my tasks!", "my-tasks-"), ("..x", "x"), ("Größe", "Größe")]
)
def test_folder_of_any_name_names_a_run(tmp_path: Path, folder: str, name: str) -> None:
    init_command(tmp_path / folder, "own")
    assert load_config(tmp_path / folder / "config.yaml").config.name == name


def test_empty_folder_is_filled_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said("init", "--from", "judge")
    assert load_config("config.yaml").config.name == tmp_path.name and Path("reasoning_tasks.jsonl").is_file()


def test_override_with_slashes_may_stand_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said("init", "--from", "judge")
    said("validate", "judge.backend.url=http://127.0.0.1:9/v1")
    with pytest.raises(ConfigError, match=r"command line: judge\.backend\.urls is 'x'"):
        said("validate", "judge.backend.urls=x")
