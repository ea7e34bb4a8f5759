"""Which panels a W&B workspace and a report of runs show: the headline metrics in their order, section by section. It knows no W&B."""

from collections.abc import Collection
from dataclasses import dataclass

from selfplay.config.headline import OTHERS, headline
from selfplay.config.metrics import SCORE, title

ROUND, STEP = "round", "train/step"
"""The axes: of a committed round's figures, and of a training curve."""
SECTIONS = {
    "Quality": ("quality",),
    "Diversity": ("variety", "drift"),
    "Tails": ("tails",),
    "Gate": ("alarm", "verifier", "data"),
    "Cost": ("training and cost",),
    "Others": (OTHERS,),
}
"""Section -> groups of the headline metrics (`selfplay.config.headline`)."""
TEXTS = {"collapse_alarm/first_metric", "collapse_alarm/blind"}
"""Headline metrics that are words, which no line shows."""
TOGETHER: dict[tuple[str, ...], str] = {
    ("collapse_quality/verifier_tpr", "collapse_quality/verifier_fpr"): "Verifier: true and false positive rate",
    ("data/accepted", "data/train_rows"): "Accepted attempts and training rows",
}
"""Metrics of one unit that share a panel, where the first of them stands, and its title."""
ARMS = (
    SCORE,
    "test/greedy_accuracy",
    "eval/pass_at_n",
    "collapse_tails/rare_item_coverage",
    "collapse_quality/human_nll",
    "collapse_alarm/level",
)
"""Metrics by which arms are compared: each has a panel with one line per arm."""


@dataclass(frozen=True)
class Panel:
    """Lines of one or more metrics over an axis."""

    title: str
    keys: tuple[str, ...]
    axis: str = ROUND
    """Metric on the x axis."""
    arms: bool = False
    """One line per arm (W&B's job type): the mean of its runs, with a band from the smallest to the largest."""


def sections(known: Collection[str] | None = None) -> dict[str, list[Panel]]:
    """The sections with their panels, the arms first. `known`: metrics that the runs have; panels without any of them are left out.

    None: all headline metrics. Sections without a panel are left out.
    """
    groups = headline()
    arms = [Panel(title(key), (key,), arms=True) for key in ARMS if known is None or key in known]
    found = {"Arms side by side": arms}
    for name, parts in SECTIONS.items():
        keys = [key for part in parts for key in groups.get(part, ()) if key not in TEXTS and key != STEP]
        found[name] = _panels([key for key in keys if known is None or key in known])
    return {name: panels for name, panels in found.items() if panels}


def _panels(keys: list[str]) -> list[Panel]:
    made, done = list[Panel](), set[str]()
    for key in keys:
        together = next((group for group in TOGETHER if key in group and set(group) <= set(keys)), (key,))
        if key not in done:
            made.append(Panel(TOGETHER.get(together) or title(key), together, axis_of(key)))
            done.update(together)
    return made


def axis_of(key: str) -> str:
    """The axis on which the tracker sends a metric: that of the training curve for what `train/` measures while it trains."""
    return STEP if key.startswith("train/") and not key.endswith("_last") else ROUND
