"""Floor 2: a backend that answers from a plain Python function. Ships with the package; tests and dry runs use it.

Deterministic where the function is: the same requests and seed give the same completions, in order.
"""

from collections.abc import Callable, Sequence

from selfplay.records import Completion, Request, Sampling
from selfplay.seeds import seed_of

Reply = Callable[[Request, int, int], "str | Completion"]


class Scripted:
    """Answers every request with `reply(request, sample index, seed)`.

    `seed` is already derived: it differs by task, by sample and by the seed of the call. A returned string becomes
    a completion that stopped by itself, without token ids; a returned Completion is passed on as it is, so that a
    script can play outages and truncation. Sampling limits are not applied: the script is the sampler. An exception of
    the script is a bug in the script and is raised.
    """

    def __init__(self, reply: Reply, identity: str = "scripted") -> None:
        self.identity = identity
        self.calls = 0
        """Completions given so far."""
        self._reply = reply

    def complete(self, requests: Sequence[Request], *, n: int, sampling: Sampling, seed: int) -> list[list[Completion]]:
        """`n` completions a request, in the order of the requests."""
        return [[self._one(request, index, seed) for index in range(n)] for request in requests]

    def _one(self, request: Request, index: int, seed: int) -> Completion:
        self.calls += 1
        reply = self._reply(request, index, seed_of(seed, request.task_id, index))
        return Completion(text=reply) if isinstance(reply, str) else reply

    def close(self) -> None:
        """Nothing to free."""

    def __enter__(self) -> "Scripted":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
