"""The files of a run. Every write is atomic: temporary file, fsync, rename.

`files` reads and writes single files, `chunks` the working folder of a phase, `run` the run folder with its rounds and COMMITs, and
`traces` the parquet files; `lease` keeps a second process out of the run folder. No module here depends on a phase.
"""

from selfplay.store.chunks import Chunk, ChunkFolder, ChunkRows, FinishedChunks
from selfplay.store.files import read_json, read_lines, sha256_of, write_json, write_lines, write_whole
from selfplay.store.lease import Lease
from selfplay.store.run import Commit, RoundState, RunFolder

__all__ = [
    "Chunk", "ChunkFolder", "ChunkRows", "Commit", "FinishedChunks", "Lease", "RoundState", "RunFolder", "read_json",
    "read_lines", "sha256_of", "write_json", "write_lines", "write_whole",
]  # fmt: skip
