"""A transformers model in this process, read from disk, sampled and scored on exact ids. Imports torch."""

import gc
import logging
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from selfplay.models.base import Backend, Capabilities, PromptBatch
from selfplay.models.encode import NO_ARGUMENTS, Arguments, Template, TokenEncoder
from selfplay.models.transformers import library
from selfplay.models.transformers.attention import attention_for, forward_of, head_on
from selfplay.models.transformers.decode import Decoder, Draw
from selfplay.models.transformers.feed import Feed, OpenBatch
from selfplay.records import Completion, Request, Row, Sampling

log = logging.getLogger(__name__)

CPU_CACHE_BYTES = 2 * 2**30
"""Bound on the decoder's cache on a CPU where `batch_tokens` is not given: fixed, so that two runs batch alike."""

MOST_ROWS = {"cpu": 256, "cuda": 512}
"""Most rows at once; more gain nothing there."""

SCORED_LOGITS = 64 * 2**20
"""Most logits (labelled tokens x vocabulary) of one scoring pass."""

SCORED_TOKENS = 2**15
"""Most tokens of one scoring pass, padding included."""

SOFTMAX_LOGITS = 2**24
"""Most logits that are in single precision at once while scoring."""


class Embedded(Backend):
    """A model folder (full weights, or an adapter beside its base), or a hub name, opened for sampling and scoring.

    An adapter is merged into the weights in memory (see `library.merged`); its files stay as they are. `dtype` auto: bf16 where products
    in it are native, else fp32. `batch_tokens` bounds rows x (prompt + new tokens) of one batch; None derives it from the device.
    `threads` sets torch's CPU threads. `refill_across`: whether `complete_each` refills the rows of a batch with those of the next;
    None: on a GPU only. `chat`: arguments of the chat template. `model`: weights that are in memory already, such as those in training,
    which are sampled as they are; the path then gives the tokenizer alone. Close it to free the memory.

    Who shares a batch changes a text through rounding alone: in fp32 hardly ever, in bf16 often. So `batch_tokens` and an out-of-memory
    back-off are no science in fp32; and with `refill_across` a text is the same again only if the batches before it are.
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
        refill_across: bool | None = None,
        chat: Arguments = NO_ARGUMENTS,
        model: Any = None,
    ) -> None:
        library.quiet_cpu(threads)
        self.identity = library.identity_of(path, revision) if model is None else ""
        self._device = library.pick_device(device) if model is None else model.device
        self._batch_tokens = batch_tokens
        self._refills = self._device.type == "cuda" if refill_across is None else refill_across
        self.tokenizer = library.load_tokenizer(path, revision)
        self._encoder = TokenEncoder(self.tokenizer, template, chat)
        if model is None:
            model = library.load_model(
                path,
                device=self._device,
                dtype=library.pick_dtype(dtype, self._device),
                revision=revision,
                attention=attention_for(path, revision),
            )
            model = library.merged(model).eval()
        self.model: Any = model
        self._ends = _end_tokens(self.model, self.tokenizer)
        self._halvings = 0
        self.useful_row_steps = self.row_steps = self.steps = 0
        """Row-steps of decoding that wrote a token that was kept; all row-steps; decode steps of any number of rows."""

    def close(self) -> None:
        """Frees the model's memory; safe to call twice."""
        self.model = None
        gc.collect()  # a model may refer to itself
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    # ---- sampling ----

    def complete(self, requests: Sequence[Request], *, n: int, sampling: Sampling, seed: int) -> list[list[Completion]]:
        """n completions a request, in order, with the ids and log-probabilities they were drawn with.

        A draw is a function of (weights, prompt, seed, request's index, sample's index), torch's threads, and the rounding of its batch.
        Greedy draws one sample and repeats it. A stop word is cut from `text` but stays in `completion_ids`. A prompt that leaves
        no room in the model's positions comes back empty with finish_reason `length`.
        """
        ((_, made),) = self._sample(iter([PromptBatch(requests, n, seed)]), sampling)
        return made

    def complete_each(
        self, batches: Iterable[PromptBatch], sampling: Sampling
    ) -> Iterator[tuple[PromptBatch, list[list[Completion]]]]:
        """See `Backend`. Where it refills across batches, the next is taken while rows of the last are still being written."""
        return self._sample(iter(batches), sampling) if self._refills else super().complete_each(batches, sampling)

    def _sample(
        self, batches: Iterator[PromptBatch], sampling: Sampling
    ) -> Iterator[tuple[PromptBatch, list[list[Completion]]]]:
        return self._written(Feed(batches, lambda batch: self._opened(batch, sampling)), sampling)

    def sample(self, draws: Sequence[Draw], sampling: Sampling) -> list[Completion]:
        """One completion for each draw, on the token ids of its prompt."""
        longest = max((len(draw.prompt) + draw.limit for draw in draws), default=1)
        batch = PromptBatch((), 1, 0)
        opened = OpenBatch(batch, [list(draw.prompt) for draw in draws], [[draw] for draw in draws], longest)
        ((_, made),) = self._written(Feed(iter([batch]), lambda _: opened), sampling)
        return [row[0] for row in made]

    def _written(self, feed: Feed, sampling: Sampling) -> Iterator[tuple[PromptBatch, list[list[Completion]]]]:
        """Gives each batch when its last sample is done; begins again with fewer rows where memory runs out."""
        stops = _stop_test(self.tokenizer, sampling.stop)
        while True:
            decoder = Decoder(
                self.model, ends=self._ends, pad=min(self._ends, default=0), rows=1, on_tokens=self.on_tokens
            )

            def more(decoder: Decoder = decoder) -> list[Draw] | None:
                drawn = feed.more()
                decoder.rows = max(1, self._rows(feed.longest) >> self._halvings)
                return drawn

            try:
                for draw in decoder.run(more, sampling, stops):
                    feed.written(draw)
                    yield from (self._made(one, sampling) for one in feed.finished())
                yield from (self._made(one, sampling) for one in feed.finished())  # those without a draw
                return
            except (RuntimeError, MemoryError) as error:
                rows = decoder.rows
                if not library.out_of_memory(error) or rows == 1:
                    raise
                self._halvings += 1
                log.warning("generation ran out of memory with %d rows at once; it goes on with %d", rows, rows // 2)
                feed.begin_again()
            finally:
                self.useful_row_steps += decoder.steps.useful
                self.row_steps += decoder.steps.total
                self.steps += decoder.steps.steps

    def _opened(self, batch: PromptBatch, sampling: Sampling) -> OpenBatch:
        """A batch's prompts as ids, and its draws."""
        prompts = [self._encoder.prompt(request) for request in batch.requests]
        limits = [min(sampling.max_new_tokens, self.positions() - len(ids)) for ids in prompts]
        samples = 1 if sampling.temperature == 0 else batch.n
        draws = [
            [Draw(ids, limit, (batch.seed, r, s)) for s in range(samples)] if limit > 0 else []
            for r, (ids, limit) in enumerate(zip(prompts, limits, strict=True))
        ]
        longest = max((len(ids) + limit for ids, limit in zip(prompts, limits, strict=True)), default=1)
        return OpenBatch(batch, prompts, draws, longest)

    def _made(self, one: OpenBatch, sampling: Sampling) -> tuple[PromptBatch, list[list[Completion]]]:
        """A batch that is done, with its completions."""
        made = []
        for ids, group in zip(one.prompts, one.draws, strict=True):
            full = Completion(text="", prompt_ids=tuple(ids), completion_ids=(), logprobs=(), finish_reason="length")
            written = [self._completion(ids, draw, sampling) for draw in group] or [full]
            made.append(written * (one.batch.n // len(written)))
        return one.batch, made

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

    def positions(self) -> int:
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
        scores: list[tuple[list[float], float]] = [([], 0.0)] * len(rows)
        groups = list(self._score_groups(rows))
        while groups:
            members = groups.pop(0)
            try:
                found = self._score([rows[i] for i in members], entropy=entropy)
            except (RuntimeError, MemoryError) as error:
                if not library.out_of_memory(error) or len(members) == 1:
                    raise
                half = len(members) // 2
                log.warning("scoring ran out of memory with %d rows at once; it goes on with %d", len(members), half)
                groups[:0] = [members[:half], members[half:]]
                continue
            for i, one in zip(members, found, strict=True):
                scores[i] = one
            self.on_tokens(0, len(members))
        return scores

    @torch.inference_mode()
    def _score(self, rows: Sequence[Row], *, entropy: bool) -> list[tuple[list[float], float]]:
        """Scores rows in one pass; the head reads the places before labelled tokens alone."""
        width, pad = max(len(row.input_ids) for row in rows), min(self._ends, default=0)
        ids = [[*row.input_ids, *[pad] * (width - len(row.input_ids))] for row in rows]
        labels = [[*row.labels[1:], *[-100] * (width + 1 - len(row.labels))] for row in rows]
        wanted = torch.tensor(labels, device=self._device)
        at = wanted != -100
        # Padded on the right, causal: no real token sees the padding, so that no mask is needed.
        with head_on(self.model, at):
            logits = forward_of(self.model)(None, input_ids=torch.tensor(ids, device=self._device)).logits[0]
        nats, spreads = _nats(logits, wanted[at], entropy=entropy)
        counts = at.sum(1).tolist()
        spread = iter(spreads.tolist())
        found = iter(nats.tolist())
        return [(list(islice(found, n)), math.fsum(islice(spread, n))) for n in counts]

    def _score_groups(self, rows: Sequence[Row]) -> Iterator[list[int]]:
        """Indices of rows in order of length, cut so that one pass stays within `SCORED_LOGITS` and `SCORED_TOKENS` (or is one row)."""
        vocabulary = self.model.config.get_text_config(decoder=True).vocab_size
        order = sorted(range(len(rows)), key=lambda i: (-len(rows[i].input_ids), i))
        members: list[int] = []
        labelled = 0
        for i in order:
            own = sum(label != -100 for label in rows[i].labels[1:])
            tokens = (len(members) + 1) * len(rows[members[0] if members else i].input_ids)
            full = (labelled + own) * vocabulary > SCORED_LOGITS or tokens > SCORED_TOKENS or len(members) == 256
            if members and full:
                yield members
                members, labelled = [], 0
            members.append(i)
            labelled += own
        if members:
            yield members


def _nats(logits: torch.Tensor, wanted: torch.Tensor, *, entropy: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """The log-probability of each wanted token under its logits [token, vocabulary], and the entropy there (0 unless asked for)."""
    many = max(1, SOFTMAX_LOGITS // logits.shape[-1])
    nats, spreads = [], []
    for first in range(0, len(wanted), many):
        part = slice(first, first + many)
        log_p = logits[part].float().log_softmax(-1)
        nats.append(log_p.gather(1, wanted[part, None])[:, 0].double())
        spreads.append(-(log_p.exp() * log_p).sum(-1).double() if entropy else torch.zeros_like(nats[-1]))
    return torch.cat(nats), torch.cat(spreads)


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
