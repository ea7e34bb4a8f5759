"""The engine for any OpenAI-compatible server: vLLM, SGLang, `transformers serve`, a hosted model.

Its settings stand here and the HTTP client in `client`, which is imported when a server is opened.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from pydantic import Field, model_validator

from selfplay.config.sections import Count, EngineSettings, StudentSettings, operation
from selfplay.errors import ConfigError
from selfplay.models.base import Backend, Opening
from selfplay.models.openai.limits import Budget, Prices
from selfplay.models.student import served_name

if TYPE_CHECKING:
    from selfplay.models.openai.client import Http

STUDENT = "{student}"
"""As a model's name: the student's own weights, served."""


class HttpEngine(EngineSettings):
    """Any OpenAI-compatible server."""

    kind: Literal["http"]
    url: str = operation(..., min_length=8)
    """Base address up to and with `/v1`."""
    model: str
    """Name that the server knows. `{student}` is the folder of the weights that a round starts from: the student itself,
    served (`transformers serve` loads a model by its path)."""
    identity: str | None = None
    """Stands in attempts and cache keys for the weights behind the name; None: the name. Change it when they change."""
    mode: Literal["chat", "text"] = "chat"
    """Messages, or bare prompts (`student.template: plain` goes with text)."""
    token_ids: bool = False
    """Ask for exact token ids (vLLM); only of use for `{student}`, whose tokens are trained on."""
    logprobs: Literal["off", "raw", "processed"] = "off"
    """What the server's log-probabilities mean, if they are asked for; only of use for `{student}`."""
    extra: dict[str, Any] = Field(default_factory=dict)
    """Further fields of the request, for servers whose own sampling defaults have to be overruled."""
    key_env: str | None = operation(None)
    """Name of the environment variable that holds the key; the key itself never stands in a file."""
    concurrency: Count = operation(16)
    """Most requests at once; fewer while the server says that it is too much."""
    timeout_seconds: float = operation(120.0, gt=0)
    """For one exchange, from connecting to the last byte."""
    max_tokens_spent: int | None = operation(None, ge=1)
    """Hard stop (exit 3) on prompt + completion tokens of the run; None: no limit."""
    max_money_spent: float | None = operation(None, ge=0)
    """The same in money; needs both prices."""
    prompt_price: float | None = operation(None, ge=0)
    """Money a million prompt tokens."""
    completion_price: float | None = operation(None, ge=0)
    """Money a million completion tokens."""
    retries: int = operation(5, ge=0)
    """Failed tries of one request after the first; then it counts as an outage."""
    initial_backoff_seconds: float = operation(0.5, gt=0)
    """The first pause before another try; it doubles with every failed one."""
    privacy: Literal["scrub", "none"] = "scrub"
    """What leaves this machine is scrubbed of personal data, unless said otherwise."""

    @property
    def is_student(self) -> bool:
        """Whether the server serves the student itself."""
        return self.model == STUDENT

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model

    @property
    def budget(self) -> Budget:
        """What may be spent. Raises ConfigError where a limit in money has no prices."""
        prices = None
        if self.prompt_price is not None and self.completion_price is not None:
            prices = Prices(self.prompt_price, self.completion_price)
        return Budget(self.max_tokens_spent, self.max_money_spent, prices)

    @model_validator(mode="after")
    def _priced(self) -> "HttpEngine":
        prices = (self.prompt_price, self.completion_price)
        if any(prices) and None in prices:
            raise ValueError(
                f"prompt_price is {prices[0]} and completion_price {prices[1]}; give both, money a million tokens"
            )
        _ = self.budget
        return self

    def prompt_form(self, student: StudentSettings) -> Literal["chat", "plain"]:
        """Messages, or bare prompts."""
        return "chat" if self.mode == "chat" else "plain"

    def misfits(self, student: StudentSettings) -> Iterator[str]:
        """A served student must be asked in the form it is trained in; another model's tokens mean nothing to the student."""
        if self.is_student and self.prompt_form(student) != student.prompt_form:
            yield (
                f"generate.backend.mode is {self.mode}, but student.template is {student.prompt_form}, so it would be asked "
                "in another form than it is trained in; use chat with chat, text with plain"
            )
        if self.is_student and student.chat_arguments:
            yield (
                f"student.chat_template_kwargs is {student.chat_arguments}, which a server is not sent, so it would be asked in another form "
                "than it is trained in; remove it, or sample in this process"
            )
        if not self.is_student and (self.token_ids or self.logprobs != "off"):
            yield (
                f"generate.backend asks {self.model} for token ids or log-probabilities, which mean nothing to the student; "
                "remove them, or serve the student as model: '{student}'"
            )

    def limits(self) -> Iterator[str]:
        """See `EngineSettings.limits`."""
        if not self.is_student:
            return
        lacks = ["a server that does not load models by their path (vLLM, SGLang) answers round 0 alone"]
        lacks += [] if self.token_ids else ["its replies are encoded again, since token_ids is false"]
        yield (
            f"generate.backend: the student is sampled at {self.url}, which is given no weights: {', '.join(lacks)}; the likelihood of "
            "human text and the drift from round 0 are left out; student.engine: {kind: vllm} does all of it"
        )

    def check(self, folder: Path) -> None:
        """Raises ConfigError if the address is none, or if the variable of the key is not set."""
        from selfplay.models.openai.access import checked_url, key_from

        checked_url(self.url)
        key_from(self.key_env)

    def unreachable(self, opening: Opening) -> str:
        """See `EngineSettings.unreachable`. A server of the student is asked when it has weights to serve."""
        if self.is_student:
            return ""
        with self.open(opening) as backend:
            why = cast("Http", backend).unreachable()
        return f"{self.url} does not answer ({why})" if why else ""

    def open(self, opening: Opening) -> Backend:
        """Connects with the first request. Raises ConfigError where address or key cannot be used, and for `{student}` as
        anything but the writer of attempts."""
        from selfplay.models.openai.access import Scrub
        from selfplay.models.openai.client import Http
        from selfplay.models.openai.limits import Patience

        student = opening.student if self.is_student else None
        if self.is_student and student is None:
            raise ConfigError(f"{self.url}: model is {self.model}, and the student judges nothing; name another model")
        return Http(
            self.url,
            served_name(student.folder) if student else self.model,
            privacy="none" if self.privacy == "none" else Scrub(),
            identity=student.identity if student else self.identity,
            api_key_env=self.key_env,
            mode=self.mode,
            cache=opening.cache,
            budget=self.budget,
            patience=Patience(
                deadline_seconds=self.timeout_seconds,
                patience_seconds=max(900.0, 3 * self.timeout_seconds),
                retries=self.retries,
                initial_backoff_seconds=self.initial_backoff_seconds,
            ),
            max_concurrency=self.concurrency,
            token_ids=self.token_ids,
            logprobs=self.logprobs,
            extra=self.extra,
        )
