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
        """Reads the filter columns. Raises pyarrow's error for a file that is not parquet."""
        self._files = [pq.ParquetFile(file, read_dictionary=list(WORDS)) for file in files]
        tables = [file.read(list(COLUMNS)) for file in self._files]
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

    def select(self, wanted: Mapping[str, str]) -> Ints:
        """Row numbers, ascending, of the traces whose columns equal the wanted values; no wish selects all.

        Values are text, also for `round`; `MISSING` selects empty values. A value that does not occur selects nothing.
        """
        if self._table is None:
            return np.empty(0, dtype=np.int64)
        mask = np.ones(len(self), dtype=bool)
        for name, value in wanted.items():
            mask &= self._equal(self._table.column(name), value)
        return np.flatnonzero(mask).astype(np.int64)

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
        """Some columns of the rows, in the given order, each with its number as `row`."""
        wanted = np.asarray(numbers, dtype=np.int64)
        piece_of = np.searchsorted(self._ends, wanted, side="right")
        found: dict[int, dict[str, Any]] = {}
        for number in np.unique(piece_of).tolist():
            piece = self._pieces[number]
            inside = wanted[piece_of == number]
            table = self._read(piece, columns).take(pa.array(inside - piece.first))
            found |= zip(inside.tolist(), table.to_pylist(), strict=True)
        return [{"row": number, **found[number]} for number in wanted.tolist()]

    def search(self, numbers: Ints, text: str) -> Iterator[int]:
        """The row numbers among `numbers` whose prompt or text contains `text`, case ignored; found row group by row group."""
        piece_of = np.searchsorted(self._ends, numbers, side="right")
        for number in np.unique(piece_of).tolist():
            piece = self._pieces[number]
            inside = numbers[piece_of == number]
            table = self._read(piece, ("prompt", "text"))
            hits = [pc.match_substring(table[name], text, ignore_case=True) for name in ("prompt", "text")]
            held = pc.fill_null(pc.or_(*hits), False).to_numpy()
            yield from inside[held[inside - piece.first]].tolist()

    def _read(self, piece: _Piece, columns: Sequence[str]) -> pa.Table:
        return self._files[piece.file].read_row_group(piece.group, columns=list(columns))

    def close(self) -> None:
        """Closes the files."""
        for file in self._files:
            file.close()
