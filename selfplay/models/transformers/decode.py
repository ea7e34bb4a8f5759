"""The decode loop: rows of any length in one batch, each replaced as it finishes. Imports torch.

Every draw is keyed by (seed, request, sample, step), so that batch size, sorting, refilling and dropping rows change a sampled
text through the rounding of the arithmetic alone: hardly ever in fp32, often in bf16. It works on token ids; a caller's test finds
stop words.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from selfplay.models.base import OnTokens
from selfplay.models.transformers.attention import forward_of, layer_kinds, prompt_cache, window_cache
from selfplay.models.transformers.picking import pick
from selfplay.records import Sampling
from selfplay.seeds import seed_of

GROWTH = 32
"""Columns the cache grows by at a time; more would spread the rows over more memory than they use."""

REFILL_SHARE = 8
"""Free rows are refilled, or dropped where nothing waits, once they are one in this many."""

Stops = Callable[[list[int]], bool]
"""Whether the completion so far has written one of the stop words."""


@dataclass(eq=False)
class Draw:
    """One sample in the making."""

    prompt: Sequence[int]
    """Samples of one request share the object, and the prompt is read once for those that start together."""
    limit: int
    """Most new tokens, at least 1."""
    key: tuple[int, int, int]
    """(seed, request, sample): what its noise depends on."""
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    done: bool = False
    stopped: bool = False
    """Ended by an end token or a stop word; otherwise by length."""
    noise: np.ndarray = field(default_factory=lambda: np.zeros(0))
    """One uniform number a step."""

    def start(self, temperature: float) -> None:
        """Draws its noise, and forgets what was written before an out-of-memory error."""
        self.ids, self.logprobs, self.stopped = [], [], False
        if temperature == 0:
            self.noise = np.zeros(self.limit)
        else:
            self.noise = np.random.Generator(np.random.Philox(key=seed_of(*self.key))).random(self.limit)


More = Callable[[], list[Draw] | None]
"""The next draws that wait for a row; None: there are none, for good."""


@dataclass
class Steps:
    """How much of the work was useful: a row-step is one row of one decode step."""

    useful: int = 0
    total: int = 0
    steps: int = 0
    """Decode steps, of any number of rows."""
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

    def run(self, more: More, sampling: Sampling, stops: Stops | None = None) -> Iterator[Draw]:
        """Gives each draw as it is done. `more` is called when rows are to be refilled and fewer draws wait than rows are free."""
        waiting: deque[Draw] = deque()
        batch = _Batch(self)
        while self._await(waiting, batch, more, sampling.temperature):
            yield from self._step(waiting, batch, sampling, stops)

    def _await(self, waiting: deque[Draw], batch: "_Batch", more: More, temperature: float) -> bool:
        """Lets more draws wait where rows are to be refilled; whether there is anything left to write."""
        room = self.rows - batch.live
        while room * REFILL_SHARE >= self.rows and len(waiting) < room and (drawn := more()) is not None:
            for draw in drawn:
                draw.start(temperature)
            waiting.extend(sorted(drawn, key=lambda d: -len(d.prompt)))
            room = self.rows - batch.live  # `more` may change the number of rows
        return bool(waiting or batch.live)

    @torch.inference_mode()
    def _step(self, waiting: deque[Draw], batch: "_Batch", sampling: Sampling, stops: Stops | None) -> list[Draw]:
        """Writes one token in each row; the draws that are done."""
        batch.admit(waiting)
        logits, live = batch.logits(), batch.live
        done = batch.write(*pick(logits, sampling, batch.uniforms()), stops)
        if self.on_tokens is not None:
            self.on_tokens(live, len(done))
        return done

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


class _Batch:
    """The rows in the machine, one slot a row: bookkeeping here on the host, keys and values in the cache."""

    def __init__(self, decoder: Decoder) -> None:
        self.of = decoder
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
            drawn = [waiting.popleft() for _ in range(min(room, len(waiting)))]
            self._rebuild(sorted(drawn, key=lambda d: -len(d.prompt)))
        elif (not waiting and dead * REFILL_SHARE >= len(self.slots)) or self.place.max() >= self.columns:
            self._rebuild([])

    def _rebuild(self, draws: list[Draw]) -> None:
        """Keeps the live rows, drops the finished, adds the new with their prompts read, and grows the columns."""
        keep = [i for i, d in enumerate(self.slots) if d is not None]
        parts = [self._read(group) for group in self._groups(draws)]
        if self.cache is None:
            self.cache = window_cache(parts[0][0])
        self.slots = [self.slots[i] for i in keep] + list(draws)
        self.token = np.append(self.token[keep], [d.prompt[-1] for d in draws]).astype(np.int64)
        self.place = np.append(self.place[keep], [len(d.prompt) - 1 for d in draws]).astype(np.int64)
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
        distinct, last = 0, None
        for draw in draws:  # longest prompt first, so that a group's first one is its width
            width = len((groups[-1][0] if groups else draw).prompt)
            if not groups or (draw.prompt is not last and (distinct + 1) * width > self.of.prefill_tokens):
                groups.append([])
                distinct = 0
            distinct += draw.prompt is not last
            last = draw.prompt
            groups[-1].append(draw)
        return groups

    def _read(self, group: list[Draw]) -> tuple[Any, list[int]]:
        """Cache of the group's distinct prompts, all but the last token, and which of them each draw has."""
        distinct = {id(d.prompt): d.prompt for d in group}
        place = {prompt: i for i, prompt in enumerate(distinct)}
        bodies = [list(prompt[:-1]) for prompt in distinct.values()]
        width = max(1, *(len(body) for body in bodies))  # at least 1: a lone pad is overwritten by the first step
        self.of.steps.prefilled += sum(len(body) for body in bodies)
        # Padded on the right, causal: no real token ever sees the padding, so that no mask is needed.
        ids = torch.tensor([body + [self.of.pad] * (width - len(body)) for body in bodies], device=self.of.device)
        read = prompt_cache()
        self.of.forward(read, input_ids=ids, logits_to_keep=1)
        return read, [place[id(d.prompt)] for d in group]

    # ---- one step ----

    def uniforms(self) -> np.ndarray:
        """This step's number of every row; of a free row one for which any token serves."""
        return np.array([0.5 if d is None else d.noise[len(d.ids)] for d in self.slots])

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
        self.of.steps.steps += 1
        self.of.steps.total += len(self.slots)
        self.of.steps.useful += self.live
        logits: torch.Tensor = out.logits[:, -1]
        return logits

    def write(self, tokens: list[int], logprobs: list[float], stops: Stops | None) -> list[Draw]:
        """Gives every live row its token; a row that ends frees its slot, and is in what is returned."""
        self.token = np.array(tokens, dtype=np.int64)
        self.place += 1
        done = []
        for slot, draw in enumerate(self.slots):
            if draw is None:
                self.place[slot] = 0
                continue
            draw.ids.append(tokens[slot])
            draw.logprobs.append(logprobs[slot])
            draw.stopped = tokens[slot] in self.of.ends or (stops is not None and stops(draw.ids))
            draw.done = draw.stopped or len(draw.ids) >= draw.limit
            if draw.done:
                self.slots[slot], self.place[slot] = None, 0
                done.append(draw)
        return done
