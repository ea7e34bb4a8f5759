"""The run folder: its lease, its config and fingerprint, its rounds with their COMMITs, and the chain of parents.

A round exists once `rounds/NNN/COMMIT` does. A folder `rounds/NNN` without COMMIT is the unfinished work of the current round.

Only the process that holds the lease may write to the run folder. A lease whose process on this machine has died is taken over at once. A lease of
another machine (of a job that was requeued here) is taken over once its last renewal is older than STALE_SECONDS.
"""

import json
import logging
import os
import shutil
import socket
import threading
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from selfplay.errors import StoreError
from selfplay.records import SCHEMA_VERSION, Record
from selfplay.store.files import read_json, sha256_of, write_json, write_whole

RENEW_SECONDS = 5.0
STALE_SECONDS = 60.0


class Lease:
    """Context manager that holds `lease.json` of a run folder. Raises StoreError if another process holds it."""

    def __init__(self, folder: Path, stale_seconds: float = STALE_SECONDS) -> None:
        self.path = folder / "lease.json"
        self.stale_seconds = stale_seconds
        self.nonce = uuid.uuid4().hex
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew, daemon=True, name="selfplay-lease")

    def __enter__(self) -> "Lease":
        self.path.parent.mkdir(parents=True, exist_ok=True)
        holder = _read(self.path)
        if holder is not None:
            if not self._is_dead(holder):
                raise StoreError(
                    f"{self.path.parent}: is in use by process {holder.get('pid')} on {holder.get('host')}, seen "
                    f"{time.time() - holder.get('renewed', 0):.0f} s ago; wait for it, or start under another --name"
                )
            self._clear(holder)
        try:
            handle = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            raise StoreError(
                f"{self.path.parent}: another process has just started to use it; wait for that process, or use another --name"
            ) from None
        with os.fdopen(handle, "w") as file:
            json.dump(self._content(), file)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        if self.held():
            self.path.unlink(missing_ok=True)

    def held(self) -> bool:
        """Whether the file still names this lease; False once another process has taken over."""
        holder = _read(self.path)
        return holder is not None and holder.get("nonce") == self.nonce

    def _content(self) -> dict[str, Any]:
        pid = os.getpid()
        return {
            "nonce": self.nonce,
            "host": socket.gethostname(),
            "pid": pid,
            "started": _start_time(pid),
            "renewed": time.time(),
        }

    def _renew(self) -> None:
        while not self._stop.wait(RENEW_SECONDS):
            if not self.held():
                return
            write_json(self.path, self._content())

    def _is_dead(self, holder: dict[str, Any]) -> bool:
        if holder.get("host") == socket.gethostname():
            return _start_time(int(holder.get("pid", -1))) != holder.get("started")
        return time.time() - float(holder.get("renewed", 0)) > self.stale_seconds

    def _clear(self, holder: dict[str, Any]) -> None:
        """Removes the file of a dead holder. It is renamed first: if several processes try, the rename succeeds for one."""
        aside = self.path.with_name(f".lease.{holder.get('nonce', 'unknown')}.dead")
        try:
            self.path.rename(aside)
        except FileNotFoundError:
            return
        aside.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any] | None:
    """The content of a lease file; an unreadable one, whose writer was killed, counts as that of a dead process."""
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError:
        return {"host": socket.gethostname(), "pid": -1, "started": "never"}
    return value if isinstance(value, dict) else {}


def _start_time(pid: int) -> str:
    """The start time of a process on this machine, which tells it from a later one with the same id; "" if it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        pass
    try:  # without /proc the process id must suffice
        os.kill(pid, 0)
    except (OSError, OverflowError):
        return ""
    return "alive"


LOG = logging.getLogger("selfplay")


class RoundState(Record):
    """What a round passes to the next one, apart from weights and data."""

    level: int | None = None
    """The curriculum's level, the hardest difficulty that is mastered; None: the curriculum's start."""
    temperature_add: float = 0.0
    """Sum of what roll-backs have added to the sampling temperature."""
    anchor_add: float = 0.0
    """Sum of what roll-backs have added to `curate.anchor_share`."""
    cap_scale: float = 1.0
    """Product of the factors of roll-backs on `curate.max_per_task`."""


class Commit(Record):
    """The content of `rounds/NNN/COMMIT`, which makes the round exist."""

    schema_version: int = SCHEMA_VERSION
    round: int
    parent: int | None
    """The round whose weights this one started from; None for round 0."""
    action: Literal["continue", "warn", "roll_back", "stop"] = "continue"
    reason: str = ""
    next_parent: int
    """The round from which the next one starts: this round, or after a roll-back an earlier one."""
    state: RoundState = RoundState()
    """The state for the next round."""
    metrics: dict[str, Any] = Field(default_factory=dict)
    """The metrics of the round by key, except `time/` and `cost/`."""
    inputs: dict[str, str] = Field(default_factory=dict)
    """`parent` -> sha256 of the parent's COMMIT; empty for round 0."""
    outputs: dict[str, str] = Field(default_factory=dict)
    """File or folder of the round -> sha256."""
    versions: dict[str, str] = Field(default_factory=dict)
    """Versions of Python and of the main packages."""
    world_size: int = 1
    train_steps: int = 0
    """Optimizer steps of the run up to the end of this round; the x axis of the training curve in W&B."""
    time: dict[str, float] = Field(default_factory=dict)
    cost: dict[str, float] = Field(default_factory=dict)

    def row(self) -> dict[str, Any]:
        """The round's row of metrics.jsonl."""
        return {"round": self.round, **self.metrics, **self.time, **self.cost}


class RunFolder:
    """The paths of a run, and the functions that read and write them. It keeps no state in memory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    # ---- paths ----

    def round(self, number: int) -> Path:
        """The folder of a round."""
        return self.path / "rounds" / f"{number:03d}"

    def phase(self, number: int, name: str) -> Path:
        """The working folder of a phase."""
        return self.round(number) / name

    def model(self, number: int) -> Path:
        """The model folder of a round: `rounds/NNN/model` once the round is committed, before that `rounds/NNN/train/model`."""
        placed = self.round(number) / "model"
        return placed if placed.exists() else self.phase(number, "train") / "model"

    # ---- opening ----

    def open(self, science: Mapping[str, Any], files: Mapping[str, str], config_text: str) -> None:
        """Creates the run folder, or checks that the run was started with the same science keys; writes config.yaml.

        `science` maps science keys to values, `files` names of input files to their sha256, `config_text` is the resolved YAML. A
        folder without a committed round may be restarted with another config; its unfinished work is then moved to `rounds.left`.
        Raises StoreError with the differences, or if another version of selfplay wrote the folder.
        """
        place = self.path / "fingerprint.json"
        wanted = json.loads(json.dumps({"science": dict(science), "files": dict(files)}))
        if place.is_file():
            known = read_json(place)
            check_version(known, place)
            if "science" not in known:  # a fork gets the config of its first start
                known |= wanted
                write_json(place, known)
            changed = [*_changes(known["science"], wanted["science"]), *_changes(known["files"], wanted["files"])]
            if changed and not self._committed():
                LOG.info(
                    "%s: restarts with another config (%s), since no round was committed",
                    self.path,
                    "; ".join(changed),
                )
                self._put_aside()
                write_json(place, {"schema_version": SCHEMA_VERSION, **wanted})
            elif changed:
                raise StoreError(
                    f"{self.path}: started with another config ({'; '.join(changed)}), so its rounds would not be comparable; "
                    f"use {self.path / 'config.yaml'} or a new --name"
                )
        elif any(self.path.glob("rounds/*")):
            raise StoreError(f"{place}: is missing although rounds exist; restore it or use a new --name")
        else:
            write_json(place, {"schema_version": SCHEMA_VERSION, **wanted})
        write_whole(self.path / "config.yaml", config_text)

    def _put_aside(self) -> None:
        """Moves unfinished work to `rounds.left` and removes what an earlier call moved there."""
        if (self.path / "rounds").is_dir():
            shutil.rmtree(self.path / "rounds.left", ignore_errors=True)
            (self.path / "rounds").rename(self.path / "rounds.left")

    # ---- rounds ----

    def commits(self) -> list[Commit]:
        """All committed rounds, in order."""
        found = []
        for folder in self._committed():
            value = read_json(folder / "COMMIT")
            check_version(value, folder / "COMMIT")
            found.append(Commit.model_validate(value))
        if [commit.round for commit in found] != list(range(len(found))):
            raise StoreError(
                f"{self.path}/rounds: a COMMIT is missing between {[c.round for c in found]}; restore it from a backup"
            )
        return found

    def _committed(self) -> list[Path]:
        """The folders of the rounds that have a COMMIT, in order."""
        return [f for f in sorted(self.path.glob("rounds/[0-9]*")) if (f / "COMMIT").is_file()]

    def commit(self, commit: Commit) -> None:
        """Writes the COMMIT, which makes the round exist, then rebuilds metrics.jsonl."""
        write_json(self.round(commit.round) / "COMMIT", commit.model_dump(mode="json"))
        self.rebuild_metrics()

    def rebuild_metrics(self) -> None:
        """Writes metrics.jsonl from the COMMITs, since a run that was killed after a COMMIT may lack its row."""
        rows = [json.dumps(commit.row(), allow_nan=False) for commit in self.commits()]
        write_whole(self.path / "metrics.jsonl", "".join(f"{row}\n" for row in rows))

    def place_model(self, number: int) -> None:
        """Moves `rounds/NNN/train/model` to `rounds/NNN/model`; may be called again."""
        trained = self.phase(number, "train") / "model"
        if trained.is_dir() and not (self.round(number) / "model").exists():
            trained.rename(self.round(number) / "model")

    def outputs(self, number: int, names: Iterable[str]) -> dict[str, str]:
        """The sha256 of each named file or folder of a round that exists, for the COMMIT."""
        return {name: sha256_of(self.round(number) / name) for name in names if (self.round(number) / name).exists()}

    def prune(self, keep: set[int]) -> None:
        """Removes the weights of committed rounds that are not in `keep`, and the training checkpoints of all committed rounds."""
        for folder in self._committed():
            shutil.rmtree(folder / "train" / "checkpoints", ignore_errors=True)
            if int(folder.name) not in keep and (folder / "model").is_dir():
                removed = folder / ".model.removed"
                (folder / "model").rename(removed)  # renamed first, so that no reader finds half a model
                shutil.rmtree(removed)
                LOG.debug("removed the weights of round %d (keep)", int(folder.name))

    def new_log_folder(self) -> Path:
        """Creates logs/attempt-N, a new folder for each start, so that a restart never overwrites the log of a crash."""
        number = 1 + max((int(p.name.rpartition("-")[2]) for p in self.path.glob("logs/attempt-*")), default=0)
        folder = self.path / "logs" / f"attempt-{number}"
        folder.mkdir(parents=True)
        return folder


def chain(commits: Sequence[Commit], tip: int | None) -> list[Commit]:
    """The round `tip` and its ancestors, oldest first. Empty if `tip` is None."""
    found: list[Commit] = []
    while tip is not None:
        found.append(commits[tip])
        tip = commits[tip].parent
    return found[::-1]


def check_version(value: Mapping[str, Any], place: Path) -> None:
    """Raises StoreError if a file of a run was written by another version of selfplay, older or newer."""
    version = value.get("schema_version", "none")
    if version != SCHEMA_VERSION:
        raise StoreError(
            f"{place}: was written by another version of selfplay (schema_version {version}, this version reads {SCHEMA_VERSION}); "
            "use the version that wrote it, or start a new run under another --name"
        )


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    keys = sorted(set(old) | set(new))
    return [f"{key} {_shown(old, key)} -> {_shown(new, key)}" for key in keys if old.get(key, ...) != new.get(key, ...)]


def _shown(values: Mapping[str, Any], key: str) -> str:
    value = values.get(key, "absent")
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 40 else f"{text[:16]}..."
