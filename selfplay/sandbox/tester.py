"""Runs test code that a model wrote, inside the sandbox. Executed in a copy of the runner's globals, with the job as `job`.

The program under test is another process, in a sandbox of its own. A call of it is one line to the judge; its outcome is one
message back: `("value", encoded value or None, number of the argument that it is or -1, encoded arguments or None)`,
`("raised", name of a builtin exception, text)` or `("stop",)`. The last line says whether the tests passed. Whatever is done to
this process, all it can say is pass or fail, of its own task.
"""

import marshal
import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # annotations are taken off before this is sent
    from typing import Any

    from selfplay.sandbox.runner import _MODULE, _encode, _raised, _reply

    job: dict[str, Any] = {}

_builtins = sys.modules["builtins"]


def _read(size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = posix.read(4, size - len(data))
        if not more:
            posix._exit(0)
        data += more
    return data


def _decoded(raw: "Any") -> "Any":
    return marshal.loads(raw) if type(raw) is bytes else eval(raw, {})


def _changed(mine: "Any", now: "Any") -> None:
    """Give an argument the content that the program left in it."""
    if type(mine) is not type(now):
        return
    if type(mine) in (list, bytearray):
        mine[:] = now
    elif type(mine) in (dict, set):
        mine.clear()
        mine.update(now)
    elif type(mine) is tuple:
        for inner, fresh in zip(mine, now):  # noqa: B905
            _changed(inner, fresh)


class _Program:
    """The function under test."""

    def __init__(self, name: str) -> None:
        self.__name__ = self.__qualname__ = name

    def __call__(self, *args: "Any", **keys: "Any") -> "Any":
        _reply([0, _encode((list(args), keys)), None], 5)
        told = marshal.loads(_read(int.from_bytes(_read(4), "little")))
        if told[0] == "stop":
            posix._exit(0)
        if told[0] == "raised":
            kind = getattr(_builtins, told[1], Exception)
            try:
                error = kind(told[2])
            except TypeError:  # UnicodeDecodeError and the like want more
                error = ValueError(told[2])
            raise error
        _, value, at, moved = told
        if moved is not None:
            for mine, now in zip(args, _decoded(moved)):  # noqa: B905
                _changed(mine, now)
        return args[at] if at >= 0 else _decoded(value)


class _Raises:
    """`pytest.raises` as a context."""

    def __init__(self, kinds: "Any", match: "Any" = None) -> None:
        self.kinds, self.match, self.value = kinds, match, None

    def __enter__(self) -> "_Raises":
        return self

    def __exit__(self, kind: "Any", error: "Any", trace: "Any") -> bool:
        if error is None:
            raise AssertionError("nothing was raised")
        if not isinstance(error, self.kinds):
            return False
        self.value = error
        if self.match is not None:
            import re

            if not re.search(self.match, str(error)):
                raise AssertionError("another message was raised")
        return True


class _Approx:
    """`pytest.approx` of a number, or of a list, tuple or dict of numbers."""

    def __init__(self, value: "Any", rel: "Any" = None, abs: "Any" = None) -> None:
        self.value, self.rel, self.abs = value, rel, abs

    def __eq__(self, other: "Any") -> bool:
        if isinstance(self.value, (list, tuple)):
            return len(other) == len(self.value) and all(map(self._near, self.value, other))
        if isinstance(self.value, dict):
            return self.value.keys() == other.keys() and all(self._near(v, other[k]) for k, v in self.value.items())
        return self._near(self.value, other)

    def _near(self, want: "Any", got: "Any") -> bool:
        rel = (1e-6 if self.abs is None else 0.0) if self.rel is None else self.rel
        number = isinstance(want, (int, float)) and isinstance(got, (int, float))
        room = max(rel * _builtins.abs(want), self.abs or 1e-12) if number else 0
        return bool(want == got or (number and -room <= want - got <= room))

    __hash__ = None  # type: ignore[assignment]


def _pytest() -> "Any":
    """The little of pytest that tests of one function use; the sandbox has no other packages than numpy."""
    module: Any = _MODULE("pytest")

    def raises(kinds: "Any", *call: "Any", match: "Any" = None) -> "Any":
        if not call:
            return _Raises(kinds, match)
        with _Raises(kinds, match):
            call[0](*call[1:])
        return None

    module.raises, module.approx = raises, _Approx
    return module


class _Names(dict):  # type: ignore[type-arg]
    """The tests' globals; the standard library is there without an import, in its usual spelling (`names.py`)."""

    def __missing__(self, name: str) -> "Any":
        if name not in job["homes"] and name not in sys.stdlib_module_names:
            raise KeyError(name)
        module, _, part = job["homes"].get(name, name).rpartition(".")
        found = __import__(module or part, None, None, [part] if module else None)
        self[name] = getattr(found, part) if module else found
        return self[name]


def _test() -> None:
    program = _Program(job["entry_point"].rpartition(".")[2])
    space = _Names({"__name__": "tests", "__builtins__": __builtins__, program.__name__: program})
    sys.modules["tests"], sys.modules["pytest"] = _MODULE("tests"), _pytest()
    if "numpy" in job["source"] or "np." in job["source"]:
        try:
            import numpy.random
        except ImportError:
            pass
        else:
            numpy.random.seed(0)
    exec(compile(job["source"], "<tests>", "exec", dont_inherit=True), space)
    for name in job["last"]:
        space[name](program) if name == "check" else space[name]()


try:
    _test()
except BaseException as error:
    _reply([1, *_raised(error)], 5)
else:
    _reply([0, True, None], 5)
