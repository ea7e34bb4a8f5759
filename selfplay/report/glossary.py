"""Floor 2: what each number on a page means: title, definition, estimator and sample size, by metric key.

A `*` stands for any ending. A key that is not here is shown under its own name, and the page says that it has no entry.
"""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import NamedTuple


class Entry(NamedTuple):
    """One metric in words."""

    title: str
    meaning: str
    estimator: str
    """How it is estimated, from how many samples, and what interval stands beside it."""


_TASKS = "95 % interval by bootstrap over tasks"
_PANEL = f"n samples a panel task at temperature 1 and top-p 1, n = eval.samples; {_TASKS}"
_CHANGE = "_delta keys are changes to round 0 on the same tasks, paired"

ENTRIES: dict[str, Entry] = {
    "eval/greedy_accuracy": Entry(
        "Panel accuracy, greedy",
        "Share of panel tasks that the student solves at temperature 0. The panel is fixed at round 0; the best round is chosen by it.",
        f"One greedy attempt a task; {_TASKS}. {_CHANGE}.",
    ),
    "test/greedy_accuracy": Entry(
        "Test accuracy, greedy",
        "Share of test tasks solved at temperature 0. Reported, and read by no decision of the run.",
        f"One greedy attempt a task; {_TASKS}. {_CHANGE}.",
    ),
    "eval/pass_at_1": Entry(
        "pass@1",
        "Chance that one sampled attempt solves a panel task.",
        f"c/n a task, c of n samples right, averaged; {_PANEL}.",
    ),
    "eval/pass_at_n": Entry(
        "pass@n",
        "Share of panel tasks that any of the n samples solves.",
        f"Observed, without extrapolation; {_PANEL}.",
    ),
    "eval/pass_at_*": Entry(
        "pass@k",
        "Chance that at least one of k sampled attempts solves a panel task.",
        f"1 - C(n-c, k)/C(n, k) a task (unbiased, without replacement; Chen et al. 2021), averaged; {_PANEL}.",
    ),
    "eval_*/*": Entry(
        "Panel accuracy in a stratum",
        "As the panel figure, over the panel tasks of one stratum.",
        f"As the whole panel's; {_TASKS}.",
    ),
    "test_*/*": Entry(
        "Test accuracy in a stratum",
        "As the test figure, over the test tasks of one stratum.",
        f"As the whole test set's; {_TASKS}.",
    ),
    "collapse_quality/pass_gap": Entry(
        "pass@n minus pass@1",
        "What more attempts still add. It closes when the student grows sure, rightly or wrongly.",
        f"Difference of the two estimates a task; {_PANEL}.",
    ),
    "collapse_quality/human_nll": Entry(
        "Anchor likelihood",
        "Mean negative log-likelihood of human solutions under the student, in nats a token. Rises as human ways get lost.",
        "Mean over the held-out anchor solutions; interval by bootstrap over solutions.",
    ),
    "collapse_quality/verifier_*": Entry(
        "Verifier quality",
        "How far the verifier can be trusted on an audited sample: share of right accepted, of wrong rejected, and the margin to the point where "
        "verification stops helping.",
        "Wilson intervals over the audited sample.",
    ),
    "collapse_diversity/unique_correct_at_*": Entry(
        "Unique correct solutions",
        "Expected number of different right solutions among k samples of a task.",
        f"Rarefaction over the n samples, without replacement; {_PANEL}.",
    ),
    "collapse_diversity/pass_at_k_s": Entry(
        "Two different right solutions",
        "Chance that n samples of a task hold at least two different right solutions.",
        f"Exact over the n samples; {_PANEL}.",
    ),
    "collapse_tails/support_retention_expected": Entry(
        "Support kept, expected",
        "What support kept would be if nothing had changed since round 0, with the same numbers of samples.",
        "From the observed pass rates of round 0.",
    ),
    "data/passed": Entry("Right", "Attempts that the verifiers passed.", "Exact count."),
    "data/train_rows": Entry("Training rows", "Rows that the round trained on.", "Exact count."),
    "collapse_diversity/heterozygosity": Entry(
        "Chance of two different answers",
        "Chance that two right samples of one task differ in mode.",
        f"Unbiased, pairs without replacement, tasks with two right samples or more; {_TASKS}.",
    ),
    "collapse_diversity/hill0_rarefied": Entry(
        "Modes, rarefied",
        "Number of distinct modes seen in a fixed number of right samples.",
        f"Rarefaction to equal numbers; {_TASKS}.",
    ),
    "collapse_diversity/hill1": Entry(
        "Effective modes (order 1)",
        "exp of the Shannon entropy of modes.",
        "Plug-in at fixed n, so compare rounds only at equal n.",
    ),
    "collapse_diversity/hill2_u": Entry(
        "Effective modes (order 2)",
        "1 / chance that two samples share a mode.",
        "U-statistic, unbiased at every n; slow to see a lost tail.",
    ),
    "collapse_diversity/distinct_*": Entry(
        "Distinct n-grams",
        "Different n-grams divided by all, at a fixed token budget. Falls as the student repeats itself.",
        "Equal token budget each round; interval by bootstrap over texts.",
    ),
    "collapse_diversity/vendi_fixed_n": Entry(
        "Vendi score",
        "Effective number of different texts by an n-gram kernel.",
        "Fixed n each round: the plug-in value grows with n.",
    ),
    "collapse_diversity/rke_u": Entry(
        "RKE", "Effective number of modes of order 2 by a kernel.", "U-statistic, stable in n."
    ),
    "collapse_diversity/exact_dup_rate": Entry(
        "Exact duplicates",
        "Share of texts that another text of the round equals.",
        "Observed over the round's attempts.",
    ),
    "collapse_diversity/near_dup_rate": Entry(
        "Near duplicates",
        "Share of texts with a near duplicate in the round.",
        "MinHash candidates checked by exact Jaccard.",
    ),
    "collapse_diversity/zstd_ratio": Entry(
        "Compression ratio",
        "Size of the texts over their compressed size, long window. Rises with repetition.",
        "Fixed budget of text each round.",
    ),
    "collapse_tails/rare_item_coverage": Entry(
        "Rare item coverage",
        "Share of the rare items, frozen at round 0, that the student still reaches.",
        f"Rare panel tasks, equal n each round; {_TASKS}.",
    ),
    "collapse_tails/rare_strata_pass_at_n": Entry(
        "pass@n on rare tasks", "Share of rare panel tasks that any of n samples solves.", _PANEL + "."
    ),
    "collapse_tails/pass_at_n_in_*": Entry(
        "pass@n in a stratum", "Share of the stratum's panel tasks that any of n samples solves.", _PANEL + "."
    ),
    "collapse_tails/support_retention": Entry(
        "Support kept",
        "Of the panel tasks solvable at round 0, the share that is solvable now.",
        f"Tasks solved by any of n samples, weighed at equal n; {_TASKS}.",
    ),
    "collapse_tails/support_expansion": Entry(
        "Support gained", "Share of tasks solvable now that were not at round 0.", f"As support kept; {_TASKS}."
    ),
    "collapse_tails/good_turing_unseen": Entry(
        "Unseen mass",
        "Estimated share of right solutions that n samples did not show.",
        "Good-Turing: modes seen once over right samples.",
    ),
    "collapse_tails/unsolved_answer_diversity": Entry(
        "Spread on unsolved tasks",
        "How different the answers are on tasks never solved. Falls when the student is stuck in one wrong answer.",
        _PANEL + ".",
    ),
    "collapse_tails/polarisation": Entry(
        "Polarisation", "How far tasks are either always or never solved, beyond what chance explains.", _PANEL + "."
    ),
    "collapse_tails/frac_all_fail": Entry(
        "Never solved", "Share of panel tasks that none of n samples solves.", _PANEL + "."
    ),
    "collapse_tails/frac_all_pass": Entry(
        "Always solved", "Share of panel tasks that all n samples solve.", _PANEL + "."
    ),
    "collapse_tails/nll_cvar10": Entry(
        "Anchor likelihood, worst tenth",
        "Mean negative log-likelihood of the tenth of human solutions that the student finds hardest, in nats a token.",
        "Over held-out anchor solutions; bootstrap over solutions.",
    ),
    "collapse_tails/nll_p90": Entry(
        "Anchor likelihood, 90th percentile",
        "Negative log-likelihood that nine tenths of the human solutions stay below, in nats a token.",
        "Observed quantile over held-out anchor solutions.",
    ),
    "collapse_drift/len_mean": Entry(
        "Mean length", "Mean length of sampled attempts in tokens.", "All samples of the panel."
    ),
    "data/*_share": Entry(
        "Share of training rows",
        "Share of the round's training rows from this round, older ones, or the anchor.",
        "Exact count.",
    ),
    "data/accept_rate": Entry("Accept rate", "Accepted attempts over sampled ones.", "Exact count."),
    "collapse_tails/nll_*": Entry(
        "Anchor likelihood, worst part",
        "Negative log-likelihood of the human solutions that the student finds hardest (a quantile, or the mean of the worst tenth).",
        "Over held-out anchor solutions; bootstrap over solutions.",
    ),
    "collapse_tails/ref_ngram_lost": Entry(
        "Lost reference n-grams",
        "Share of the n-grams frequent enough in the reference to be expected that no longer occur.",
        "Fixed text budget each round.",
    ),
    "collapse_drift/len_*": Entry(
        "Length", "Length of attempts in tokens.", "All attempts of the panel; bootstrap over tasks."
    ),
    "collapse_drift/kl_*": Entry(
        "KL to round 0",
        "Divergence of the student from round 0, in nats.",
        "Sampled sequences; interval by bootstrap over sequences.",
    ),
    "collapse_drift/token_entropy_*": Entry(
        "Token entropy", "Mean entropy of the next token, in nats.", "Mean over sampled or reference tokens."
    ),
    "collapse_drift/trunc_rate": Entry(
        "Truncated", "Share of attempts cut off at the token limit.", "Wilson interval over attempts."
    ),
    "collapse_drift/*": Entry("Drift", "Distance of the student from round 0.", "See docs/collapse.md."),
    "collapse_data/real_share": Entry(
        "Human share of rows", "Share of the training rows that come from the anchor.", "Exact count."
    ),
    "collapse_data/synthetic_age_mean": Entry(
        "Mean age", "Mean age of the student's own training rows, in rounds.", "Exact count."
    ),
    "collapse_data/per_task_gini": Entry(
        "Concentration", "Gini coefficient of training rows over tasks: 0 is even.", "Exact count."
    ),
    "collapse_alarm/level": Entry(
        "Alarm level",
        "0 quiet, 1 an interval is bad in one round, 2 in two rounds or a hard rule at once, 3 a known-wrong trace accepted or level 2 again.",
        "Holm-corrected over the family of alarm metrics.",
    ),
    "collapse_alarm/n_active": Entry(
        "Active alarms", "Number of metrics that are bad in the round.", "Holm-corrected over the family."
    ),
    "data/accepted": Entry("Accepted", "Attempts that curation kept for training.", "Exact count."),
    "data/sampled": Entry("Sampled", "Attempts that were sampled, corrections included.", "Exact count."),
    "data/pairs": Entry(
        "Pairs", "Pairs of an accepted and a wrong attempt at one task that the round gave.", "Exact count."
    ),
    "data/pairs_log_length_ratio": Entry(
        "Length lean of pairs",
        "Mean of log(length of the right attempt / of the wrong one): 0 is balanced, above 0 right attempts are longer.",
        "Characters, over the round's pairs.",
    ),
    "data/*": Entry("Data count", "A count of attempts or rows of the round.", "Exact count."),
    "train/loss_last": Entry(
        "Last training loss",
        "Loss at the end of the round's training: nats a token of completion, or with dpo and kto their own loss.",
        "The trainer's last logged mean.",
    ),
    "train/rewards_margin_*": Entry(
        "Reward margin",
        "beta times how much more the student has come to prefer right attempts to wrong ones, in nats, than the weights that the round "
        "started from. 0 at the first step.",
        "dpo: mean over pairs; kto: mean of right minus mean of wrong sides; over the first or last tenth of the round's steps.",
    ),
    "train/rewards_accuracy_*": Entry(
        "Preference accuracy",
        "dpo: share of pairs whose right side has gained more than the wrong one. kto: share of sides that have gained more (right) or less "
        "(wrong) than the student has moved on the whole.",
        "Over the training pairs of the first or last tenth of the round's steps; a tie counts as wrong for a right side.",
    ),
    "train/pairs": Entry("Pairs trained on", "Different pairs of a right and a wrong attempt.", "Exact count."),
    "train/loss_first": Entry(
        "First training loss",
        "Loss at the first step: nats a token of completion, or with dpo and kto their own loss.",
        "One optimizer step.",
    ),
    "train/*": Entry("Training", "A figure of the round's training.", "As the trainer logs it."),
    "time/overhead_share": Entry(
        "Overhead",
        "Share of the round's wall time outside model.generate, trainer.train and the executor.",
        "Wall clock of one run on this machine.",
    ),
    "time/*": Entry("Time", "Seconds of wall time.", "Wall clock of one run on this machine."),
    "cost/*": Entry("Cost", "Tokens or money spent.", "As counted by the backends."),
    "gate/*": Entry("Gate", "What the gate did.", "Recorded."),
}


def entry(key: str) -> Entry | None:
    """The entry of a key: its own, else the first pattern that fits; None where there is none."""
    if key in ENTRIES:
        return ENTRIES[key]
    return next((e for pattern, e in ENTRIES.items() if "*" in pattern and fnmatchcase(key, pattern)), None)


def title(key: str) -> str:
    """A short name for people; words of the key where it has no entry of its own."""
    own = ENTRIES.get(key)
    if own:
        return own.title
    name = key.partition("/")[2] or key
    words = name.replace("pass_at_", "pass@").replace("_at_", " at ").replace("_", " ")
    return words[:1].upper() + words[1:] if not words.startswith("pass@") else words


def define(keys: Iterable[str]) -> list[dict[str, str]]:
    """Definitions of the keys shown, those with one pattern put together, in order."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for key in dict.fromkeys(keys):
        found = entry(key) or Entry("", "No definition is on record for this key.", "Not known.")
        groups.setdefault((found.title, found.meaning, found.estimator), []).append(key)
    return [{"title": t, "keys": ", ".join(keys_), "meaning": m, "estimator": e} for (t, m, e), keys_ in groups.items()]
