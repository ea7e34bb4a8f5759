"""The process in which functions of the user's own judge. `python_function.py` starts and asks it.

Task and text come in as JSON, the verdict leaves as JSON. Nothing that a function does here reaches the run: what it prints goes
nowhere, what it raises is told as data, and where it hangs or crashes the process is replaced.
"""

import contextlib
import errno
import importlib
import importlib.util
import inspect
import json
import os
import reprlib
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from selfplay.errors import OutageError
from selfplay.records import Outcome, Task, Verdict
from selfplay.verify.child_process import follow_parent

MAX_BYTES = 2**16
"""Of a verdict as JSON."""
MAX_DEPTH = 20
"""Of lists and mappings inside one another in a verdict's details."""
MAX_VALUES = 10_000
NETWORK = (errno.ENETDOWN, errno.ENETUNREACH, errno.ENETRESET, errno.EHOSTDOWN, errno.EHOSTUNREACH)
SERVICE_DOWN = {
    *("socket.gaierror", "socket.herror", "urllib.error.URLError", "httpx.TransportError", "httpx2.TransportError"),
    *("requests.exceptions.ConnectionError", "requests.exceptions.Timeout", "urllib3.exceptions.MaxRetryError"),
    *("aiohttp.client_exceptions.ClientConnectionError", "openai.APIConnectionError", "anthropic.APIConnectionError"),
}
"""Exceptions, by module and name, that say a service cannot be reached, beside ConnectionError, TimeoutError and OutageError."""
TRY_LATER = (408, 425, 429, 500, 502, 503, 504)
"""HTTP statuses by which a service says the same."""

Told = dict[str, Any]
_short = reprlib.Repr()
_short.maxstring = _short.maxother = 80


class Unusable(Exception):
    """What a function returned is no verdict; the message says why."""


def serve(source: int, sink: int, parent: int) -> None:
    """Answers questions from one pipe into the other until the first ends, as it does with the run."""
    follow_parent(parent)
    own = os.getpid()
    for pipe in (source, sink):
        os.set_inheritable(pipe, False)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    functions: dict[str, Callable[[Task, str], Any]] = {}
    with open(source, "rb") as questions, open(sink, "wb", buffering=0) as replies:
        folder = None
        for line in questions:
            asked = json.loads(line)
            if "path" in asked:
                folder, reply = asked["folder"], {}
                sys.path[:] = with_folder(asked["path"], folder)
            elif "load" in asked:
                reply = _load(functions, asked["load"], folder)
            else:
                reply = _judge(functions[asked["judge"]], Task.model_validate(asked["task"]), asked["text"])
            if os.getpid() != own:  # a function forked, and its child came back here
                os._exit(0)
            replies.write(json.dumps({"number": asked["number"], **reply}).encode() + b"\n")


# ---- import ----


def with_folder(path: list[str], folder: str | None) -> list[str]:
    """The places where modules are looked for, the config's folder between the standard library and installed packages.

    So a `json.py` beside the config takes no library's place, and an installed `checks` not the user's.
    """
    if folder is None or folder in path:
        return path
    library = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
    library |= {os.path.join(place, "lib-dynload") for place in library}  # noqa: PTH118
    places = [number for number, place in enumerate(path) if place in library]
    after = places[-1] + 1 if places else len(path)
    return [*path[:after], folder, *path[after:]]


def _load(functions: dict[str, Callable[[Task, str], Any]], kind: str, folder: str | None) -> Told:
    """Imports the function that `python:package.module:function` names; {} where that worked, else `fault` in words."""
    _, module, name = kind.split(":", 2)
    try:
        function: Any = module_of(module, folder)
        for part in name.split("."):
            function = getattr(function, part)
    except BaseException as error:  # the boundary: importing runs the user's code, which may raise or exit
        return {"fault": "import", "says": _said_of(error) + _import_place(error)}
    if not callable(function):
        return {"fault": "kind", "says": type(function).__name__}
    functions[kind] = function
    return {}


def module_of(name: str, folder: str | None) -> ModuleType:
    """The module by this name, the config's folder first; under another name there where a library is loaded by it."""
    top, dot, rest = name.partition(".")
    beside = PathFinder.find_spec(top, [folder]) if folder else None
    if beside is None or not beside.origin:
        return importlib.import_module(name)
    if top in sys.modules and getattr(sys.modules[top], "__file__", None) == beside.origin:
        return importlib.import_module(name)
    alias = f"beside_{top}" if top in sys.modules or top in sys.stdlib_module_names else top
    if alias not in sys.modules:
        _executed(alias, beside.origin, beside.submodule_search_locations)
    return importlib.import_module(alias + dot + rest)


def _executed(name: str, file: str, inside: list[str] | None) -> None:
    spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=inside)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is no module")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise


def _import_place(error: BaseException) -> str:
    """Where an import failed: the line that cannot be read, or the deepest one outside the import machinery and libraries."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"; {Path(error.filename).name}, line {error.lineno}"
    own = [(file, line) for file, line, _ in _frames(error.__traceback__) if not _is_library(file)]
    return f"; {Path(own[-1][0]).name}, line {own[-1][1]}" if own else ""


def _is_library(file: str) -> bool:
    library = sysconfig.get_path("stdlib")
    return file.startswith(("<", library)) or "site-packages" in file or "dist-packages" in file


# ---- judgement ----


def _judge(function: Callable[[Task, str], Any], task: Task, text: str) -> Told:
    """`verdict`: what the function said, as Verdict's fields without `verifier` where it gave none; else what it raised."""
    try:
        said = function(task, text)
    except BaseException as error:  # the boundary: the user's function may raise anything, and may exit
        return _raised(error, function)
    try:
        return _answer(said)
    except Unusable as error:
        return {"raised": "no outcome", "says": str(error), "at": _place_of(function)}
    except Exception as error:  # an odd value may raise on any look at it
        return {
            "raised": "no outcome",
            "says": f"returned what cannot be read ({_said_of(error)})",
            "at": _place_of(function),
        }


def _answer(said: Any) -> Told:
    if isinstance(said, Verdict):
        _check_bounds(said.details)
        fields = said.model_dump(mode="json")
        if said.score is not None and not 0 <= said.score <= 1:
            raise Unusable(f"returned a Verdict with score {said.score}; give one from 0 to 1, or None")
        try:
            size = len(json.dumps(fields, allow_nan=False))
        except ValueError:
            raise Unusable("returned a Verdict that holds NaN or an infinity, which are no JSON") from None
        if size > MAX_BYTES:
            raise Unusable(f"returned a Verdict of {size} bytes; the most is {MAX_BYTES}")
        return {"verdict": fields}
    return {"verdict": {"outcome": _outcome(said).value}}


def _outcome(said: Any) -> Outcome:
    if said is None:
        return Outcome.ABSTAIN
    if isinstance(said, bool) or (type(said).__module__ == "numpy" and type(said).__name__ in ("bool", "bool_")):
        return Outcome.PASS if said else Outcome.FAIL
    if isinstance(said, str) and said in {word.value for word in Outcome}:
        return Outcome(said)
    words = ", ".join(word.value for word in Outcome)
    raise Unusable(
        f"returned {_clean(_short.repr(said))} ({type(said).__name__}), which is no outcome; return one of {words}, True, False, "
        "None or a Verdict"
    )


def _check_bounds(value: Any) -> None:
    """Raises Unusable where a value is too deep or has too many parts to be kept with an attempt."""
    rest, seen = [(value, 0)], 0
    while rest:
        part, depth = rest.pop()
        seen += 1
        if depth > MAX_DEPTH or seen > MAX_VALUES:
            raise Unusable(f"returned details deeper than {MAX_DEPTH} levels or of more than {MAX_VALUES} values")
        inner = part.values() if isinstance(part, dict) else part if isinstance(part, list | tuple | set) else ()
        rest += [(one, depth + 1) for one in inner]


# ---- what was raised ----


def _raised(error: BaseException, function: Callable[..., Any]) -> Told:
    return {
        "raised": type(error).__name__,
        "says": _said_of(error),
        "at": _deepest(error.__traceback__, function),
        "outage": any(map(_is_outage, _causes(error))),
    }


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An exception and what it was raised from."""
    seen: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and not any(cause is one for one in seen):
        seen.append(cause)
        yield cause
        cause = cause.__cause__


def _is_outage(error: BaseException) -> bool:
    """Whether an exception says that a service is down: asked later, the function may have an answer."""
    if isinstance(error, ConnectionError | TimeoutError | OutageError):
        return True
    status = _status(error)
    if status is not None:
        return status in TRY_LATER
    names = {f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__}
    return bool(names & SERVICE_DOWN) or (isinstance(error, OSError) and error.errno in NETWORK)


def _status(error: BaseException) -> int | None:
    """The HTTP status that an exception of a client library carries; None where it carries none."""
    places = ((getattr(error, "response", None), "status_code"), (error, "status_code"), (error, "code"))
    found = (getattr(place, name, None) for place, name in places)
    return next((one for one in found if isinstance(one, int) and 400 <= one <= 599), None)


def _said_of(error: BaseException) -> str:
    """`ValueError: text`, on one line and bounded: the text may hold what a model wrote."""
    try:
        text = _clean(str(error))
    except Exception:  # an exception of the user's own may have a __str__ that fails
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _clean(text: str, most: int = 300) -> str:
    """One line of printable characters."""
    line = "".join(c if c.isprintable() else "?" for c in " ".join(text[: 4 * most].split()))
    return line if len(line) <= most else f"{line[:most]} ..."


def _deepest(trace: TracebackType | None, function: Callable[..., Any]) -> str:
    """File, line and name of the deepest frame that lies in the function's own folder, and in no library."""
    home = _home(function)
    frames = _frames(trace)
    own = [f for f in frames if home is not None and Path(f[0]).is_relative_to(home) and not _is_library(f[0])]
    chosen = (own or frames)[-1:]
    return "".join(f"{Path(file).name}, line {line}, in {name}" for file, line, name in chosen) or _place_of(function)


def _frames(trace: TracebackType | None) -> list[tuple[str, int, str]]:
    """File, line and name of each frame but ours, the outermost first."""
    frames = ((frame.f_code.co_filename, line, frame.f_code.co_name) for frame, line in traceback.walk_tb(trace))
    return [frame for frame in frames if frame[0] != __file__]


def _home(function: Callable[..., Any]) -> Path | None:
    file = getattr(sys.modules.get(getattr(function, "__module__", "") or ""), "__file__", None)
    return Path(file).parent if file else None


def _place_of(function: Callable[..., Any]) -> str:
    """File, line and name of the function itself."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return f"{Path(code.co_filename).name}, line {code.co_firstlineno}, in {code.co_name}" if code else ""
