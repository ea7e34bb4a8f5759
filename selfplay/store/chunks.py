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
        rows = RECENT.get(self.sha256, kind)
        if rows is None:
            rows = [kind.from_line(line) for line in self.lines]
            RECENT.put(self.sha256, rows, sum(map(len, self.lines)))
        return rows

    def rows(self) -> list[Json]:
        """The rows as JSON."""
        whole = b"[%b]" % b",".join(self.lines)  # one text: starting a parser is dearer than a row
        found: list[Json] = json.loads(whole)
        return found


class _Recent:
    """Rows that this process has written or parsed last, by the hash of their chunk: the next phase need not parse them."""

    MOST_ROWS, MOST_BYTES = 6000, 8 * 2**20

    def __init__(self) -> None:
        self._rows: OrderedDict[tuple[str, type[Record]], tuple[list[Any], int]] = OrderedDict()

    def put(self, sha256: str, rows: Sequence[Record], size: int) -> None:
        """Keeps records of one kind, `size` bytes of JSON, and drops the oldest where they come to too much."""
        if rows:
            self._rows[sha256, type(rows[0])] = list(rows), size
        while self._exceeds():
            self._rows.popitem(last=False)

    def _exceeds(self) -> bool:
        kept = self._rows.values()
        return sum(len(rows) for rows, _ in kept) > self.MOST_ROWS or sum(size for _, size in kept) > self.MOST_BYTES

    def get(self, sha256: str, kind: type[Kind]) -> list[Kind] | None:
        """The rows of a chunk, where they are kept."""
        found = self._rows.get((sha256, kind))
        return None if found is None else found[0]


RECENT = _Recent()


class _Bodies:
    """Chunk files that this process has read and found whole, by their state on the disk: a round asks for each ten times."""

    MOST_BYTES = 8 * 2**20

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Any, ...], tuple[str, Body, int]] = OrderedDict()

    def put(self, state: tuple[Any, ...], key: str, body: Body, size: int) -> None:
        """Keeps what a file of `size` bytes in this state holds, and drops the oldest where they come to too much."""
        self._kept[state] = key, body, size
        while sum(size for *_, size in self._kept.values()) > self.MOST_BYTES:
            self._kept.popitem(last=False)

    def get(self, state: tuple[Any, ...], key: str) -> Body | None:
        """The rows of a file in this state, where they are kept and are those of the chunk with this key."""
        found = self._kept.get(state)
        return found[1] if found is not None and found[0] == key else None


BODIES = _Bodies()

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
        if len(records) == len(rows):
            RECENT.put(sha256, records, len(body))

    def body(self, chunk: Chunk) -> Body | None:
        """A chunk's rows as they are written, or None where it is owed.

        A file that was read before is not read again unless its size, time or inode has changed.
        """
        path, key = self.path(chunk), chunk.key
        try:
            about = path.stat()
            state = path, about.st_size, about.st_mtime_ns, about.st_ino
            if (kept := BODIES.get(state, key)) is not None:
                return kept
            data = path.read_bytes()
        except OSError:
            return None
        body = _whole(data, key)
        if body is not None and time.time_ns() - about.st_mtime_ns > TICK:
            BODIES.put(state, key, body, len(data))
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
