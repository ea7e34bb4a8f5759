"""Encodes values that enter or leave the sandbox. Trusted values go in as marshal or an expression; hostile values come out as tagged JSON only.

Bytes a program wrote are never unpickled, marshalled or evaluated; they are parsed as JSON and rebuilt as exact
builtins, so that no comparison ever runs the program's own code. The tags are listed in `runner.py`.
"""

import functools
import importlib
import json
import marshal
import math
import re
from collections import Counter, deque
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

from selfplay.sandbox import library

Raw = bytes | str
"""An encoded value for the sandbox: marshal bytes, or a Python expression where marshal cannot hold it."""

MAX_DEPTH = 80
MAX_FRACTION = 2**14  # hex digits: its greatest common divisor costs the square of them
MAX_DECIMAL = 100_000  # characters
MAX_EXPONENT = 20_000  # digits before or after the point: `int` of a decimal writes them all out
_FEW = 32  # parts of a set that may collide as they like
_MAX_COLLISIONS = 2**18  # pairs of equal hash, in all replies of a program
_MAX_ARRAYS = 2**25  # bytes of numpy arrays, in all replies of a program
_MAX_AXES = 32
_LISTS = frozenset("tsfd")
_DTYPE = re.compile(r"[<>|=]?(bool|u?int\d{1,3}|float\d{1,3}|complex\d{1,3}|[biufcUS]\d{1,7})")


class Malformed(Exception):
    """Raised if the program wrote something into the channel that is not a reply."""


class Opaque:
    """A value that could not leave the sandbox; it equals nothing, not even itself."""

    __slots__ = ("name",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        return False

    def __repr__(self) -> str:
        return f"<{self.name} that cannot leave the sandbox>"


class Alias:
    """Stands for the call's own argument number `at`, returned as it is."""

    __slots__ = ("at",)

    def __init__(self, at: int) -> None:
        self.at = at


class Handle:
    """Stands for an object that stays in the sandbox (call-by-call sessions)."""

    __slots__ = ("at", "callable", "name")

    def __init__(self, at: int, name: str, is_callable: bool) -> None:
        self.at, self.name, self.callable = at, name, is_callable


class Earlier:
    """Stands for the program's answer to call number `at` of the same message."""

    __slots__ = ("at",)

    def __init__(self, at: int) -> None:
        self.at = at


_EXACT = (int, float, str, bytes, bool, complex, type(None))


def dump(value: Any) -> Raw:
    """Encodes a trusted value for the sandbox.

    Raises TypeError, naming the type, if it is not a builtin, Decimal, Fraction or bytearray; ValueError if
    it is nested too deeply or contains itself.
    """
    try:
        if _only_marshal(value, 0):
            return marshal.dumps(value, 2)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return expression(value)


def _only_marshal(value: Any, depth: int) -> bool:
    kind = type(value)
    if kind in _EXACT:
        return True
    if depth > MAX_DEPTH:
        raise ValueError(f"nested more than {MAX_DEPTH} deep, or holds itself")
    if kind in (list, tuple, set, frozenset):
        return all(_only_marshal(item, depth + 1) for item in value)
    if kind is dict:
        return all(_only_marshal(k, depth + 1) and _only_marshal(v, depth + 1) for k, v in value.items())
    if kind in (Decimal, Fraction, bytearray, range, *library.TIMES, *library.CONTAINERS):
        return False
    raise TypeError(f"a {kind.__module__}.{kind.__qualname__} cannot be sent into the sandbox")


def expression(value: Any) -> str:
    """The value as a Python expression, for what marshal cannot hold; same errors as `dump`."""
    kind = type(value)
    if kind is float:
        return f"float({str(value)!r})" if math.isinf(value) or math.isnan(value) else repr(value)
    if kind is int:
        return hex(value)
    if kind is complex:
        return f"complex({expression(value.real)},{expression(value.imag)})"
    if kind in _EXACT:
        return repr(value)
    if kind is Decimal:
        return f"__import__('decimal').Decimal({str(value)!r})"
    if kind is Fraction:
        return f"__import__('fractions').Fraction({value.numerator:#x},{value.denominator:#x})"
    if kind is bytearray:
        return f"bytearray({bytes(value)!r})"
    if kind is range:
        return repr(value)
    if kind is Handle:
        return f"_h[{value.at}]"
    if kind is Earlier:
        return f"_r[{value.at}]"
    if kind is dict:
        return "{" + ",".join(f"{expression(k)}:{expression(v)}" for k, v in value.items()) + "}"
    found = library.expression(value, expression)
    if found is not None:
        return found
    items = ",".join(expression(item) for item in value) if kind in (list, tuple, set, frozenset) else None
    if items is None:
        raise TypeError(f"a {kind.__module__}.{kind.__qualname__} cannot be sent into the sandbox")
    if kind is tuple:
        return f"({items},)" if items else "()"
    return f"[{items}]" if kind is list else f"{kind.__name__}([{items}])"


def load(raw: Raw) -> Any:
    """Decodes in the judge what `dump` made of a trusted value."""
    return marshal.loads(raw) if isinstance(raw, bytes) else eval(raw, {})


def _number(text: Any, most: int = 2**20) -> int:
    if not isinstance(text, str) or len(text) > most or not text.lstrip("-").startswith("0x"):
        raise Malformed("not a large integer")
    return int(text, 16)


def _whole(value: Any) -> int:
    """An integer from JSON or from the tag `i`; text and Decimal are refused, since their conversion could take forever."""
    if type(value) is not int:
        raise Malformed("not an integer")
    return value


def _text(value: Any) -> str:
    if type(value) is not str:
        raise Malformed("not a text")
    return value[:80]


def _parts(value: Any, length: int, *kinds: type) -> Any:
    if type(value) is not list or len(value) != length or not all(type(item) in kinds for item in value):
        raise Malformed("not a pair")
    return value


@functools.cache
def _numpy() -> Any:
    """numpy if it is installed: the value of an answer must not depend on whether earlier tests have imported it."""
    try:
        return importlib.import_module("numpy")
    except ImportError:
        return None


def _decimal(value: Any) -> Decimal:
    if type(value) is not str or len(value) > MAX_DECIMAL:
        raise Malformed("not a decimal")
    number = Decimal(value)
    # a few characters can stand for a number of millions of digits, which any arithmetic would expand
    if number.is_finite() and abs(number.adjusted()) > MAX_EXPONENT:
        raise Malformed("a decimal whose exponent is too large")
    return number


def _two(pair: Any) -> Any:
    if type(pair) is not list or len(pair) != 2:
        raise Malformed("not a pair")
    return pair


class Reader:
    """Reads the replies of one program. One budget bounds what all of them together may cost beyond their own size."""

    def __init__(self) -> None:
        self._array_bytes = self._collisions = 0
        self._decoder = json.JSONDecoder(object_pairs_hook=self._tagged)

    def parse(self, lines: list[bytes], fresh: bool = False) -> list[list[Any]]:
        """The replies of some lines, each a list whose first item says what it is (see `runner.py`).

        `fresh`: the lines are another program's, so the budget starts anew. Raises `Malformed` on anything else; the
        lines' length was bounded before.
        """
        if fresh:
            self._array_bytes = self._collisions = 0
        try:
            # one text: the decoder's own start is dearer than a short reply. A line that is no whole reply changes the count
            values = self._decoder.decode((b"[" + b",".join(lines) + b"]").decode("ascii"))
        except (
            ValueError,
            TypeError,
            RecursionError,
            InvalidOperation,
            ArithmeticError,
            AttributeError,
            LookupError,
            MemoryError,
        ) as error:
            raise Malformed(f"{type(error).__name__} while reading a reply") from None
        if type(values) is not list or len(values) != len(lines):
            raise Malformed("a line that is not one reply")
        for value in values:
            if type(value) is not list or not value or type(value[0]) is not int:
                raise Malformed("a reply that is no list")
            if len(value) != _LENGTHS.get(value[0], -1):
                raise Malformed("a reply of the wrong shape")
            if value[0] and not _said(value):
                raise Malformed("a reply that says nothing")
        return values

    def _tagged(self, pairs: list[tuple[str, Any]]) -> Any:
        if len(pairs) != 1:
            raise Malformed("an object that is no value")
        tag, value = pairs[0]
        if tag in _LISTS and type(value) is not list:
            raise Malformed("not a list")
        match tag:
            case "t":
                return tuple(value)
            case "d":
                return self._hashed(dict, value)
            case "s":
                return self._hashed(set, value)
            case "f":
                return self._hashed(frozenset, value)
            case "b":
                return bytes.fromhex(value)
            case "n":
                return self._array(value)
            case "L":
                return library.rebuilt(value, self._hashed)
            case _:
                return _scalar(tag, value)

    def _hashed(self, kind: type, items: list[Any]) -> Any:
        """Rebuilds a set, frozenset or dict. Parts with equal hashes cost the square of their number, so the number of such pairs is bounded."""
        keys = [_two(item)[0] for item in items] if kind is dict else items
        try:
            if len(keys) > _FEW:
                counts = Counter([hash(key) for key in keys])
                if len(counts) < len(keys):
                    self._collisions += sum(count * (count - 1) // 2 for count in counts.values() if count > 1)
                if self._collisions > _MAX_COLLISIONS:
                    raise Malformed("values that were made to collide")
            return kind(items)
        except TypeError:
            if any(type(key) is Opaque for key in keys):
                return Opaque(kind.__name__)
            raise

    def _array(self, value: Any) -> Any:
        _two(value)
        numpy = _numpy()
        if numpy is None or not isinstance(value[0], str) or not _DTYPE.fullmatch(value[0]):
            return Opaque("ndarray")
        # text of a stated width: a few bytes of reply could demand all memory
        self._array_bytes += numpy.dtype(value[0]).itemsize * _leaves(value[1], 0)
        if self._array_bytes > _MAX_ARRAYS:
            raise Malformed("arrays that are too large")
        return numpy.array(value[1], dtype=value[0])


def _leaves(value: Any, depth: int) -> int:
    """The number of scalars in nested lists, at least 1; other values (a range) would expand to more than was written."""
    if type(value) is list and depth < _MAX_AXES:
        return sum(_leaves(item, depth + 1) for item in value) if value else 1
    if type(value) not in _EXACT:
        raise Malformed("an array of other than scalars")
    return 1


def _scalar(tag: str, value: Any) -> Any:
    match tag:
        case "i":
            return _number(value)
        case "c":
            return complex(*_parts(value, 2, float, int))
        case "a":
            return Alias(_whole(value))
        case "h":
            if type(value) is not list or len(value) != 3:
                raise Malformed("not a handle")
            return Handle(_whole(value[0]), _text(value[1]), value[2] is True)
        case "o":
            return Opaque(_text(value))
        case "D":
            return _decimal(value)
        case "F":
            return Fraction(*(_number(part, MAX_FRACTION) for part in _parts(value, 2, str)))
        case "r":
            return range(*_parts(value, 3, int))
        case _:
            raise Malformed(f"unknown tag {tag[:20]!r}")


_reader = Reader()


def parse(line: bytes) -> list[Any]:
    """One reply line of a program, as `Reader.parse`."""
    return parse_all([line])[0]


def parse_all(lines: list[bytes]) -> list[list[Any]]:
    """All reply lines of a program, as `Reader.parse`. Raises `Malformed`."""
    return _reader.parse(lines, fresh=True)


def _said(reply: list[Any]) -> bool:
    """Whether the description of an exception has the right form: names, text, line and arguments or None; or a text alone."""
    if reply[0] in (1, 2):
        names, text, line, args = reply[1:]
        plain = type(names) is list and all(type(name) is str for name in names) and type(text) is str
        return plain and type(line) is int and (args is None or type(args) is list)
    return reply[0] == 9 or type(reply[-1]) is str


_LENGTHS = {0: 3, 1: 5, 2: 5, 3: 2, 9: 1}


def same(expected: Any, got: Any, atol: float) -> bool:
    """Whether a decoded value is the expected one: Python's `==` of builtins, NaN equal to NaN, numbers within `atol`."""
    try:
        if bool(expected == got):
            return True
        return _close(expected, got, atol)
    except (RecursionError, TypeError, ValueError, ArithmeticError):
        return False


def _close(expected: Any, got: Any, atol: float) -> bool:
    if isinstance(expected, list | tuple):
        if type(expected) is not type(got) or len(expected) != len(got):
            return False
        return all(a is b or a == b or _close(a, b, atol) for a, b in zip(expected, got, strict=True))
    if isinstance(expected, dict):
        if not isinstance(got, dict) or expected.keys() != got.keys():
            return False
        return all(_close(value, got[key], atol) for key, value in expected.items())
    if isinstance(expected, float) and isinstance(got, float) and math.isnan(expected) and math.isnan(got):
        return True
    if isinstance(expected, int | float | complex) and isinstance(got, int | float | complex):
        return expected == got or (atol > 0 and abs(expected - got) <= atol)
    return bool(expected == got)


def holds_opaque(value: Any, depth: int = 0) -> bool:
    """Whether some part of a decoded value could not leave the sandbox."""
    if isinstance(value, Opaque | Handle):
        return True
    if isinstance(value, list | tuple | deque) and depth < MAX_DEPTH:
        return any(holds_opaque(item, depth + 1) for item in value)
    if isinstance(value, dict) and depth < MAX_DEPTH:
        return any(holds_opaque(item, depth + 1) for item in value.values())
    return False
