"""What each metric key means, and which round is the best. A definition stands in the file of the metric that writes the key: see `METRICS`.

A `*` in a key stands for any ending. `_lo` and `_hi` are the ends of a key's 95 % interval, `_delta` is its paired change
to round 0.
"""

import math
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from selfplay.config.registry import METRICS

SCORE = "eval/greedy_accuracy"
"""The figure by which rounds are compared: on the dev set, never on the test set."""


class Definition(NamedTuple):
    """One metric in words."""

    title: str
    meaning: str
    estimator: str
    """How it is estimated, from which sample, and with which interval."""
    range: str
    """The values that it can take, with the unit."""
    link: str = ""
    """Address of the formula's source; empty if there is none."""
    headline: bool = False
    """Whether it goes to W&B under `tracking.metrics: headline`."""


def definitions() -> dict[str, Definition]:
    """All definitions by key or pattern, in the order of the registry."""
    return dict(_defined(tuple(METRICS.places)))


@lru_cache
def _defined(words: tuple[str, ...]) -> Mapping[str, Definition]:
    return {key: found for word in words for key, found in METRICS.part(word).definitions.items()}


def definition(key: str) -> Definition | None:
    """The definition of a key, or of the first pattern that fits it; None if there is none."""
    known = _defined(tuple(METRICS.places))
    if key in known:
        return known[key]
    return next((found for pattern, found in known.items() if "*" in pattern and fnmatchcase(key, pattern)), None)


def is_headline(key: str) -> bool:
    """Whether a key is one of the headline figures; interval ends and changes never are."""
    found = _defined(tuple(METRICS.places)).get(key)
    return found is not None and found.headline


def title(key: str) -> str:
    """A short name of a key for people; made from the key itself if it has no definition of its own."""
    own = _defined(tuple(METRICS.places)).get(key)
    if own:
        return own.title
    name = key.partition("/")[2] or key
    words = name.replace("pass_at_", "pass@").replace("_at_", " at ").replace("_", " ")
    return words[:1].upper() + words[1:] if not words.startswith("pass@") else words


class Ended(Protocol):
    """A committed round as `best_round` reads it; a `Commit` is one."""

    @property
    def round(self) -> int:
        """Its number."""

    @property
    def metrics(self) -> Mapping[str, Any]:
        """Its figures by key."""

    @property
    def action(self) -> str:
        """What the gate did about it."""


def best_round(rounds: Iterable[Ended]) -> int:
    """The round with the best dev accuracy, the earlier of equals; 0 if nothing was measured.

    A round that was rolled back is never the best: accuracy often rises while a student narrows.
    """
    scored = [(one.metrics.get(SCORE), -one.round) for one in rounds if one.action != "roll_back"]
    known = [(value, place) for value, place in scored if isinstance(value, int | float) and math.isfinite(value)]
    return -max(known)[1] if known else 0
