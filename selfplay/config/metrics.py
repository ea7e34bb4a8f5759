"""Looks up the definition of a metric key, and the best round. The definitions are in the files of the metrics; see `METRICS`.

A `*` in a key matches any text. `_lo` and `_hi` are the ends of a key's 95 % interval, `_delta` is its paired change to round 0.
"""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from selfplay.config.registry import METRICS

SCORE = "eval/greedy_accuracy"
"""The metric by which rounds are compared. It is measured on the dev set, never on the test set."""
BEST = "eval/best_round"
"""The metric by which the gate names the best round so far."""


class Definition(NamedTuple):
    """The definition of one metric, for pages and reports."""

    title: str
    meaning: str
    estimator: str
    """How it is estimated: the formula, the sample, and the interval."""
    range: str
    """The values that it can take, with the unit."""
    link: str = ""
    """Address of the source of the formula; empty if there is none."""
    headline: bool = False
    """Whether it is sent to W&B under `tracking.metrics: headline`."""


def definitions() -> dict[str, Definition]:
    """All definitions by key or pattern, in the order of the registry."""
    return dict(_defined(tuple(METRICS.places)))


@lru_cache
def _defined(names: tuple[str, ...]) -> Mapping[str, Definition]:
    return {key: found for name in names for key, found in METRICS.part(name).definitions.items()}


def definition(key: str) -> Definition | None:
    """The definition of a key, or of the first pattern that matches it; None if there is none."""
    known = _defined(tuple(METRICS.places))
    if key in known:
        return known[key]
    return next((found for pattern, found in known.items() if "*" in pattern and fnmatchcase(key, pattern)), None)


def is_headline(key: str) -> bool:
    """Whether a key is a headline metric; ends of intervals and changes never are."""
    found = _defined(tuple(METRICS.places)).get(key)
    return found is not None and found.headline


def title(key: str) -> str:
    """A short title of a key; it is built from the key itself if the key has no definition of its own."""
    own = _defined(tuple(METRICS.places)).get(key)
    if own:
        return own.title
    name = key.partition("/")[2] or key
    text = name.replace("pass_at_", "pass@").replace("_at_", " at ").replace("_", " ")
    return text[:1].upper() + text[1:] if not text.startswith("pass@") else text


class ScoredRound(Protocol):
    """What `best_round` reads of a committed round; a `Commit` has it."""

    @property
    def round(self) -> int:
        """Number of the round."""

    @property
    def metrics(self) -> Mapping[str, Any]:
        """Its metrics by key."""

    @property
    def action(self) -> str:
        """The gate's action: continue, warn, roll_back or stop."""


def best_round(rounds: Iterable[ScoredRound]) -> int:
    """The number of the best round, as the gate of the last round with a dev accuracy names it; 0 if none was measured.

    It is the earliest round that is not clearly worse than the one with the highest dev accuracy, by the outcomes of each
    dev task; rounds that were rolled back do not count (see `selfplay.collapse.best_round_of`).
    """
    named = [one.metrics[BEST] for one in rounds if isinstance(one.metrics.get(BEST), int | float)]
    return int(named[-1]) if named else 0
