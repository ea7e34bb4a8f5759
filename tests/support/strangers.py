"""A folder as a newcomer has it: own tasks, own model, own verifier, run by the command, with replies that are known."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import ROOT
from tests.support.tiny_models import make_tiny

CONFIG = """\
name: own
rounds: 1
tasks: {source: jsonl, train: tasks.jsonl}
student: {kind: pretrained, model: base, template: plain}
generate: {samples_per_task: 2, max_new_tokens: 8, backend: {kind: recorded, path: replies.jsonl}}
verify: {sandbox: {require_tier: best}}
train: {epochs: 1, batch_size: 4, learning_rate: 1e-4}
eval: {samples: 2, sample_tasks: 2}
launch: {device: cpu, threads: 1}
tracking: {mode: disabled}
"""


@dataclass(frozen=True)
class Ended:
    """How a run of the folder ended."""

    code: int
    said: str
    """What the command printed, both streams."""
    folder: Path

    def rows(self) -> list[dict[str, Any]]:
        """The rounds' metrics."""
        text = (self.folder / "runs/own/metrics.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]


def write_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """JSON Lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def folder_of(
    folder: Path, tasks: Sequence[Mapping[str, Any]], replies: Mapping[str, str], *, config: str = CONFIG
) -> Path:
    """Writes config, tasks and a model of random weights; each reply is played for both samples of its task."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(config, encoding="utf-8")
    write_lines(folder / "tasks.jsonl", tasks)
    told = [{"task_id": str(task["id"]), "text": replies.get(str(task["id"]), "no idea")} for task in tasks]
    write_lines(folder / "replies.jsonl", [one for one in told for _ in range(2)])
    make_tiny(folder / "base", max_position_embeddings=1024)
    return folder


def played(folder: Path, command: str = "run", *arguments: str) -> Ended:
    """`selfplay run config.yaml` (or another command), from another directory, as the installed command does it."""
    run = [sys.executable, "-c", "import sys; from selfplay.cli import main; sys.exit(main())"]
    where = folder.parent / "elsewhere"
    where.mkdir(exist_ok=True)
    told = [
        str(folder / "config.yaml"),
        *(["--runs-dir", str(folder / "runs")] if command == "run" else []),
        *arguments,
    ]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([*run, command, *told], capture_output=True, text=True, check=False, env=env, cwd=where)
    return Ended(done.returncode, done.stdout + done.stderr, folder)
