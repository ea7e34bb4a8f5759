"""Floor 2: rows of a JSONL(.gz) file, of one JSON array, or of a hub data set, each with the place it stood at."""

import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfplay.errors import DataError

_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_FILE_ENDINGS = (".jsonl", ".jsonl.gz", ".json", ".parquet", ".gz")
MAX_LINE_BYTES = 50_000_000


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
        rows = list(_lines(place))
        if not rows:
            raise DataError(f"{place}: is empty; give a file with one JSON object a line")
        return Table(str(place), rows, {Path(path).name: hashlib.sha256(place.read_bytes()).hexdigest()})
    if hub is not None and _HUB_NAME.fullmatch(path) and not path.endswith(_FILE_ENDINGS):
        return _from_hub(path, *hub)
    raise DataError(
        f"{path}: no such file (looked in {folder} and the working directory); mend the path, or give a hub name"
    )


def _lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Parsed lines with their places, or the items of a file that is one JSON array. Lines end at \\n alone: a text may hold U+2028."""
    if path.suffix == ".json" and path.read_bytes().lstrip()[:1] == b"[":
        yield from _array(path)
        return
    for number, line in _numbered(path):
        if line.strip():
            yield f"{path}:{number}", _object(line, f"{path}:{number}")


def _array(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, item in enumerate(_parsed(path.read_bytes(), str(path)), start=1):
        if not isinstance(item, dict):
            raise DataError(f"{path}: item {number} is {type(item).__name__}, not an object; give an array of objects")
        yield f"{path}: item {number}", item


def _numbered(path: Path) -> Iterator[tuple[int, bytes]]:
    opener, number = gzip.open if path.suffix == ".gz" else open, 0
    try:
        with opener(path, "rb") as file:
            for number, line in enumerate(file, start=1):
                yield number, line
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}:{number + 1}: the gzip file is broken ({error}); fetch it again") from None


def _object(raw: bytes, where: str) -> dict[str, Any]:
    value = _parsed(raw, where)
    if not isinstance(value, dict):
        raise DataError(f"{where}: is {type(value).__name__}, not an object; give one object a line")
    return value


def _parsed(raw: bytes, where: str) -> Any:
    if len(raw) > MAX_LINE_BYTES:
        raise DataError(f"{where}: the line has {len(raw)} bytes, over {MAX_LINE_BYTES}; split it")
    try:
        line = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: is no UTF-8 ({error.reason} at byte {error.start}); convert the file") from None
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: is no JSON ({error}); give one object a line") from None


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
