"""Samples and scores through a vLLM server: the student on exact token ids, another model by its text.

A server that dies is started again with its weights, and what it still owed is asked once more.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfplay.errors import OutageError
from selfplay.models.base import Backend, Capabilities, Encoder, Opening
from selfplay.models.openai.cache import ReplyCache
from selfplay.models.openai.client import Http
from selfplay.models.openai.limits import Patience
from selfplay.models.openai.wire import Ask
from selfplay.models.vllm import scoring
from selfplay.models.vllm.replica import Place, Replica
from selfplay.models.vllm.weights import Held, held
from selfplay.records import Completion, Request, Row, Sampling

if TYPE_CHECKING:
    from selfplay.models.vllm import VllmEngine, VllmSettings, VllmStudentEngine

STARTS = 3
"""How often in one call a server that dies is started again."""
Rows = list[list[Completion]]


class _Served(Backend):
    """A backend whose server belongs to the run."""

    def __init__(self, settings: "VllmSettings", opening: Opening, what: str, lora_rank: int | None) -> None:
        from selfplay.models.transformers.library import pick_device

        self._settings = settings
        place = Place(
            opening.cache.parent / "logs",
            cpu=pick_device(opening.device).type == "cpu",
            local_rank=int(os.environ.get("LOCAL_RANK", "0")),
            lora_rank=lora_rank,
        )
        self.replica: Replica = opening.owned.get(f"{what}/{settings!r}", lambda: Replica(settings, place, what))
        """The server, which stays when this backend is closed."""

    def _patience(self) -> Patience:
        return Patience(deadline_seconds=self._settings.timeout_seconds, retries=1)

    def _completed(self, weights: Held, cache: Path | None, ask: Callable[[str, ReplyCache], Rows]) -> Rows:
        """`ask(name of the weights, replies so far)` until the server answers all of it. Raises OutageError where it dies each time."""
        replies = ReplyCache(cache)
        try:
            for _ in range(STARTS):
                rows = ask(self.replica.holding(weights), replies)
                if self.replica.up or not any(one.finish_reason == "error" for row in rows for one in row):
                    return rows
        finally:
            replies.close()
        raise OutageError(
            f"{self.replica.url}: the server died {STARTS} times over the same requests; run the same command again, or sample without "
            f"the engine.{self.replica.end_of_log()}"
        )


class VllmStudent(_Served):
    """The student on its server. Prompts go as token ids, completions come back as token ids with log-probabilities.

    The same seed does not give the same texts, since kernels sum in an order that the batch sets.
    """

    capabilities = Capabilities(token_ids=True, logprobs=True, scoring=True)

    def __init__(self, settings: "VllmStudentEngine", opening: Opening) -> None:
        weights = opening.weights
        super().__init__(settings, opening, "student.engine", weights.lora_rank)
        self.identity = weights.identity
        self.weights: Held = held(weights.folder, weights.identity)
        """What the server is given."""
        self._encoder: Encoder = weights.settings.encoder(weights.folder)
        self._ends = scoring.end_tokens(self.weights, self._encoder)

    def complete(self, requests: Sequence[Request], *, n: int, sampling: Sampling, seed: int) -> Rows:
        """See `Backend.complete`. A prompt that leaves no room for a token comes back empty with finish_reason `length`."""
        self.replica.holding(self.weights)
        room = self.replica.most_tokens()
        prompts = [tuple(self._encoder.prompt(request)) for request in requests]
        fitting = [i for i, ids in enumerate(prompts) if len(ids) < room]
        samples = 1 if sampling.temperature == 0 else n

        def ask(name: str, replies: ReplyCache) -> Rows:
            with _IdClient(self._client_settings(name, replies), self._encoder, self._ends, room) as client:
                if self.replica.cpu:
                    client.refused |= {"seed"}  # a request with a seed ends vLLM's engine on a CPU
                return client.complete([requests[i] for i in fitting], n=samples, sampling=sampling, seed=seed)

        empty = [
            Completion(text="", prompt_ids=ids, completion_ids=(), logprobs=(), finish_reason="length")
            for ids in prompts
        ]
        rows = [[one] * n for one in empty]
        for i, row in zip(fitting, self._completed(self.weights, None, ask), strict=True):
            rows[i] = row * (n // samples)
        return rows

    def _client_settings(self, name: str, replies: ReplyCache) -> dict[str, Any]:
        return {
            "base_url": f"{self.replica.url}/v1",
            "model": name,
            "privacy": "none",  # to this run's own server
            "identity": self.identity,
            "mode": "text",
            "cache": replies,
            "patience": self._patience(),
            "max_concurrency": self._settings.concurrency,
            "max_reply_bytes": 256 * 2**20,
            "token_ids": True,
            "logprobs": "processed",
        }

    def likelihood(self, rows: Sequence[Row]) -> list[list[float]]:
        """See `Scorer.likelihood`. A row that is longer than the server takes raises ConfigError."""
        return scoring.likelihood(self.replica, self.weights, rows)

    def entropies(self, rows: Sequence[Row]) -> list[tuple[float, int, float | None]]:
        """See `Scorer.entropies`; the entropy is None, since a server gives no whole distribution."""
        return [(sum(found), len(found), None) for found in self.likelihood(rows)]


class _IdClient(Http):
    """Sends prompts as the student's token ids."""

    def __init__(self, given: Mapping[str, Any], encoder: Encoder, ends: Sequence[int], room: int) -> None:
        super().__init__(**given)
        self._encoder, self._ends, self._room = encoder, list(ends), room

    def _ask(self, request: Request, sampling: Sampling, schema: Mapping[str, Any] | None) -> Ask:
        asked = super()._ask(request.model_copy(update={"prompt": request.prompt or ""}), sampling, schema)
        ids = self._encoder.prompt(request)
        asked.fields.update(
            prompt=ids, stop_token_ids=self._ends, max_tokens=min(sampling.max_new_tokens, self._room - len(ids))
        )
        return asked


class VllmOther(_Served):
    """A teacher or judge on a server that the run owns."""

    capabilities = Capabilities(json_schema=True)

    def __init__(self, settings: "VllmEngine", opening: Opening) -> None:
        from selfplay.models.transformers import library

        super().__init__(settings, opening, f"vllm-{Path(settings.model).name}", None)
        beside = opening.folder / settings.model
        base = library.resolve(beside if beside.is_dir() else settings.model, settings.revision)
        self.identity = settings.model
        self._weights = Held(base.resolve(), library.identity_of(base))
        self._other, self._cache = settings, opening.cache
        self.replica.holding(self._weights)

    def complete(self, requests: Sequence[Request], *, n: int, sampling: Sampling, seed: int) -> Rows:
        """See `Backend.complete`."""
        return self._asked(lambda client: client.complete(requests, n=n, sampling=sampling, seed=seed))

    def complete_schema(
        self, requests: Sequence[Request], *, schema: Mapping[str, Any], n: int, sampling: Sampling, seed: int
    ) -> Rows:
        """See `structured.SchemaBackend`."""
        return self._asked(
            lambda client: client.complete_schema(requests, schema=schema, n=n, sampling=sampling, seed=seed)
        )

    def _asked(self, ask: Callable[[Http], Rows]) -> Rows:
        def once(name: str, replies: ReplyCache) -> Rows:
            with Http(
                f"{self.replica.url}/v1",
                name,
                privacy="none",
                identity=f"{self._weights.base_identity}/{self._other.dtype}",
                mode=self._other.mode,
                cache=replies,
                patience=self._patience(),
                max_concurrency=self._other.concurrency,
            ) as client:
                if self.replica.cpu:
                    client.refused |= {"seed"}
                return ask(client)

        return self._completed(self._weights, self._cache, once)
