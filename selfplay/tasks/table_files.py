"""Rows of a JSONL(.gz) file, of one JSON array, or of a hub data set, each with the place it stood at."""

import hashlib
import re
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from selfplay.errors import DataError
from selfplay.jsonlines import read_json_objects

_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_FILE_ENDINGS = (".jsonl", ".jsonl.gz", ".json", ".parquet", ".gz")
MAX_ROWS = 2_000_000
"""Of one table, which is held in memory."""


@dataclass(frozen=True)
class Table:
    """Rows with their places, such as `tasks.jsonl:12`."""

    name: str
    rows: list[tuple[str, dict[str, Any]]]
    files: dict[str, str]
    """Name -> sha256 of content."""


def read_table(path: str, folder: Path, hub: tuple[str, str] | None = None) -> Table:
    """The rows of a local file, or of a hub data set where `hub` gives its configuration and split.

    Relative paths count from `folder`, then from the working directory. Raises DataError where nothing is found.
    """
    place = next((p for p in (folder / path, Path(path)) if p.is_file()), None)
    if place is not None:
        rows = _rows(place)
        if not rows:
            raise DataError(f"{place}: is empty; give a file with one JSON object a line")
        return Table(str(place), rows, {Path(path).name: _sha256(place)})
    if hub is not None and _HUB_NAME.fullmatch(path) and not path.endswith(_FILE_ENDINGS):
        return _from_hub(path, *hub)
    raise DataError(
        f"{path}: no such file (looked in {folder} and the working directory); correct the path, or give a hub name"
    )


def _rows(path: Path) -> list[tuple[str, dict[str, Any]]]:
    rows = list(islice(read_json_objects(path), MAX_ROWS + 1))
    if len(rows) > MAX_ROWS:
        raise DataError(f"{path}: holds over {MAX_ROWS} rows, which are held in memory; give a part of them")
    return rows


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _from_hub(name: str, configuration: str, split: str) -> Table:
    """Rows of a hub data set; its fingerprint stands for the content."""
    try:
        from datasets import load_dataset

        data = load_dataset(name, configuration, split=split)
    except (OSError, ValueError, ConnectionError) as error:
        raise DataError(
            f"{name}: cannot be had from the hub ({str(error).splitlines()[0]}); check the name and the network, or give a file"
        ) from None
    rows = [(f"{name}:{split}:{number}", dict(row)) for number, row in enumerate(data)]
    return Table(name, rows, {f"{name}/{configuration}/{split}": str(data._fingerprint)})
