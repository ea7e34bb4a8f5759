"""Defines the metrics that the phase `audit` computes: the error rates of the round's verifiers."""

from typing import ClassVar

from selfplay.config.metrics import Definition
from selfplay.runtime.metrics.base import COUNT, EXACT, SHARE, Metric

FENG, RAD = "https://arxiv.org/abs/2406.07515", "https://arxiv.org/abs/2601.04411"
RATES = (
    "Attempts that were judged again by a second check, weighted by stratum (accepted, rejected, truncated). The interval comes from "
    "draws of the strata's shares from Jeffreys posteriors, where attempts at one task count as one; it holds the truth in at least 90 % "
    "of simulated rounds (benchmarks/verifier_audit.py)."
)
LEFT_OUT = (
    "Left out where the second check only adds to the first (further tests), since it can overturn no rejection, and in a run with "
    "curate.verified_only: false, which has no filter."
)


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
        "collapse_quality/verifier_youden_j": Definition(
            "Youden's J of the verifiers",
            "True positive rate minus false positive rate of the filter that was in use. Retraining multiplies the odds of a right attempt "
            f"by their ratio, so below 0 it makes the student worse. {LEFT_OUT}",
            RATES,
            "-1 to 1",
            RAD,
            headline=True,
        ),
        "collapse_quality/verifier_tpr": Definition(
            "Verifier true positive rate",
            f"Chance that the round's verifiers pass a right attempt. {LEFT_OUT}",
            RATES,
            SHARE,
            headline=True,
        ),
        "collapse_quality/verifier_fpr": Definition(
            "Verifier false positive rate",
            "Chance that the round's verifiers pass a wrong attempt; a truncated attempt is a wrong one that did not pass. Where the "
            "second check only adds to the first, wrong is what fails either. Left out with curate.verified_only: false.",
            RATES,
            SHARE,
            headline=True,
        ),
        "collapse_quality/verifier_fpr_nested": Definition(
            "Verifier false positive rate, contained checks",
            "The same for tasks whose second check only adds to the first, in a round that also has tasks of the other kind.",
            RATES,
            SHARE,
        ),
        "collapse_quality/breakdown_error": Definition(
            "Breakdown error",
            "Error rate before the filter up to which most of what the verifiers pass is right: 1/(1 + fpr/tpr) (p* in Feng et al.). For "
            "information: whether retraining helps is decided by Youden's J.",
            f"From the true and false positive rates. {RATES}",
            SHARE,
            FENG,
        ),
        "collapse_quality/breakdown_error_margin": Definition(
            "Margin to the breakdown error",
            "Breakdown error minus the share of wrong attempts before the filter. Below 0, most of what is trained on is wrong, which can "
            "still be better than the student was. For information.",
            f"From the same draws. {RATES}",
            "-1 to 1",
            FENG,
        ),
        "collapse_quality/verifier_error": Definition(
            "Wrong before the filter",
            "Share of the round's attempts that are wrong by the second check; truncated attempts are wrong.",
            RATES,
            SHARE,
        ),
        "collapse_quality/verifier_precision": Definition(
            "Verifier precision",
            "Share of what the verifiers passed that a second check passes too.",
            "Wilson interval over the audited attempts, at the normal point 2.24, where attempts at one task count as one.",
            SHARE,
        ),
        "collapse_quality/verifier_checked": Definition(
            "Judged again", "Attempts on which a second check decided.", EXACT, COUNT
        ),
        "collapse_quality/verifier_overturned": Definition(
            "Overturned", "Verdicts that the second check contradicted.", EXACT, COUNT
        ),
        "collapse_quality/verifier_undecided": Definition(
            "Undecided second verdicts",
            "Attempts that were given to a second check which abstained or failed through an outage. They count in no rate.",
            EXACT,
            COUNT,
        ),
    }
