"""Names of runs, their list, and forks: what a run is called, what gives way, what continues an old run under other settings."""

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from selfplay import fork, load_config, open_run
from selfplay import run as start
from selfplay.cli.results import report_command, traces_command
from selfplay.cli.run import summary
from selfplay.cli.runs import fork_command, runs_command
from selfplay.config.load import plain_override, run_name
from selfplay.errors import ConfigError, DataError
from selfplay.store import Lease, read_json, sha256_of
from tests.support import ROOT
from tests.support.runs import CONFIG, end_state_of

NAMELESS = CONFIG.replace("name: a\n", "keep: {last: 9}\n")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `mine.yaml` and its finished run `runs/mine`."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "mine.yaml").write_text(NAMELESS)
    start(load_config(folder / "mine.yaml", [f"runs_dir={folder / 'runs'}"]))
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed; its run was started with the configuration of the copy."""
    copy = Path(shutil.copytree(made, tmp_path / "copy"))
    place = copy / "runs/mine/start.json"
    place.write_text(json.dumps({"config": str(copy / "mine.yaml"), "overrides": [f"runs_dir={copy / 'runs'}"]}))
    return copy


# ---- names ----


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("configs/gsm8k.yaml", "gsm8k"),
        ("my run (2).yml", "my-run--2-"),
        (".hidden.yaml", "hidden"),
        ("é.yaml", "é"),
        ("...", "run"),
        ("x" * 200 + ".yaml", "x" * 100),
    ],
)
def test_run_is_named_after_the_file_of_its_configuration(file: str, name: str) -> None:
    assert run_name(file) == name


def test_name_of_the_file_gives_way_to_a_name_that_is_given(made: Path, tmp_path: Path) -> None:
    assert load_config(made / "mine.yaml").config.name == "mine"
    assert load_config(made / "mine.yaml", ["name=other"]).config.name == "other"
    (tmp_path / "c.yaml").write_text(CONFIG)
    assert load_config(tmp_path / "c.yaml").config.name == "a"
    assert (made / "runs/mine/rounds/002/COMMIT").is_file()


def test_empty_run_gives_way_to_another_configuration_and_says_so(folder: Path) -> None:
    shutil.rmtree(folder / "runs/mine/rounds")
    told: list[str] = []
    start(
        load_config(folder / "mine.yaml", [f"runs_dir={folder / 'runs'}", "seed=9", "rounds=0"]),
        listener=lambda event, figures: told.append(figures["text"]) if event == "note" else None,
    )
    said = f"{folder / 'runs/mine'}: started anew with another config (seed 0 -> 9), since no round was committed"
    assert said in told and read_json(folder / "runs/mine/fingerprint.json")["science"]["seed"] == 9


# ---- the list ----


def listed(capsys: pytest.CaptureFixture[str], place: Path) -> dict[str, dict[str, object]]:
    capsys.readouterr()
    runs_command(place, as_json=True)
    return {row["name"]: row for row in json.loads(capsys.readouterr().out)}


def test_runs_are_listed_with_rounds_accuracy_alarm_and_state(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs, metrics = folder / "runs", open_run(folder / "runs/mine").metrics()
    fork(runs / "mine", 1, "forked")
    shutil.copytree(runs / "mine", runs / "old")
    (runs / "old/fingerprint.json").write_text('{"schema_version": 99}')
    shutil.copytree(runs / "mine", runs / "killed")
    (runs / "killed/rounds/002/COMMIT").unlink()
    (runs / "killed/lease.json").write_text("{}")
    (runs / "no-run").mkdir()
    rows = listed(capsys, runs)
    assert {name: row["state"] for name, row in rows.items()} == {
        "mine": "finished",
        "forked": "not running",
        "old": "unreadable",
        "killed": "killed",
    }
    mine = rows["mine"]
    assert (mine["done"], mine["planned"], mine["alarm"]) == (2, 2, metrics[-1]["collapse_alarm/level"])
    assert (mine["from"], mine["to"]) == tuple(metrics[n]["eval/greedy_accuracy"] for n in (0, 2))
    with Lease(runs / "mine"):
        assert listed(capsys, runs)["mine"]["state"] == "running"
    runs_command(runs, as_json=False)
    said = capsys.readouterr().out
    assert "2/2" in said and "finished" in said and max(map(len, said.splitlines())) <= 80
    with pytest.raises(ConfigError, match="no such folder; give the folder of all runs"):
        runs_command(folder / "none", as_json=False)


# ---- forks ----


def command_of(said: str) -> list[str]:
    """The command that a message shows on its last line."""
    return shlex.split(said.strip().splitlines()[-1])


def test_refused_change_names_a_fork_which_names_the_command_that_continues_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [f"runs_dir={folder / 'runs'}", "rounds=3"]
    changed = ["generate.temperature=0.5", "curate.dedup=[exact]", "curate.max_per_task=null"]
    with pytest.raises(ConfigError) as refused:
        start(load_config(folder / "mine.yaml", [*given, *changed]))
    command = command_of(str(refused.value))
    assert command[:4] == ["selfplay", "fork", str(folder / "runs/mine"), "2"]
    assert set(command[4:]) == {'curate.dedup=["exact"]', "curate.max_per_task=null", "generate.temperature=0.5"}
    fork_command(Path(command[2]), command[3], [*command[4:], "rounds=3"], None)
    command = command_of(capsys.readouterr().out)
    assert command[:2] == ["selfplay", "run"] and "mine-r2" in command
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    new = open_run(folder / "runs/mine-r2")
    assert [c.round for c in new.rounds] == [0, 1, 2, 3] and new.state() == "finished"
    assert read_json(new.path / "fingerprint.json")["science"]["generate.temperature"] == 0.5


def test_lineage_of_a_fork_is_kept_through_its_first_start(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fork_command(folder / "runs/mine", "1", [], "again")
    command = command_of(capsys.readouterr().out)
    start(load_config(folder / "mine.yaml", [f"runs_dir={folder / 'runs'}", "name=again"]))
    lineage = read_json(folder / "runs/again/fingerprint.json")["forked_from"]
    assert (lineage["run"], lineage["round"]) == (str(folder / "runs/mine"), 1)
    assert lineage["commit"] == sha256_of(folder / "runs/mine/rounds/001/COMMIT")
    assert command[-4:] == ["--name", "again", "--runs-dir", str(folder / "runs")]
    assert end_state_of(folder / "runs/again") == end_state_of(folder / "runs/mine")


@pytest.mark.parametrize(
    ("which", "changes", "says"),
    [
        ("7", [], "has no round '7'"),
        ("-1", [], "has no round '-1'"),
        ("1", ["student.skill=0.9"], "student.skill .* cannot change in a fork"),
        ("1", ["eval.seed=7"], "eval.seed 1 -> 7 cannot change in a fork"),
        ("2", ["rounds=2"], "rounds is 2, and a fork of round 2 has 2 rounds already; give a number above 2"),
        ("1", ["roundz=7"], "did you mean 'rounds'"),
    ],
)
def test_fork_that_cannot_be_is_refused_and_leaves_nothing(
    folder: Path, which: str, changes: list[str], says: str
) -> None:
    before = sorted(folder.rglob("*"))
    with pytest.raises((ConfigError, DataError), match=says):
        fork_command(folder / "runs/mine", which, changes, None)
    assert sorted(folder.rglob("*")) == before


def test_first_start_of_a_fork_keeps_the_student(folder: Path) -> None:
    fork(folder / "runs/mine", 1, "b")
    with pytest.raises(ConfigError, match=r"student\.skill .* cannot change in a fork"):
        start(load_config(folder / "mine.yaml", [f"runs_dir={folder / 'runs'}", "name=b", "student.skill=0.9"]))


def test_names_of_forks_do_not_collide(folder: Path) -> None:
    for name in ("mine-r1", "mine-r1-2", "mine-r1-3"):
        fork_command(folder / "runs/mine", "1", [], None)
        assert (folder / "runs" / name / "fingerprint.json").is_file()


def test_changed_student_is_refused_without_a_fork_that_would_be_refused_too(folder: Path) -> None:
    with pytest.raises(ConfigError, match="start a new run with a new --name") as refused:
        start(load_config(folder / "mine.yaml", [f"runs_dir={folder / 'runs'}", "student.skill=0.9"]))
    assert "selfplay fork" not in str(refused.value)


# ---- traces ----


def unfinished(folder: Path) -> Path:
    """The run, killed in round 2 while it verified: one chunk of verdicts is missing."""
    last = folder / "runs/mine/rounds/002"
    for name in ("COMMIT", "traces.parquet", "verify/DONE"):
        (last / name).unlink()
    for name in ("correct", "audit", "curate", "train", "evaluate", "gate"):
        shutil.rmtree(last / name, ignore_errors=True)
    sorted(last.glob("verify/chunk-*"))[-1].unlink()
    return folder / "runs/mine"


def test_traces_of_the_round_in_hand_are_shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {(row["task_id"], row["attempt"]): row for row in open_run(folder / "runs/mine").traces(2)}
    run = unfinished(folder)
    traces_command(run, None, {}, None, 9999, as_json=True)
    said = capsys.readouterr()
    rows = [json.loads(line) for line in said.out.splitlines()]
    assert "round 2 is not finished" in said.err and len(rows) == len(before)
    judged = [row for row in rows if row["outcome"] is not None]
    assert 0 < len(judged) < len(rows) and all(row["decision"] is None for row in rows)
    for row in judged:
        old = before[row["task_id"], row["attempt"]]
        assert all(row[key] == old[key] for key in ("outcome", "text", "prompt", "verdicts"))
    traces_command(run, None, {"outcome": "pass"}, None, 1, as_json=False)
    assert "pass, not decided yet" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"outcome": "Pass"}, "--outcome is 'Pass'; use one of pass, fail, invalid, abstain, error"),
        ({"outcome": "passed"}, "--outcome is 'passed'; use one of pass, fail"),
        ({"decision": "kept"}, "--decision is 'kept'; use one of accepted, dropped"),
    ],
)
def test_word_that_no_attempt_can_have_lists_those_it_can(folder: Path, wanted: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        traces_command(folder / "runs/mine", 1, wanted, None, 10, as_json=False)


def test_reason_that_nobody_has_lists_those_there_are(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    traces_command(folder / "runs/mine", 1, {"reason": "fialed"}, None, 10, as_json=False)
    said = capsys.readouterr().out
    assert "no trace of round 1 matches" in said and "reasons in round 1: " in said and "failed (" in said


# ---- how many rounds: a plan ----


def again(folder: Path, *overrides: str) -> None:
    start(load_config(folder / "mine.yaml", [f"runs_dir={folder / 'runs'}", *overrides]))


def test_fewer_rounds_than_are_done_leave_the_run_as_it_is(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = end_state_of(folder / "runs/mine")
    again(folder, "rounds=1")
    run = open_run(folder / "runs/mine")
    assert end_state_of(run.path) == before and (len(run.rounds), run.planned, run.state()) == (3, 2, "finished")
    runs_command(folder / "runs", as_json=True)
    [row] = json.loads(capsys.readouterr().out)
    assert (row["done"], row["planned"]) == (2, 2)
    told = list(summary(load_config(folder / "mine.yaml", [f"runs_dir={folder / 'runs'}", "rounds=1"]), run.rounds))
    assert "2 of 2 rounds" in told[1] and told[2] == "rounds       is 1, and 2 are done: finished rounds stay"
    assert any(line.startswith("more rounds") and line.endswith(" rounds=4") for line in told)
    page = json.loads((folder / "runs/mine/report.json").read_text()) if report_command(run.path) is None else {}
    assert page["headline"]["stopped"] == "All 2 planned rounds are done."


@pytest.mark.parametrize(("which", "rounds"), [("0", 2), ("1", 2), ("2", 4), ("last", 4), ("best", 2)])
def test_any_committed_round_can_be_forked_whatever_the_last_start_planned(
    folder: Path, capsys: pytest.CaptureFixture[str], which: str, rounds: int
) -> None:
    again(folder, "rounds=1")
    fork_command(folder / "runs/mine", which, [], "b")
    said = capsys.readouterr().out
    number = open_run(folder / "runs/mine").round_named(which)
    planned = rounds if number < 2 else 4
    assert f"continues from its round {number} to round {planned}\n" in said
    command = shlex.split(said.splitlines()[-1])
    started = load_config(folder / "mine.yaml", [word for word in command[3:] if "=" in word])
    assert started.config.rounds == planned == open_run(folder / "runs/b").planned


@pytest.mark.parametrize(
    ("override", "plain"),
    [
        ('name="three"', "name=three"),
        ('runs_dir="/data/my runs"', "runs_dir=/data/my runs"),
        ('name="7"', 'name="7"'),
        ('name="no"', 'name="no"'),
        ('name="null"', 'name="null"'),
        ('stop="a # b"', 'stop="a # b"'),
        ('stop=" "', 'stop=" "'),
        ("rounds=3", "rounds=3"),
        ("generate.temperature=1.0", "generate.temperature=1.0"),
        ('generate.stop=["\\n"]', 'generate.stop=["\\n"]'),
        ("train.warmup=null", "train.warmup=null"),
        ("name=a: b: c", "name=a: b: c"),
    ],
)
def test_override_is_shown_without_quotes_that_it_does_not_need(override: str, plain: str) -> None:
    assert plain_override(override) == plain
