"""Runs test code call by call, for tests whose calls depend on earlier answers or that use the program's objects.

An object that cannot cross stays in the sandbox and the tests get a `Remote`: attributes, calls, items, iteration and
text are asked for one by one, and what comes back are values. An operator on the object itself is never believed, for
its `__eq__` or `__sub__` is the program's and would be told the expected value: such a run is `unsupported_value`.
"""

import marshal
from collections import deque
from collections.abc import Iterator
from typing import Any, NoReturn

from selfplay.sandbox import codec
from selfplay.sandbox.call_recorder import Stop
from selfplay.sandbox.checks import Evidence, settle
from selfplay.sandbox.jobs import Status
from selfplay.sandbox.raised import Kinds
from selfplay.sandbox.zygote import Zygote

_MAX_REQUESTS = 20_000
_MANY = 256
_SIGNS: dict[str, Kinds] = {
    "next": frozenset((StopIteration,)),
    "getattr": frozenset((AttributeError,)),
    "getitem": frozenset((IndexError, KeyError)),
}
"""What an operation on a program's object may say by an exception, as everywhere in Python."""


class Session:
    """Stand-ins that send their calls to a running program. After `Stop` the program has ended or is to be killed."""

    def __init__(self, zygote: Zygote, room: int, seconds: float) -> None:
        """`seconds`: what requests without end may take all together; a few slow ones are the tests' own affair."""
        self.evidence = Evidence()
        self._seconds = seconds
        self._zygote, self._room, self._requests, self._told = zygote, room, 0, 0
        self._reader = codec.Reader()
        self._names: dict[str, Any] = {}

    def stand_in(self, name: str) -> "Name":
        """The stand-in for one of the program's names, looked up when it is first used."""
        return Name(self, name)

    def look_up(self, name: str) -> Any:
        """The program's global: a builtin value, or a `Remote`. Raises NameError as the program's."""
        self.evidence.calls += 1
        if name not in self._names:
            self._names[name] = self._settle(self._ask("name", name, b""), ())
        return self._names[name]

    def call(self, handle: int, args: tuple[Any, ...], keys: dict[str, Any]) -> Any:
        """Call an object of the program."""
        self.evidence.calls += 1
        return self._settle(self._ask("call", handle, self._raw((args, keys))), args)

    def do(self, operation: str, *args: Any) -> Any:
        """Apply one of the operations that `runner.py` lists."""
        return self._settle(self._ask("do", operation, self._raw((args, {}))), args, _SIGNS.get(operation, frozenset()))

    def run(self, name: str, raw: codec.Raw) -> list[Any]:
        """The reply to a call that was known in advance, and that the program sees only now."""
        return self._ask("run", name, raw)

    def end(self) -> None:
        """Tell the program that no more requests come; it then ends by itself."""
        if not self._zygote.ended():
            data = marshal.dumps(("done", "", b""), 2)
            self._zygote.exchange(len(data).to_bytes(4, "little") + data, self._room)

    def _raw(self, value: Any) -> codec.Raw:
        try:
            return codec.dump(value)
        except (TypeError, ValueError):
            pass
        try:
            return codec.expression(_handled(value, 0))
        except (TypeError, ValueError) as error:
            return self._stop(Status.UNSUPPORTED_VALUE, f"the tests hand over what is no value: {error}")

    def _ask(self, verb: str, target: int | str, raw: codec.Raw) -> list[Any]:
        self._requests += 1
        if self._requests > _MAX_REQUESTS:
            self._stop(Status.OUTPUT_LIMIT, f"more than {_MAX_REQUESTS} requests by the tests")
        if self._requests % _MANY == 0 and self._zygote.late(self._seconds):
            self._stop(Status.TIMEOUT_WALL, f"{self._requests} requests by the tests and no end in {self._seconds} s")
        data = marshal.dumps((verb, target, raw), 2)
        line = self._zygote.exchange(len(data).to_bytes(4, "little") + data, self._room)
        if line is None:
            self.evidence.stop = self.evidence.stop or (Status.INFRA_ERROR, "ended")  # `finish` knows better
            raise Stop
        self._told += len(line)
        if self._told > self._room + 1024 * self._requests:
            self._stop(Status.OUTPUT_LIMIT, f"answers of more than {self._room} bytes and 1 KiB a request")
        if line.count(b"\n") != 1:
            self._stop(Status.PROTOCOL_VIOLATION, "answers that nobody asked for")
        try:
            (reply,) = self._reader.parse([line[:-1]])
        except codec.Malformed as error:
            self._stop(Status.PROTOCOL_VIOLATION, str(error))
        if reply[0] not in (0, 1):
            self._stop(Status.PROTOCOL_VIOLATION, "a strange answer")
        return reply

    def _stop(self, status: Status, why: str) -> NoReturn:
        self.evidence.stop = self.evidence.stop or (status, why)
        raise Stop

    def _settle(self, reply: list[Any], args: tuple[Any, ...], meant: Kinds = frozenset()) -> Any:
        reply = [reply[0], *(self._live(part, 0) for part in reply[1:])]
        try:
            return settle(reply, args, self.evidence, meant)
        except codec.Malformed as error:
            return self._stop(Status.PROTOCOL_VIOLATION, str(error))

    def _live(self, value: Any, depth: int) -> Any:
        """Handles inside a decoded value become `Remote` objects."""
        if type(value) is codec.Handle:
            return Remote(self, value)
        if depth > codec.MAX_DEPTH:
            return value
        if type(value) is list:
            return [self._live(item, depth + 1) for item in value]
        if type(value) is tuple:
            return tuple([self._live(item, depth + 1) for item in value])
        if isinstance(value, dict):
            made = {key: self._live(item, depth + 1) for key, item in value.items()}
            return made if type(value) is dict else type(value)(made)
        if type(value) is deque:
            return deque(self._live(list(value), depth + 1), value.maxlen)
        return value


def _handled(value: Any, depth: int) -> Any:
    """The value with `Remote` objects as the handles they stand for."""
    if type(value) is Remote:
        return value._handle
    if type(value) is Name:
        return _handled(value._value(), depth)
    if depth > codec.MAX_DEPTH:
        raise ValueError("nested too deeply")
    if type(value) is list:
        return [_handled(item, depth + 1) for item in value]
    if type(value) is tuple:
        return tuple([_handled(item, depth + 1) for item in value])
    if type(value) is dict:
        return {_handled(key, depth + 1): _handled(item, depth + 1) for key, item in value.items()}
    return value


class Remote:
    """An object that stays in the sandbox, as the tests see it."""

    __slots__ = ("_handle", "_session")

    def __init__(self, session: Session, handle: codec.Handle) -> None:
        object.__setattr__(self, "_session", session)
        object.__setattr__(self, "_handle", handle)

    def __call__(self, *args: Any, **keys: Any) -> Any:
        return self._session.call(self._handle.at, args, keys)

    def __getattr__(self, name: str) -> Any:
        return self._session.do("getattr", self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._session.do("setattr", self, name, value)

    def _unsupported(self, *_: object) -> Any:
        # an operator would send the tests' own operand, often the expected value, to the program and believe its answer
        self._session.evidence.unsupported = f"to compare or compute with a {self._handle.name} of the program"
        return False

    __eq__ = __ne__ = __lt__ = __gt__ = __le__ = __ge__ = _unsupported
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __neg__ = __abs__ = _unsupported

    def __hash__(self) -> int:
        return int(self._handle.at)

    def __iter__(self) -> Iterator[Any]:
        iterator = self._session.do("iter", self)
        if not isinstance(iterator, Remote):
            return iter(iterator)
        return _iterate(self._session, iterator)

    def __next__(self) -> Any:
        return self._session.do("next", self)

    def __len__(self) -> int:
        return int(self._session.do("len", self))

    def __bool__(self) -> bool:
        return self._session.do("bool", self) is True

    def __str__(self) -> str:
        return str(self._session.do("str", self))

    def __repr__(self) -> str:
        return str(self._session.do("repr", self))

    def __int__(self) -> int:
        return int(self._session.do("int", self))

    def __float__(self) -> float:
        return float(self._session.do("float", self))

    def __getitem__(self, key: Any) -> Any:
        return self._session.do("getitem", self, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._session.do("setitem", self, key, value)


def _iterate(session: Session, iterator: Remote) -> Iterator[Any]:
    while True:
        try:
            item = session.do("next", iterator)
        except StopIteration:
            return
        yield item


class Name:
    """One of the program's names, in test code: whatever it is there, once it is used."""

    def __init__(self, session: Session, name: str) -> None:
        self.__dict__.update(_session=session, _name=name, __name__=name)

    def _value(self) -> Any:
        return self._session.look_up(self._name)

    def __call__(self, *args: Any, **keys: Any) -> Any:
        return self._value()(*args, **keys)

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._value(), attribute)

    def __eq__(self, other: object) -> bool:
        return bool(self._value() == other)

    def __lt__(self, other: Any) -> bool:
        return bool(self._value() < other)

    def __gt__(self, other: Any) -> bool:
        return bool(self._value() > other)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._value())

    def __len__(self) -> int:
        return len(self._value())

    def __getitem__(self, key: Any) -> Any:
        return self._value()[key]

    def __contains__(self, item: Any) -> bool:
        return item in self._value()

    def __add__(self, other: Any) -> Any:
        return self._value() + other

    def __sub__(self, other: Any) -> Any:
        return self._value() - other

    def __mul__(self, other: Any) -> Any:
        return self._value() * other

    __hash__ = object.__hash__
