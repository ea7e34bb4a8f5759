"""All traces of a run, indexed for browsing: filters and pages answer from columns in memory, a text search reads the files.

A few short columns of every traces.parquet are held in memory, about 20 bytes per trace; prompts and texts are read only for the
rows that are shown.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from selfplay.textstats.hashing import Ints

COLUMNS = ("round", "task_id", "attempt", "turn", "origin", "outcome", "decision", "reason", "source")
"""Columns in memory, by which traces can be filtered."""
WORDS = ("task_id", "origin", "outcome", "decision", "reason", "source")
MISSING = "none"
"""How a filter names an empty value, such as the decision before curation."""


class _Piece(NamedTuple):
    """A row group of a file."""

    file: int
    group: int
    first: int
    """Its first row in the index."""
    end: int


class TraceIndex:
    """The traces of several files as one table; rows are numbered from 0, in the order of the files."""

    def __init__(self, files: Sequence[Path]) -> None:
        """Reads the filter columns; a file that cannot be read is left out and named in `torn`."""
        self.torn: dict[Path, str] = {}
        """File -> why it, or a part of it, cannot be read."""
        self._files: list[pq.ParquetFile] = []
        self._paths: list[Path] = []
        tables = []
        for path in files:
            try:
                there = pq.read_schema(path).names
                if missing := [name for name in COLUMNS if name not in there]:
                    self.torn[path] = f"it has no column {missing[0]}"
                    continue
                file = pq.ParquetFile(path, read_dictionary=list(WORDS))
                tables.append(file.read(list(COLUMNS)))
            except (pa.ArrowException, OSError) as error:
                self.torn[path] = _first_line(error)
                continue
            self._files.append(file)
            self._paths.append(path)
        self._table = pa.concat_tables(tables).unify_dictionaries().combine_chunks() if tables else None
        self._pieces = list(self._row_groups())
        self._ends = np.asarray([piece.end for piece in self._pieces], dtype=np.int64)

    def _row_groups(self) -> Iterator[_Piece]:
        first = 0
        for number, file in enumerate(self._files):
            for group in range(file.num_row_groups):
                end = first + file.metadata.row_group(group).num_rows
                yield _Piece(number, group, first, end)
                first = end

    def __len__(self) -> int:
        """Number of traces."""
        return 0 if self._table is None else self._table.num_rows

    def select(self, wanted: Mapping[str, str], task: str = "") -> Ints:
        """Row numbers, ascending, of the traces whose columns equal the wanted values; no wish selects all.

        Values are text, also for `round`; `MISSING` selects empty values. A value that does not occur selects nothing. `task`: only
        tasks whose id begins with it.
        """
        if self._table is None:
            return np.empty(0, dtype=np.int64)
        mask = np.ones(len(self), dtype=bool)
        for name, value in wanted.items():
            mask &= self._equal(self._table.column(name), value)
        if task:
            ids = self._table.column("task_id")
            chunks = [pc.starts_with(one.dictionary, task).take(one.indices) for one in ids.chunks]
            mask &= pc.fill_null(pa.chunked_array(chunks, pa.bool_()), False).to_numpy()
        return np.flatnonzero(mask).astype(np.int64)

    def tasks(self, start: str) -> list[str]:
        """The ids of the tasks that begin with a text, sorted."""
        if self._table is None:
            return []
        found = {name for chunk in self._table.column("task_id").chunks for name in chunk.dictionary.to_pylist()}
        return sorted(name for name in found if name.startswith(start))

    @staticmethod
    def _equal(column: pa.ChunkedArray, value: str) -> Any:
        if value == MISSING:
            return pc.is_null(column).to_numpy()
        if pa.types.is_integer(column.type):
            found = pc.equal(column, int(value) if value.isascii() and value.isdigit() and len(value) < 9 else -1)
        else:
            found = pc.equal(column, pa.scalar(value, pa.string()).cast(column.type.value_type))
        return pc.fill_null(found, False).to_numpy()

    def counts(self, rows: Ints, name: str) -> dict[str, int]:
        """How often each value of a column occurs among the rows, the most common first."""
        if self._table is None:
            return {}
        found = pc.value_counts(self._table.column(name).take(pa.array(rows))).to_pylist()
        totals = Counter({MISSING if one["values"] is None else str(one["values"]): one["counts"] for one in found})
        return dict(totals.most_common())

    def rows(self, numbers: Sequence[int], columns: Sequence[str]) -> list[dict[str, Any]]:
        """Some columns of the rows, in the given order, each with its number as `row`. Rows of a part that is torn are left out."""
        wanted = np.asarray(numbers, dtype=np.int64)
        piece_of = np.searchsorted(self._ends, wanted, side="right")
        found: dict[int, dict[str, Any]] = {}
        for number in np.unique(piece_of).tolist():
            piece = self._pieces[number]
            inside = wanted[piece_of == number]
            if (table := self._read(piece, columns)) is not None:
                found |= zip(inside.tolist(), table.take(pa.array(inside - piece.first)).to_pylist(), strict=True)
        return [{"row": number, **found[number]} for number in wanted.tolist() if number in found]

    def search(self, numbers: Ints, text: str) -> Iterator[int]:
        """The row numbers among `numbers` whose prompt or text contains `text`, case ignored; found row group by row group."""
        piece_of = np.searchsorted(self._ends, numbers, side="right")
        for number in np.unique(piece_of).tolist():
            piece = self._pieces[number]
            inside = numbers[piece_of == number]
            if (table := self._read(piece, ("prompt", "text"))) is None:
                continue
            hits = [pc.match_substring(table[name], text, ignore_case=True) for name in ("prompt", "text")]
            held = pc.fill_null(pc.or_(*hits), False).to_numpy()
            yield from inside[held[inside - piece.first]].tolist()

    def _read(self, piece: _Piece, columns: Sequence[str]) -> pa.Table | None:
        """Some columns of a row group; None, and the file in `torn`, if they cannot be read."""
        try:
            return self._files[piece.file].read_row_group(piece.group, columns=list(columns))
        except (pa.ArrowException, OSError) as error:
            self.torn[self._paths[piece.file]] = _first_line(error)
            return None

    def close(self) -> None:
        """Closes the files."""
        for file in self._files:
            file.close()


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
