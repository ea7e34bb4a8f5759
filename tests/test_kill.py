"""SIGKILL anywhere costs at most the chunks in hand: the same command ends where an uninterrupted run ends, byte for byte."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support import ROOT
from tests.support.runs import CONFIG, end_state, play, spread


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], int, int]:
    """An uninterrupted run: its end state, and how many events and renames it had."""
    folder = tmp_path_factory.mktemp("straight")
    done = play(folder)
    assert done.returncode == 0, done.stderr
    _, events, _, renames = done.stdout.split()[-4:]
    return end_state(folder), int(events), int(renames)


def assert_resumed(folder: Path, kill: str, wanted: dict[str, Any]) -> None:
    killed = play(folder, kill)
    assert killed.returncode == -signal.SIGKILL, f"{kill}: {killed.stderr}"
    resumed = play(folder)
    assert resumed.returncode == 0, resumed.stderr
    assert end_state(folder) == wanted, kill


def test_killed_at_any_event_or_rename_the_run_ends_the_same(
    straight: tuple[dict[str, Any], int, int], tmp_path: Path
) -> None:
    """A sample of the matrix below, at points spread over the run."""
    wanted, events, renames = straight
    assert events > 40 and renames > 60
    for kill in [*(f"event:{n}" for n in spread(events, 5)), *(f"rename:{n}" for n in spread(renames, 5))]:
        folder = tmp_path / kill.replace(":", "-")
        folder.mkdir()
        assert_resumed(folder, kill, wanted)


@pytest.mark.prove
def test_killed_at_every_event_and_rename_the_run_ends_the_same(
    straight: tuple[dict[str, Any], int, int], tmp_path: Path
) -> None:
    wanted, events, renames = straight

    def one(kill: str) -> None:
        folder = tmp_path / kill.replace(":", "-")
        folder.mkdir()
        assert_resumed(folder, kill, wanted)

    kills = [*(f"event:{n}" for n in range(1, events + 1)), *(f"rename:{n}" for n in range(1, renames + 1))]
    with ThreadPoolExecutor(2) as pool:  # each in a folder and a process of its own; a failure is raised here
        assert sum(1 for _ in pool.map(one, kills)) == len(kills) > 100


def test_killed_again_and_again_the_run_ends_the_same(
    straight: tuple[dict[str, Any], int, int], tmp_path: Path
) -> None:
    wanted, _, _ = straight
    for _ in range(12):
        if play(tmp_path, "rename:9").returncode == 0:
            break
    assert play(tmp_path).returncode == 0
    assert end_state(tmp_path) == wanted
    assert len(list((tmp_path / "runs/a/logs").iterdir())) > 3, "each start keeps its own log"


def test_isolated_phases_end_the_same(straight: tuple[dict[str, Any], int, int], tmp_path: Path) -> None:
    assert play(tmp_path, "never", "phase_subprocess=true").returncode == 0
    assert end_state(tmp_path) == straight[0]


def test_broken_chunk_and_half_commit_are_made_again(straight: tuple[dict[str, Any], int, int], tmp_path: Path) -> None:
    assert play(tmp_path, "never", "rounds=1").returncode == 0
    last = tmp_path / "runs/a/rounds/001"
    (last / "COMMIT").unlink()
    (last / "verify" / "DONE").unlink()
    chunk = last / "verify" / "chunk-00001.jsonl"
    chunk.write_bytes(chunk.read_bytes()[:-30])
    (last / "curate" / "DONE").unlink()
    assert play(tmp_path).returncode == 0
    assert end_state(tmp_path) == straight[0]


def test_sigterm_finishes_the_chunk_and_the_same_command_goes_on(
    straight: tuple[dict[str, Any], int, int], tmp_path: Path
) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG)
    code = (
        "import os, signal, sys; sys.argv = ['selfplay', 'run', sys.argv[1], f'runs_dir={sys.argv[2]}']\n"
        "from selfplay.cli import main; import selfplay.cli.run as command; heard = command.RunDisplay.hear; seen = []\n"
        "class Watching(command.RunDisplay):\n"
        "    def hear(self, event, figures):\n"
        "        heard(self, event, figures)\n"
        "        seen.append(event)\n"
        "        if event == 'advance' and seen.count('advance') == 12: os.kill(os.getpid(), signal.SIGTERM)\n"
        "command.RunDisplay = Watching; main()"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "c.yaml"), str(tmp_path / "runs")],
        capture_output=True,
        text=True,
        check=False,
        env=env,
    )
    assert done.returncode == 130, done.stderr
    assert "run the same command to resume" in done.stderr
    assert not (tmp_path / "runs/a/lease.json").exists()
    assert play(tmp_path).returncode == 0
    assert end_state(tmp_path) == straight[0]
