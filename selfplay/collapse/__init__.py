"""Floor 1: model collapse, measured: estimators with intervals, the panel, texts by round, and alarms.

Pure: numpy and the standard library; no torch, no network, no clock, no global generator. A library in its own right.
"""

from selfplay.collapse.alarms import Rules, alarms, load_rules
from selfplay.collapse.estimate import Estimate, bootstrap_mean, holm, jackknife, paired_delta, slope, wilson
from selfplay.collapse.modes import (
    chao1,
    effective_population,
    entropy_bits,
    entropy_miller_madow,
    good_turing_unseen,
    half_life_rounds,
    heterozygosity,
    hill0_rarefied,
    hill1,
    hill2_u,
)
from selfplay.collapse.panel import Panel, freeze_strata, freeze_tail, panel_metrics, panel_of
from selfplay.collapse.passes import (
    expected_retention,
    majority_at_k,
    pass_at_k,
    pass_at_k_s,
    pass_hat_k,
    polarisation,
    support_expansion,
    support_retention,
    unique_correct_at_k,
)

__all__ = [
    "Estimate",
    "Panel",
    "Rules",
    "alarms",
    "bootstrap_mean",
    "chao1",
    "effective_population",
    "entropy_bits",
    "entropy_miller_madow",
    "expected_retention",
    "freeze_strata",
    "freeze_tail",
    "good_turing_unseen",
    "half_life_rounds",
    "heterozygosity",
    "hill0_rarefied",
    "hill1",
    "hill2_u",
    "holm",
    "jackknife",
    "load_rules",
    "majority_at_k",
    "paired_delta",
    "panel_metrics",
    "panel_of",
    "pass_at_k",
    "pass_at_k_s",
    "pass_hat_k",
    "polarisation",
    "slope",
    "support_expansion",
    "support_retention",
    "unique_correct_at_k",
    "wilson",
]
