"""Floor 2: traces.parquet, train.parquet, pairs.parquet. The only file that imports pyarrow. Explicit schemas, zstd."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from selfplay.errors import DataError
from selfplay.records import SCHEMA_VERSION, Attempt, Decision, Outcome, Preference, Row, Task, Trace, Verdict
from selfplay.store.files import writing

READ_ROWS = 4096
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
"""Columns are only ever added. `verdicts`, `sampler` and `task` hold JSON."""

ROWS = pa.schema(
    [
        ("input_ids", pa.list_(_INT)),
        ("labels", pa.list_(_INT)),
        ("weight", pa.float32()),
        ("kind", _STRING),
        ("source", _STRING),
        ("operations", _INT),
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
    """Writes traces group by group (one in memory at a time), in the order given; the number of rows."""
    count = 0
    with _writing(path, TRACES) as add:
        for group in groups:
            tasks = {id(trace.task): trace.task for trace in group}  # attempts of one task share it
            lines = {key: task.to_line() for key, task in tasks.items()}
            add([_trace_row(trace, lines[id(trace.task)]) for trace in group])
            count += len(group)
    return count


def write_rows(path: Path, rows: Sequence[Row]) -> int:
    """Writes the training rows; their number."""
    with writing_rows(path) as add:
        add(rows)
    return len(rows)


@contextmanager
def writing_rows(path: Path) -> Iterator[Callable[[Sequence[Row]], None]]:
    """Gives a function that writes one group of rows after the other; the file is there, whole, once the block ends."""
    with _writing(path, ROWS) as add:
        yield lambda rows: add([dict(row) for row in rows])


def read_operations(path: Path) -> list[int | None]:
    """The operation count of every training row of a file; the ids themselves are not read."""
    return list(pq.read_table(path, columns=["operations"]).column("operations").to_pylist())


Taken = tuple[int, int, str]
"""A row of several files: number of the file, place in it, the kind it is to have."""


def gather_rows(target: Path, files: Sequence[Path], rows: Sequence[Taken]) -> None:
    """Writes training rows of other files in a given order."""
    _gather(target, files, rows, ROWS)


def gather_pairs(target: Path, files: Sequence[Path], pairs: Sequence[Taken]) -> None:
    """Writes pairs of other files in a given order; files that are not there count as empty."""
    _gather(target, files, pairs, PAIRS)


def _gather(target: Path, files: Sequence[Path], rows: Sequence[Taken], schema: pa.Schema) -> None:
    """The ids stay in arrow's memory, 4 bytes a token: as Python numbers they would be nine times that."""
    tables = [pq.read_table(file, schema=schema) if file.is_file() else schema.empty_table() for file in files]
    starts = list(accumulate((table.num_rows for table in tables), initial=0))
    whole = pa.concat_tables(tables).combine_chunks()
    kind = schema.get_field_index("kind")
    with writing(target) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        for start in range(0, len(rows), READ_ROWS):
            block = rows[start : start + READ_ROWS]
            taken = whole.take(pa.array([starts[file] + index for file, index, _ in block], pa.int64()))
            kinds = pa.array([name for *_, name in block], _STRING)
            writer.write_table(taken.set_column(kind, schema.field(kind), kinds))


def read_rows(path: Path) -> list[Row]:
    """The training rows of a round."""
    return [Row(**row) for row in pq.read_table(path).to_pylist()]


@contextmanager
def writing_pairs(path: Path) -> Iterator[Callable[[Sequence[Preference]], None]]:
    """Gives a function that writes one group of pairs after the other; the file is there, whole, once the block ends."""
    with _writing(path, PAIRS) as add:
        yield lambda pairs: add([{**dict(pair), "reason": _storable(pair.reason)} for pair in pairs])


def count_pairs(path: Path) -> int:
    """How many pairs a file holds; none where there is no such file, as in runs of earlier versions."""
    return int(pq.read_metadata(path).num_rows) if path.is_file() else 0


def read_pairs(path: Path) -> Iterator[list[Preference]]:
    """The pairs of a file, one written group in memory at a time; none where there is no such file."""
    if not path.is_file():
        return
    with pq.ParquetFile(path) as file:
        for number in range(file.num_row_groups):
            yield [Preference(**row) for row in file.read_row_group(number).to_pylist()]


def read_sources(path: Path) -> list[tuple[str, str, int]]:
    """Kind, source and number of tokens of each training row; the ids themselves are not brought into Python."""
    found: list[tuple[str, str, int]] = []
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=READ_ROWS, columns=["kind", "source", "input_ids"]):
            tokens = batch.column("input_ids").value_lengths().to_pylist()
            found += zip(batch.column("kind").to_pylist(), batch.column("source").to_pylist(), tokens, strict=True)
    return found


def read_traces(path: Path) -> Iterator[dict[str, Any]]:
    """A round's traces as flat dicts, JSON columns parsed, one row group in memory at a time."""
    with pq.ParquetFile(path) as file:
        for number in range(file.num_row_groups):
            for row in file.read_row_group(number).to_pylist():
                yield {**row, **{name: json.loads(row[name]) for name in ("verdicts", "sampler", "task")}}


def skim_traces(path: Path) -> Iterator[dict[str, Any]]:
    """What a person is shown of a round's traces, in a fifth of the time: no token ids, JSON columns as text."""
    hidden = {"prompt_ids", "completion_ids", "logprobs", "task", "sampler"}
    with pq.ParquetFile(path) as file:
        shown = [name for name in file.schema_arrow.names if name not in hidden]
        for batch in file.iter_batches(batch_size=READ_ROWS, columns=shown):
            yield from batch.to_pylist()


def read_parquet(path: Path, fields: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Some fields of any parquet file, row by row, a few thousand rows in memory at a time.

    Raises DataError where the file is no parquet file, is torn, or lacks a field; it names those that are there.
    """
    try:
        with pq.ParquetFile(path) as file:
            there = file.schema_arrow.names
            missing = [name for name in fields if name not in there]
            if missing:
                raise DataError(f"{path}: no field {missing[0]!r}, it has fields {there}; name the right field")
            for batch in file.iter_batches(batch_size=READ_ROWS, columns=list(dict.fromkeys(fields))):
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: cannot be read as parquet, {error}; write the file again") from None


def trace_of(row: dict[str, Any]) -> Trace:
    """The record of a row of `read_traces`."""
    names = set(Attempt.model_fields) & set(row)
    decided = row["decision"] is not None
    return Trace(
        task=Task.model_validate(row["task"]),
        attempt=Attempt(**{name: row[name] for name in names}),
        verdicts=tuple(Verdict.model_validate(verdict) for verdict in row["verdicts"]),
        outcome=Outcome(row["outcome"]) if row["outcome"] else None,
        decision=Decision(decision=row["decision"], reason=row["reason"], rank=row["rank"]) if decided else None,
    )


@contextmanager
def _writing(path: Path, schema: pa.Schema) -> Iterator[Callable[[list[dict[str, Any]]], None]]:
    """Gives a function that writes one group of rows after the other; an empty group leaves no trace in the file."""
    with writing(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:

        def add(rows: list[dict[str, Any]]) -> None:
            if rows:
                writer.write_table(pa.Table.from_pylist(rows, schema=schema))

        yield add


def _trace_row(trace: Trace, line: str) -> dict[str, Any]:
    """A trace as a row; `line`: its task as JSON."""
    task, attempt, decision = trace.task, trace.attempt, trace.decision
    return {
        **dict(attempt),
        "sampler": json.dumps(attempt.sampler),
        "prompt": _storable(task.text),
        "text": _storable(attempt.text),
        "outcome": trace.outcome.value if trace.outcome is not None else None,
        "decision": decision.decision if decision else None,
        "reason": decision.reason if decision else None,
        "rank": decision.rank if decision else None,
        "verdicts": f"[{', '.join(verdict.to_line() for verdict in trace.verdicts)}]",
        "tags": list(task.tags),
        "source": task.source,
        "task": line,
    }


def _storable(text: str) -> str:
    """Text as valid UTF-8: a lone surrogate, which a tokenizer or a hostile server can give, becomes a mark."""
    return text.encode("utf-8", "replace").decode()
