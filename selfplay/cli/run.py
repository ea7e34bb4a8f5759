"""`selfplay run`: shows progress, a line per round, and the path of the report."""

import os
from pathlib import Path

from selfplay.cli.terminal import Display, round_line
from selfplay.config import load_config
from selfplay.loop.session import start
from selfplay.store import Commit, RunFolder


def run_command(config: Path, overrides: list[str]) -> None:
    """Starts or resumes a run; only rank 0 prints."""
    loaded = load_config(config, overrides)
    if int(os.environ.get("RANK", "0")) != 0:
        start(loaded)
        return
    shown: list[int] = []
    with Display() as display:

        def on_commit(folder: RunFolder, commit: Commit) -> None:
            display.line(round_line(commit.row(), header=not shown))
            shown.append(commit.round)

        finished = start(loaded, listener=display.hear, on_commit=on_commit)
    if not shown:
        for commit in finished.commits:
            print(round_line(commit.row(), header=commit.round == 0))
    best = finished.commits[finished.best]
    print(f"best round on the dev set: {best.round}")
    print(f"report: {finished.path / 'report.html'}")
