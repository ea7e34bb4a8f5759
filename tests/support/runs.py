"""Runs of a small configuration in processes of their own, on one rank or several, and what must be the same of them."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from selfplay.store import sha256_of
from tests.support import ROOT

CONFIG = """\
# the scripted student: the whole loop and its store, without torch
rounds: 2
tasks: {source: arithmetic, anchor: 20, held_out: 12}
student: {kind: scripted}
propose: {tasks_per_round: 24, curriculum: {start: 1, end: 4, advance_at: 0.2, next_share: 0.4}}
generate: {samples_per_task: 3, samples_mastered: 2, chunk_tasks: 8}
curate: {across_rounds: true}
train: {epochs: 1, start: continue}
eval: {sample_tasks: 8, samples: 4, chunk_tasks: 12}
tracking: {mode: disabled}
name: a
"""
DRIVER = Path(__file__).with_name("driver.py")
WORKER = Path(__file__).with_name("train_worker.py")


def play(folder: Path, kill: str = "never", *overrides: str, text: str = CONFIG) -> subprocess.CompletedProcess[str]:
    """One start of the run in its own process."""
    (folder / "c.yaml").write_text(text)
    command = [sys.executable, str(DRIVER), str(folder / "c.yaml"), str(folder / "runs"), kill, *overrides]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env)


def end_state(folder: Path, name: str = "a") -> dict[str, Any]:
    """`end_state_of` the run of this name that `play` made in the folder."""
    return end_state_of(folder / "runs" / name)


def end_state_of(run: Path) -> dict[str, Any]:
    """What must not depend on how often the run died: metrics without time and cost, selection, rows, weights."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    state: dict[str, Any] = {
        "metrics": [{k: v for k, v in row.items() if not re.match("(time|cost)/", k)} for row in rows]
    }
    for number in range(len(rows)):
        for part in ("traces.parquet", "train.parquet", "model", "curate/archive.jsonl"):
            path = run / "rounds" / f"{number:03d}" / part
            state[f"{number}/{part}"] = sha256_of(path) if path.exists() else None
    return state


def spread(total: int, count: int) -> list[int]:
    """So many numbers of 1 to `total`, evenly spread, both ends included."""
    return sorted({1 + i * (total - 1) // (count - 1) for i in range(count)})


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def launch(
    folder: Path, ranks: int, script: list[str], *arguments: str, file: str = "accelerate_config.yaml"
) -> subprocess.CompletedProcess[str]:
    """`accelerate launch` of a script with a shipped file on CPU ranks."""
    command = [
        sys.executable,
        "-m",
        "accelerate.commands.launch",
        "--config_file",
        str(ROOT / file),
    ]
    command += ["--num_processes", str(ranks), "--main_process_port", str(free_port()), *script, *arguments]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env, cwd=folder)


def play_on_ranks(folder: Path, ranks: int, kill: str, *overrides: str) -> subprocess.CompletedProcess[str]:
    """As `play`, on so many ranks."""
    (folder / "c.yaml").write_text(CONFIG)
    return launch(folder, ranks, [str(DRIVER)], str(folder / "c.yaml"), str(folder / "runs"), kill, *overrides)


def train_on_ranks(
    start: Path, out: Path, ranks: int, harm: dict[str, Any], *, fsdp2: bool = False, **settings: Any
) -> subprocess.CompletedProcess[str]:
    """The training run of `train_worker.py` under the launcher; `harm` is what is done to it."""
    told = [str(start), str(out), json.dumps(settings), json.dumps(harm)]
    file = "accelerate_fsdp2.yaml" if fsdp2 else "accelerate_config.yaml"
    return launch(start, ranks, [str(WORKER)], *told, file=file)
