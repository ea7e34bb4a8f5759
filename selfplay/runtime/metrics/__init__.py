"""The metrics of a round. `measure` computes those registered in `METRICS`, and each file defines some of them."""

from selfplay.config.registry import METRICS
from selfplay.runtime.metrics.base import Json, Measured, Metric, RoundView, rounded

__all__ = ["Measured", "Metric", "RoundView", "measure"]


def measure(view: RoundView) -> tuple[Json, Json]:
    """Returns the metrics of a round by key, and what it keeps for later rounds by name (`evaluate/dev.json`).

    Raises ValueError if a metric is NaN or infinite.
    """
    figures: Json = {}
    kept: Json = {}
    for word in METRICS.places:
        metric: Metric = METRICS.part(word)()
        measured = metric.compute(view)
        figures |= {key: rounded(key, value) for key, value in measured.figures.items()}
        kept |= measured.kept
    return figures, kept
