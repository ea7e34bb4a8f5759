"""The script that measures a GPU: nothing that it found is lost, and its parts run where there is no GPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.gpu_check import Session
from tests.support import ROOT


def session(tmp_path: Path, seconds: float) -> Session:
    return Session("cpu", True, seconds, tmp_path / "results" / "gpu.json", tmp_path)


def test_a_part_that_fails_says_why_and_loses_no_other(tmp_path):
    def broken(_):
        raise ValueError("no such kernel")

    measured = session(tmp_path, 100)
    measured.part("first", 1, lambda _: {"tokens": 3})
    measured.part("second", 1, broken)
    written = json.loads(measured.out.read_text())
    assert written["first"]["tokens"] == 3
    assert written["second"]["error"] == "ValueError: no such kernel"


def test_a_part_that_would_not_fit_is_left_out_with_a_word(tmp_path):
    measured = session(tmp_path, 5)
    measured.part("long", 60, lambda _: {"tokens": 3})
    assert json.loads(measured.out.read_text())["long"] == {"left_out": "it needs about 60 s, and 5 s were left"}


@pytest.mark.prove
def test_all_parts_run_on_a_cpu(tmp_path):
    out = tmp_path / "gpu.json"
    command = [
        sys.executable,
        str(ROOT / "benchmarks" / "gpu_check.py"),
        "--tiny",
        "--out",
        str(out),
        "--wheels",
        str(tmp_path),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600, check=False)
    found = json.loads(out.read_text())
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert list(found) == ["machine", "same_text", "same_loss", "quickstart_round", "tiny", "sandbox"]
    assert found["same_text"]["equal"] == found["same_text"]["of"] == 24
    assert len(found["same_loss"]["cpu"]) == 3
    assert found["sandbox"]["passed"] == found["sandbox"]["of"] == 40
