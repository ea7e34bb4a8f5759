"""Floor 2: a run folder: its config and fingerprint, its rounds and their COMMITs, the chain of parents.

A round exists once its COMMIT does. Everything else below `rounds/NNN` is work in hand or was left by a committed round.
"""

import json
import logging
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from selfplay.errors import StoreError
from selfplay.records import SCHEMA_VERSION, Record
from selfplay.store.files import read_json, sha256_of, write_json, write_whole

LOG = logging.getLogger("selfplay")


class RoundState(Record):
    """What a round hands to the next one, beside weights and data."""

    level: int | None = None
    """The curriculum's level: the largest difficulty that is mastered; None: as the curriculum starts."""
    temperature_add: float = 0.0
    """Added to the sampling temperature since a roll-back."""
    anchor_add: float = 0.0
    """Added to the anchor's share of the training rows since a roll-back."""
    cap_scale: float = 1.0
    """Factor on `curate.max_per_task` since a roll-back."""


class Commit(Record):
    """What stands in `rounds/NNN/COMMIT`: the round, whole."""

    schema_version: int = SCHEMA_VERSION
    round: int
    parent: int | None
    """The round it started from; None for round 0."""
    action: Literal["continue", "warn", "roll_back", "stop"] = "continue"
    reason: str = ""
    next_parent: int
    """Where the next round starts from: this round, or an earlier one after a roll-back."""
    state: RoundState = RoundState()
    """What the next round is told."""
    metrics: dict[str, Any] = Field(default_factory=dict)
    """The round's row of metrics.jsonl, `time/` and `cost/` left out."""
    inputs: dict[str, str] = Field(default_factory=dict)
    outputs: dict[str, str] = Field(default_factory=dict)
    """File or folder of the round -> sha256."""
    versions: dict[str, str] = Field(default_factory=dict)
    world_size: int = 1
    train_steps: int = 0
    """Optimizer steps of the whole run up to and with this round: the W&B axis of the training curve."""
    time: dict[str, float] = Field(default_factory=dict)
    cost: dict[str, float] = Field(default_factory=dict)

    def row(self) -> dict[str, Any]:
        """The round's row of metrics.jsonl."""
        return {"round": self.round, **self.metrics, **self.time, **self.cost}


class RunFolder:
    """Paths and truths of one run; holds no state that is not on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path

    # ---- places ----

    def round(self, number: int) -> Path:
        """Folder of a round."""
        return self.path / "rounds" / f"{number:03d}"

    def phase(self, number: int, name: str) -> Path:
        """Working folder of a phase."""
        return self.round(number) / name

    def model(self, number: int) -> Path:
        """Weights of a round: in its place once committed, else where training left them."""
        placed = self.round(number) / "model"
        return placed if placed.exists() else self.phase(number, "train") / "model"

    # ---- opening ----

    def open(self, science: Mapping[str, Any], files: Mapping[str, str], config_text: str) -> None:
        """Creates the run, or checks that it is the same science; `config_text` is the resolved YAML, kept beside it.

        A folder without a committed round is no run yet: another config starts it anew, and what was in hand of round 0 is put aside as
        `rounds.left`.
        `science` maps flat keys to values, `files` names to sha256 of content. Raises StoreError naming what differs,
        and where the folder was written by a newer version.
        """
        place = self.path / "fingerprint.json"
        wanted = json.loads(json.dumps({"science": dict(science), "files": dict(files)}))
        if place.is_file():
            known = read_json(place)
            check_version(known, place)
            if "science" not in known:  # a fork: its first start says how it goes on
                known |= wanted
                write_json(place, known)
            changed = [*_changes(known["science"], wanted["science"]), *_changes(known["files"], wanted["files"])]
            if changed and not self._committed():
                LOG.info(
                    "%s: started anew with another config (%s); no round was committed", self.path, "; ".join(changed)
                )
                self._put_aside()
                write_json(place, {"schema_version": SCHEMA_VERSION, **wanted})
            elif changed:
                raise StoreError(
                    f"{self.path} started with another config ({'; '.join(changed)}): rounds would not compare; "
                    f"use {self.path / 'config.yaml'} or a new --name"
                )
        elif any(self.path.glob("rounds/*")):
            raise StoreError(f"{place}: is missing though rounds exist; restore it or use a new --name")
        else:
            write_json(place, {"schema_version": SCHEMA_VERSION, **wanted})
        write_whole(self.path / "config.yaml", config_text)

    def _put_aside(self) -> None:
        """Moves work in hand out of the way of a start anew; an earlier one's is removed."""
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
        """Folders of the rounds that have a COMMIT, in order."""
        return [f for f in sorted(self.path.glob("rounds/[0-9]*")) if (f / "COMMIT").is_file()]

    def commit(self, commit: Commit) -> None:
        """Writes the COMMIT, which makes the round exist, and rebuilds metrics.jsonl."""
        write_json(self.round(commit.round) / "COMMIT", commit.model_dump(mode="json"))
        self.rebuild_metrics()

    def rebuild_metrics(self) -> None:
        """metrics.jsonl from the COMMITs: after a kill between the two it may lack a row."""
        rows = [json.dumps(commit.row(), allow_nan=False) for commit in self.commits()]
        write_whole(self.path / "metrics.jsonl", "".join(f"{row}\n" for row in rows))

    def place_model(self, number: int) -> None:
        """Moves the weights that training left to the round's own place; done once, repeated safely."""
        trained = self.phase(number, "train") / "model"
        if trained.is_dir() and not (self.round(number) / "model").exists():
            trained.rename(self.round(number) / "model")

    def outputs(self, number: int, names: Iterable[str]) -> dict[str, str]:
        """sha256 of what a round made, by name, for its COMMIT."""
        return {name: sha256_of(self.round(number) / name) for name in names if (self.round(number) / name).exists()}

    def prune(self, keep: set[int]) -> None:
        """Removes the weights of committed rounds not in `keep`, and training checkpoints of all committed rounds."""
        for folder in self._committed():
            shutil.rmtree(folder / "train" / "checkpoints", ignore_errors=True)
            if int(folder.name) not in keep and (folder / "model").is_dir():
                doomed = folder / ".model.removed"
                (folder / "model").rename(doomed)  # first out of the way: half a model must never be found
                shutil.rmtree(doomed)
                LOG.debug("removed the weights of round %d (keep)", int(folder.name))

    def new_log_folder(self) -> Path:
        """logs/attempt-N, a new one each start: a restart never overwrites the evidence of the crash."""
        number = 1 + max((int(p.name.rpartition("-")[2]) for p in self.path.glob("logs/attempt-*")), default=0)
        folder = self.path / "logs" / f"attempt-{number}"
        folder.mkdir(parents=True)
        return folder


def chain(commits: list[Commit], tip: int | None) -> list[Commit]:
    """The rounds that a tip stands on, oldest first, itself included: all state is in them. None: empty."""
    found: list[Commit] = []
    while tip is not None:
        found.append(commits[tip])
        tip = commits[tip].parent
    return found[::-1]


def check_version(value: Mapping[str, Any], place: Path) -> None:
    """Raises StoreError where a record was written by a newer version than this."""
    version = value.get("schema_version", 0)
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{place}: has schema_version {version}, this version reads up to {SCHEMA_VERSION}; update selfplay"
        )


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    keys = sorted(set(old) | set(new))
    return [f"{key} {_shown(old, key)} -> {_shown(new, key)}" for key in keys if old.get(key, ...) != new.get(key, ...)]


def _shown(values: Mapping[str, Any], key: str) -> str:
    value = values.get(key, "absent")
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 40 else f"{text[:16]}..."
