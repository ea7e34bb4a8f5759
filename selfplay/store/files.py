"""Reads and writes files. A write is atomic: to a temporary file in the same folder, synced to disk, then renamed."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, TextIO, TypeVar

from selfplay.errors import StoreError

Parsed = TypeVar("Parsed")


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Gives a temporary path in the folder of `path`. On a clean exit the file there is synced and renamed to `path`, else removed.

    Raises StoreError if the disk is full or the folder is not writable; an old file then stays unchanged.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def unwritable(path: Path, error: OSError) -> StoreError:
    """The error for a file that cannot be written: a full disk, a read-only folder, a folder of somebody else."""
    return StoreError(
        f"{path}: cannot be written ({error.strerror or error}); free disk space or fix the permissions, then rerun the same "
        "command; no committed round is lost"
    )


def sync(path: Path) -> None:
    """Syncs the content of a file, or the entries of a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def writing_text(path: Path) -> Iterator[TextIO]:
    """Gives a text file to write to; on a clean exit it replaces `path` atomically."""
    with writing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        yield file


def write_whole(path: Path, data: bytes | str) -> None:
    """Writes a file atomically: a reader sees the old content or the new, never a part."""
    with writing(path) as temporary:
        temporary.write_bytes(data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data)


def write_lines(path: Path, lines: Iterable[bytes]) -> None:
    """Writes lines to a file atomically, without holding all of them in memory."""
    with writing(path) as temporary, temporary.open("wb") as file:
        file.writelines(b"%b\n" % line for line in lines)


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file atomically, keys in the given order. Raises ValueError at NaN, which is not JSON."""
    write_whole(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Reads a JSON file of a run. Raises StoreError with the path if the file is missing or broken."""
    return _read(path, json.load)


def read_lines(path: Path, parse: Callable[[list[bytes]], Parsed]) -> Parsed:
    """Reads a JSON Lines file of a run with `parse`, which raises ValueError at lines that it cannot read.

    Raises StoreError with the path if the file is missing, truncated or cannot be parsed.
    """

    def whole(file: BinaryIO) -> Parsed:
        lines = [line.removesuffix(b"\n") for line in file]
        if file.tell():
            file.seek(-1, os.SEEK_END)
        if file.read() != b"\n":
            raise ValueError("its last line has no line end")
        return parse(lines)

    return _read(path, whole)


def _read(path: Path, parse: Callable[[BinaryIO], Parsed]) -> Parsed:
    try:
        with path.open("rb") as file:
            return parse(file)
    except FileNotFoundError:
        raise StoreError(
            f"{path}: is missing, so the run folder is incomplete; restore the file or start under a new --name"
        ) from None
    except (ValueError, RecursionError) as error:
        raise StoreError(
            f"{path}: is not valid JSON ({error!s:.200}); restore the file or start under a new --name"
        ) from None


def sha256_of(path: Path) -> str:
    """Hex sha256 of the bytes of a file, or of the names and bytes of a folder's files in name order."""
    whole = hashlib.sha256()
    for file in [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file()):
        if file != path:
            whole.update(f"{file.relative_to(path).as_posix()}\0".encode())
        with file.open("rb") as handle:
            while block := handle.read(2**20):
                whole.update(block)
    return whole.hexdigest()
