"""Floor 3: verdicts by a function of your own: `verifier: {type: "python:package.module:function", ...}`.

The function gets `(task, text)` and returns an Outcome (or its word), a Verdict, True/False for pass/fail, or None for
no opinion. It is your code and runs in this process: never let it evaluate the text.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from selfplay.errors import ConfigError
from selfplay.records import Attempt, Outcome, Task, Verdict

RAISED = "raised"
"""In a verdict's details: the function itself raised on this attempt, and would again."""

Function = Callable[[Task, str], Any]


class PythonFunction:
    """Verifier of `python:...` checks."""

    def __init__(self) -> None:
        self._loaded: dict[str, Function] = {}

    def verify(
        self, checks: Sequence[Mapping[str, Any]], tasks: Sequence[Task], attempts: Sequence[Attempt]
    ) -> list[Verdict]:
        """See `Verifier.verify`; an exception of the function is an `error` verdict with its text."""
        functions = [self._load(str(check["type"])) for check in checks]
        return [_ask(*item) for item in zip(functions, checks, tasks, attempts, strict=True)]

    def _load(self, kind: str) -> Function:
        if kind not in self._loaded:
            self._loaded[kind] = load_function(kind)
        return self._loaded[kind]


def load_function(kind: str) -> Function:
    """The function that `python:package.module:function` names. Raises ConfigError where it cannot be had."""
    _, _, place = kind.partition(":")
    module, colon, name = place.partition(":")
    if not module or not colon or not name:
        raise ConfigError(f"verifier: {kind!r} names no function; write python:package.module:function")
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"verifier: {kind!r} cannot be imported ({error}); put the module on PYTHONPATH or mend the name"
        ) from None
    if not callable(function):
        raise ConfigError(f"verifier: {kind!r} is {type(function).__name__}, which cannot be called; name a function")
    return function  # type: ignore[no-any-return]


def _ask(function: Function, check: Mapping[str, Any], task: Task, attempt: Attempt) -> Verdict:
    name = f"{check['type']}/1"
    try:
        said = function(task, attempt.text)
    except Exception as error:  # the one boundary: a fault of the verifier is ours, never the student's
        return Verdict(verifier=name, outcome=Outcome.ERROR, reason=f"{type(error).__name__}: {error}")
    return said if isinstance(said, Verdict) else Verdict(verifier=name, outcome=_outcome(said, str(check["type"])))


def _outcome(said: Any, kind: str) -> Outcome:
    if said is None:
        return Outcome.ABSTAIN
    if isinstance(said, bool):
        return Outcome.PASS if said else Outcome.FAIL
    try:
        return Outcome(said)
    except ValueError:
        raise ConfigError(
            f"verifier: {kind!r} returned {said!r}; return one of {', '.join(o.value for o in Outcome)}, True, False, None or a Verdict"
        ) from None
