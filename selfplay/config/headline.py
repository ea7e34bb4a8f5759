"""The order of the headline metrics: quality, variety, tails, drift, data, verifier, alarm. W&B and the report show them first, in it.

Which metrics they are is said by their definitions (`Definition.headline`); where each stands is said here, and nowhere else.
"""

from collections.abc import Iterable
from fnmatch import fnmatchcase

from selfplay.config.metrics import definitions

ORDER: dict[str, tuple[str, ...]] = {
    "round": ("round",),
    "quality": (
        "eval/greedy_accuracy",
        "eval/best_*",
        "test/*",
        "eval/*",
        "collapse_quality/human_*",
        "collapse_quality/*",
    ),
    "variety": ("eval/pass_at_n", "collapse_diversity/unique_*", "collapse_diversity/*"),
    "tails": ("collapse_tails/solve_*", "collapse_tails/*", "collapse_tails/human_*", "collapse_tails/nll_*"),
    "drift": ("collapse_drift/kl_*", "collapse_drift/token_*", "collapse_drift/*"),
    "data": ("data/*", "collapse_data/*"),
    "verifier": ("collapse_quality/verifier_*", "collapse_quality/canary_*", "collapse_quality/breakdown_*"),
    "alarm": ("collapse_alarm/level", "collapse_alarm/*"),
    "training and cost": ("train/*", "time/*", "cost/*"),
}
"""Group -> patterns of its keys, in order. A key belongs to the longest pattern that fits it; one that fits none comes last."""
OTHERS = "others"


def headline() -> dict[str, list[str]]:
    """The headline metrics by group, in order; a metric of your own, with a prefix of its own, is under OTHERS."""
    places = sorted((_place(key), n, key) for n, (key, found) in enumerate(definitions().items()) if found.headline)
    groups: dict[str, list[str]] = {}
    for (group, _), _, key in places:
        groups.setdefault((*ORDER, OTHERS)[group], []).append(key)
    return groups


def headline_first(keys: Iterable[str]) -> list[str]:
    """The keys, headline metrics first and in order, then the others as they were given."""
    first = {key: n for n, key in enumerate(key for group in headline().values() for key in group)}
    return sorted(keys, key=lambda key: first.get(key, len(first)))


def _place(key: str) -> tuple[int, int]:
    """Group and place in it of the longest pattern that fits."""
    fits = [
        (len(pattern), (group, place))
        for group, patterns in enumerate(ORDER.values())
        for place, pattern in enumerate(patterns)
        if fnmatchcase(key, pattern)
    ]
    return max(fits)[1] if fits else (len(ORDER), 0)
