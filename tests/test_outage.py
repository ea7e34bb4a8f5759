"""An outage of a verifier is never a wrong answer: the phase stops, and after the repair the same command goes on."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from selfplay import load_config, open_run
from selfplay import run as start
from selfplay.errors import OutageError
from selfplay.store.traces import read_rows
from tests.support import ROOT
from tests.support.runs import CONFIG, end_state

CHECK = 'verify: {check: {type: all, of: [{type: "python:tests.support.verifiers_of_tests:up_while_the_flag_is_there", flag: FLAG}, {type: task}]}}\n'


def begin(folder: Path, *overrides: str) -> Any:
    (folder / "c.yaml").write_text(CONFIG + CHECK.replace("FLAG", str(folder / "up")))
    return start(load_config(folder / "c.yaml", [f"runs_dir={folder / 'runs'}", "rounds=1", *overrides]))


def test_outage_stops_the_phase_loses_nothing_and_the_same_command_goes_on(tmp_path: Path) -> None:
    with pytest.raises(
        OutageError, match=r"verify, chunk 0: .* failed through an outage .*service unreachable.*max_error_share = 0.05"
    ):
        begin(tmp_path)
    last = tmp_path / "runs/a/rounds/001"
    generated = [path.read_bytes() for path in sorted(last.glob("generate/chunk-*"))]
    assert generated and (last / "generate/DONE").is_file()
    assert not list(last.glob("verify/chunk-*")) and not (last / "COMMIT").exists()
    status = open_run(tmp_path / "runs/a").status()
    assert status["state"] == "not running" and "service unreachable" in status["reason"]
    (tmp_path / "up").touch()
    begin(tmp_path)
    assert [path.read_bytes() for path in sorted(last.glob("generate/chunk-*"))] == generated
    assert open_run(tmp_path / "runs/a").status()["reason"] == ""
    begin(tmp_path, "name=whole")
    assert end_state(tmp_path) == end_state(tmp_path, "whole"), "as if nothing had been out of order"


def test_command_ends_with_3_at_an_outage(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG + CHECK.replace("FLAG", str(tmp_path / "up")))
    command = [sys.executable, "-m", "selfplay", "run", str(tmp_path / "c.yaml"), f"runs_dir={tmp_path / 'runs'}"]
    env = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 3, done.stderr
    assert "fix this and rerun the same command; only this chunk is redone" in done.stderr
    assert "Traceback" not in done.stderr


def test_tolerated_errors_are_counted_apart_and_never_trained_on(tmp_path: Path) -> None:
    begin(tmp_path, "verify.max_error_share=1.0")
    run = open_run(tmp_path / "runs/a")
    row = run.metrics()[1]
    assert row["data/outcome_error"] > 0 and row["data/passed"] == 0 and row["data/accepted"] == 0
    assert row["data/dropped_error"] == row["data/outcome_error"]
    assert {r.kind for r in read_rows(run.folder.round(1) / "train.parquet")} == {"anchor"}
