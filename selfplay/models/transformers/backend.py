"""A transformers model in this process, read from disk, sampled and scored on exact ids. Imports torch."""

import gc
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from selfplay.models.base import Backend, Capabilities
from selfplay.models.encode import Template, encode_prompt
from selfplay.models.transformers import library
from selfplay.models.transformers.decode import Decoder, Draw
from selfplay.records import Completion, Request, Row, Sampling

log = logging.getLogger(__name__)

CPU_CACHE_BYTES = 2 * 2**30
"""Bound on the decoder's cache on a CPU where `batch_tokens` is not given: fixed, so that two runs batch alike."""

MOST_ROWS = {"cpu": 256, "cuda": 512}
"""Most rows at once; more gain nothing there."""

SCORED_LOGITS = 64 * 2**20
"""Most logits (tokens x vocabulary) of one scoring pass."""


class Embedded(Backend):
    """A model folder (full weights, or an adapter beside its base), or a hub name, opened for sampling and scoring.

    `dtype` auto: bf16 where products in it are native, else fp32. `batch_tokens` bounds rows x (prompt + new tokens) of
    one batch; None derives it from the device. `threads` sets torch's CPU threads. Batching changes no text but by
    float noise, so neither `batch_tokens` nor an out-of-memory back-off is science. Close it to free the memory.
    """

    capabilities = Capabilities(token_ids=True, logprobs=True, scoring=True, holds_weights=True)

    def __init__(
        self,
        path: str | Path,
        *,
        template: Template,
        device: str = "auto",
        dtype: str = "auto",
        batch_tokens: int | None = None,
        revision: str | None = None,
        threads: int | None = None,
    ) -> None:
        library.quiet_cpu(threads)
        self.template = template
        self.identity = library.identity_of(path, revision)
        self._device = library.pick_device(device)
        self._batch_tokens = batch_tokens
        self.tokenizer = library.load_tokenizer(path, revision)
        model: Any = library.load_model(
            path,
            device=self._device,
            dtype=library.pick_dtype(dtype, self._device),
            revision=revision,
            attention=library.attention_for(path, self._device, revision),
        )
        self.model: Any = model.eval()
        self._ends = _end_tokens(self.model, self.tokenizer)
        self._halvings = 0
        self.useful_row_steps = self.row_steps = 0
        """Row-steps of decoding in all, and how many of them wrote a token that was kept."""

    def close(self) -> None:
        """Frees the model's memory; safe to call twice."""
        self.model = None
        gc.collect()  # a model may refer to itself
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    # ---- sampling ----

    def complete(self, requests: Sequence[Request], *, n: int, sampling: Sampling, seed: int) -> list[list[Completion]]:
        """n completions a request, in order, with the ids and log-probabilities they were drawn with.

        A draw is a function of (weights, prompt, seed, request's index, sample's index) and torch's threads. Greedy draws
        one sample and repeats it. A stop word is cut from `text` but stays in `completion_ids`. A prompt that leaves
        no room in the model's positions comes back empty with finish_reason `length`.
        """
        prompts = [encode_prompt(self.tokenizer, request, self.template) for request in requests]
        limits = [min(sampling.max_new_tokens, self._positions() - len(ids)) for ids in prompts]
        samples = 1 if sampling.temperature == 0 else n
        draws = [[Draw(r, s) for s in range(samples)] for r in range(len(requests)) if limits[r] > 0]
        self._draw(prompts, [d for group in draws for d in group], sampling, seed, limits)
        made: list[list[Completion]] = []
        drawn = iter(draws)
        for ids, limit in zip(prompts, limits, strict=True):
            if limit <= 0:
                empty = Completion(
                    text="", prompt_ids=tuple(ids), completion_ids=(), logprobs=(), finish_reason="length"
                )
                made.append([empty] * n)
                continue
            group = [self._completion(ids, draw, sampling) for draw in next(drawn)]
            made.append(group * (n // samples))
        return made

    def _draw(
        self, prompts: list[list[int]], draws: list[Draw], sampling: Sampling, seed: int, limits: list[int]
    ) -> None:
        longest = max((len(ids) + limit for ids, limit in zip(prompts, limits, strict=True)), default=1)
        while any(not d.done for d in draws):
            rows = max(1, self._rows(longest) >> self._halvings)
            decoder = Decoder(
                self.model, ends=self._ends, pad=min(self._ends, default=0), rows=rows, on_tokens=self.on_tokens
            )
            try:
                decoder.run(prompts, draws, sampling, seed, limits, _stop_test(self.tokenizer, sampling.stop))
            except (RuntimeError, MemoryError) as error:
                if not library.out_of_memory(error) or rows == 1:
                    raise
                self._halvings += 1
                log.warning("generation ran out of memory with %d rows at once; it goes on with %d", rows, rows // 2)
            self.useful_row_steps += decoder.steps.useful
            self.row_steps += decoder.steps.total

    def _completion(self, prompt: list[int], draw: Draw, sampling: Sampling) -> Completion:
        text = self.tokenizer.decode(draw.ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        assert isinstance(text, str)
        cuts = [at for word in sampling.stop if (at := text.find(word)) >= 0]
        return Completion(
            text=text[: min(cuts)] if cuts else text,
            prompt_ids=tuple(prompt),
            completion_ids=tuple(draw.ids),
            logprobs=tuple(draw.logprobs),
            finish_reason="stop" if draw.stopped else "length",
            usage={"prompt_tokens": len(prompt), "completion_tokens": len(draw.ids)},
        )

    def _positions(self) -> int:
        """How many tokens the model can hold."""
        limit = getattr(self.model.config.get_text_config(decoder=True), "max_position_embeddings", None)
        return int(limit) if limit else 2**31

    def _rows(self, length: int) -> int:
        """Rows at once for sequences of up to `length` tokens; a function of model, device and settings alone."""
        most = MOST_ROWS["cuda" if self._device.type == "cuda" else "cpu"]
        if self._batch_tokens is not None:
            return max(1, min(most, self._batch_tokens // length))
        budget = CPU_CACHE_BYTES
        if self._device.type == "cuda":
            weights = sum(p.numel() * p.element_size() for p in self.model.parameters())
            budget = int(0.7 * torch.cuda.get_device_properties(self._device).total_memory) - weights
        return max(1, min(most, budget // (length * self._cache_bytes())))

    def _cache_bytes(self) -> int:
        """Bytes of keys and values that one token takes."""
        config = self.model.config.get_text_config(decoder=True)
        heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        return int(2 * config.num_hidden_layers * heads * size * self.model.dtype.itemsize)

    # ---- scoring ----

    def likelihood(self, rows: Sequence[Row]) -> list[list[float]]:
        """For each row: the log-probability (nats, at temperature 1) of each token that has a label, in order."""
        return [scored for scored, _ in self._scored(rows, entropy=False)]

    def entropies(self, rows: Sequence[Row]) -> list[tuple[float, int, float | None]]:
        """For each row: the sum and the number of its log-probabilities, and the sum over the same tokens of the entropy (nats) of the
        distribution each was drawn from."""
        return [(math.fsum(scored), len(scored), spread) for scored, spread in self._scored(rows, entropy=True)]

    def _scored(self, rows: Sequence[Row], *, entropy: bool) -> list[tuple[list[float], float]]:
        forward = library.forward_of(self.model)
        scores: list[tuple[list[float], float]] = [([], 0.0)] * len(rows)
        with torch.inference_mode():
            for members in self._score_groups(rows):
                width = max(len(rows[i].input_ids) for i in members)
                pad = min(self._ends, default=0)
                ids = [[*rows[i].input_ids, *[pad] * (width - len(rows[i].input_ids))] for i in members]
                labels = [[*rows[i].labels, *[-100] * (width - len(rows[i].labels))] for i in members]
                # Padded on the right, causal: no real token sees the padding, so that no mask is needed.
                logits = forward(None, input_ids=torch.tensor(ids, device=self._device)).logits[:, :-1]
                wanted = torch.tensor(labels, device=self._device)[:, 1:]
                loss = torch.nn.functional.cross_entropy(
                    logits.float().transpose(1, 2), wanted, ignore_index=-100, reduction="none"
                )
                at = wanted != -100
                flat = iter((-loss[at].double()).tolist())
                found = [list(islice(flat, count)) for count in at.sum(1).tolist()]
                spread = [0.0] * len(members)
                if entropy:
                    log_p = logits[at].float().log_softmax(-1)  # the prompts' places are most, and are not asked for
                    places = torch.zeros(at.shape, dtype=torch.float64, device=self._device)
                    places[at] = -(log_p.exp() * log_p).sum(-1).double()
                    spread = places.sum(1).tolist()
                for i, own, part in zip(members, found, spread, strict=True):
                    scores[i] = (own, part)
                self.on_tokens(0, len(members))
        return scores

    def _score_groups(self, rows: Sequence[Row]) -> Iterator[list[int]]:
        """Indices in order of length, cut so that one pass stays within `SCORED_LOGITS` (or is one row)."""
        vocabulary = self.model.config.get_text_config(decoder=True).vocab_size
        order = sorted(range(len(rows)), key=lambda i: (-len(rows[i].input_ids), i))
        while order:
            longest = max(2, len(rows[order[0]].input_ids))
            many = max(1, min(256, SCORED_LOGITS // (longest * vocabulary)))
            yield order[:many]
            order = order[many:]


def _end_tokens(model: Any, tokenizer: Any) -> list[int]:
    """Ids that end a completion: the tokenizer's and all of the generation config's."""
    config = getattr(model, "generation_config", None)
    given = getattr(config, "eos_token_id", None)
    ids = given if isinstance(given, list) else [given]
    return sorted({i for i in [*ids, tokenizer.eos_token_id] if i is not None})


def _stop_test(tokenizer: Any, words: Sequence[str]) -> Callable[[list[int]], bool] | None:
    """Whether ids have come to hold a stop word. Only tokens that may end one are looked at closely."""
    if not words:
        return None
    ends = {word[-1] for word in words}
    may_end: dict[int, bool] = {}

    def test(ids: list[int]) -> bool:
        last = ids[-1]
        if last not in may_end:
            piece = tokenizer.decode([last])
            may_end[last] = "�" in piece or not ends.isdisjoint(piece)
        if not may_end[last]:
            return False
        text = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return any(word in text for word in words)

    return test
