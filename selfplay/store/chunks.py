"""Floor 2: a phase's work in chunks. A chunk's file is there and matches its chunk, or the chunk is owed.

A file is JSON Lines: a head that carries the chunk's key, the rows, and a tail with their count and hash. A torn,
foreign or edited file therefore counts as not there, and is made again.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from selfplay.errors import StoreError
from selfplay.records import SCHEMA_VERSION, Record, digest
from selfplay.store.files import read_json, write_json, write_whole

Json = dict[str, Any]


@dataclass(frozen=True)
class Chunk:
    """A fixed piece of a phase: which members, with which seed, made from which inputs."""

    id: int
    members: tuple[str, ...]
    seed: int
    inputs: str = ""
    """Hash of what it is made from; other inputs make it owed again."""

    @property
    def key(self) -> str:
        """Identity of the work: a file with another key belongs to other work."""
        return digest([self.id, list(self.members), self.seed, self.inputs])


class Body(NamedTuple):
    """The rows of a chunk as they are written: to be parsed as far as they are needed."""

    lines: list[bytes]
    """JSON, one a row."""
    sha256: str
    """Of the whole."""


class ChunkFolder:
    """A phase's working folder with its plan of chunks and its DONE."""

    def __init__(self, folder: Path, chunks: Sequence[Chunk]) -> None:
        self.folder, self.chunks = folder, tuple(chunks)
        self.plan = digest([chunk.key for chunk in chunks])

    def path(self, chunk: Chunk) -> Path:
        """Where the chunk's file lies."""
        return self.folder / f"chunk-{chunk.id:05d}.jsonl"

    def write(self, chunk: Chunk, rows: Sequence[Json | Record]) -> None:
        """Writes a chunk's rows whole."""
        body = "".join(f"{_line(row)}\n" for row in rows).encode()
        head = json.dumps({"schema_version": SCHEMA_VERSION, "chunk": chunk.id, "key": chunk.key})
        tail = json.dumps({"rows": len(rows), "sha256": hashlib.sha256(body).hexdigest()})
        write_whole(self.path(chunk), b"%b\n%b%b\n" % (head.encode(), body, tail.encode()))

    def body(self, chunk: Chunk) -> Body | None:
        """A chunk's rows as they are written, or None where it is owed."""
        try:
            data = self.path(chunk).read_bytes()
            start, end = data.index(b"\n") + 1, data.rindex(b"\n", 0, -1) + 1
            head, tail = json.loads(data[:start]), json.loads(data[end:])
        except (OSError, ValueError):
            return None
        if not isinstance(head, dict) or not isinstance(tail, dict) or head.get("key") != chunk.key:
            return None
        lines = data[start:end].split(b"\n")[:-1]
        sha256 = hashlib.sha256(memoryview(data)[start:end]).hexdigest()
        if tail.get("rows") != len(lines) or tail.get("sha256") != sha256 or data[-1:] != b"\n":
            return None
        return Body(lines, sha256)

    def read(self, chunk: Chunk) -> list[Json] | None:
        """A chunk's rows, or None where it is owed."""
        body = self.body(chunk)
        return None if body is None else [json.loads(line) for line in body.lines]

    def owed(self) -> list[Chunk]:
        """Chunks whose file is not there or does not match."""
        return [chunk for chunk in self.chunks if self.body(chunk) is None]

    def bodies(self) -> Iterator[tuple[Chunk, Body]]:
        """Chunks with their rows as they are written, in order, one in memory at a time. Raises StoreError at one that is owed."""
        for chunk in self.chunks:
            body = self.body(chunk)
            if body is None:
                raise StoreError(
                    f"{self.path(chunk)}: is missing or broken though its phase is done; remove {self.folder}/DONE and run the same command"
                )
            yield chunk, body

    def each(self) -> Iterator[tuple[Chunk, list[Json]]]:
        """Chunks with their rows parsed; see `bodies`."""
        for chunk, body in self.bodies():
            yield chunk, [json.loads(line) for line in body.lines]

    def finish(self, summary: Json) -> None:
        """Writes DONE; rank 0 alone, once no chunk is owed."""
        write_json(self.folder / "DONE", {"schema_version": SCHEMA_VERSION, "plan": self.plan, **summary})

    def done(self) -> Json | None:
        """What `finish` wrote for this very plan; None where the phase is not done."""
        return done(self.folder, self.plan)


def done(folder: Path, plan: str = "") -> Json | None:
    """A phase's DONE; None where there is none, or one of another plan."""
    if not (folder / "DONE").is_file():
        return None
    summary: Json = read_json(folder / "DONE")
    return summary if summary.get("plan") == plan else None


def _line(row: Json | Record) -> str:
    return row.to_line() if isinstance(row, Record) else json.dumps(row, ensure_ascii=True, allow_nan=False)
