"""The command line over a finished run of the scripted student: exit codes, what is printed, what is refused and why."""

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from selfplay import fork, load_config, open_run
from selfplay import run as start
from selfplay.cli.app import app
from selfplay.cli.check import check_command
from selfplay.cli.compare import compare_command
from selfplay.cli.export import Wanted, export_command
from selfplay.cli.results import report_command, status_command, traces_command
from selfplay.cli.validate import validate_command
from selfplay.errors import ConfigError, DataError, StoreError
from selfplay.publish import Names
from selfplay.records import Attempt, Decision, Message, Outcome, Task, Trace, Verdict
from selfplay.store import Lease, RunFolder, sha256_of
from selfplay.store.traces import write_traces
from tests.support import ROOT
from tests.support.runs import CONFIG, end_state

HOSTILE = "A: 1\x1b[2J\x1b]0;owned\x07\u202e\u2028<script>"


def begin(folder: Path, *overrides: str) -> Any:
    return start(load_config(folder / "c.yaml", [f"runs_dir={folder / 'runs'}", *overrides]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a config and its finished run `runs/a`."""
    folder = tmp_path_factory.mktemp("commands")
    (folder / "c.yaml").write_text(CONFIG + "keep: {last: 9}\n")
    begin(folder)
    return folder


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    return Path(shutil.copytree(folder, tmp_path / "copied"))


def command(*words: object) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    line = [sys.executable, "-m", "selfplay", *map(str, words)]
    return subprocess.run(line, capture_output=True, text=True, check=False, env=env)


# ---- run ----


def test_a_run_may_be_called_by_a_number(folder: Path, tmp_path: Path) -> None:
    done = command("run", folder / "c.yaml", "rounds=0", "--name", "7", "--runs-dir", tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "7" / "rounds" / "000" / "COMMIT").is_file()


def test_finished_run_ends_with_0_and_names_its_report(folder: Path) -> None:
    done = command("run", folder / "c.yaml", "--runs-dir", folder / "runs")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].split()[:3] == ["round", "dev", "gain"]
    assert f"report       {folder / 'runs/a/report.html'}" in done.stdout.splitlines()
    assert (folder / "runs/a/report.html").is_file()


def test_run_under_another_science_ends_with_2_and_the_changed_keys(folder: Path) -> None:
    before = end_state(folder)
    done = command(
        "run", folder / "c.yaml", f"runs_dir={folder / 'runs'}", "seed=9", "generate.samples_per_task=5", "rounds=9"
    )
    assert done.returncode == 2
    assert "started with another config (generate.samples_per_task 3 -> 5; seed 0 -> 9)" in done.stderr
    assert "new --name" in done.stderr and "Traceback" not in done.stderr
    assert f"selfplay fork {folder / 'runs/a'} 2 generate.samples_per_task=5 seed=9" in done.stderr
    assert end_state(folder) == before


def test_missing_config_and_unknown_key_end_with_2(folder: Path, tmp_path: Path) -> None:
    assert command("run", tmp_path / "none.yaml").returncode == 2
    done = command("run", folder / "c.yaml", f"runs_dir={tmp_path}", "curate.capp=3")
    assert done.returncode == 2 and "curate.capp" in done.stderr and "cap" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_second_process_on_the_same_run_is_refused_and_touches_nothing(folder: Path) -> None:
    before = end_state(folder)
    with Lease(folder / "runs/a"), pytest.raises(StoreError, match=f"is in use by process {os.getpid()} on .*--name"):
        begin(folder, "rounds=3")
    assert end_state(folder) == before


def test_raising_the_rounds_goes_on_and_leaving_out_the_test_set_changes_no_decision(copied: Path) -> None:
    """Rounds are operation; `eval.test` is science, but only of what is reported."""
    assert len(begin(copied, "rounds=3").commits) == 4
    begin(copied, "eval.test=false", "name=blind")
    seen, blind = end_state(copied), end_state(copied, "blind")
    blind_rows, seen_rows = blind.pop("metrics"), seen.pop("metrics")[:3]
    assert blind.items() <= seen.items()
    assert blind_rows == [{k: v for k, v in row.items() if not k.startswith("test")} for row in seen_rows]
    assert any(k.startswith("test") for k in seen_rows[0])
    rulings = [
        [(c.action, c.next_parent, c.state) for c in open_run(copied / "runs" / n).rounds[:3]] for n in ("a", "blind")
    ]
    assert rulings[0] == rulings[1]


# ---- help, validate, check ----


def test_help_is_quick_and_loads_nothing_heavy() -> None:
    """Under 0.5 s of CPU; the best of three, for machines that do other work beside it."""
    heavy = "{'torch', 'transformers', 'pyarrow', 'numpy', 'pydantic', 'wandb'}"
    code = (
        "import atexit, sys; sys.argv = ['selfplay', '--help']\n"
        f"atexit.register(lambda: print(*({heavy} & set(sys.modules)), file=sys.stderr))\n"
        "from selfplay.cli import main; main()"
    )
    spent = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
        if spent[-1] < 0.5:
            break
    assert done.returncode == 0 and done.stderr.strip() == ""
    words = ("run", "validate", "check", "report", "compare", "status", "traces", "collapse", "doctor", "export")
    assert all(word in done.stdout for word in words)
    assert min(spent) < 0.5, f"CPU seconds: {spent}"


def test_help_has_a_whole_line_for_each_command_at_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    said = CliRunner().invoke(app, ["--help"]).output
    lines = said.partition("Commands:\n")[2].splitlines()
    commands = get_command(app).commands  # type: ignore[attr-defined]
    assert [line.split()[0] for line in lines] == list(commands), "one line each"
    for line, command in zip(lines, commands.values(), strict=True):
        assert line.endswith(".") and line.split(maxsplit=1)[1] in " ".join((command.help or "").split()), line
    assert max(map(len, lines)) <= 80


def test_validate_says_that_a_file_is_sound(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    validate_command(folder / "c.yaml", [])
    assert capsys.readouterr().out == f"{folder / 'c.yaml'}: valid (arithmetic, scripted student, 2 rounds)\n"


def test_check_passes_where_gold_passes_and_near_misses_fail(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check_command(folder / "c.yaml", [], as_json=False) == 0
    assert "all are sound" in capsys.readouterr().out
    assert check_command(folder / "c.yaml", [], as_json=True) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["bad"] == [] and found["gold"] == 20 and found["near_misses"] == 2 * found["tasks"]


def test_check_names_the_task_whose_test_cannot_tell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def line(name: str, source: str, **more: str) -> str:
        check = {"type": "code_tests", "entry_point": "f", "source": source}
        task = {"id": name, "prompt": "Add one.\n", "verifier": check, "reference": "def f(x):\n    return x + 1\n"}
        return json.dumps(task | more) + "\n"

    lines = [line(f"good{n}", f"assert f({n}) == {n + 1}") for n in range(3)]
    lines += [line("weak", "assert isinstance(f(1), int)"), line("wrong", "assert f(1) == 7")]
    (tmp_path / "t.jsonl").write_text("".join(lines))
    (tmp_path / "c.yaml").write_text(
        "tasks: {source: jsonl, train: t.jsonl}\nstudent: {kind: tiny}\ntrain: {epochs: 1, start: continue}\n"
        "verify: {sandbox: {require_tier: best, workers: 1}}\n"
    )
    assert check_command(tmp_path / "c.yaml", [], as_json=False) == 1
    said = capsys.readouterr()
    assert (
        "task 'weak': near miss 1 is judged pass, so it is no canary, and the tests cannot tell it from a right reply: "
        in said.err
    )
    assert "'wrong': the gold answer is judged fail; correct the reference or the tests" in said.err
    assert "good" not in said.err and "2 tasks are not sound" in said.out


# ---- status, traces, report, compare, export ----


def test_status_tells_a_run_at_rest(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status_command(folder / "runs/a", as_json=True)
    status = json.loads(capsys.readouterr().out)
    assert (status["state"], status["committed"], status["phases_done"]) == ("finished", 3, [])
    status_command(folder / "runs/a", as_json=False)
    assert f"{folder / 'runs/a'}: finished" in capsys.readouterr().out


def test_status_export_and_report_name_the_same_best_round_after_a_roll_back(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The round with the highest accuracy was rolled back: the student had narrowed. The gate of each round names the best."""
    run = copied / "runs/a"
    rows = [(0.2, "continue", 0), (0.9, "roll_back", 0), (0.4, "continue", 2)]
    for number, (score, action, best) in enumerate(rows):
        place = run / f"rounds/{number:03d}/COMMIT"
        commit = json.loads(place.read_text())
        commit["action"] = action
        commit["metrics"] |= {"eval/greedy_accuracy": score, "eval/best_round": best}
        place.write_text(json.dumps(commit))
    RunFolder(run).rebuild_metrics()
    status_command(run, as_json=True)
    assert json.loads(capsys.readouterr().out)["best"] == open_run(run).round_named("best") == 2
    report_command(run)
    assert json.loads((run / "report.json").read_text())["headline"]["best_round"] == 2
    compare_command([run], copied / "c.html")
    assert "Best on the dev set: round 2" in (copied / "c.html").read_text()


def test_status_says_that_training_is_in_progress(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    last = copied / "runs/a/rounds/002"
    for name in ("COMMIT", "train/DONE"):
        (last / name).unlink()
    for name in ("evaluate", "gate"):
        shutil.rmtree(last / name, ignore_errors=True)
    status_command(copied / "runs/a", as_json=False)
    assert "curate done; train: in progress" in capsys.readouterr().out


def test_status_tells_the_round_in_hand(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    last = copied / "runs/a/rounds/002"
    (last / "COMMIT").unlink()
    (last / "evaluate/DONE").unlink()
    (copied / "runs/a/lease.json").write_text("{}")
    status_command(copied / "runs/a", as_json=False)
    said = capsys.readouterr().out
    assert "killed" in said and "round 2 in progress: propose, generate, verify," in said
    assert f"evaluate: {len(list(last.glob('evaluate/chunk-*')))} chunks done" in said


def shown(capsys: pytest.CaptureFixture[str], run: Path, limit: int = 9999, **wanted: str) -> list[dict[str, Any]]:
    number, task = int(wanted.pop("round", "1")), wanted.pop("task", None)
    traces_command(run, number, wanted, task, limit, as_json=True)
    return [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]


def test_traces_are_filtered_by_outcome_decision_reason_and_task(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = folder / "runs/a"
    every = shown(capsys, run)
    assert len(every) == open_run(run).metrics()[1]["data/sampled"]
    for key, value in (
        ("outcome", "pass"),
        ("decision", "accepted"),
        ("reason", "failed"),
        ("task_id", every[0]["task_id"]),
    ):
        part = shown(capsys, run, **{"task" if key == "task_id" else key: value})
        assert part == [row for row in every if row[key] == value] and 0 < len(part) < len(every)
    assert len(shown(capsys, run, limit=3)) == 3
    traces_command(run, 1, {"outcome": "error"}, None, 10, as_json=False)
    assert capsys.readouterr().out == "no trace of round 1 matches\n"


def test_trace_shows_who_said_what_under_a_line_of_its_own_and_says_nothing_twice(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chat = (Message(role="system", content="Be brief."), Message(role="user", content="1 + 1"))
    chat += (Message(role="assistant", content="2"), Message(role="user", content="2 + 2\nuser:"))
    check = {"type": "math", "answer": "4"}
    kinds = [("pass", "accepted", "accepted"), ("fail", "dropped", "failed"), ("pass", "dropped", "over_cap")]
    traces = [
        Trace(
            task=Task(id="t", messages=chat, check=check) if n else Task(id="t", prompt="2 + 2", check=check),
            attempt=Attempt(task_id="t", attempt=n, round=1, text="4\n\nreally" if n else ""),
            verdicts=(
                Verdict(verifier="math/1", outcome=Outcome(outcome), reason="passed" if n else "no answer found"),
            ),
            outcome=Outcome(outcome),
            decision=Decision(decision=decision, reason=reason),  # type: ignore[arg-type]
        )
        for n, (outcome, decision, reason) in enumerate(kinds)
    ]
    write_traces(copied / "runs/a/rounds/001/traces.parquet", [traces])
    traces_command(copied / "runs/a", 1, {}, None, 10, as_json=False)
    first, second, third = capsys.readouterr().out.split("\n\n── ")
    assert first.splitlines() == [
        "── t attempt 0: pass, accepted ".ljust(80, "─"), "user:", "    2 + 2", "reply:", "    (nothing)", "math/1: pass: no answer found",
    ]  # fmt: skip
    assert second.splitlines()[0].startswith("t attempt 1: fail, dropped ──")
    assert second.splitlines()[1:] == [
        "system:", "    Be brief.", "user:", "    1 + 1", "assistant:", "    2", "user:", "    2 + 2", "    user:",
        "reply:", "    4", "", "    really", "math/1: fail",
    ]  # fmt: skip
    assert third.startswith("t attempt 2: pass, dropped (over_cap) ──")


def test_what_a_model_wrote_cannot_drive_the_terminal(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = Trace(
        task=Task(id="t\x1b[31m", prompt="p\x9b\n", check={"type": "math", "answer": "1"}),
        attempt=Attempt(task_id="t\x1b[31m", attempt=0, round=1, text=HOSTILE),
        verdicts=(Verdict(verifier="math/1", outcome=Outcome.FAIL, reason="r\x1b", evidence="e\r\x07"),),
        outcome=Outcome.FAIL,
        decision=Decision(decision="dropped", reason="failed"),
    )
    write_traces(copied / "runs/a/rounds/001/traces.parquet", [[trace]])
    traces_command(copied / "runs/a", 1, {}, None, 10, as_json=False)
    said = capsys.readouterr().out
    assert "A: 1?[2J" in said and "t?[31m attempt 0: fail, dropped ──" in said
    assert all(c == "\n" or c.isprintable() for c in said)


def test_report_and_compare_write_pages_and_print_where(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, page = copied / "runs/a", copied / "compare.html"
    (run / "report.html").unlink()
    report_command(run)
    assert capsys.readouterr().out.strip() == str(run / "report.html") and (run / "report.html").is_file()
    other = fork(run, 1, "b").path
    compare_command([run, other], page)
    said = capsys.readouterr().out
    assert said.splitlines()[-1] == str(page) and page.stat().st_size > 1000
    assert said.count(f"{open_run(run).metrics()[1]['eval/greedy_accuracy']:.3f}") >= 2
    with pytest.raises(DataError, match="a run was given twice"):
        compare_command([run, run], page)


def test_export_of_a_student_without_weights_is_refused_with_the_reason(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(
        StoreError, match=r"is a scripted student, which has no weights to export; run with student.kind"
    ):
        export_command(folder / "runs/a", "best", Wanted(tmp_path / "out"), Names(""))
    assert not (tmp_path / "out").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full/x").touch()
    with pytest.raises(DataError, match="full: is not empty; give --out a new or empty folder"):
        export_command(folder / "runs/a", "last", Wanted(tmp_path / "full"), Names(""))


def test_export_of_removed_weights_names_those_there_are(copied: Path, tmp_path: Path) -> None:
    shutil.rmtree(copied / "runs/a/rounds/001/model")
    with pytest.raises(DataError, match=r"the weights of round 1 were removed .*rounds with weights: \[0, 2\]"):
        export_command(copied / "runs/a", "1", Wanted(tmp_path / "out"), Names(""))


# ---- from Python ----


def test_open_run_gives_rounds_metrics_and_traces(folder: Path) -> None:
    run = open_run(folder / "runs/a")
    assert [c.round for c in run.rounds] == [row["round"] for row in run.metrics()] == [0, 1, 2]
    lines = (run.path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == run.metrics()
    assert list(run.traces()) == list(run.traces(2)) != list(run.traces(1)) and list(run.traces(0)) == []
    assert run.round_named("last") == 2 and run.round_named("1") == 1
    with pytest.raises(DataError, match=r"has no round '7'; give best, last or one of 0\.\.2"):
        run.round_named("7")
    with pytest.raises(DataError, match="round 7 has no traces"):
        next(run.traces(7))


def test_folder_that_is_no_run_is_told(tmp_path: Path) -> None:
    for read in (open_run, lambda path: fork(path, 0, "b"), lambda path: status_command(path, as_json=True)):
        with pytest.raises(DataError, match=r"is not a run folder .*give one such as runs/quickstart"):
            read(tmp_path)


def test_fork_under_the_same_config_ends_as_the_run_did(copied: Path) -> None:
    forked = fork(copied / "runs/a", 1, "b")
    assert [c.round for c in forked.rounds] == [0, 1] and forked.status()["committed"] == 2
    begin(copied, "name=b")
    assert end_state(copied, "b") == end_state(copied)
    with pytest.raises(ConfigError, match=r"another config .seed 0 -> 3."):
        begin(copied, "name=b", "seed=3")
    parent = forked.rounds[2].inputs["parent"]
    assert parent == sha256_of(copied / "runs/b/rounds/001/COMMIT")


def test_fork_is_refused_where_the_name_is_taken_or_the_weights_are_gone(copied: Path) -> None:
    with pytest.raises(DataError, match="runs/a: exists already; choose another name"):
        fork(copied / "runs/a", 1, "a")
    shutil.rmtree(copied / "runs/a/rounds/001/model")
    with pytest.raises(DataError, match=r"round 1 has no weights; rounds with weights: \[0, 2\]"):
        fork(copied / "runs/a", 1, "b")
    assert not (copied / "runs/b").exists()
