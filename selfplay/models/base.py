"""What the loop needs of an engine: to complete prompts, to say what else it can do, and to score where it can.

An engine is one file or folder here and one line in `config/registry.py`. The line names its settings, a subclass of
`EngineSettings`, whose `open` gives a `Backend`. A student is the same with `StudentSettings`. The file of the settings imports no
torch: what is heavy is imported when the engine is opened.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self, cast

from selfplay.config.sections import StudentSettings
from selfplay.errors import ConfigError
from selfplay.records import Completion, Request, Row, Sampling


@dataclass(frozen=True)
class Capabilities:
    """What an opened engine can do besides completing prompts. The loop asks this instead of trying."""

    token_ids: bool = False
    """Completions carry the exact token ids that were sampled. Otherwise the student's tokenizer encodes their text again."""
    logprobs: bool = False
    """Completions carry the log-probabilities that they were sampled with."""
    scoring: bool = False
    """It scores given token ids: it is a `Scorer` too."""
    json_schema: bool = False
    """It can hold replies to a JSON schema: it is a `structured.SchemaBackend` too."""
    holds_weights: bool = False
    """The student's weights are in its memory, so that it stays open for the next phase that needs the same weights."""


class OnTokens(Protocol):
    """Hears of the work of an engine while it goes on, from any thread."""

    def __call__(self, tokens: int, rows: int) -> None:
        """`tokens` were written and `rows` completions ended (or texts were scored) since the last call."""


class _Nobody:
    def __call__(self, tokens: int, rows: int) -> None:
        pass


@dataclass(frozen=True)
class PromptBatch:
    """What one call of `complete` is given, but for the sampling."""

    requests: Sequence[Request]
    n: int
    """Completions of each request."""
    seed: int


class Backend(ABC):
    """Base of everything that completes prompts."""

    identity: str
    """What stands in `Attempt.model`: a hash of weights, or a server's model name."""
    capabilities: Capabilities = Capabilities()
    on_tokens: OnTokens = _Nobody()
    """Whom an engine tells while it completes or scores; an engine may tell nobody."""

    @abstractmethod
    def complete(self, requests: Sequence[Request], *, n: int, sampling: Sampling, seed: int) -> list[list[Completion]]:
        """`n` completions a request, in order; a failed one has `finish_reason="error"`, and never raises for one item.

        The same weights, requests, n, sampling and seed give the same texts.
        """

    def complete_each(
        self, batches: Iterable[PromptBatch], sampling: Sampling
    ) -> Iterator[tuple[PromptBatch, list[list[Completion]]]]:
        """Completes batches as `complete` does, and gives each as it is done, in any order.

        An engine that can begin the next batch before the last is done overrides this, and draws each sample from the same noise as
        `complete` would.
        """
        for batch in batches:
            yield batch, self.complete(batch.requests, n=batch.n, sampling=sampling, seed=batch.seed)

    def close(self) -> None:  # noqa: B027 (most engines have nothing to free)
        """Frees memory and connections; safe to call twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Scorer(Protocol):
    """Scores given token ids under the engine's weights, at temperature 1. `Row.labels` says which tokens count."""

    def likelihood(self, rows: Sequence[Row]) -> list[list[float]]:
        """For each row: the log-probability, in nats, of each token that has a label, in order."""
        ...

    def entropies(self, rows: Sequence[Row]) -> list[tuple[float, int, float | None]]:
        """For each row: the sum of what `likelihood` gives, the number of these tokens, and the sum over them of the entropy, in nats,
        of the distribution before each; None from an engine that does not see whole distributions."""
        ...


def scorer_of(backend: Backend) -> Scorer | None:
    """The backend as a scorer; None where it cannot score."""
    return cast(Scorer, backend) if backend.capabilities.scoring else None


class Encoder(Protocol):
    """Encodes text as the student's token ids, with the template that the student is sampled with."""

    def prompt(self, request: Request) -> list[int]:
        """Ids of a prompt."""
        ...

    def completion(self, text: str) -> list[int]:
        """Ids of a completion, the end token appended."""
        ...


@dataclass(frozen=True)
class Weights:
    """The student as it is after some round."""

    settings: StudentSettings
    folder: Path
    """Its model folder; see `models.student`."""
    identity: str
    """Hash of the weights."""
    lora_rank: int | None = None
    """Rank of the adapters that the run trains; None: full weights."""


class Owned:
    """What engines keep between two openings, such as the servers that a run starts; a run closes it at its end."""

    def __init__(self) -> None:
        self._parts: dict[str, Any] = {}

    def get(self, key: str, make: Callable[[], Any]) -> Any:
        """The part of this key, made at the first call. It has `make_room()`, which frees the GPU for training, and `close()`."""
        if key not in self._parts:
            self._parts[key] = make()
        return self._parts[key]

    def make_room(self) -> None:
        """Lets every part free the GPU, before the student trains on it."""
        for part in self._parts.values():
            part.make_room()

    def close(self) -> None:
        """Closes all parts; may be called twice."""
        while self._parts:
            self._parts.popitem()[1].close()


@dataclass(frozen=True)
class Opening:
    """What an engine may use of the run that opens it."""

    folder: Path
    """Relative paths in the settings count from here."""
    cache: Path
    """File in which paid replies and their cost are kept."""
    device: str = "auto"
    """`auto`, `cpu` or `cuda`."""
    threads: int | None = None
    """CPU threads; None: torch's own choice."""
    student: Weights | None = None
    """The student's weights where it is the one that samples; None for a teacher or judge."""
    owned: Owned = field(default_factory=Owned)
    """Where an engine leaves what lives longer than one opening."""

    @property
    def weights(self) -> Weights:
        """`student`, for an engine that opens nothing else. Raises ConfigError where there is none."""
        if self.student is None:
            raise ConfigError(
                "student: this engine samples the student, and was opened for a teacher or judge, which is None; name another engine there"
            )
        return self.student
