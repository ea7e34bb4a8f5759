"""The metrics of a round. `measure` computes all that are registered in `METRICS`."""

from selfplay.config.registry import METRICS
from selfplay.runtime.metrics.base import Json, Measured, Metric, RoundView, rounded

__all__ = ["Measured", "Metric", "RoundView", "measure"]


def measure(view: RoundView) -> tuple[Json, Json]:
    """The figures of a round by key, and what it keeps for later rounds by name (`evaluate/dev.json`).

    Raises ValueError for a figure that is NaN or infinite.
    """
    figures: Json = {}
    kept: Json = {}
    for word in METRICS.places:
        metric: Metric = METRICS.part(word)()
        found = metric.compute(view)
        figures |= {key: rounded(key, value) for key, value in found.figures.items()}
        kept |= found.kept
    return figures, kept
