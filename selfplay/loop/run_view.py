"""Reads a run from Python: its rounds, metrics and traces. `fork` copies a run up to a round, to continue it differently."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from selfplay.config.metrics import BEST, best_round
from selfplay.errors import DataError
from selfplay.loop.gate import BACK
from selfplay.loop.run import PHASES, name_of
from selfplay.records import SCHEMA_VERSION
from selfplay.runtime.context import read_tasks
from selfplay.store import Commit, RunFolder, read_json, sha256_of, write_json
from selfplay.store.chunks import rows_in
from selfplay.store.lease import is_held
from selfplay.store.run import chain, check_version, is_kept, planned_rounds
from selfplay.store.traces import read_traces

FINISHED, STOPPED = "finished", "stopped by the gate"


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

        The round in hand has the attempts of the chunks that are written so far; what is not known yet is None, and verdicts are
        empty. `round`: None reads the last round that has attempts. Raises DataError if the round does not exist or has no traces.
        """
        number = round if round is not None else self.last_with_traces()
        path = self.folder.round(number) / "traces.parquet"
        if path.is_file():
            return read_traces(path)
        if number and not self.in_hand(number):
            raise DataError(f"{path}: round {number} has no traces; existing rounds: {[c.round for c in self.rounds]}")
        return self._traces_in_hand(number) if number else iter(())

    def in_hand(self, number: int) -> bool:
        """Whether a round is unfinished and has sampled attempts."""
        return any(self.folder.phase(number, "generate").glob("chunk-*.jsonl"))

    def last_with_traces(self) -> int:
        """The last round that has attempts, finished or not; 0 if none has."""
        last = len(self.rounds)
        return last if self.in_hand(last) else max(0, last - 1)

    def _traces_in_hand(self, number: int) -> Iterator[dict[str, Any]]:
        folders = [self.folder.phase(number, name) for name in ("propose", "synthesize")]
        tasks = {task.id: task for folder in folders for task in read_tasks(folder)}
        unknown: dict[str, Any] = {"outcome": None, "verdicts": [], "decision": None, "reason": None, "rank": None}
        for file in sorted(self.folder.phase(number, "generate").glob("chunk-*.jsonl")):
            judged = rows_in(self.folder.phase(number, "verify") / file.name)
            verdicts = {(row["task_id"], row["attempt"]): row for row in judged}
            for row in rows_in(file):
                task, found = tasks[row["task_id"]], verdicts.get((row["task_id"], row["attempt"]), {})
                known: dict[str, Any] = {key: found[key] for key in ("outcome", "verdicts") if key in found}
                yield {
                    **row,
                    "task": task.model_dump(mode="json", by_alias=True),
                    "prompt": task.text,
                    "tags": list(task.tags),
                    **unknown,
                    **known,
                }

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

    @property
    def planned(self) -> int | None:
        """Number of the last round that the latest start planned, and no less than what is done; None before the first start of a fork."""
        try:
            value = yaml.safe_load((self.path / "config.yaml").read_text(encoding="utf-8"))["rounds"]
        except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
            return None
        return planned_rounds(value, self.rounds) if isinstance(value, int) else None

    def state(self) -> str:
        """`finished`, `stopped by the gate`, `running`, `killed` (its lease is that of a dead process) or `not running`."""
        commits, planned = self.rounds, self.planned
        if is_held(self.path):
            return "running"
        if commits and commits[-1].action == "stop":
            return STOPPED
        if planned is not None and len(commits) > planned:
            return FINISHED
        return "killed" if (self.path / "lease.json").is_file() else "not running"

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
        state = self.state()
        reason = commits[-1].reason if state == STOPPED else "" if state == FINISHED else last_error(self.path)
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
    renumbered from 0. Its fingerprint.json names the old run, the round and the hash of its COMMIT. Raises DataError if the weights of
    `round` were removed, or if `name` exists already.
    """
    old = open_run(run)
    target = old.path.with_name(name)
    if target.exists():
        raise DataError(f"{target}: exists already; choose another name")
    commits = old.rounds
    if not 0 <= round < len(commits) or not (old.folder.round(round) / "model").exists():
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
    science = read_json(old.path / "fingerprint.json").get("science", {})
    lineage = {
        "run": str(run),
        "round": round,
        "commit": sha256_of(old.folder.round(round) / "COMMIT"),
        "kept": {key: value for key, value in science.items() if is_kept(key)},
    }
    write_json(new.path / "fingerprint.json", {"schema_version": SCHEMA_VERSION, "forked_from": lineage})
    new.path.rename(target)
    return OpenRun(target)
