"""Measures model collapse: estimators with intervals, the dev set, texts by round, and alarms.

Pure: numpy and the standard library; no torch, no network, no clock, no global generator. A library in its own right.
"""

from selfplay.collapse.agreement import balance_score, breakdown_point, cohen_kappa, mcc
from selfplay.collapse.alarms import Rules, alarms, load_rules
from selfplay.collapse.best import best_round_of, best_unbiased
from selfplay.collapse.compress import compression_ratio, long_window_codec
from selfplay.collapse.dev_alarm import DevAlarm, alarm_of, dev_tasks_needed, sight, smallest_fall
from selfplay.collapse.dev_history import DevRound
from selfplay.collapse.dev_set import DevSet, dev_set_metrics, dev_set_of, freeze_strata, freeze_tail
from selfplay.collapse.divergence import js_divergence_bits, kl_divergence_bits, vocabulary_kept
from selfplay.collapse.duplicates import exact_dup_rate, near_dup_rate, near_duplicates
from selfplay.collapse.estimate import (
    Estimate,
    bootstrap_mean,
    holm,
    jackknife,
    paired_delta,
    ratio_of_sums,
    slope,
    wilson,
)
from selfplay.collapse.grams import (
    collision_estimate,
    distinct_estimate,
    distinct_n,
    ead,
    ngram_collision_u,
    ngram_lost,
    seq_rep_n,
    type_token_ratio,
)
from selfplay.collapse.kernels import coverage, hashed_features, rke, rke_estimate, rke_u, vendi, vendi_dual
from selfplay.collapse.likelihood import (
    entropy_of_distributions,
    kl_from_samples,
    likelihood_metrics,
    nll_cvar,
    nll_quantile,
    token_entropy,
)
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
from selfplay.collapse.overlap import ngram_overlap, rouge_l, self_bleu, shingle_jaccard
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
from selfplay.collapse.provenance import gini, provenance_metrics
from selfplay.collapse.texts import Budget, Reference, budget_of, drawn, measure, reference_of

__all__ = [
    "Budget", "DevAlarm", "DevRound", "DevSet", "Estimate", "Reference", "Rules", "alarm_of", "alarms",
    "balance_score", "best_round_of", "best_unbiased", "bootstrap_mean", "breakdown_point", "budget_of",
    "chao1", "cohen_kappa", "collision_estimate", "compression_ratio", "coverage", "dev_set_metrics",
    "dev_set_of", "dev_tasks_needed", "distinct_estimate", "distinct_n", "drawn", "ead", "effective_population",
    "entropy_bits", "entropy_miller_madow", "entropy_of_distributions", "exact_dup_rate", "expected_retention",
    "freeze_strata", "freeze_tail", "gini", "good_turing_unseen", "half_life_rounds", "hashed_features",
    "heterozygosity", "hill0_rarefied", "hill1", "hill2_u", "holm", "jackknife", "js_divergence_bits",
    "kl_divergence_bits", "kl_from_samples", "likelihood_metrics", "load_rules", "long_window_codec",
    "majority_at_k", "mcc", "measure", "near_dup_rate", "near_duplicates", "ngram_collision_u", "ngram_lost",
    "ngram_overlap", "nll_cvar", "nll_quantile", "paired_delta", "pass_at_k", "pass_at_k_s", "pass_hat_k",
    "polarisation", "provenance_metrics", "ratio_of_sums", "reference_of", "rke", "rke_estimate", "rke_u",
    "rouge_l", "self_bleu", "seq_rep_n", "shingle_jaccard", "sight", "slope", "smallest_fall",
    "support_expansion", "support_retention", "token_entropy", "type_token_ratio", "unique_correct_at_k",
    "vendi", "vendi_dual", "vocabulary_kept", "wilson",
]  # fmt: skip
