"""Reads JSON files that users give, plain or gzip, in bounded time and memory.

A file is read, or refused with a DataError that says the file, the line, what is wrong and what to do.
"""

import codecs
import gzip
import json
import math
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Literal

from selfplay.errors import DataError

MAX_BYTES = 50_000_000
"""Most bytes of one line, or of one file that is a single JSON value."""
MAX_DEPTH = 100
"""Most lists and objects within one another: later code walks them by recursion."""
MAX_VALUES = 1_000_000
"""Most values in one line: each takes some hundred bytes in memory, however few it has in the file."""
MAX_DIGITS = 1_000
"""Most digits of one number: the time to read and write it grows with the square of its digits."""
FREE_BYTES = 64_000_000
MAX_RATIO = 100
"""A gzip file may unpack to FREE_BYTES, or to so many times its own size; text has a ratio of 3 to 20."""

Text = Literal["strict", "replace"]
"""`strict`, for what is trained on: text that cannot be stored (half a surrogate pair, NUL) and NaN are refused. `replace`, for what
other systems wrote: such text is read with `?` in its place, and NaN stays NaN."""

_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


Told = Callable[[str], None]
"""Is told what is wrong with a line that is refused; the next lines are then read all the same."""


def read_json_lines(path: Path, text: Text = "strict", told: Told | None = None) -> Iterator[tuple[str, Any]]:
    """(`file:line`, value) of every line that is not blank, one line in memory at a time. Lines end at \\n alone: a text may hold U+2028.

    A byte order mark and CRLF are removed. A gzip file is unpacked, whatever its name. Raises DataError, on a single line only without
    `told`.
    """
    for number, line in numbered_lines(path):
        if not line.removeprefix(codecs.BOM_UTF8).strip():
            continue
        try:
            value = parsed(line, f"{path}:{number}", text)
        except DataError as error:
            if told is None:
                raise
            told(str(error))
            continue
        yield f"{path}:{number}", value


def read_json_objects(
    path: Path, text: Text = "strict", told: Told | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """(place, object) of each line, or of each item of a `.json` file that is one array. Raises DataError, also on other values.

    `told`: as in `read_json_lines`; a faulty array is refused as a whole.
    """
    whole = path.suffix == ".json" or path.name.endswith(".json.gz")
    if whole and _first_byte(path) == b"[":
        for number, item in enumerate(_array(path, text), start=1):
            if not isinstance(item, dict):
                raise DataError(f"{path}: item {number} is {_kind(item)}, not an object; give an array of objects")
            yield f"{path}: item {number}", item
        return
    for where, value in read_json_lines(path, text, told):
        if isinstance(value, dict):
            yield where, value
            continue
        hint = "; an array of objects is read from a file named .json" if isinstance(value, list) else ""
        fault = f"{where}: is {_kind(value)}, not an object; give one object a line{hint}"
        if told is None:
            raise DataError(fault)
        told(fault)


def parsed(raw: bytes, where: str, text: Text = "strict") -> Any:
    """The value of one JSON text. Raises DataError with `where` on invalid JSON, and beyond the bounds of this module."""
    raw = raw.removeprefix(codecs.BOM_UTF8)
    if len(raw) > MAX_BYTES:
        raise DataError(f"{where}: has over {MAX_BYTES} bytes in one line; split it into one object a line")
    _check_size(raw, where)
    try:
        line = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        utf16 = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        why = "it is UTF-16" if utf16 else f"{error.reason}, {raw[error.start]:#04x} at byte {error.start}"
        raise DataError(f"{where}: is not UTF-8 ({why}); convert the file to UTF-8") from None
    try:
        value = (_STRICT if text == "strict" else _REPLACING).decode(line)
    except RecursionError:
        raise DataError(f"{where}: is not JSON (nested too deeply); nest at most {MAX_DEPTH} deep") from None
    except ValueError as error:
        raise DataError(f"{where}: is not JSON ({_message(error)}); give one object a line") from None
    return _storable(value, raw, where, text)


def _message(error: ValueError) -> str:
    """The parser's message, without the document of megabytes that it may hold."""
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg}, character {error.pos + 1}"
    return f"{error!s:.200}"


def _check_size(raw: bytes, where: str) -> None:
    """Refuses what would take too long to parse, by the brackets and commas outside its strings; linear, without parsing."""
    if raw.count(b"[") + raw.count(b"{") <= MAX_DEPTH and len(raw) <= MAX_VALUES:
        return
    bare = raw.replace(rb"\\", b"").replace(rb"\"", b"")  # now every quote opens or closes a string
    values = bare.count(b'"') // 4
    if values <= MAX_VALUES:
        bare = b"".join(bare.split(b'"')[::2])
        values = bare.count(b",") + bare.count(b"[") + bare.count(b"{")
    if values > MAX_VALUES:
        raise DataError(f"{where}: holds over {MAX_VALUES} values in one line; split it into one object a line")
    depth = deepest = 0
    for bracket in bare.translate(None, _NOT_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        if depth < 0:  # not JSON: the parser says so
            return
        deepest = max(deepest, depth)
    if deepest > MAX_DEPTH:
        raise DataError(f"{where}: is nested {deepest} deep; nest at most {MAX_DEPTH} deep")


def _storable(value: Any, raw: bytes, where: str, text: Text) -> Any:
    """The value where all of its text can be stored; else refuses it, or puts `?` in place of what cannot be stored."""
    if _HALF.search(raw) and any(map(_is_halved, _texts(value))):
        if text == "strict":
            raise DataError(
                f"{where}: holds half of a surrogate pair (as \\ud83d alone), which cannot be stored; write the whole character"
            )
        value = _replaced(value)
    if text == "strict" and rb"\u0000" in raw and any("\x00" in one for one in _texts(value)):
        raise DataError(f"{where}: holds a NUL character (\\u0000), which cannot be stored; remove it")
    return value


def _texts(value: Any) -> Iterator[str]:
    """All texts in a value, keys too."""
    pending = [value]
    while pending:
        one = pending.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            pending += [*one, *one.values()]
        elif isinstance(one, list):
            pending += one


def _is_halved(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def _replaced(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {_replaced(key): _replaced(one) for key, one in value.items()}
    return [_replaced(one) for one in value] if isinstance(value, list) else value


# ---- files ----


def numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """(number, bytes) of every line of a file, plain or gzip, from 1; each is read in bounded pieces, before its end is known.

    Raises DataError where the file cannot be read, is broken, or passes a bound.
    """
    number = total = 0
    try:
        with _opened(path) as file:
            packed = path.stat().st_size if isinstance(file, gzip.GzipFile) else None
            while line := file.readline(MAX_BYTES + 1):
                number, total = number + 1, total + len(line)
                _hold(f"{path}:{number}", len(line), total, packed)
                yield number, line
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}:{number + 1}: the gzip file is broken ({error}); fetch it again") from None
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror or error}); correct its path or permissions"
        ) from None


def _hold(where: str, length: int, total: int, packed: int | None) -> None:
    """Refuses a line that is too long, and a gzip file of `packed` bytes that has unpacked to too many."""
    if length > MAX_BYTES:
        raise DataError(f"{where}: has over {MAX_BYTES} bytes in one line; split it into one object a line")
    if packed is not None and total > max(FREE_BYTES, MAX_RATIO * packed):
        raise DataError(
            f"{where}: the gzip file of {packed} bytes holds {total} and more, more than {MAX_RATIO} times as many; "
            "if that is meant, unpack it and give the plain file"
        )


def _opened(path: Path) -> IO[bytes]:
    """The bytes that a file holds, unpacked where it is gzip. Raises DataError where it is no file, OSError where it cannot be read."""
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "no such file"
        raise DataError(f"{path}: {what}; give a file with one JSON object a line")
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b" or path.suffix == ".gz"
    return gzip.open(path, "rb") if packed else path.open("rb")  # type: ignore[return-value]


def _first_byte(path: Path) -> bytes:
    """The first byte that is no blank; b"" where the first thousands are."""
    for _, line in numbered_lines(path):
        if head := line.removeprefix(codecs.BOM_UTF8).strip():
            return head[:1]
    return b""


def _array(path: Path, text: Text) -> list[Any]:
    """The items of a file that is one JSON array."""
    pieces, total = [], 0
    for _, line in numbered_lines(path):
        pieces.append(line)
        total += len(line)
        if total > MAX_BYTES:
            raise DataError(
                f"{path}: is one array of over {MAX_BYTES} bytes; write it as JSON Lines, one object a line"
            )
    found: list[Any] = parsed(b"".join(pieces), str(path), text)
    return found


# ---- the parser's hooks ----


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice[:60]!r} is given twice in one object; remove one of them")
    return found


def _parse_int(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a number of {len(text)} digits, over {MAX_DIGITS}; write it as text, in quotes")
    return int(text)


def _parse_float(text: str) -> float:
    value = float(text) if len(text) <= MAX_DIGITS else math.inf
    if math.isinf(value):
        shown = text if len(text) <= 24 else f"{text[:24]}..."
        raise ValueError(f"the number {shown} is too large, or too long; write it as text, in quotes")
    return value


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is not a JSON number; write null, or the word in quotes")


_STRICT = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=_parse_int, parse_float=_parse_float, parse_constant=_refuse_constant
)
_REPLACING = json.JSONDecoder(object_pairs_hook=_unique, parse_int=_parse_int)


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
