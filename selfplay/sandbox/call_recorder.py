"""Records the calls that a test makes, by one dry run in which every answer is equal to everything.

An answer that is passed unchanged to a later call (`decode(encode(text))`) needs no second exchange: the later call says "your answer
to call 3", and the program's process fills it in.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from selfplay.sandbox import codec

MAX_CALLS = 20_000
_DRY_SECONDS = 2.0


class Stop(BaseException):
    """Unwinds test code whose program has ended, or whose run differs from its dry run."""


class TooLong(Stop):
    """Raised by the alarm that ends test code which does not come to an end."""


class RecordedCalls:
    """The calls of a test source, in order. `patterns` holds the arguments of the calls that pass earlier answers on."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, codec.Raw]] = []
        self.patterns: dict[int, Any] = {}
        self.handed_on: set[int] = set()

    def expects(self, at: int, answers: dict[int, codec.Raw]) -> codec.Raw:
        """The encoded arguments of call `at`, given the encoded answers that later calls use.

        Raises KeyError where an answer is missing, and what `codec.dump` raises.
        """
        if at not in self.patterns:
            return self.calls[at][1]
        return codec.dump(_rebuilt(self.patterns[at], lambda part: _given(part, answers)))


def _given(part: Any, answers: dict[int, codec.Raw]) -> Any:
    return codec.load(answers[part.at]) if type(part) is codec.Earlier else part


def _rebuilt(value: Any, change: Callable[[Any], Any], depth: int = 0) -> Any:
    """A copy of the value in which `change` replaces every part that is not a list, tuple or dict."""
    if depth > codec.MAX_DEPTH:
        raise ValueError("nested too deeply")
    kind = type(value)
    if kind is list or kind is tuple:
        return kind(_rebuilt(item, change, depth + 1) for item in value)
    if kind is dict:
        return {change(key): _rebuilt(item, change, depth + 1) for key, item in value.items()}
    return change(value)


class Answer:
    """The answer of the dry run: equal to everything, and empty as a container. Operations on it give another answer, without a number.

    `met` collects the values that it is compared with.
    """

    __slots__ = ("at", "met")

    def __init__(self, at: int = -1, met: list[Any] | None = None) -> None:
        self.at, self.met = at, met

    def _yes(self, *others: object) -> bool:
        if self.met is not None:
            self.met.extend(others)
        return True

    def _made(self, *_: object, **__: object) -> "Answer":
        return Answer()

    __eq__ = __ne__ = __lt__ = __gt__ = __le__ = __ge__ = __contains__ = __bool__ = _yes
    __add__ = __sub__ = __mul__ = __truediv__ = __floordiv__ = __mod__ = __pow__ = __and__ = __or__ = _made
    __radd__ = __rsub__ = __rmul__ = __rtruediv__ = __rfloordiv__ = __rmod__ = __rpow__ = __neg__ = __abs__ = _made
    __getitem__ = __call__ = __round__ = _made

    def __hash__(self) -> int:
        return 0

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __int__(self) -> int:
        return 0

    __index__ = __int__

    def __float__(self) -> float:
        return 0.0

    def __getattr__(self, name: str) -> "Answer":
        if name.startswith("__"):
            raise AttributeError(name)
        return Answer()


class CallRecorder:
    """Records the calls of a dry run. `plain` becomes False where the calls cannot be known in advance."""

    def __init__(self) -> None:
        self.recorded, self.plain, self._until = RecordedCalls(), True, time.monotonic() + _DRY_SECONDS
        self._met: list[list[Any]] = []

    def stand_in(self, name: str) -> "StandIn":
        """The stand-in for one of the program's names."""
        return StandIn(name, self._call, self._touch)

    def _call(self, name: str, args: tuple[Any, ...], keys: dict[str, Any]) -> Any:
        calls = self.recorded.calls
        if len(calls) >= MAX_CALLS or time.monotonic() > self._until:
            self.plain = False
            raise Stop
        try:
            calls.append((name, self._raw((args, keys))))
        except (TypeError, ValueError):
            self.plain = False
            return Answer()
        self._met.append([])
        return Answer(len(calls) - 1, self._met[-1])

    def compared(self) -> Iterator[tuple[Any, list[Any]]]:
        """The arguments of each call, and the values that the tests compared its answer with."""
        for at, ((_, raw), met) in enumerate(zip(self.recorded.calls, self._met, strict=True)):
            yield self.recorded.patterns[at] if at in self.recorded.patterns else codec.load(raw), met

    def _raw(self, given: Any) -> codec.Raw:
        try:
            return codec.dump(given)
        except TypeError:
            pattern = _rebuilt(given, self._earlier)
            raw = codec.expression(pattern)
            self.recorded.patterns[len(self.recorded.calls)] = pattern
            return raw

    def _earlier(self, part: Any) -> Any:
        if type(part) is not Answer or part.at < 0:
            return part
        self.recorded.handed_on.add(part.at)
        return codec.Earlier(part.at)

    def _touch(self, name: str) -> NoReturn:
        self.plain = False
        raise Stop


class StandIn:
    """Stands in for one of the program's names. It can be called; any other use goes to `touch`."""

    def __init__(self, name: str, call: Callable[..., Any], touch: Callable[[str], NoReturn]) -> None:
        self.__dict__.update(_name=name, _call=call, _touch=touch, __name__=name)

    def __call__(self, *args: Any, **keys: Any) -> Any:
        return self._call(self._name, args, keys)

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        return self._touch(self._name)

    def _refuse(self, *_: Any) -> Any:
        return self._touch(self._name)

    __eq__ = __lt__ = __gt__ = __le__ = __ge__ = __iter__ = __len__ = __getitem__ = _refuse
    __add__ = __sub__ = __mul__ = __contains__ = _refuse
    __hash__ = object.__hash__
