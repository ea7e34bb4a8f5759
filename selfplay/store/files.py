"""Floor 2: whole files or none: written beside their place, synced, and renamed into it."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TextIO, TypeVar

from selfplay.errors import StoreError

Parsed = TypeVar("Parsed")


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Gives a temporary path beside `path`; on a clean exit it is synced and renamed to `path`, else removed.

    Raises StoreError where the disk is full or the folder cannot be written: what stood there stays as it was.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise StoreError(
            f"{path}: cannot be written ({error.strerror or error}); free the disk or its permissions and run the same command: "
            "nothing that was committed is lost"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def writing_text(path: Path) -> Iterator[TextIO]:
    """Gives a text file to write to, which is at `path`, whole, once the block ends cleanly."""
    with writing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        yield file


def write_whole(path: Path, data: bytes | str) -> None:
    """Writes a file whole; a reader sees the old content or the new, never a part."""
    with writing(path) as temporary:
        temporary.write_bytes(data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data)


def write_lines(path: Path, lines: Iterable[bytes]) -> None:
    """Writes a file of lines whole, as `write_whole` does; the lines are not brought together in memory."""
    with writing(path) as temporary, temporary.open("wb") as file:
        file.writelines(b"%b\n" % line for line in lines)


def write_json(path: Path, value: Any, *, compact: bool = False) -> None:
    """Writes a JSON file whole, keys in their given order. NaN is refused: it is no JSON.

    `compact`: on one line, which the standard library writes in C, ten times faster: for what nobody reads.
    """
    write_whole(path, json.dumps(value, indent=None if compact else 1, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Reads a JSON file of ours. Raises StoreError with the path where it is missing or broken."""
    return _read(path, json.load)


def read_lines(path: Path, parse: Callable[[list[bytes]], Parsed]) -> Parsed:
    """Reads a file of JSON lines of ours by `parse`, which raises ValueError on what it cannot read.

    Raises StoreError with the path where the file is missing, torn or cannot be parsed.
    """

    def whole(file: BinaryIO) -> Parsed:
        lines = [line.removesuffix(b"\n") for line in file]
        if file.tell():
            file.seek(-1, os.SEEK_END)
        if file.read() != b"\n":
            raise ValueError("its last line has no end")
        return parse(lines)

    return _read(path, whole)


def _read(path: Path, parse: Callable[[BinaryIO], Parsed]) -> Parsed:
    try:
        with path.open("rb") as file:
            return parse(file)
    except FileNotFoundError:
        raise StoreError(
            f"{path}: is missing; the run folder is not complete, restore it or start under a new --name"
        ) from None
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{path}: is no JSON ({error!s:.200}); restore the file or start under a new --name") from None


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file's bytes, or of a folder's files in name order with their names."""
    whole = hashlib.sha256()
    for file in [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file()):
        if file != path:
            whole.update(f"{file.relative_to(path).as_posix()}\0".encode())
        with file.open("rb") as handle:
            while block := handle.read(2**20):
                whole.update(block)
    return whole.hexdigest()
