"""A character n-gram model trained again on its own samples: hundreds of labelled runs in minutes.

Each round writes `texts` texts of `chars` characters; the next round's model learns from what the style says. Which
styles collapse is known beforehand, so alarms can be graded on them.
"""

import bisect
import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass

STYLES = {
    "replace": True,
    "narrow": True,
    "accumulate": False,
    "fresh": False,
    "static": False,
    "half_real": False,
    "anchored": False,
}
"""Whether a style collapses. `half_real` trains on half real, half last round; `anchored` on a tenth real, the rest last
round: how far these narrow is an empirical question, their label says only that real text comes in every round."""


@dataclass(frozen=True)
class Spec:
    """One run, fixed by its fields."""

    style: str
    order: int = 6
    seed: int = 0
    rounds: int = 8
    texts: int = 150
    chars: int = 160
    temperature: float = 1.0
    source_chars: int = 100_000
    """Real text the first model learns from, a slice at a place drawn from the seed."""
    reward: str = "the "
    """What `narrow` keeps the most of."""


class Model:
    """Next character given the last `order`, by counts; contexts and starts come from the training texts."""

    def __init__(self, order: int, temperature: float = 1.0) -> None:
        self.order, self.temperature = order, temperature
        self.following: dict[str, list[str]] = {}
        self.starts: list[str] = []
        self._weighted: dict[str, tuple[list[str], list[float]]] = {}

    def learn(self, texts: Sequence[str]) -> None:
        """Adds texts to the counts."""
        n = self.order
        for text in texts:
            for i in range(len(text) - n):
                self.following.setdefault(text[i : i + n], []).append(text[i + n])
            if len(text) > n:
                self.starts.append(text)
        self._weighted.clear()

    def _next(self, context: str, rng: random.Random) -> str | None:
        options = self.following.get(context)
        if not options:
            return None
        if self.temperature == 1.0:
            return options[int(rng.random() * len(options))]
        if context not in self._weighted:
            counts = {c: options.count(c) for c in sorted(set(options))}
            weights = itertools.accumulate(v ** (1 / self.temperature) for v in counts.values())
            self._weighted[context] = (list(counts), list(weights))
        letters, sums = self._weighted[context]
        return letters[bisect.bisect(sums, rng.random() * sums[-1])]

    def _start(self, rng: random.Random) -> str:
        text = self.starts[int(rng.random() * len(self.starts))]
        at = int(rng.random() * (len(text) - self.order))
        return text[at : at + self.order]

    def write(self, chars: int, rng: random.Random) -> str:
        """One text; an unseen context jumps to a fresh start."""
        out = self._start(rng)
        while len(out) < chars:
            letter = self._next(out[-self.order :], rng)
            out += letter if letter is not None else self._start(rng)
        return out[:chars]


def run(spec: Spec, corpus: str) -> list[list[str]]:
    """Rounds 0..spec.rounds of texts: round 0 is real text from anywhere in the corpus, later ones are written."""
    rng = random.Random(f"{spec}")
    real = _slices(corpus, spec.texts, spec.chars, rng)
    at = int(rng.random() * max(1, len(corpus) - spec.source_chars))
    source = [corpus[at : at + spec.source_chars]]
    model = Model(spec.order, spec.temperature)
    model.learn(source)
    rounds = [real]
    for _ in range(spec.rounds):
        wanted = spec.texts * (4 if spec.style == "narrow" else 1)
        written = [model.write(spec.chars, rng) for _ in range(wanted)]
        if spec.style == "narrow":
            written = sorted(written, key=lambda text: -text.count(spec.reward))[: spec.texts]
        rounds.append(written)
        model = _next_model(spec, model, source, written, corpus, rng)
    return rounds


def _slices(corpus: str, texts: int, chars: int, rng: random.Random) -> list[str]:
    starts = (int(rng.random() * (len(corpus) - chars)) for _ in range(texts))
    return [corpus[at : at + chars] for at in starts]


def _next_model(
    spec: Spec, model: Model, source: list[str], written: list[str], corpus: str, rng: random.Random
) -> Model:
    """What the next round writes with."""
    if spec.style == "static":
        return model
    if spec.style == "accumulate":
        model.learn(written)
        return model
    following = Model(spec.order, spec.temperature)
    if spec.style in ("replace", "narrow"):
        following.learn(written)
    elif spec.style == "fresh":
        following.learn(source)
    else:
        share = 0.5 if spec.style == "half_real" else 0.1
        kept = round(len(written) * (1 - share))
        real = _slices(source[0], len(written) - kept, spec.chars, rng)
        following.learn(written[:kept] + real)
    return following
