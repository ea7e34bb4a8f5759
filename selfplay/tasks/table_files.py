"""Rows of a table that a user gives, each with the place it stood at: JSON Lines, JSON, CSV, parquet, or a hub data set."""

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from selfplay.errors import DataError
from selfplay.jsonlines import read_json_objects
from selfplay.tasks.csv_rows import read_csv

_HUB_NAME = re.compile(r"([\w.-]+/[\w.-]+)(?::(.+))?")
_FORMATS = {".csv": "csv", ".tsv": "csv", ".parquet": "parquet"}
"""Ending of a file's name, without `.gz` -> its format; any other ending is read as JSON Lines, or as one array of a `.json` file."""
_FILE_ENDINGS = (".jsonl", ".json", ".csv", ".tsv", ".parquet", ".gz")
_OTHER_PROGRAMS = {
    ".xlsx": "CSV (UTF-8)",
    ".xls": "CSV (UTF-8)",
    ".ods": "CSV (UTF-8)",
    ".arrow": "parquet",
    ".pkl": "parquet",
}
MAX_ROWS = 2_000_000
"""Of one table, which is held in memory."""

Rows = list[tuple[str, dict[str, Any]]]


@dataclass(frozen=True)
class Table:
    """Rows with their places, such as `tasks.jsonl:12`."""

    name: str
    rows: Rows
    files: dict[str, str]
    """Name -> sha256 of content."""
    cells: bool = False
    """Whether the rows come from a table with fixed columns (CSV, parquet, the hub): there None means that the cell is empty, and a
    list or an object may be written as JSON text."""


def read_table(
    path: str, folder: Path, hub: tuple[str | None, str] | None = None, columns: Collection[str] = ()
) -> Table:
    """The rows of a local file, or of a hub data set where `hub` gives its configuration (None: its only one) and split.

    Relative paths count from `folder`, then from the working directory. A hub name may end in the split: `owner/name:train[:200]`.
    `columns`: those that are read of a parquet file or hub data set; empty: all. Raises DataError where nothing is found.
    """
    place = next((p for p in (folder / path, Path(path)) if p.is_file()), None)
    if place is not None:
        rows = _held(_rows(place, columns), str(place))
        if not rows:
            raise DataError(f"{place}: is empty; give a file with one JSON object a line, or a table with rows")
        return Table(str(place), rows, {Path(path).name: _sha256(place)}, cells=_format(place) in ("csv", "parquet"))
    if hub is not None and (found := _HUB_NAME.fullmatch(path)) and not path.endswith(_FILE_ENDINGS):
        return _from_hub(found[1], hub[0], found[2] or hub[1], columns)
    if (folder / path).is_dir():
        raise DataError(f"{path}: is a folder; name its files, as in [{path}/a.jsonl, {path}/b.jsonl]")
    raise DataError(
        f"{path}: no such file (looked in {folder} and the working directory); correct the path, or give a hub name"
    )


def _format(path: Path) -> str:
    """`csv`, `parquet` or `json`, by the name of a file."""
    return _FORMATS.get(Path(path.name.removesuffix(".gz")).suffix.lower(), "json")


def _rows(path: Path, columns: Collection[str]) -> Iterable[tuple[str, dict[str, Any]]]:
    if better := _OTHER_PROGRAMS.get(path.suffix.lower()):
        raise DataError(f"{path}: is a {path.suffix} file, which is not read; save it as {better} or JSON Lines")
    kind = _format(path)
    if kind == "csv":
        return read_csv(path)
    return _read_parquet(path, columns) if kind == "parquet" else read_json_objects(path)


def _held(rows: Iterable[tuple[str, dict[str, Any]]], name: str) -> Rows:
    """All rows in memory. Raises DataError where they are too many."""
    found = list(islice(rows, MAX_ROWS + 1))
    if len(found) > MAX_ROWS:
        raise DataError(f"{name}: holds over {MAX_ROWS} rows, which are held in memory; give a part of them")
    return found


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_parquet(path: Path, columns: Collection[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(`file: row n`, row) for each row, from 1, with the wanted columns that the file has; all, where it has none of them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        wanted = [name for name in file.schema_arrow.names if name in columns] or None
        number = 0
        for batch in file.iter_batches(1024, columns=wanted):
            for row in batch.to_pylist():
                number += 1
                yield f"{path}: row {number}", row
    except (pa.ArrowException, OSError) as error:
        shown = str(error).splitlines()[0][:200]
        raise DataError(f"{path}: cannot be read as parquet ({shown}); write the file again") from None


def _from_hub(name: str, configuration: str | None, split: str, columns: Collection[str]) -> Table:
    """Rows of a hub data set, from the cache where it was read before; its fingerprint stands for the content."""
    try:
        from datasets import load_dataset

        data = load_dataset(name, configuration, split=split)
    except (OSError, ValueError, RuntimeError) as error:
        shown = str(error).splitlines()[0][:300] if str(error) else type(error).__name__
        raise DataError(
            f"{name}: is no file here and cannot be had from the hub ({shown}); check the path or name, the split {split!r} and "
            "the network (a data set that was read before comes from the cache), or give a file"
        ) from None
    fingerprint = str(data._fingerprint)
    if wanted := [one for one in data.column_names if one in columns]:
        data = data.select_columns(wanted)
    rows = _held(((f"{name}:{split}:{number}", dict(row)) for number, row in enumerate(data)), name)
    return Table(name, rows, {f"{name}/{configuration}/{split}": fingerprint}, cells=True)
