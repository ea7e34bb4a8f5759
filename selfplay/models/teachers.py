"""Floor 2: opens the models beside the student, as the configuration names them: teacher and judge, and the served student.

The two doors that this file puts together: an HTTP backend with its privacy filter, cache and budget, and a model of
transformers in this process whose token ids are not the student's.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from selfplay.config.sections import HttpBackend, PretrainedBackend
from selfplay.curate.privacy import Surrogates, scrub
from selfplay.errors import ConfigError
from selfplay.models import Backend
from selfplay.records import Completion, Request, Sampling


class Served(NamedTuple):
    """The student behind a server."""

    name: str
    """What the server is asked for: the folder of its weights, or its base model's name."""
    identity: str
    """Hash of the weights."""


class Scrub:
    """The privacy filter of what leaves: identifiers become surrogates, the same ones throughout a text."""

    def __call__(self, text: str) -> str:
        """The text with surrogates of its own."""
        return self.fresh()(text)

    def fresh(self) -> Callable[[str], str]:
        """A filter for the texts of one trace: the same value has the same surrogate in all of them."""
        given = Surrogates()
        return lambda text: scrub(text, surrogates=given).text or ""


class ForeignTokens:
    """Another backend without its token ids: those of a teacher mean nothing to the student."""

    def __init__(self, backend: Backend) -> None:
        self.identity = backend.identity
        self._backend = backend

    def complete(self, requests: Sequence[Request], *, n: int, sampling: Sampling, seed: int) -> list[list[Completion]]:
        """See `Backend`; ids and log-probabilities are None."""
        found = self._backend.complete(requests, n=n, sampling=sampling, seed=seed)
        bare = {"prompt_ids": None, "completion_ids": None, "logprobs": None}
        return [[completion.model_copy(update=bare) for completion in row] for row in found]

    def close(self) -> None:
        """Frees the model."""
        self._backend.close()

    def __enter__(self) -> "ForeignTokens":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def open_teacher(
    section: HttpBackend | PretrainedBackend,
    *,
    cache: Path,
    device: str,
    threads: int | None,
    served: Served | None = None,
) -> Backend:
    """Opens what a section names, with its own token ids; `cache` keeps replies and ledger. `served`: what `{student}` stands for, where it may.

    Raises ConfigError where `{student}` may not, or where the key or the address cannot be used.
    """
    if isinstance(section, PretrainedBackend):
        from selfplay.models.embedded import Embedded

        return Embedded(
            section.model,
            template=section.template,
            device=device,
            dtype=section.dtype,
            revision=section.revision,
            threads=threads,
        )
    if section.served_student and served is None:
        raise ConfigError(
            f"{section.url}: model is {section.model}, and the student judges nothing; name another model"
        )
    return _http(section, cache, served if section.served_student else None)


def _http(section: HttpBackend, cache: Path, served: Served | None) -> Backend:
    from selfplay.models.budget import Budget, Prices
    from selfplay.models.http import Http
    from selfplay.models.limits import Patience

    prices = None
    if section.prompt_price is not None and section.completion_price is not None:
        prices = Prices(section.prompt_price, section.completion_price)
    return Http(
        section.url,
        served.name if served else section.model,
        privacy="none" if section.privacy == "none" else Scrub(),
        identity=served.identity if served else section.identity,
        api_key_env=section.key_env,
        mode=section.mode,
        cache=cache,
        budget=Budget(section.max_tokens_spent, section.max_money_spent, prices),
        patience=Patience(
            deadline_seconds=section.timeout_seconds,
            patience_seconds=max(900.0, 3 * section.timeout_seconds),
            retries=section.retries,
            first_wait_seconds=section.wait_seconds,
        ),
        max_concurrency=section.concurrency,
        token_ids=section.token_ids,
        logprobs=section.logprobs,
        extra=section.extra,
    )
