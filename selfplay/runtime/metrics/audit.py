"""Defines the metrics that the phase `audit` computes: the error rates of the round's verifiers."""

from typing import ClassVar

from selfplay.config.metrics import Definition
from selfplay.runtime.metrics.base import COUNT, EXACT, SHARE, Metric

FENG = "https://arxiv.org/abs/2406.07515"
RATES = "Attempts that were judged again by a stronger check, weighted by stratum; 95 % interval from the corners of two Wilson intervals."


class Audit(Metric):
    """`collapse_quality/canary_...`, `verifier_...` and `breakdown_error...`."""

    definitions: ClassVar = {
        "collapse_quality/canary_false_accepts": Definition(
            "Canaries accepted wrongly",
            "Planted wrong solutions that the verifiers passed. A single one raises alarm level 3.",
            EXACT,
            COUNT,
            headline=True,
        ),
        "collapse_quality/canary_wrong": Definition(
            "Wrong canaries", "Planted wrong solutions that were judged.", EXACT, COUNT
        ),
        "collapse_quality/canary_false_rejects": Definition(
            "Canaries rejected wrongly", "Planted right solutions that the verifiers did not pass.", EXACT, COUNT
        ),
        "collapse_quality/canary_right": Definition(
            "Right canaries", "Planted right solutions that were judged.", EXACT, COUNT
        ),
        "collapse_quality/canary_undecided": Definition(
            "Undecided canaries", "Planted solutions on which no verifier decided.", EXACT, COUNT
        ),
        "collapse_quality/verifier_tpr": Definition(
            "Verifier true positive rate",
            "Chance that the round's verifiers pass a right attempt (phi in Feng et al.).",
            RATES,
            SHARE,
            FENG,
            headline=True,
        ),
        "collapse_quality/verifier_fpr": Definition(
            "Verifier false positive rate",
            "Chance that the round's verifiers pass a wrong attempt, which is what visible tests let through (psi in Feng et al.).",
            RATES,
            SHARE,
            FENG,
            headline=True,
        ),
        "collapse_quality/breakdown_error": Definition(
            "Breakdown error",
            "Share of wrong attempts up to which training on what the verifiers pass still helps: 1/(1 + fpr/tpr) (p* in Feng et al.).",
            f"From the true and false positive rates. {RATES}",
            SHARE,
            FENG,
        ),
        "collapse_quality/breakdown_error_margin": Definition(
            "Margin to the breakdown error",
            "Breakdown error minus the share of wrong attempts before the filter. Below 0, verified training makes the student worse.",
            "From the same audited attempts; the interval joins the worst and best ends of both, so it is wider than 95 %.",
            "-1 to 1",
            FENG,
            headline=True,
        ),
        "collapse_quality/verifier_error": Definition(
            "Wrong before the filter", "Share of the round's attempts that are wrong.", RATES, SHARE
        ),
        "collapse_quality/verifier_precision": Definition(
            "Verifier precision",
            "Share of what the verifiers passed that a stronger check passes too.",
            "95 % Wilson interval over the audited attempts.",
            SHARE,
        ),
        "collapse_quality/verifier_checked": Definition(
            "Judged again", "Attempts on which a stronger check decided.", EXACT, COUNT
        ),
        "collapse_quality/verifier_overturned": Definition(
            "Overturned", "Verdicts that the stronger check contradicted.", EXACT, COUNT
        ),
    }
