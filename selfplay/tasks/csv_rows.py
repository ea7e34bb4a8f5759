"""Rows of a CSV or TSV file, plain or gzip, each with the line it begins on, in bounded time and memory."""

import codecs
import csv
from collections.abc import Iterator
from pathlib import Path

from selfplay.errors import DataError
from selfplay.jsonlines import MAX_BYTES, numbered_lines

QUOTES = 'put a text that holds the separator or a line break in "quotes"'


def read_csv(path: Path) -> Iterator[tuple[str, dict[str, str | None]]]:
    """(`file:line`, row) for each row that is not blank; an empty cell is None, and a column without a name is left out.

    The first row names the columns. The separator is a tab in a `.tsv` file, else a comma, or a semicolon where the first row has no
    comma. A byte order mark is removed, CRLF ends a line, and a quoted text may hold line breaks. Raises DataError.
    """
    lines = _Lines(path)
    reader = csv.reader(lines, delimiter=_separator(path), strict=True)
    limit = csv.field_size_limit(MAX_BYTES)
    try:
        header: list[str] = []
        begins = 1
        for cells in _rows(reader, lines):
            where, begins = f"{path}:{begins}", lines.number + 1
            if not any(cell.strip() for cell in cells):
                continue
            if not header:
                header = _header(cells, where)
                continue
            if len(cells) != len(header):
                raise DataError(f"{where}: has {len(cells)} cells, but there are {len(header)} columns; {QUOTES}")
            yield where, {name: cell or None for name, cell in zip(header, cells, strict=True) if name}
    finally:
        csv.field_size_limit(limit)


class _Lines:
    """The lines of a file as text; `number` is that of the last one given."""

    def __init__(self, path: Path) -> None:
        self.path, self.number = path, 0
        self._lines = numbered_lines(path)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        self.number, raw = next(self._lines)
        where = f"{self.path}:{self.number}"
        if self.number == 1 and raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise DataError(f"{where}: is not UTF-8 (it is UTF-16); save the table as CSV in UTF-8")
        try:
            text = (raw.removeprefix(codecs.BOM_UTF8) if self.number == 1 else raw).decode("utf-8")
        except UnicodeDecodeError as error:
            shown = f"{raw[error.start]:#04x} at byte {error.start}"
            raise DataError(f"{where}: is not UTF-8 ({shown}); save the table as CSV in UTF-8") from None
        if "\x00" in text:
            raise DataError(f"{where}: holds a NUL character, which cannot be stored; remove it")
        return text


def _rows(reader: Iterator[list[str]], lines: _Lines) -> Iterator[list[str]]:
    """The rows. A quotation mark that is never closed, or closed too early, is a DataError with its line."""
    while True:
        begins = lines.number + 1
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            remedy = 'write a quotation mark inside a text twice, as in "say ""yes"""'
            raise DataError(f"{lines.path}:{begins}: is not CSV ({error}); {remedy}") from None


def _separator(path: Path) -> str:
    """The separator, by the file's name and its first line."""
    if ".tsv" in path.suffixes:
        return "\t"
    first = next((line for _, line in numbered_lines(path)), b"")
    return ";" if b";" in first and b"," not in first else ","


def _header(cells: list[str], where: str) -> list[str]:
    """The names of the columns. Raises DataError where one is given twice."""
    names = [cell.strip() for cell in cells]
    for name in names:
        if name and names.count(name) > 1:
            raise DataError(f"{where}: two columns are named {name[:60]!r}; rename one of them")
    return names
