"""The run folder: its config and fingerprint, its rounds with their COMMITs, and the chain of parents.

A round exists once `rounds/NNN/COMMIT` does. A folder `rounds/NNN` without COMMIT is the unfinished work of the current round.
"""

import json
import logging
import shlex
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field

from selfplay.config.load import override_text
from selfplay.errors import ConfigError, StoreError
from selfplay.records import SCHEMA_VERSION, Record
from selfplay.store.files import read_json, sha256_of, write_json, write_whole

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
    remarks: tuple[str, ...] = ()
    """What a reader of the metrics must know, such as that a set is too small to show a change; further lines are examples."""
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

    def open(
        self,
        science: Mapping[str, Any],
        files: Mapping[str, str],
        config_text: str,
        start: Mapping[str, Any] | None = None,
    ) -> str:
        """Creates the run folder, or checks that the run was started with the same science keys; writes config.yaml and start.json.

        `science` maps science keys to values, `files` names of input files to their sha256, `config_text` is the resolved YAML, `start`
        what the run is started with (`config`: path, `overrides`: list). A folder without a committed round may be restarted with
        another config; its unfinished work is then moved to `rounds.left`, and the returned sentence says so ("" otherwise). Raises
        ConfigError with the differences and what to do, StoreError if another version of selfplay wrote the folder.
        """
        place = self.path / "fingerprint.json"
        wanted = json.loads(json.dumps({"science": dict(science), "files": dict(files)}))
        anew = ""
        if place.is_file():
            known = read_json(place)
            check_version(known, place)
            if "science" not in known:  # a fork gets the config of its first start
                kept = {key: value for key, value in wanted["science"].items() if is_kept(key)}
                if lost := changes(known["forked_from"]["kept"], kept):
                    raise ConfigError(
                        f"{self.path}: {'; '.join(lost.values())} cannot change in a fork, whose first rounds have the old value; undo "
                        "the change, or start a new run"
                    )
                known |= wanted
                write_json(place, known)
            keys = changes(known["science"], wanted["science"])
            changed = [*keys.values(), *changes(known["files"], wanted["files"]).values()]
            if changed and self._committed():
                raise ConfigError(self._refusal(changed, {key: wanted["science"].get(key) for key in keys}))
            if changed:
                anew = f"{self.path}: started anew with another config ({'; '.join(changed)}), since no round was committed"
                self._put_aside()
                write_json(place, {"schema_version": SCHEMA_VERSION, **wanted})
        elif any(self.path.glob("rounds/*")):
            raise StoreError(f"{place}: is missing although rounds exist; restore it or use a new --name")
        else:
            write_json(place, {"schema_version": SCHEMA_VERSION, **wanted})
        write_whole(self.path / "config.yaml", config_text)
        if start is not None:
            write_json(self.path / "start.json", start)
        return anew

    def _refusal(self, changed: Sequence[str], keys: Mapping[str, Any]) -> str:
        """Why a run is not continued with another config, and the command that continues it in a new run."""
        said = f"{self.path}: started with another config ({'; '.join(changed)}), so its rounds would not be comparable; undo the change, "
        if kept := [key for key in keys if is_kept(key)]:
            return f"{said}or start a new run with a new --name ({kept[0]} cannot change in a fork either)"
        tip = self.commits()[-1].next_parent
        given = [override_text(key, value) for key, value in keys.items()]
        return f"{said}use a new --name, or continue from round {tip} in a new run:\n  {fork_command(self.path, tip, given)}"

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


def planned_rounds(asked: int, commits: Sequence[Any]) -> int:
    """Number of the last round that is planned: `rounds` of the configuration, and no less than what is done, since finished rounds stay."""
    return max(asked, len(commits) - 1)


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


KEPT_BY_FORK: Final = ("student.", "eval.seed")
"""Science keys that a fork keeps: its first rounds have that student's weights, and are measured on that dev set."""


def is_kept(key: str) -> bool:
    """Whether a fork must keep the value of a science key."""
    return key.startswith(KEPT_BY_FORK)


def fork_command(run: Path, number: int, overrides: Sequence[str]) -> str:
    """The command that continues a run from a round in a new run, quoted for a shell."""
    return shlex.join(["selfplay", "fork", str(run), str(number), *overrides])


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, str]:
    """The keys whose values differ, each with a text such as `seed 0 -> 9`."""
    keys = (key for key in sorted(set(old) | set(new)) if old.get(key, ...) != new.get(key, ...))
    return {key: f"{key} {_shown(old, key)} -> {_shown(new, key)}" for key in keys}


def _shown(values: Mapping[str, Any], key: str) -> str:
    value = values.get(key, "absent")
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 40 else f"{text[:16]}..."
