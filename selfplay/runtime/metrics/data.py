"""Defines the counts of attempts, tasks, rows and pairs, which the phases `synthesize` and `curate` write."""

from typing import ClassVar

from selfplay.config.metrics import Definition
from selfplay.runtime.metrics.base import COUNT, EXACT, SHARE, Metric

COVERAGE = "Mean over strata of min(1, share of solved tasks / share of the dev set); exact, over the tasks there are."

ATTEMPTS = {
    "data/sampled": Definition("Sampled", "Attempts that were sampled, corrections included.", EXACT, COUNT),
    "data/passed": Definition("Right", "Attempts that the verifiers passed.", EXACT, COUNT),
    "data/accepted": Definition("Accepted", "Attempts that curation kept for training.", EXACT, COUNT, headline=True),
    "data/accept_rate": Definition(
        "Accept rate", "Accepted attempts over sampled ones.", "Exact.", SHARE, headline=True
    ),
    "data/tasks_solved": Definition("Tasks solved", "Tasks of the round that have a right attempt.", EXACT, COUNT),
    "data/tasks_filtered": Definition("Tasks filtered out", "Proposed tasks that were not admitted.", EXACT, COUNT),
    "data/disagreements": Definition(
        "Disagreements", "Attempts on which two verifiers of one task decided differently.", EXACT, COUNT
    ),
    "data/outcome_*": Definition("Outcome", "Attempts with this outcome over all their verifiers.", EXACT, COUNT),
    "data/dropped_*": Definition("Dropped", "Attempts that curation dropped for this reason.", EXACT, COUNT),
    "data/correction_pass_rate": Definition(
        "Corrections right",
        "Share of second tries that the verifiers passed.",
        "Exact share of the second tries.",
        SHARE,
    ),
    "data/correction_delta": Definition(
        "Gained by correction",
        "Right second tries over all first attempts: how much the pass rate rises by trying again.",
        "Exact.",
        SHARE,
        "https://arxiv.org/abs/2409.12917",
    ),
    "data/correction_copy_rate": Definition(
        "Copied corrections", "Share of second tries that repeat what they were to correct.", "Exact.", SHARE
    ),
    "data/correction_*": Definition(
        "Corrections", "Second tries that were made, passed or accepted, or their share.", EXACT, "0 or more"
    ),
}
ROWS = {
    "data/train_rows": Definition("Training rows", "Rows that the round trained on.", EXACT, COUNT, headline=True),
    "data/*_share": Definition(
        "Share of training rows",
        "Share of the round's training rows that comes from this round, from older rounds, or from the anchor.",
        "Exact.",
        SHARE,
    ),
    "data/anchor_rows": Definition("Anchor rows", "Rows of human or teacher data that round 0 prepared.", EXACT, COUNT),
    "data/quotas_asked": Definition("Quotas", "Strata for which a share was asked.", EXACT, COUNT),
    "data/quotas_met": Definition(
        "Quotas met", "Strata that reached their share; curate/quotas.json says why others did not.", EXACT, COUNT
    ),
    "data/quota_taken_back": Definition(
        "Taken back by quotas",
        "Right attempts that had been dropped for their rank alone and were kept for a minimum share.",
        EXACT,
        COUNT,
    ),
    "data/pairs": Definition(
        "Pairs", "Pairs of an accepted and a wrong attempt at one task that the round gave.", EXACT, COUNT
    ),
    "data/pairs_log_length_ratio": Definition(
        "Length bias of pairs",
        "Mean of log(length of the right attempt / length of the wrong one): above 0 the right attempts are longer.",
        "By characters, over the round's pairs.",
        "any number",
    ),
    "data/pairs_*": Definition(
        "Tasks with pairs", "Tasks that gave pairs, or gave none for this reason.", EXACT, COUNT
    ),
    "data/train_pairs": Definition("Pairs for training", "Pairs that the round offered to training.", EXACT, COUNT),
}
SYNTHESIZED = {
    "data/prompts_chosen": Definition(
        "Prompts",
        "Tasks that a method which samples while it trains may train on: some of their attempts are right, and not all.",
        EXACT,
        COUNT,
    ),
    "data/prompts_*": Definition(
        "Tasks that are no prompts",
        "Tasks that were solved by every attempt (always) or by none (never), that repeat evaluation text or hold personal data (flagged), or "
        "that had fewer than two verdicts (unjudged).",
        EXACT,
        COUNT,
    ),
    "data/synthesized": Definition(
        "Tasks synthesized",
        "Tasks that the round synthesized and whose own verifier works, in addition to the drawn ones.",
        EXACT,
        COUNT,
    ),
    "data/synthesized_requested": Definition(
        "Syntheses tried",
        "Replies, draws and evolutions that were asked for: the sum of what became a task and what was refused.",
        EXACT,
        COUNT,
    ),
    "data/synthesized_sampled": Definition(
        "Attempts at synthesized tasks", "Attempts that were sampled for synthesized tasks.", EXACT, COUNT
    ),
    "data/synthesized_passed": Definition(
        "Right at synthesized tasks", "Attempts at synthesized tasks that the verifiers passed.", EXACT, COUNT
    ),
    "data/synthesized_accepted": Definition(
        "Accepted at synthesized tasks", "Attempts at synthesized tasks that curation kept for training.", EXACT, COUNT
    ),
    "data/synthesized_*": Definition(
        "Synthesized by", "Tasks of the round that this method synthesized.", EXACT, COUNT
    ),
    "data/refused_*": Definition(
        "Not synthesized",
        "What was asked for and did not become a task, by reason: a filter, admission, or a task that is known already.",
        EXACT,
        COUNT,
    ),
    "data/rare_coverage_before": Definition(
        "Coverage of the tail, before",
        "How well the tasks solved in earlier rounds, and the anchor, cover the strata: 1 if none has less than its share of the dev set.",
        COVERAGE,
        SHARE,
    ),
    "data/rare_coverage_after": Definition(
        "Coverage of the tail, after", "The coverage before, with the tasks that this round solved.", COVERAGE, SHARE
    ),
}


class Data(Metric):
    """`data/...`."""

    definitions: ClassVar = {**ATTEMPTS, **ROWS, **SYNTHESIZED}
