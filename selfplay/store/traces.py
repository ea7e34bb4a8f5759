"""Reads and writes the parquet files of a round: traces.parquet, train.parquet, pairs.parquet.

They have explicit schemas and zstd compression. Only this file, and the reader of users' tables (`tasks/table_files.py`), import pyarrow.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate, groupby, pairwise, repeat
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from selfplay.errors import DataError
from selfplay.records import SCHEMA_VERSION, Attempt, Preference, Row, Trace
from selfplay.store.files import writing

READ_ROWS = 4096
"""Rows that are read or written at once."""
ROWS_FILE, PAIRS_FILE = "train.parquet", "pairs.parquet"
"""Files in a round's folder with the rows, and the preference pairs, that it trains on."""
_META = {b"schema_version": str(SCHEMA_VERSION).encode()}
_STRING, _INT = pa.string(), pa.int32()

TRACES = pa.schema(
    [
        ("task_id", _STRING),
        ("attempt", _INT),
        ("round", _INT),
        ("turn", _INT),
        ("parent", _INT),
        ("origin", _STRING),
        ("prompt", _STRING),
        ("text", _STRING),
        ("outcome", _STRING),
        ("decision", _STRING),
        ("reason", _STRING),
        ("rank", _INT),
        ("verdicts", _STRING),
        ("finish_reason", _STRING),
        ("tags", pa.list_(_STRING)),
        ("source", _STRING),
        ("model", _STRING),
        ("sampler", _STRING),
        ("chunk", _INT),
        ("retokenised", pa.bool_()),
        ("prompt_ids", pa.list_(_INT)),
        ("completion_ids", pa.list_(_INT)),
        ("logprobs", pa.list_(pa.float32())),
        ("task", _STRING),
    ],
    metadata=_META,
)
"""Columns are only added, never renamed. `verdicts`, `sampler` and `task` contain JSON."""

ROWS = pa.schema(
    [
        ("input_ids", pa.list_(_INT)),
        ("labels", pa.list_(_INT)),
        ("weight", pa.float32()),
        ("kind", _STRING),
        ("source", _STRING),
        ("difficulty", _INT),
    ],
    metadata=_META,
)

PAIRS = pa.schema(
    [
        ("task_id", _STRING),
        ("prompt_ids", pa.list_(_INT)),
        ("chosen_ids", pa.list_(_INT)),
        ("rejected_ids", pa.list_(_INT)),
        ("chosen", _STRING),
        ("rejected", _STRING),
        ("reason", _STRING),
        ("round", _INT),
        ("kind", _STRING),
    ],
    metadata=_META,
)


def write_traces(path: Path, groups: Iterable[Sequence[Trace]]) -> int:
    """Writes traces group by group, in the given order and with one group in memory at a time; returns the number of rows."""
    count = 0
    with _writing(path, TRACES) as add:
        for group in groups:
            add(_columns_of(group))
            count += len(group)
    return count


def replace_origin(path: Path, origin: str, groups: Iterable[Sequence[Trace]]) -> int:
    """Rewrites a round's traces: those of an origin are replaced by the given ones, which come last; returns their number."""
    count = 0
    with pq.ParquetFile(path) as old, _writing(path, TRACES) as add:
        for number in range(old.num_row_groups):
            table = old.read_row_group(number)
            kept = table.filter(pc.not_equal(table["origin"], origin))
            add({name: kept[name].to_pylist() for name in TRACES.names})
        for group in groups:
            add(_columns_of(group))
            count += len(group)
    return count


def write_rows(path: Path, rows: Sequence[Row]) -> int:
    """Writes the training rows; returns their number."""
    with writing_rows(path) as add:
        add(rows)
    return len(rows)


@contextmanager
def writing_rows(path: Path) -> Iterator[Callable[[Sequence[Row]], None]]:
    """Gives a function that writes a group of rows; the file is written atomically when the block ends."""
    with _writing(path, ROWS, READ_ROWS) as add:
        yield lambda rows: add({name: [getattr(row, name) for row in rows] for name in ROWS.names})


class _Held(NamedTuple):
    """Row groups that are in memory, as one table."""

    pieces: list[int]
    """Numbers of the row groups, ascending."""
    starts: Any
    """First row of each in the table, as int64."""
    table: pa.Table


class Stacked:
    """Several files of one schema as one long table with consecutive row numbers; a missing file counts as empty.

    While rows are written, a row group (a piece) stays in memory, at 4 bytes per token, from the first to the last use of its rows.
    """

    def __init__(self, files: Sequence[Path], schema: pa.Schema) -> None:
        self.schema, self._files = schema, [pq.ParquetFile(file) if file.is_file() else None for file in files]
        self._pieces = [(n, g) for n, f in enumerate(self._files) if f is not None for g in range(f.num_row_groups)]
        sizes = [self._opened(n).metadata.row_group(g).num_rows for n, g in self._pieces]
        self._ends = np.cumsum(sizes, dtype=np.int64)
        self._firsts = self._ends - np.asarray(sizes, dtype=np.int64)
        counts = [0 if f is None else f.metadata.num_rows for f in self._files]
        self._starts = list(accumulate(counts, initial=0))

    def rows_of(self, first: int, end: int) -> range:
        """The row numbers of the files from position `first` up to, but without, position `end`."""
        return range(self._starts[first], self._starts[end])

    def column(self, name: str) -> list[Any]:
        """One column of all rows; other columns are not read."""
        return [x for table in self._read(self._pieces, [name]) for x in table.column(name).to_pylist()]

    def write(self, target: Path, rows: Sequence[int], kinds: Callable[[int], str]) -> None:
        """Writes rows by their numbers, in the given order and repeated as given; `kinds` maps a row number to the kind to write."""
        wanted = np.asarray(rows, dtype=np.int64)
        piece_of = np.searchsorted(self._ends, wanted, side="right")
        last = {piece: at // READ_ROWS for at, piece in enumerate(piece_of.tolist())}
        held = _Held([], np.empty(0, dtype=np.int64), self.schema.empty_table())
        kind = self.schema.get_field_index("kind")
        with writing(target) as temporary, pq.ParquetWriter(temporary, self.schema, compression="zstd") as writer:
            for block, start in enumerate(range(0, len(wanted), READ_ROWS)):
                numbers, pieces = wanted[start : start + READ_ROWS], piece_of[start : start + READ_ROWS]
                if not np.isin(pieces, held.pieces).all():
                    needed = {*pieces.tolist(), *(piece for piece in held.pieces if last[piece] > block)}
                    held = self._hold(sorted(needed), held)
                place = np.searchsorted(held.pieces, pieces)
                taken = held.table.take(pa.array(numbers - self._firsts[pieces] + held.starts[place]))
                names = pa.array([kinds(row) for row in numbers.tolist()], _STRING)
                writer.write_table(taken.set_column(kind, self.schema.field(kind), names))

    def _hold(self, pieces: list[int], before: "_Held") -> "_Held":
        """The pieces as one table; pieces that are in memory already are not read again."""
        known, sizes = dict(zip(before.pieces, before.starts.tolist(), strict=True)), self._ends - self._firsts
        tables: list[pa.Table] = []
        for old, run in groupby(pieces, known.__contains__):
            if old:
                tables += [before.table.slice(known[piece], sizes[piece]) for piece in run]
            else:
                tables += self._read([self._pieces[piece] for piece in run])
        ends = np.cumsum(sizes[pieces])
        return _Held(pieces, ends - sizes[pieces], pa.concat_tables(tables).combine_chunks())

    def _read(self, pieces: Sequence[tuple[int, int]], columns: list[str] | None = None) -> Iterator[pa.Table]:
        """Reads pieces in order, all of one file at once; columns that the file lacks are filled with nulls."""
        fields = [field for field in self.schema if columns is None or field.name in columns]
        for file, groups in groupby(pieces, itemgetter(0)):
            table = self._opened(file).read_row_groups([group for _, group in groups], columns)
            there = set(table.column_names)
            filled = [table[f.name] if f.name in there else pa.nulls(table.num_rows, f.type) for f in fields]
            yield pa.table(filled, schema=pa.schema(fields, metadata=_META))

    def _opened(self, file: int) -> pq.ParquetFile:
        found = self._files[file]
        assert found is not None
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files:
            if file is not None:
                file.close()


def read_rows(path: Path) -> list[Row]:
    """The training rows of a round. They are not validated again, since the file has a schema."""
    with pq.ParquetFile(path) as file:
        table = file.read()
    ids = ("input_ids", "labels")
    plain = [table[name].to_pylist() for name in table.column_names if name not in ids]
    names = [*(name for name in table.column_names if name not in ids), *ids]
    columns = zip(*plain, *(_lists(table[name]) for name in ids), strict=True)
    return [Row.model_construct(**dict(zip(names, values, strict=True))) for values in columns]


def _lists(column: pa.ChunkedArray) -> Iterator[tuple[int, ...]]:
    """A column of integer lists as tuples, several times faster than arrow's own conversion."""
    for chunk in column.chunks:
        numbers, ends = chunk.flatten().to_numpy().tolist(), chunk.value_lengths().to_numpy().cumsum().tolist()
        yield from (tuple(numbers[start:end]) for start, end in pairwise([0, *ends]))


@contextmanager
def writing_pairs(path: Path) -> Iterator[Callable[[Sequence[Preference]], None]]:
    """Gives a function that writes a group of pairs; the file is written atomically when the block ends."""
    with _writing(path, PAIRS, READ_ROWS) as add:
        yield lambda pairs: add(
            {
                **{name: [getattr(pair, name) for pair in pairs] for name in PAIRS.names},
                "reason": [_storable(pair.reason) for pair in pairs],
            }
        )


def read_pairs(path: Path) -> Iterator[list[Preference]]:
    """The pairs of a file, one row group in memory at a time; none if the file does not exist."""
    if not path.is_file():
        return
    with pq.ParquetFile(path) as file:
        for number in range(file.num_row_groups):
            yield [Preference(**row) for row in file.read_row_group(number).to_pylist()]


def read_sources(path: Path) -> list[tuple[str, str, int]]:
    """Kind, source and token count of each training row, without loading the token ids."""
    found: list[tuple[str, str, int]] = []
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=READ_ROWS, columns=["kind", "source", "input_ids"]):
            tokens = batch.column("input_ids").value_lengths().to_pylist()
            found += zip(batch.column("kind").to_pylist(), batch.column("source").to_pylist(), tokens, strict=True)
    return found


def read_traces(path: Path) -> Iterator[dict[str, Any]]:
    """The traces of a round as flat dicts with parsed JSON columns; one row group is in memory at a time."""
    with pq.ParquetFile(path) as file:
        for number in range(file.num_row_groups):
            for row in file.read_row_group(number).to_pylist():
                yield {**row, **{name: json.loads(row[name]) for name in ("verdicts", "sampler", "task")}}


def skim_traces(path: Path) -> Iterator[dict[str, Any]]:
    """The columns of a round's traces for display: no token ids, and JSON columns as text. Takes a fifth of the time of `read_traces`."""
    hidden = {"prompt_ids", "completion_ids", "logprobs", "sampler"}
    with pq.ParquetFile(path) as file:
        shown = [name for name in file.schema_arrow.names if name not in hidden]
        for batch in file.iter_batches(batch_size=READ_ROWS, columns=shown):
            yield from batch.to_pylist()


def read_parquet(path: Path, fields: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Some fields of any parquet file, row by row, with READ_ROWS rows in memory at a time.

    Raises DataError if the file is not parquet, is truncated, or lacks a field; the error lists the existing fields.
    """
    try:
        with pq.ParquetFile(path) as file:
            there = file.schema_arrow.names
            missing = [name for name in fields if name not in there]
            if missing:
                raise DataError(f"{path}: no field {missing[0]!r}, it has fields {there}; give the right field")
            for batch in file.iter_batches(batch_size=READ_ROWS, columns=list(dict.fromkeys(fields))):
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: cannot be read as parquet, {error}; write the file again") from None


Columns = Mapping[str, Sequence[Any]]


@contextmanager
def _writing(path: Path, schema: pa.Schema, together: int = 1) -> Iterator[Callable[[Columns], None]]:
    """Gives a function that writes a group of rows; an empty group adds nothing.

    `together`: smallest number of rows in a row group; smaller groups are merged, since each row group costs a read.
    """
    held: list[pa.Table] = []
    with writing(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:

        def flush() -> None:
            if held:
                writer.write_table(pa.concat_tables(held).combine_chunks())
                held.clear()

        def add(columns: Columns) -> None:
            if columns[schema.names[0]]:
                arrays = [pa.array(columns[field.name], field.type) for field in schema]
                held.append(pa.Table.from_arrays(arrays, schema=schema))
            if sum(table.num_rows for table in held) >= together:
                flush()

        yield add
        flush()


_OF_ATTEMPT = frozenset(TRACES.names) & frozenset(Attempt.model_fields)


def _columns_of(traces: Sequence[Trace]) -> Columns:
    """Traces as columns; writing columns is several times faster than writing rows."""
    attempts, decisions = [trace.attempt for trace in traces], [trace.decision for trace in traces]
    tasks = {id(trace.task): trace.task for trace in traces}  # attempts at a task share its object
    lines = {key: task.to_line() for key, task in tasks.items()}
    verdicts = {id(verdict): verdict for trace in traces for verdict in trace.verdicts}  # and many share a verdict
    verdict_lines = {key: verdict.to_line() for key, verdict in verdicts.items()}
    return {
        **{name: [getattr(attempt, name) for attempt in attempts] for name in _OF_ATTEMPT},
        "sampler": _json_of([attempt.sampler for attempt in attempts]),
        "prompt": [_storable(trace.task.text) for trace in traces],
        "text": [_storable(attempt.text) for attempt in attempts],
        "outcome": [None if trace.outcome is None else trace.outcome.value for trace in traces],
        "decision": [one and one.decision for one in decisions],
        "reason": [one and one.reason for one in decisions],
        "rank": [one and one.rank for one in decisions],
        "verdicts": [f"[{', '.join(verdict_lines[id(verdict)] for verdict in trace.verdicts)}]" for trace in traces],
        "tags": [trace.task.tags for trace in traces],
        "source": [trace.task.source for trace in traces],
        "task": [lines[id(trace.task)] for trace in traces],
    }


def _json_of(values: Sequence[dict[str, Any]]) -> list[str]:
    """Each value as JSON; consecutive equal values, such as the samplers of a round, are encoded once."""
    return [text for value, run in groupby(values) for text in repeat(json.dumps(value), len(list(run)))]


def _storable(text: str) -> str:
    """Text as valid UTF-8: a lone surrogate, which a tokenizer or a server can produce, becomes a question mark."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
