"""Floor 2: a phase's work in chunks. A chunk's file is there and matches its chunk, or the chunk is owed.

A file is JSON Lines: a head that carries the chunk's key, the rows, and a tail with their count and hash. A torn,
foreign or edited file therefore counts as not there, and is made again.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfplay.errors import StoreError
from selfplay.records import SCHEMA_VERSION, digest
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


class ChunkFolder:
    """A phase's working folder with its plan of chunks and its DONE."""

    def __init__(self, folder: Path, chunks: Sequence[Chunk]) -> None:
        self.folder, self.chunks = folder, tuple(chunks)
        self.plan = digest([chunk.key for chunk in chunks])

    def path(self, chunk: Chunk) -> Path:
        """Where the chunk's file lies."""
        return self.folder / f"chunk-{chunk.id:05d}.jsonl"

    def write(self, chunk: Chunk, rows: Sequence[Json]) -> None:
        """Writes a chunk's rows whole."""
        lines = [json.dumps(row, ensure_ascii=True, allow_nan=False) for row in rows]
        head = json.dumps({"schema_version": SCHEMA_VERSION, "chunk": chunk.id, "key": chunk.key})
        body = "".join(f"{line}\n" for line in lines)
        tail = json.dumps({"rows": len(lines), "sha256": hashlib.sha256(body.encode()).hexdigest()})
        write_whole(self.path(chunk), f"{head}\n{body}{tail}\n")

    def read(self, chunk: Chunk) -> list[Json] | None:
        """A chunk's rows, or None where it is owed."""
        try:
            lines = self.path(chunk).read_bytes().decode().split("\n")
            head, tail = json.loads(lines[0]), json.loads(lines[-2])
        except (OSError, ValueError, IndexError):
            return None
        if not isinstance(head, dict) or not isinstance(tail, dict) or head.get("key") != chunk.key:
            return None
        body = "".join(f"{line}\n" for line in lines[1:-2])
        if tail.get("rows") != len(lines) - 3 or tail.get("sha256") != hashlib.sha256(body.encode()).hexdigest():
            return None
        return [json.loads(line) for line in lines[1:-2]]

    def owed(self) -> list[Chunk]:
        """Chunks whose file is not there or does not match."""
        return [chunk for chunk in self.chunks if self.read(chunk) is None]

    def each(self) -> Iterator[tuple[Chunk, list[Json]]]:
        """Chunks with their rows, in order, one in memory at a time. Raises StoreError at one that is owed."""
        for chunk in self.chunks:
            rows = self.read(chunk)
            if rows is None:
                raise StoreError(
                    f"{self.path(chunk)}: is missing or broken though its phase is done; remove {self.folder}/DONE and run the same command"
                )
            yield chunk, rows

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
