"""How likely human solutions are under the student: nats per token of text that is never trained on."""

import math
from typing import ClassVar

from selfplay.collapse import likelihood_metrics
from selfplay.config.metrics import Definition
from selfplay.runtime.metrics.base import NATS, SHUMAILOV, Json, Measured, Metric, RoundView

SAMPLE = "human solutions that are never trained on, mean nats per token of each"
RANKS = "95 % interval from order statistics, exact, from {} texts on; none for its change."


class HumanLikelihood(Metric):
    """`collapse_quality/human_nll` and its upper tail."""

    definitions: ClassVar = {
        "collapse_quality/human_nll": Definition(
            "Human likelihood",
            "Mean negative log-likelihood of human solutions under the student, per token. It rises as the student forgets human ways "
            "of solving; only its changes can be read.",
            f"Mean over {SAMPLE}; 95 % interval over texts by Hall's transformed t, from 40 texts on.",
            NATS,
            SHUMAILOV,
            headline=True,
        ),
        "collapse_tails/nll_p90": Definition(
            "Human likelihood, 90th percentile",
            "Negative log-likelihood per token that nine tenths of the human solutions stay below.",
            f"Quantile over {SAMPLE}; {RANKS.format(36)}",
            NATS,
            SHUMAILOV,
        ),
        "collapse_tails/nll_p99": Definition(
            "Human likelihood, 99th percentile",
            "Negative log-likelihood per token that 99 of 100 human solutions stay below.",
            f"Quantile over {SAMPLE}; with few texts it is the worst one; {RANKS.format(368)}",
            NATS,
            SHUMAILOV,
        ),
        "collapse_tails/nll_cvar10": Definition(
            "Human likelihood, worst tenth",
            "Mean negative log-likelihood per token of the tenth of human solutions that the student finds least likely.",
            f"Conditional value at risk over {SAMPLE}; 95 % interval over texts by Hall's transformed t, from 100 texts on, of its change from 400.",
            NATS,
            SHUMAILOV,
        ),
    }

    def compute(self, view: RoundView) -> Measured:
        """Keeps nats per token by task id as `nll`. Raises ValueError if a text has probability 0."""
        known = {row["task_id"]: row["nats"] / row["tokens"] for row in view.rows("likelihood") if row["tokens"]}
        if not known:
            return Measured({})
        if not all(map(math.isfinite, known.values())):
            raise ValueError("a likelihood is infinite: the student gives a token of human text the probability 0")
        before = (view.baseline or {}).get("nll") or {}
        both = [name for name in known if name in before]
        figures: Json = dict(likelihood_metrics([[x] for x in known.values()]))
        if both:
            paired = likelihood_metrics([[known[i]] for i in both], [[before[i]] for i in both])
            figures |= {key: value for key, value in paired.items() if "_delta" in key}
        return Measured(figures, {"nll": known})
