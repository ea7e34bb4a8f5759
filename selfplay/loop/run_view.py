"""Reads a run from Python: its rounds, metrics and traces. `fork` copies a run up to a round, to continue it differently."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfplay.config.metrics import BEST, best_round
from selfplay.errors import DataError
from selfplay.loop.gate import BACK
from selfplay.loop.run import PHASES, name_of
from selfplay.records import SCHEMA_VERSION
from selfplay.store import Commit, RunFolder, read_json, sha256_of, write_json
from selfplay.store.run import chain, check_version
from selfplay.store.traces import read_traces


@dataclass(frozen=True)
class OpenRun:
    """A run folder, opened for reading."""

    path: Path

    @property
    def folder(self) -> RunFolder:
        """The paths of the run."""
        return RunFolder(self.path)

    @property
    def rounds(self) -> list[Commit]:
        """The committed rounds, in order."""
        return self.folder.commits()

    def metrics(self) -> list[dict[str, Any]]:
        """One flat dict per round, as in metrics.jsonl."""
        return [commit.row() for commit in self.rounds]

    def traces(self, round: int | None = None) -> Iterator[dict[str, Any]]:
        """Every attempt of a round with its verdicts, outcome and decision; round 0 has none.

        `round`: None reads the last one. Raises DataError if the round does not exist or has no traces.
        """
        rounds = self.rounds
        number = round if round is not None else (rounds[-1].round if rounds else 0)
        path = self.folder.round(number) / "traces.parquet"
        if number and not path.is_file():
            raise DataError(f"{path}: round {number} has no traces; existing rounds: {[c.round for c in rounds]}")
        return read_traces(path) if path.is_file() else iter(())

    def round_named(self, which: str) -> int:
        """The round number for `best`, `last` or a number. Raises DataError if there is no such round."""
        rounds = self.rounds
        if not rounds:
            raise DataError(f"{self.path}: has no committed round yet; run it first")
        if which in ("best", "last"):
            return best_round(rounds) if which == "best" else rounds[-1].round
        if which.isdigit() and int(which) < len(rounds):
            return int(which)
        raise DataError(f"{self.path}: has no round {which!r}; give best, last or one of 0..{len(rounds) - 1}")

    def rounds_with_weights(self) -> list[int]:
        """Rounds whose weights are still on disk."""
        return [commit.round for commit in self.rounds if (self.folder.round(commit.round) / "model").exists()]

    def status(self) -> dict[str, Any]:
        """The state of the run and the reason for it, and the current round with its finished phases and chunks."""
        commits = self.rounds
        number = len(commits)
        folder = self.folder.round(number)
        names = [name_of(phase) for phase in PHASES]
        done = [name for name in names if (folder / name / "DONE").is_file()]
        open_phase = next((name for name in names if (folder / name).is_dir() and name not in done), None)
        chunks = len(list((folder / open_phase).glob("chunk-*.jsonl"))) if open_phase else 0
        progress = f"{chunks} chunks done" if chunks else "in progress"
        stopped = bool(commits) and commits[-1].action == "stop"
        running = (self.path / "lease.json").is_file()
        state = "stopped by the gate" if stopped else "running, or killed" if running else "not running"
        reason = commits[-1].reason if stopped else last_error(self.path)
        return {
            "state": state,
            "reason": reason,
            "committed": number,
            "best": best_round(commits) if commits else None,
            "round": number,
            "phases_done": done,
            "chunks": f"{open_phase}: {progress}" if open_phase else "no phase has begun",
        }


def last_error(path: Path) -> str:
    """The reason why the last start ended, from the newest log; "" if the log has none."""
    logs = sorted(path.glob("logs/attempt-*/log.txt"), key=lambda p: int(p.parent.name.rpartition("-")[2]))
    lines = logs[-1].read_text(encoding="utf-8", errors="replace").splitlines() if logs else []
    return next((line.partition("ended: ")[2] for line in reversed(lines) if "ended: " in line), "")


def open_run(path: str | Path) -> OpenRun:
    """Opens a run folder. Raises DataError if it is not one, StoreError if another version of selfplay wrote it."""
    path = Path(path)
    if not (path / "fingerprint.json").is_file():
        raise DataError(f"{path}: is not a run folder (it has no fingerprint.json); give one such as runs/quickstart")
    check_version(read_json(path / "fingerprint.json"), path / "fingerprint.json")
    return OpenRun(path)


def fork(run: str | Path, round: int, name: str) -> OpenRun:
    """Creates a new run `name` in the same folder as `run`, with a copy of its rounds up to `round`.

    The new run continues from there, and its first start may use another config. Only `round` and its ancestors are copied; they are
    renumbered from 0. Raises DataError if the weights of `round` were removed, or if `name` exists already.
    """
    old = open_run(run)
    target = old.path.with_name(name)
    if target.exists():
        raise DataError(f"{target}: exists already; choose another name")
    commits = old.rounds
    if round >= len(commits) or not (old.folder.round(round) / "model").exists():
        raise DataError(f"{run}: round {round} has no weights; rounds with weights: {old.rounds_with_weights()}")
    new = RunFolder(target.with_name(f".{name}.tmp"))
    shutil.rmtree(new.path, ignore_errors=True)
    kept = chain(commits, round)
    numbers = {commit.round: place for place, commit in enumerate(kept)}
    for commit in kept:
        place = numbers[commit.round]
        shutil.copytree(old.folder.round(commit.round), new.round(place))
        parent = None if commit.parent is None else numbers[commit.parent]
        inputs = {} if parent is None else {"parent": sha256_of(new.round(parent) / "COMMIT")}
        renumbered = {"round": place, "parent": parent, "next_parent": place, "action": "continue", "reason": ""}
        metrics = {
            **commit.metrics,
            **{key: numbers[commit.metrics[key]] for key in (BEST, BACK) if key in commit.metrics},
        }
        new.commit(commit.model_copy(update={**renumbered, "inputs": inputs, "metrics": metrics}))
    write_json(
        new.path / "fingerprint.json", {"schema_version": SCHEMA_VERSION, "forked_from": f"{run}, round {round}"}
    )
    new.path.rename(target)
    return OpenRun(target)
