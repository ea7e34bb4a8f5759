"""What a run keeps on disk. Every file is written as a whole (temporary file, fsync, rename) or not at all.

`files` reads and writes files, `chunks` holds the working folder of a phase, `lease` keeps a second driver out, `run` is the run
folder with its rounds and their COMMITs, and `traces` the parquet files. No module here knows the phases.
"""

from selfplay.store.chunks import Chunk, ChunkFolder, ChunkRows, FinishedChunks
from selfplay.store.files import read_json, read_lines, sha256_of, write_json, write_lines, write_whole
from selfplay.store.lease import Lease
from selfplay.store.run import Commit, RoundState, RunFolder

__all__ = [
    "Chunk", "ChunkFolder", "ChunkRows", "Commit", "FinishedChunks", "Lease", "RoundState", "RunFolder", "read_json",
    "read_lines", "sha256_of", "write_json", "write_lines", "write_whole",
]  # fmt: skip
