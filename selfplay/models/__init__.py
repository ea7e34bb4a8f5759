"""Floor 2: model backends. One small protocol serves student, teacher and judge; a backend lives in one file each.

`embedded` runs transformers in this process, `http` talks to any OpenAI-compatible server, `recorded` plays a file,
`scripted` answers by a function. None of them is imported here: opening one loads what it needs.
"""

from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from selfplay.records import Completion, Request, Row, Sampling


class Backend(Protocol):
    """Something that completes prompts."""

    identity: str
    """What stands in `Attempt.model`: a hash of weights, or a server's model name."""

    def complete(self, requests: Sequence[Request], *, n: int, sampling: Sampling, seed: int) -> list[list[Completion]]:
        """n completions a request, in order; a failed one has `finish_reason="error"`, and never raises for one item.

        The same (weights, requests, n, sampling, seed) give the same text.
        """
        ...

    def close(self) -> None:
        """Frees memory and connections; safe to call twice."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Likelihood(Protocol):
    """A backend that can score given text, as well as write it."""

    def likelihood(self, rows: Sequence[Row]) -> list[tuple[float, int]]:
        """For each row: sum of log-probabilities in nats over tokens with a label, and how many those are."""
        ...
