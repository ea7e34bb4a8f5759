"""Writes what a round publishes into a folder: the model with its card, and the data set with its card."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import yaml

from selfplay.errors import DataError, StoreError
from selfplay.models.student import export_model
from selfplay.publish.accepted import write_accepted
from selfplay.publish.cards import data_card, model_card
from selfplay.publish.facts import RoundFacts
from selfplay.publish.hub import MARK
from selfplay.publish.public import public_config, secrets_in
from selfplay.store import write_whole

DATA_FILE = "data/train.parquet"


def write_model(facts: RoundFacts, out: Path, dtype: str | None = None) -> None:
    """Writes the model of the round, its card and the run's configuration to the folder `out`, which is replaced as a whole.

    Raises DataError if the weights were removed, StoreError if a file would give away something private.
    """
    source = facts.run.model(facts.number)
    if not source.exists():
        kept = [commit.round for commit in facts.commits if (facts.run.round(commit.round) / "model").exists()]
        raise DataError(
            f"{facts.run.path}: the weights of round {facts.number} were removed (section keep); rounds with weights: {kept}"
        )
    part = _part(out)
    written = export_model(source, part, base=facts.run.round(0) / "initial", dtype=dtype)
    write_whole(part / "README.md", model_card(facts, written))
    _place(facts, part, out)


def write_data(facts: RoundFacts, out: Path) -> None:
    """Writes the accepted attempts of the round's lineage, their card and the run's configuration; see `write_model`."""
    part = _part(out)
    written = write_accepted(facts, part / DATA_FILE)
    write_whole(part / "README.md", data_card(facts, written))
    _place(facts, part, out)


def _part(out: Path) -> Path:
    """The temporary folder beside `out`, which becomes `out` once it is whole."""
    part = out.with_name(f".{out.name}.tmp")
    shutil.rmtree(part, ignore_errors=True)
    return part


def _place(facts: RoundFacts, part: Path, out: Path) -> None:
    plain = public_config(json.loads(facts.config.model_dump_json()))
    if facts.names.base:
        plain["student"]["model"] = facts.names.base
    write_whole(part / MARK, yaml.safe_dump(plain, sort_keys=False, allow_unicode=True))
    if found := list(secrets_in(part, ("README.md", MARK, "config.json"))):
        raise StoreError(
            f"{part}: {'; '.join(found)}; nothing was published. Remove it from the configuration or the task names, then export again"
        )
    shutil.rmtree(out, ignore_errors=True)
    part.rename(out)


def was_exported(out: Path) -> bool:
    """Whether a folder is what an earlier `--push` wrote, so that another one may replace it."""
    return (out / "model" / MARK).is_file()


def files_of(folder: Path) -> Iterator[tuple[str, int]]:
    """The files of a folder with their sizes in bytes, by name."""
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            yield str(file.relative_to(folder)), file.stat().st_size
