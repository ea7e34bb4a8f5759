"""Values other than builtins that may enter and leave the sandbox: dates and times, and the containers of `collections`."""

import datetime
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from typing import Any

TIMES = (datetime.date, datetime.datetime, datetime.time, datetime.timedelta)
_CALENDAR = frozenset(kind.__name__ for kind in TIMES)
CONTAINERS = (Counter, OrderedDict, deque)


def expression(value: Any, inner: Callable[[Any], str]) -> str | None:
    """A trusted value as a Python expression, `inner` for its parts; None where it is none of these kinds.

    Raises TypeError for a time zone that is no fixed offset.
    """
    kind = type(value)
    if kind in TIMES:
        zone = getattr(value, "tzinfo", None)
        if zone is not None and type(zone) is not datetime.timezone:
            raise TypeError(f"a time zone of the kind {type(zone).__name__} cannot be sent into the sandbox")
        return f"(lambda datetime: {value!r})(__import__('datetime'))"
    if kind not in CONTAINERS:
        return None
    made = f"__import__('collections').{kind.__name__}"
    if kind is deque:
        return f"{made}({inner(list(value))},{value.maxlen})"
    return f"{made}({inner(list(value.items()))})" if kind is OrderedDict else f"{made}({inner(dict(value))})"


def rebuilt(told: Any, hashed: Callable[[type, list[Any]], Any]) -> Any:
    """The value that a program told of: [kind, parts, more]. `hashed` makes a dict of untrusted pairs.

    Raises ValueError, TypeError or an arithmetic error on what is none.
    """
    name, parts, more = told
    if type(name) is not str or type(parts) is not list:
        raise ValueError("not a kind and its parts")
    if name in _CALENDAR and not all(
        type(part) is int for part in parts
    ):  # `int` of a decimal could write out millions
        raise ValueError("not whole numbers")
    match name:
        case "Counter" | "OrderedDict":
            made = hashed(dict, parts)
            if type(made) is not dict:
                return made  # a key that could not cross
            return Counter(made) if name == "Counter" else OrderedDict(made)
        case "deque":
            return deque(parts, more)
        case "date" | "time" | "timedelta":
            return getattr(datetime, name)(*parts)
        case "datetime":
            if more is not None and type(more) not in (int, float):
                raise ValueError("not an offset in seconds")
            zone = None if more is None else datetime.timezone(datetime.timedelta(seconds=more))
            return datetime.datetime(*parts, tzinfo=zone)  # type: ignore[misc]
        case _:
            raise ValueError("an unknown kind")
