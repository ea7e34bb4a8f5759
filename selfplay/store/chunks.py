"""Floor 2: a phase's work in chunks. A chunk's file is there and matches its chunk, or the chunk is owed.

A file is JSON Lines: a head that carries the chunk's key, the rows, and a tail with their count and hash. A torn,
foreign or edited file therefore counts as not there, and is made again.
"""

import hashlib
import json
import time
from collections import OrderedDict
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
    """A fixed piece of a phase: which members, with which seed, made from which inputs."""

    id: int
    members: tuple[str, ...]
    seed: int
    inputs: str = ""
    """Hash of what it is made from; other inputs make it owed again."""

    @cached_property
    def key(self) -> str:
        """Identity of the work: a file with another key belongs to other work."""
        return digest([self.id, list(self.members), self.seed, self.inputs])


class Body(NamedTuple):
    """The rows of a chunk as they are written: to be parsed as far as they are needed."""

    lines: list[bytes]
    """JSON, one a row."""
    sha256: str
    """Of the whole."""

    def records(self, kind: type[Kind]) -> list[Kind]:
        """The rows as records of one kind. Raises ValueError where one is none."""
        kept: list[Kind] | None = RECENT.get((self.sha256, kind))
        if kept is not None:
            return kept
        rows = [kind.from_line(line) for line in self.lines]
        RECENT.put((self.sha256, kind), list(rows), sum(map(len, self.lines)), len(rows))
        return rows

    def rows(self) -> list[Json]:
        """The rows as JSON."""
        whole = b"[%b]" % b",".join(self.lines)  # one text: starting a parser is dearer than a row
        found: list[Json] = json.loads(whole)
        return found


class _Kept:
    """What this process has met last; the oldest is dropped where the rows or the bytes come to too much."""

    MOST_ROWS, MOST_BYTES = 6000, 8 * 2**20

    def __init__(self) -> None:
        self._values: OrderedDict[tuple[Any, ...], tuple[Any, int, int]] = OrderedDict()

    def put(self, key: tuple[Any, ...], value: Any, size: int, rows: int = 0) -> None:
        """Keeps a value of `size` bytes on the disk and so many parsed rows."""
        self._values[key] = value, rows, size
        while self._exceeds():
            self._values.popitem(last=False)

    def _exceeds(self) -> bool:
        kept = self._values.values()
        return sum(rows for _, rows, _ in kept) > self.MOST_ROWS or sum(size for *_, size in kept) > self.MOST_BYTES

    def get(self, key: tuple[Any, ...]) -> Any:
        """The value, where it is kept; else None."""
        found = self._values.get(key)
        return None if found is None else found[0]


RECENT = _Kept()
"""Records that were written or parsed last, by the hash of their chunk and their kind: the next phase need not parse them."""

BODIES = _Kept()
"""Chunk files that were found whole, by their state on the disk and their chunk's key: a round asks for each ten times."""

TICK = 20_000_000
"""Nanoseconds: two changes of a file that are nearer than this may bear one time, so that a fresh file is not kept."""


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
        sha256 = hashlib.sha256(body).hexdigest()
        head = json.dumps({"schema_version": SCHEMA_VERSION, "chunk": chunk.id, "key": chunk.key})
        tail = json.dumps({"rows": len(rows), "sha256": sha256})
        write_whole(self.path(chunk), b"%b\n%b%b\n" % (head.encode(), body, tail.encode()))
        records = [row for row in rows if isinstance(row, Record)]
        if records and len(records) == len(rows):
            RECENT.put((sha256, type(records[0])), records, len(body), len(records))

    def body(self, chunk: Chunk) -> Body | None:
        """A chunk's rows as they are written, or None where it is owed.

        A file that was read before is not read again unless its size, time or inode has changed.
        """
        path, key = self.path(chunk), chunk.key
        try:
            about = path.stat()
            state = path, about.st_size, about.st_mtime_ns, about.st_ino, key
            kept: Body | None = BODIES.get(state)
            if kept is not None:
                return kept
            data = path.read_bytes()
        except OSError:
            return None
        body = _whole(data, key)
        if body is not None and time.time_ns() - about.st_mtime_ns > TICK:
            BODIES.put(state, body, len(data))
        return body

    def read(self, chunk: Chunk) -> list[Json] | None:
        """A chunk's rows, or None where it is owed."""
        body = self.body(chunk)
        return None if body is None else body.rows()

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

    def records(self, kind: type[Kind]) -> Iterator[tuple[Chunk, list[Kind]]]:
        """Chunks with their rows as records; see `bodies`."""
        for chunk, body in self.bodies():
            yield chunk, body.records(kind)

    def each(self) -> Iterator[tuple[Chunk, list[Json]]]:
        """Chunks with their rows parsed; see `bodies`."""
        for chunk, body in self.bodies():
            yield chunk, body.rows()

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


def _whole(data: bytes, key: str) -> Body | None:
    """The rows in a chunk file, or None where it is torn, edited, or belongs to other work."""
    try:
        start, end = data.index(b"\n") + 1, data.rindex(b"\n", 0, -1) + 1
        head, tail = json.loads(data[:start]), json.loads(data[end:])
    except ValueError:
        return None
    if not isinstance(head, dict) or not isinstance(tail, dict) or head.get("key") != key:
        return None
    lines = data[start:end].split(b"\n")[:-1]
    sha256 = hashlib.sha256(memoryview(data)[start:end]).hexdigest()
    if tail.get("rows") != len(lines) or tail.get("sha256") != sha256 or data[-1:] != b"\n":
        return None
    return Body(lines, sha256)


def _line(row: Json | Record) -> str:
    return row.to_line() if isinstance(row, Record) else json.dumps(row, ensure_ascii=True, allow_nan=False)
