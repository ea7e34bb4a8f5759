"""The few C functions that a zygote needs, called through the bare `_ctypes`. Executed in the globals of a zygote.

`_secret` is a random number that the seccomp filter asks for before it lets a process fork or set limits. A program finds it wiped.
"""

import _ctypes

TYPE_CHECKING = False
if TYPE_CHECKING:  # annotations are taken off before this is sent
    from typing import Any


class _Long(_ctypes._SimpleCData):  # type: ignore[type-arg]
    _type_ = "l"


class _Word(_ctypes._SimpleCData):  # type: ignore[type-arg]
    _type_ = "L"


class _Function(_ctypes.CFuncPtr):
    _flags_ = 1 | 8  # C calling convention, errno kept
    _restype_ = _Long


def _c(name: str, _library: int = _ctypes.dlopen(None, 2)) -> "Any":  # type: ignore[arg-type]
    return _Function(_ctypes.dlsym(_library, name))


def _words(*values: int) -> "Any":
    kind = type("_Words", (_ctypes.Array,), {"_type_": _Word, "_length_": len(values)})
    return kind(*values)


_call = _c("syscall")
_secret, _zero = _Word(0), _Word(0)
_usage, _status, _pair = _words(*[0] * 18), _words(0), _words(0, 0)
