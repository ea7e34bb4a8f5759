"""The chunks of a phase. A chunk with a valid file is finished; all others are pending.

A file is JSON Lines: a head with the chunk's key, the rows, and a tail with their number and hash. A file that is truncated, edited
or written for other work counts as missing, and the chunk is computed again. The phase's DONE lists the number and the hash of each
chunk's rows, so that later phases need neither read the files nor know how the work was divided.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from selfplay.errors import StoreError
from selfplay.records import SCHEMA_VERSION, Record, digest
from selfplay.store.files import read_json, write_json, write_whole

Json = dict[str, Any]
Kind = TypeVar("Kind", bound=Record)


@dataclass(frozen=True)
class Chunk:
    """A fixed part of a phase's work: its members, its seed, and its inputs."""

    id: int
    members: tuple[str, ...]
    seed: int
    inputs: str = ""
    """Hash of the inputs, such as the weights. With other inputs the chunk is pending again."""

    @cached_property
    def key(self) -> str:
        """Hash of all the above; a file with another key was written for other work."""
        return digest([self.id, list(self.members), self.seed, self.inputs])


class ChunkRows(NamedTuple):
    """The rows of a chunk as read from its file, not parsed yet."""

    lines: list[bytes]
    """One JSON text per row."""
    sha256: str
    """Hash of all rows together."""

    def records(self, kind: type[Kind]) -> list[Kind]:
        """The rows as records of one class. Raises ValueError at a row of another class."""
        return [kind.from_line(line) for line in self.lines]

    def json(self) -> list[Json]:
        """The rows as JSON objects."""
        return [json.loads(line) for line in self.lines]


class ChunkFolder:
    """The working folder of a phase: its chunks, their files, and DONE once no chunk is pending."""

    def __init__(self, folder: Path, chunks: Sequence[Chunk]) -> None:
        self.folder, self.chunks = folder, tuple(chunks)
        self.plan = digest([chunk.key for chunk in chunks])

    def path(self, chunk: Chunk) -> Path:
        """The path of the chunk's file, which need not exist."""
        return _path(self.folder, chunk.id)

    def write(self, chunk: Chunk, rows: Sequence[Json | Record]) -> None:
        """Writes the rows of a chunk to its file, atomically."""
        body = "".join(f"{_line(row)}\n" for row in rows).encode()
        head = json.dumps({"schema_version": SCHEMA_VERSION, "chunk": chunk.id, "key": chunk.key})
        tail = json.dumps({"rows": len(rows), "sha256": hashlib.sha256(body).hexdigest()})
        write_whole(self.path(chunk), b"%b\n%b%b\n" % (head.encode(), body, tail.encode()))

    def read(self, chunk: Chunk) -> ChunkRows | None:
        """The rows of a chunk, checked against their hash; None if the chunk is pending."""
        try:
            data = self.path(chunk).read_bytes()
        except OSError:
            return None
        return _validated(data, chunk.key)

    def pending(self) -> list[Chunk]:
        """The chunks whose file is missing, broken, or was written for other work."""
        return [chunk for chunk in self.chunks if self.read(chunk) is None]

    def finish(self, summary: Json) -> None:
        """Reads all chunks back and writes DONE: `summary`, with the number and the hash of each chunk's rows. Only rank 0 calls it.

        Raises StoreError if a chunk cannot be read back.
        """
        chunks = []
        for chunk in self.chunks:
            rows = self.read(chunk)
            if rows is None:
                raise StoreError(
                    f"{self.path(chunk)}: was written but cannot be read back; check the disk and rerun the same command"
                )
            chunks.append({"id": chunk.id, "rows": len(rows.lines), "sha256": rows.sha256})
        write_json(
            self.folder / "DONE", {"schema_version": SCHEMA_VERSION, "plan": self.plan, "chunks": chunks, **summary}
        )

    def done(self) -> Json | None:
        """The content of DONE if it was written for these chunks; None if the phase is not done."""
        return done(self.folder, self.plan)


class ChunkSummary(NamedTuple):
    """The entry of one chunk in DONE."""

    id: int
    rows: int
    """Number of rows."""
    sha256: str
    """Hash of all rows together."""


class FinishedChunks:
    """The chunks of a finished phase, as its DONE lists them. Raises StoreError if the phase has no DONE."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.summary: Json = read_json(folder / "DONE")
        """The content of DONE."""
        self.chunks = [ChunkSummary(**chunk) for chunk in self.summary["chunks"]]

    def read(self, id: int) -> ChunkRows:
        """The rows of a chunk. Raises StoreError if its file is missing or has changed since the phase ended."""
        path = _path(self.folder, id)
        try:
            rows = _validated(path.read_bytes())
        except OSError:
            rows = None
        if rows is None or rows.sha256 != self._by_id[id].sha256:
            raise StoreError(
                f"{path}: is missing or has changed since its phase ended; remove {self.folder}/DONE and rerun the same command"
            )
        return rows

    def iter_records(self, kind: type[Kind]) -> Iterator[list[Kind]]:
        """The rows of each chunk as records, one chunk in memory at a time."""
        return (self.read(chunk.id).records(kind) for chunk in self.chunks)

    def iter_json(self) -> Iterator[list[Json]]:
        """The rows of each chunk as JSON, one chunk in memory at a time."""
        return (self.read(chunk.id).json() for chunk in self.chunks)

    @cached_property
    def _by_id(self) -> dict[int, ChunkSummary]:
        return {chunk.id: chunk for chunk in self.chunks}


def rows_in(file: Path) -> list[Json]:
    """The rows of a chunk file of a phase that may still be at work; empty if the file is missing or incomplete."""
    try:
        rows = _validated(file.read_bytes())
    except OSError:
        rows = None
    return [] if rows is None else rows.json()


def done(folder: Path, plan: str = "") -> Json | None:
    """The content of a phase's DONE; None if there is none, or if it was written for other chunks."""
    if not (folder / "DONE").is_file():
        return None
    summary: Json = read_json(folder / "DONE")
    return summary if summary.get("plan") == plan else None


def _path(folder: Path, id: int) -> Path:
    return folder / f"chunk-{id:05d}.jsonl"


def _validated(data: bytes, key: str | None = None) -> ChunkRows | None:
    """The rows in the bytes of a chunk file; None if they are truncated, edited, or (with `key`) were written for other work."""
    try:
        start, end = data.index(b"\n") + 1, data.rindex(b"\n", 0, -1) + 1
        head, tail = json.loads(data[:start]), json.loads(data[end:])
    except ValueError:
        return None
    if not isinstance(head, dict) or not isinstance(tail, dict) or (key is not None and head.get("key") != key):
        return None
    lines = data[start:end].split(b"\n")[:-1]
    sha256 = hashlib.sha256(memoryview(data)[start:end]).hexdigest()
    if tail.get("rows") != len(lines) or tail.get("sha256") != sha256 or data[-1:] != b"\n":
        return None
    return ChunkRows(lines, sha256)


def _line(row: Json | Record) -> str:
    return row.to_line() if isinstance(row, Record) else json.dumps(row, ensure_ascii=True, allow_nan=False)
