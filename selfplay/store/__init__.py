"""Floor 2: what is on disk. Everything is written whole (temp, fsync, rename) or not at all.

`files` writes, `chunks` is the unit of work, `lease` keeps two drivers apart, `run` is the run folder with its rounds
and their COMMITs, `traces` the parquet files. Nothing here knows a phase.
"""

from selfplay.store.chunks import Chunk, ChunkFolder, ChunkRows, FinishedChunks
from selfplay.store.files import read_json, read_lines, sha256_of, write_json, write_lines, write_whole
from selfplay.store.lease import Lease
from selfplay.store.run import Commit, RoundState, RunFolder

__all__ = [
    "Chunk",
    "ChunkFolder",
    "ChunkRows",
    "Commit",
    "FinishedChunks",
    "Lease",
    "RoundState",
    "RunFolder",
    "read_json",
    "read_lines",
    "sha256_of",
    "write_json",
    "write_lines",
    "write_whole",
]
