"""Floor 2: what is on disk. Everything is written whole (temp, fsync, rename) or not at all.

`files` writes, `chunks` is the unit of work, `lease` keeps two drivers apart, `run` is the run folder with its rounds
and their COMMITs, `traces` the parquet files. Nothing here knows a phase.
"""

from selfplay.store.chunks import Body, Chunk, ChunkFolder
from selfplay.store.files import read_json, read_lines, sha256_of, write_json, write_lines, write_whole
from selfplay.store.lease import Lease
from selfplay.store.run import Commit, RunFolder

__all__ = [
    "Body",
    "Chunk",
    "ChunkFolder",
    "Commit",
    "Lease",
    "RunFolder",
    "read_json",
    "read_lines",
    "sha256_of",
    "write_json",
    "write_lines",
    "write_whole",
]
