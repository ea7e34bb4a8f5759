"""The exit code of each way in which a command ends, and that nothing a user did ends in a traceback."""

import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from selfplay import errors
from selfplay.cli import results
from selfplay.cli.app import start
from tests.support import ROOT
from tests.support.runs import CONFIG, free_port

JUDGE = """\
verify: {{check: {{type: judge}}}}
judge: {{rubric: x, backend: {{kind: http, url: 'http://127.0.0.1:{port}/v1', model: m, model_family: [other]}}}}
"""


def command(*words: object, limit: Callable[[], None] | None = None) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "selfplay", *map(str, words)]
    return subprocess.run(line, capture_output=True, text=True, check=False, cwd=ROOT, preexec_fn=limit)


def config_in(folder: Path, more: str = "") -> Path:
    (folder / "c.yaml").write_text(CONFIG + more)
    return folder / "c.yaml"


def documented() -> dict[int, str]:
    """The table of docs/loop.md."""
    page = (ROOT / "docs" / "loop.md").read_text(encoding="utf-8")
    table = page.partition("## Exit codes")[2].partition("\n## ")[0]
    rows = [line.split("|") for line in table.splitlines() if line.startswith("| ") and line[2].isdigit()]
    return {int(row[1]): row[2].strip() for row in rows}


def test_table_has_the_code_of_every_error_and_stands_in_one_place() -> None:
    kinds = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.SelfplayError)]
    assert set(documented()) == {0, *(kind.exit_code for kind in kinds)} == {0, 1, 2, 3, 4, 130}
    pages = [page for page in ROOT.glob("docs/**/*.md") if "| 130 |" in page.read_text(encoding="utf-8")]
    assert [page.name for page in pages] == ["loop.md"]


def test_0_where_all_rounds_are_done(tmp_path: Path) -> None:
    done = command("run", config_in(tmp_path), "rounds=0", "--runs-dir", tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("place", ["c.yaml", "/proc/nowhere"])
def test_1_where_the_folder_of_runs_cannot_be_written(tmp_path: Path, place: str) -> None:
    done = command("run", config_in(tmp_path), "--runs-dir", tmp_path / place)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert f"{tmp_path / place}/a" in done.stderr and "cannot be written" in done.stderr


@pytest.mark.parametrize("size", [0, 1_000, 6_000, 30_000])
def test_1_on_a_full_disk(tmp_path: Path, size: int) -> None:
    """A limit on the size of files stands for it: every larger write fails as on a full disk, at another place of the run."""
    done = command(
        "run",
        config_in(tmp_path),
        "--runs-dir",
        tmp_path,
        limit=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert "File too large" in done.stderr and "free disk space" in done.stderr
    assert command("run", tmp_path / "c.yaml", "rounds=0", "--runs-dir", tmp_path).returncode == 0


def test_2_where_the_configuration_is_wrong(tmp_path: Path) -> None:
    done = command("run", config_in(tmp_path), "roundz=3", "--runs-dir", tmp_path)
    assert done.returncode == 2 and "did you mean 'rounds'?" in done.stderr


def test_3_where_the_judge_is_down_before_a_round_is_run_in_vain(tmp_path: Path) -> None:
    port = free_port()
    done = command("run", config_in(tmp_path, JUDGE.format(port=port)), "--runs-dir", tmp_path)
    assert done.returncode == 3 and "Traceback" not in done.stderr, done.stderr
    assert f"judge.backend: http://127.0.0.1:{port}/v1 does not answer" in done.stderr
    assert "run the same command" in done.stderr and not (tmp_path / "a/rounds").exists()


def test_4_where_the_gate_stops_and_says_what_was_gained(tmp_path: Path) -> None:
    text = "gate.plateau_rounds=1", "student.skill=1.0"
    for first in (True, False):
        done = command("run", config_in(tmp_path), *text, "--runs-dir", tmp_path)
        assert done.returncode == 4 and "plateau: no round was significantly better" in done.stderr, done.stderr
        assert ("0 -> " in done.stderr or "in round 0; no later round is clearly better" in done.stderr) == first


def test_130_where_it_is_interrupted_and_the_same_command_goes_on(tmp_path: Path) -> None:
    line = [
        sys.executable,
        "-m",
        "selfplay",
        "run",
        str(config_in(tmp_path)),
        "rounds=500",
        "--runs-dir",
        str(tmp_path),
    ]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    while process.poll() is None and not (tmp_path / "a/rounds/000/COMMIT").is_file():
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130 and "run the same command to resume" in said and "Traceback" not in said
    assert command("run", tmp_path / "c.yaml", "rounds=1", "--runs-dir", tmp_path).returncode == 0


def test_file_trouble_is_a_sentence_and_its_traceback_is_kept_for_debug(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "report.html")

    monkeypatch.setattr(results, "report_command", full)
    monkeypatch.setattr(sys, "argv", ["selfplay", "report", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        start()
    assert ended.value.code == 1
    assert capsys.readouterr().err == "selfplay: report.html: No space left on device; free disk space\n"
    monkeypatch.setattr(sys, "argv", ["selfplay", "report", str(tmp_path), "--debug"])
    with pytest.raises(OSError, match="No space left"):
        start()
