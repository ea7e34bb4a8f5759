"""The child's side of a program: compiles it, runs it, calls it, and writes the results. It is executed inside the zygote's globals.

Replies are JSON lines. A value is plain JSON if JSON can represent it (None, bool, int below 64 bits, float, text,
list); everything else is an object with one key: t tuple, s set, f frozenset, d dict as pairs, b bytes as hex,
i large int as hex, c complex, D Decimal, F Fraction, n numpy array, a the call's own argument, h handle (sessions),
r range, L a value of `library.py`, o anything that cannot cross. Lines: [0, value, changed arguments or null] result,
[1, exception names, text, line, arguments or null] raised, [2, the same] raised while loading, [3, text] does not compile,
[9] done.
"""

# ruff: noqa: SIM105 (contextlib would be one more import inside)

import _json
import marshal
import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # annotations are taken off before this is sent
    from typing import Any

    Line = list[Any]
    _program: str = ""

_MODULE = type(sys)
_dump = _json.make_encoder(None, str, _json.encode_basestring_ascii, None, ":", ",", False, False, True)
_LATE = 0x1000000  # `from __future__ import annotations`, to the compiler
_TEXT = 10_000  # characters of an exception's text
_MEMORY = [["MemoryError", "MemoryError"], "", 0, None]
_EXCEPTIONS = frozenset(
    kind
    for kind in vars(sys.modules["builtins"]).values()
    if isinstance(kind, type) and issubclass(kind, BaseException) and kind is not BaseException
)
_PLAIN = frozenset((int, str, float, bool, type(None)))
_EDGE = 1 << 63
_handles: "Any" = None  # a list in sessions: a value that cannot cross stays here, and its place in the list is sent
_results: "Any" = None  # a list where later calls take earlier results


def _encode(value: "Any", depth: int = 0) -> "Any":
    kind = type(value)
    if kind is int:
        return value if -_EDGE < value < _EDGE else _large(value)
    if kind in _PLAIN:
        return value
    if depth > 60:
        return {"o": "nesting"}
    deeper = depth + 1
    if kind is list:
        return [_encode(item, deeper) for item in value]
    if kind is tuple:
        return {"t": [_encode(item, deeper) for item in value]}
    if kind is dict:
        return {"d": [[_encode(key, deeper), _encode(item, deeper)] for key, item in value.items()]}
    if kind is set or kind is frozenset:
        return {"s" if kind is set else "f": [_encode(item, deeper) for item in value]}
    return _encode_rare(value, kind, deeper)


def _encode_rare(value: "Any", kind: type, depth: int) -> "Any":
    if kind is bytes or kind is bytearray:
        return {"b": value.hex()}
    if kind is complex:
        return {"c": [value.real, value.imag]}
    module, name = getattr(kind, "__module__", None), getattr(kind, "__name__", "?")
    if module == "decimal" and name == "Decimal":
        wide = value.is_finite() and abs(value.adjusted()) > 20_000
        return {"o": name} if wide or len(str(value)) > 100_000 else {"D": str(value)}
    if module == "fractions" and name == "Fraction":
        return _fraction(value.numerator, value.denominator)
    if module == "numpy":
        if name == "ndarray" and value.dtype.kind in "biufcUS":
            return {"n": [str(value.dtype), _encode(value.tolist(), depth)]}
        if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
            return _encode(value.item(), depth)
    if module == "collections" or module == "datetime":
        told = _library(value, name, depth)
        if told is not None:
            return told
    for base in (bool, int, float, str, tuple, list, dict, set, frozenset, bytes, complex):
        if issubclass(kind, base) and (_handles is None or base is not dict):
            return _encode(_bare(value, base), depth)
    if kind is range:
        return {"r": [_encode(number) for number in (value.start, value.stop, value.step)]}
    if _handles is not None:
        _handles.append(value)
        return {"h": [len(_handles) - 1, str(name)[:80], callable(value)]}
    return {"o": str(name)[:80]}


def _library(value: "Any", name: str, depth: int) -> "Any":
    """Encodes a container of `collections`, or a date or time (`library.py` rebuilds them); None for anything else."""
    parts, more = None, None
    if name == "defaultdict":
        return _encode(dict(value.items()), depth)
    if name in ("Counter", "OrderedDict"):
        parts = [[_encode(key, depth), _encode(item, depth)] for key, item in value.items()]
    elif name == "deque":
        parts, more = [_encode(item, depth) for item in value], value.maxlen
    elif name == "timedelta":
        parts = [value.days, value.seconds, value.microseconds]
    elif name in ("date", "datetime"):
        parts = [value.year, value.month, value.day]
    if name in ("time", "datetime"):
        parts = [*(parts or ()), value.hour, value.minute, value.second, value.microsecond]
        if value.tzinfo is not None:
            if name == "time" or type(value.tzinfo).__name__ != "timezone":
                return None
            more = value.utcoffset().total_seconds()
    return None if parts is None else {"L": [name, parts, more]}


def _large(value: int) -> "Any":
    return {"i": hex(value)} if value.bit_length() < 4_000_000 else {"o": "int"}


def _fraction(above: int, below: int) -> "Any":
    # wider than this the judge will not read (`codec.py`)
    return {"F": [hex(above), hex(below)]} if max(above, -above, below).bit_length() < 65_000 else {"o": "Fraction"}


def _bare(value: "Any", base: "Any") -> "Any":
    """The builtin content of an instance of a subclass, read by the base's own methods, whatever the subclass overrides."""
    if base is int or base is bool:
        return int.__add__(value, 0)
    if base is float:
        return float.__add__(value, 0.0)
    if base is str:
        return "".join(str.__iter__(value))
    if base is dict:
        return dict(dict.items(value))
    if base is bytes:
        return bytes.__add__(value, b"")
    if base is complex:
        return complex.__add__(value, 0j)
    return base(base.__iter__(value))


def _raised(error: BaseException) -> "Line":
    """Describes an exception: names (its class, then its builtin base classes), its text, the program's line
    or 0, and its arguments, or None if they are only its text (or cannot be encoded).
    """
    names = [type(error).__name__, *(kind.__name__ for kind in type(error).__mro__ if kind in _EXCEPTIONS)]
    try:
        text = str(error)[:_TEXT]
    except BaseException:
        text = "(no text)"
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<candidate>":
            line = trace.tb_lineno
        trace = trace.tb_next
    args = None
    try:
        if len(text) < _TEXT and error.args != (text,):
            args = _encode(list(error.args))
    except BaseException:
        pass
    return [names, text, line, args]


def _reply(line: "Any", fd: int = 3) -> None:
    data = ("".join(_dump(line, 0)) + "\n").encode("ascii")
    while data:
        data = data[posix.write(fd, data) :]


def _flush(*streams: "Any") -> None:
    for stream in streams:
        try:
            stream.flush()
        except BaseException:
            pass


def _call_once(function: "Any", raw: bytes | str, changed: bool) -> "Line":
    """Makes one call and gives its reply line. `raw` is the marshalled (args, kwargs), or an expression if marshal cannot hold them."""
    try:
        args, keys = marshal.loads(raw) if type(raw) is bytes else eval(raw, {"_h": _handles, "_r": _results})
        out = function(*args, **keys)
        if _results is not None:
            _results.append(out)
        if not changed:
            return [0, _encode(out), None]
        return _with_changes(out, args, keys, raw)
    except MemoryError:
        return [1, *_MEMORY]
    except BaseException as error:
        return [1, *_raised(error)]


def _with_changes(out: "Any", args: tuple["Any", ...], keys: "Any", raw: bytes | str) -> "Line":
    """Encodes the result, and the arguments if the call changed them in place."""
    value, moved = None, None
    for at, arg in enumerate(args):
        if out is arg and type(arg) in (list, dict, set):
            value = {"a": at}
            break
    if value is None:
        value = _encode(out)
    if any(type(arg) in (list, dict, set, tuple, bytearray) for arg in args):
        try:
            same = type(raw) is bytes and marshal.dumps((args, keys), 2) == raw
        except ValueError:
            same = False
        if not same:
            moved = _encode(list(args))
    return [0, value, moved]


def _load(code: str, name: str) -> "Any":
    """Runs the program and gives its module; None if the reply has already been written.

    With a class `Solution` its annotations are not evaluated, as from Python 3.14 on: such programs are written for a place
    where `List`, `Optional` or `TreeNode` are there without an import.
    """
    late = _LATE if name != "__main__" and "class Solution" in code else 0
    try:
        # a byte order mark is part of the file's encoding, not of the code
        compiled = compile(code.removeprefix("\ufeff"), "<candidate>", "exec", late, True)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
        _reply([3, f"{type(error).__name__}: {str(error)[:300]}"])
        return None
    module = _MODULE(name)
    module.__dict__["__builtins__"] = __builtins__
    sys.modules[name] = sys.modules["__main__"] = module
    try:
        exec(compiled, module.__dict__)
    except MemoryError:
        _reply([2, *_MEMORY])
        return None
    except BaseException as error:
        if name != "__main__" or type(error) is not SystemExit or not _is_nought(error.code):
            _reply([2, *_raised(error)])
            return None
    return module.__dict__


def _is_nought(code: "Any") -> bool:
    """Whether Python exits with status 0 for this exit code: for an object that is not an integer it prints the text and exits with 1."""
    return code is None or (type(code) in (int, bool) and code == 0)


def run(job: "Any", leave: "Any") -> None:
    """Runs one job in this process and calls `leave(status)`."""
    code = 0
    try:
        sys.stdout, sys.stderr = _stdout, _stderr
        if job["kind"] == "script":
            code = _script(job)
        elif job["kind"] == "exec":
            posix.execve(_program, job["argv"], {"HOME": "/", "LC_ALL": "C.UTF-8", "TZ": "UTC"})
        elif job["kind"] == "tests":
            exec(marshal.loads(job["work"]), {**globals(), "job": job})  # `tester.py`
        else:
            space = _load(job["code"], "candidate")
            if space is not None:
                _work(space, job)
                _reply([9])
    except BaseException:
        code = 3
    _flush(_stdout, _stderr)
    leave(code)


def _work(space: "Any", job: "Any") -> None:
    """Does what the job asks of a loaded program: a session, tests next to it, or its calls in order."""
    global _results
    _results = [] if job["chained"] else None
    if job["live"]:
        _session(space, job)
    elif job["kind"] == "inside":
        _inside(space, job)
    else:
        for name, raw in job["calls"]:
            _reply(_foreseen(space, name, raw, job["changed"]))


def _find(space: "Any", name: str) -> "Any":
    """Finds what the tests mean by a name: a global of the program, or a method of its class `Solution` on a fresh instance
    each call (`name`, `Solution().name` or `Solution.name`). Raises NameError.
    """
    if name in space:
        return space[name]
    kind, method = space.get("Solution"), name.removeprefix("Solution().").removeprefix("Solution.")
    if not isinstance(kind, type) or not hasattr(kind, method):
        raise NameError(f"name {name[:200]!r} is not defined")
    return lambda *args, **keys: getattr(kind(), method)(*args, **keys)


def _foreseen(space: "Any", name: str, raw: bytes | str, changed: bool) -> "Line":
    """One line for a call that the tests are known to make; `_results` has its result, or None, for later ones."""
    before = len(_results) if _results is not None else 0
    try:
        function = _find(space, name)
    except NameError as error:
        line = [1, *_raised(error)]
    else:
        line = _call_once(function, raw, changed)
    if _results is not None and len(_results) == before:
        _results.append(None)  # it raised
    return line


def _script(job: "Any") -> int:
    """Runs a whole script, and what Python does at its end: joins threads and runs exit functions. Returns the exit status."""
    try:
        space = _load(job["code"], "__main__")
        if space is not None:
            if "threading" in sys.modules:
                sys.modules["threading"]._shutdown()
            if "atexit" in sys.modules:
                sys.modules["atexit"]._run_exitfuncs()
            _flush(
                getattr(sys, "stdout", None), getattr(sys, "stderr", None)
            )  # its own, where it put some in their place
            space.clear()  # files that it left open write what they hold
            _reply([9])
    except BaseException:
        return 1
    return 0


def _inside(space: "Any", job: "Any") -> None:
    """Runs the tests in the program's own namespace; what they reported is sent whether or not they finished."""
    ticks: list[int] = []
    space["__selfplay_tick__"] = ticks.append
    try:
        space["__selfplay_candidate__"] = _find(space, job["entry_point"]) if job["entry_point"] else None
        exec(compile(job["tests"], "<tests>", "exec", dont_inherit=True), space)
    except BaseException as error:
        _reply([1, *_raised(error)])
    _reply([0, _encode(ticks), None])


def _session(space: "Any", job: "Any") -> None:
    """Answers the judge's requests, one line each, until it closes the channel."""
    global _handles
    _handles = None if job["plain"] else []
    buffer = b""
    while True:
        while len(buffer) < 4 or len(buffer) < 4 + int.from_bytes(buffer[:4], "little"):
            data = posix.read(4, 65536)
            if not data:
                return
            buffer += data
        size = 4 + int.from_bytes(buffer[:4], "little")
        verb, target, raw = marshal.loads(buffer[4:size])
        buffer = buffer[size:]
        if verb == "done":
            return
        line = _foreseen(space, target, raw, job["changed"]) if verb == "run" else _answer(space, verb, target, raw)
        _reply(line, 5)


def _answer(space: "Any", verb: str, target: "Any", raw: bytes | str) -> "Line":
    """Answers one request: `name` looks up a global, `call` calls a handle, `do` calls a builtin or operator on values."""
    try:
        if verb == "name":
            return [0, _encode(_find(space, target)), None]
        function = _handles[target] if verb == "call" else _OPERATIONS[target]
        return _call_once(function, raw, verb == "call")
    except MemoryError:
        return [1, *_MEMORY]
    except BaseException as error:
        return [1, *_raised(error)]


_OPERATIONS = {
    "getattr": getattr, "setattr": setattr, "len": len, "str": str, "repr": repr, "bool": bool, "int": int,
    "float": float, "iter": iter, "next": next,
    "getitem": lambda a, b: a[b], "setitem": lambda a, b, c: a.__setitem__(b, c),
}  # fmt: skip
_stdout, _stderr = sys.stdout, sys.stderr


def _quit(code: "Any" = None) -> None:
    """Python's `exit` and `quit`, which its module `site` would bring."""
    raise SystemExit(code)


sys.modules["builtins"].exit = sys.modules["builtins"].quit = _quit  # type: ignore[attr-defined]
