"""The decode loop: rows of any length in one batch, each replaced as it finishes. Imports torch.

Every draw is keyed by (seed, request, sample, step), so that batch size, sorting, refilling and dropping rows change no
sampled text beyond float noise. It works on token ids; a caller's test finds stop words.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from selfplay.models.base import OnTokens
from selfplay.models.transformers.library import forward_of, layer_kinds, prompt_cache, window_cache
from selfplay.records import Sampling
from selfplay.seeds import seed_of

GROWTH = 32
"""Columns the cache grows by at a time; more would spread the rows over more memory than they use."""

REFILL_SHARE = 8
"""Free rows are refilled, or dropped where nothing waits, once they are one in this many."""

Stops = Callable[[list[int]], bool]
"""Whether the completion so far has written one of the stop words."""


@dataclass
class Draw:
    """One sample in the making."""

    request: int
    sample: int
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    done: bool = False
    stopped: bool = False
    """Ended by an end token or a stop word; otherwise by length."""
    noise: np.ndarray = field(default_factory=lambda: np.zeros(0))
    """One uniform number a step."""

    def restart(self, noise: np.ndarray) -> None:
        """Forgets what was written before an out-of-memory error."""
        self.ids, self.logprobs, self.stopped, self.noise = [], [], False, noise


@dataclass
class Steps:
    """How much of the work was useful: a row-step is one row of one decode step."""

    useful: int = 0
    total: int = 0
    prefilled: int = 0
    """Prompt tokens that were read."""


class Decoder:
    """Draws samples from one model. `rows` and `prefill_tokens` bound memory and change no text."""

    def __init__(
        self,
        model: Any,
        *,
        ends: Sequence[int],
        pad: int,
        rows: int,
        prefill_tokens: int = 8192,
        on_tokens: OnTokens | None = None,
    ) -> None:
        self.rows, self.prefill_tokens, self.pad = rows, prefill_tokens, pad
        self.on_tokens = on_tokens
        self.ends = frozenset(ends)
        self.steps = Steps()
        self.device = next(model.parameters()).device
        self.forward = forward_of(model)
        config = model.config.get_text_config(decoder=True)
        self._kinds = layer_kinds(config)
        self._window = int(getattr(config, "sliding_window", None) or 0)

    def run(
        self,
        prompts: Sequence[Sequence[int]],
        draws: Sequence[Draw],
        sampling: Sampling,
        seed: int,
        limits: Sequence[int],
        stops: Stops | None = None,
    ) -> None:
        """Completes every unfinished draw in place. `limits`: most new tokens of each request, at least 1.

        May be called again with the same draws after an out-of-memory error: those not done start afresh.
        """
        owed = [d for d in draws if not d.done]
        for draw in owed:
            draw.restart(self.noise(draw, sampling, seed, limits[draw.request]))
        waiting = deque(sorted(owed, key=lambda d: (-len(prompts[d.request]), d.request, d.sample)))
        batch = _Batch(self, prompts)
        with torch.inference_mode():
            while waiting or batch.live:
                batch.admit(waiting)
                logits, live = batch.logits(), batch.live
                batch.write(*pick(logits, sampling, batch.uniforms()), limits, stops)
                if self.on_tokens is not None:
                    self.on_tokens(live, live - batch.live)

    def noise(self, draw: Draw, sampling: Sampling, seed: int, limit: int) -> np.ndarray:
        """One uniform number a step, a function of (seed, request, sample, step) alone."""
        if sampling.temperature == 0:
            return np.zeros(limit)
        return np.random.Generator(np.random.Philox(key=seed_of(seed, draw.request, draw.sample))).random(limit)

    def mask(self, places: torch.Tensor, columns: int, dtype: torch.dtype) -> Any:
        """Additive mask [row, 1, 1, column] over the columns up to each row's place; by kind where kinds are mixed."""
        at = torch.arange(columns, device=self.device)
        made = {}
        for kind in self._kinds:
            hidden = at > places[:, None]
            if kind == "sliding":
                hidden |= at <= places[:, None] - self._window
            bias = torch.zeros(hidden.shape, dtype=dtype, device=self.device)
            made[f"{kind}_attention"] = bias.masked_fill_(hidden, torch.finfo(dtype).min)[:, None, None]
        return made if len(made) > 1 else next(iter(made.values()))


def pick(logits: torch.Tensor, sampling: Sampling, uniforms: np.ndarray) -> tuple[list[int], list[float]]:
    """Next token of each row of logits [row, vocabulary], and its log-probability under what it was drawn from.

    Drawn by inverting the cumulative distribution at one uniform number a row. Greedy (temperature 0) gives the
    log-probability at temperature 1: its own distribution has a single point.
    """
    if sampling.temperature == 0:
        logprobs = logits.float().log_softmax(-1)
        best = logprobs.argmax(-1, keepdim=True)
        return best[:, 0].tolist(), logprobs.gather(1, best)[:, 0].tolist()
    logprobs = (logits.float() / sampling.temperature).log_softmax(-1)
    order = None
    if sampling.top_k or sampling.top_p < 1:
        logprobs, order = _truncate(logprobs, sampling)
    reached = logprobs.double().exp().cumsum(-1)
    wanted = torch.from_numpy(uniforms).to(logits.device)[:, None] * reached[:, -1:]
    index = torch.searchsorted(reached, wanted, right=True).clamp_(max=logits.shape[-1] - 1)
    drawn = logprobs.gather(1, index) - reached[:, -1:].log().float()
    token = index if order is None else order.gather(1, index)
    return token[:, 0].tolist(), drawn[:, 0].tolist()


def _truncate(logprobs: torch.Tensor, sampling: Sampling) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities in falling order with what top-k and top-p leave out at -inf, and their token ids."""
    ordered, order = logprobs.sort(dim=-1, descending=True, stable=True)
    if sampling.top_k:
        ordered[:, sampling.top_k :] = -torch.inf
    if sampling.top_p < 1:
        mass = ordered.exp()
        mass = mass / mass.sum(-1, keepdim=True)
        ordered = ordered.masked_fill(mass.cumsum(-1) - mass >= sampling.top_p, -torch.inf)
    return ordered, order


class _Batch:
    """The rows in the machine, one slot a row: bookkeeping here on the host, keys and values in the cache."""

    def __init__(self, decoder: Decoder, prompts: Sequence[Sequence[int]]) -> None:
        self.of, self.prompts = decoder, prompts
        self.slots: list[Draw | None] = []
        self.token = np.zeros(0, dtype=np.int64)
        """What each row reads next, and (below) at which position: its last prompt token, then what it has drawn."""
        self.place = np.zeros(0, dtype=np.int64)
        self.columns = 0
        self.cache: Any = None

    @property
    def live(self) -> int:
        """Rows still being written."""
        return sum(d is not None for d in self.slots)

    # ---- who is in ----

    def admit(self, waiting: deque[Draw]) -> None:
        """Refills free slots from the queue, or drops them where nothing waits; makes room for the next column."""
        room = self.of.rows - self.live
        dead = len(self.slots) - self.live
        if waiting and room * REFILL_SHARE >= self.of.rows:
            self._rebuild([waiting.popleft() for _ in range(min(room, len(waiting)))])
        elif (not waiting and dead * REFILL_SHARE >= len(self.slots)) or self.place.max() >= self.columns:
            self._rebuild([])

    def _rebuild(self, draws: list[Draw]) -> None:
        """Keeps the live rows, drops the finished, adds the new with their prompts read, and grows the columns."""
        keep = [i for i, d in enumerate(self.slots) if d is not None]
        parts = [self._read(group) for group in self._groups(draws)]
        if self.cache is None:
            self.cache = window_cache(parts[0][0])
        self.slots = [self.slots[i] for i in keep] + list(draws)
        self.token = np.append(self.token[keep], [self.prompts[d.request][-1] for d in draws]).astype(np.int64)
        self.place = np.append(self.place[keep], [len(self.prompts[d.request]) - 1 for d in draws]).astype(np.int64)
        self.columns = (int(self.place.max()) // GROWTH + 1) * GROWTH
        order = torch.tensor(keep, dtype=torch.long, device=self.of.device)
        for layer in self.cache.layers:
            layer.reshape_to(order, len(self.slots), self.columns)
        first = len(keep)
        for read, members in parts:
            rows = slice(first, first := first + len(members))
            index = torch.tensor(members, device=self.of.device)
            for mine, theirs in zip(self.cache.layers, read.layers, strict=True):
                mine.put(rows, theirs.keys[index], theirs.values[index])

    # ---- prompts ----

    def _groups(self, draws: list[Draw]) -> list[list[Draw]]:
        """Draws in order, cut so that one group's padded prompts stay within `prefill_tokens` (or are one prompt)."""
        groups: list[list[Draw]] = []
        distinct, last = 0, -1
        for draw in draws:  # longest prompt first, so that a group's first one is its width
            width = len(self.prompts[(groups[-1][0] if groups else draw).request])
            if not groups or (draw.request != last and (distinct + 1) * width > self.of.prefill_tokens):
                groups.append([])
                distinct = 0
            distinct += draw.request != last
            last = draw.request
            groups[-1].append(draw)
        return groups

    def _read(self, group: list[Draw]) -> tuple[Any, list[int]]:
        """Cache of the group's distinct prompts, all but the last token, and which of them each draw has."""
        requests = {r: i for i, r in enumerate(dict.fromkeys(d.request for d in group))}
        bodies = [list(self.prompts[r][:-1]) for r in requests]
        width = max(1, *(len(body) for body in bodies))  # at least 1: a lone pad is overwritten by the first step
        self.of.steps.prefilled += sum(len(body) for body in bodies)
        # Padded on the right, causal: no real token ever sees the padding, so that no mask is needed.
        ids = torch.tensor([body + [self.of.pad] * (width - len(body)) for body in bodies], device=self.of.device)
        read = prompt_cache()
        self.of.forward(read, input_ids=ids, logits_to_keep=1)
        return read, [requests[d.request] for d in group]

    # ---- one step ----

    def uniforms(self) -> np.ndarray:
        """This step's number of every row."""
        return np.array([0.0 if d is None else d.noise[len(d.ids)] for d in self.slots])

    def logits(self) -> torch.Tensor:
        """Reads every row's next token; logits [row, vocabulary] of the one after it."""
        device = self.of.device
        places = torch.from_numpy(self.place).to(device)
        starts = torch.arange(len(self.slots), device=device)[:, None]
        for layer in self.cache.layers:
            heads = layer.keys.shape[1]
            head = torch.arange(heads, device=device)[None]
            layer.at = ((starts * heads + head) * self.columns + places[:, None]).view(-1)
        out = self.of.forward(
            self.cache,
            input_ids=torch.from_numpy(self.token)[:, None].to(device),
            attention_mask=self.of.mask(places, self.columns, self.cache.layers[0].keys.dtype),
            position_ids=places[:, None],
            logits_to_keep=1,
        )
        self.of.steps.total += len(self.slots)
        self.of.steps.useful += self.live
        logits: torch.Tensor = out.logits[:, -1]
        return logits

    def write(self, tokens: list[int], logprobs: list[float], limits: Sequence[int], stops: Stops | None) -> None:
        """Gives every live row its token; a row that ends frees its slot."""
        self.token = np.array(tokens, dtype=np.int64)
        self.place += 1
        for slot, draw in enumerate(self.slots):
            if draw is None:
                self.place[slot] = 0
                continue
            draw.ids.append(tokens[slot])
            draw.logprobs.append(logprobs[slot])
            draw.stopped = tokens[slot] in self.of.ends or (stops is not None and stops(draw.ids))
            draw.done = draw.stopped or len(draw.ids) >= limits[draw.request]
            if draw.done:
                self.slots[slot], self.place[slot] = None, 0
