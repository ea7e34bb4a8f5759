"""Floor 2: what each number on a page means: title, definition, estimator and sample size, by metric key.

A `*` stands for any ending. A key that is not here is shown under its own name, and the page says that it has no entry.
"""

from collections.abc import Iterable
from fnmatch import fnmatchcase

from selfplay.report.collapse_entries import COLLAPSE
from selfplay.report.entries import CHEN, PANEL, TASKS, Entry, arxiv

_CHANGE = "_delta keys are changes to round 0 on the same tasks, paired"

ENTRIES: dict[str, Entry] = {
    **COLLAPSE,
    "round": Entry("Round", "Number of the round; 0 is the anchor's.", "Counted."),
    "eval/greedy_accuracy": Entry(
        "Panel accuracy, greedy",
        "Share of panel tasks that the student solves at temperature 0. The panel is fixed at round 0; the best round is chosen by it.",
        f"One greedy attempt a task; {TASKS}. {_CHANGE}.",
    ),
    "test/greedy_accuracy": Entry(
        "Test accuracy, greedy",
        "Share of test tasks solved at temperature 0. Reported, and read by no decision of the run.",
        f"One greedy attempt a task; {TASKS}. {_CHANGE}.",
    ),
    "*/greedy_accuracy_n": Entry("Tasks judged", "Tasks that the greedy accuracy is a mean over.", "Exact count."),
    "*/greedy_accuracy_errors": Entry(
        "Tasks without an outcome",
        "Tasks whose greedy attempt could not be judged (`error`); above verify.max_error_share there is no accuracy.",
        "Exact count.",
    ),
    "eval/samples_errors": Entry(
        "Samples without an outcome",
        "Sampled attempts that could not be judged (`error`); above verify.max_error_share there is no pass@k.",
        "Exact count.",
    ),
    "eval/pass_at_1": Entry(
        "pass@1",
        "Chance that one sampled attempt solves a panel task.",
        f"c/n a task, c of n samples right, averaged; {PANEL}.",
        CHEN,
    ),
    "eval/pass_at_n": Entry(
        "pass@n",
        "Share of panel tasks that any of the n samples solves.",
        f"Observed, without extrapolation; {PANEL}.",
    ),
    "eval/pass_at_*": Entry(
        "pass@k",
        "Chance that at least one of k sampled attempts solves a panel task.",
        f"1 - C(n-c, k)/C(n, k) a task (unbiased, without replacement; Chen et al. 2021), averaged; {PANEL}.",
        CHEN,
    ),
    "eval_*/*": Entry(
        "Panel accuracy in a stratum",
        "As the panel figure, over the panel tasks of one stratum.",
        f"As the whole panel's; {TASKS}.",
    ),
    "test_*/*": Entry(
        "Test accuracy in a stratum",
        "As the test figure, over the test tasks of one stratum.",
        f"As the whole test set's; {TASKS}.",
    ),
    "data/passed": Entry("Right", "Attempts that the verifiers passed.", "Exact count."),
    "train/weights_kept": Entry(
        "Weights kept",
        "1 where the round had too little to train on and ended with the weights that it began with.",
        "Exact.",
    ),
    "data/train_rows": Entry("Training rows", "Rows that the round trained on.", "Exact count."),
    "data/*_share": Entry(
        "Share of training rows",
        "Share of the round's training rows from this round, older ones, or the anchor.",
        "Exact count.",
    ),
    "data/accept_rate": Entry("Accept rate", "Accepted attempts over sampled ones.", "Exact count."),
    "data/accepted": Entry("Accepted", "Attempts that curation kept for training.", "Exact count."),
    "data/sampled": Entry("Sampled", "Attempts that were sampled, corrections included.", "Exact count."),
    "data/tasks_solved": Entry("Tasks solved", "Tasks of the round with a right attempt.", "Exact count."),
    "data/tasks_refused": Entry("Tasks refused", "Proposed tasks that were not admitted.", "Exact count."),
    "data/disagreements": Entry(
        "Disagreements", "Attempts on which two verifiers of one task had opposite words.", "Exact count."
    ),
    "data/outcome_*": Entry("Outcome", "Attempts with this outcome over all their verifiers.", "Exact count."),
    "data/dropped_*": Entry("Dropped", "Attempts that curation dropped for this reason.", "Exact count."),
    "data/correction_pass_rate": Entry(
        "Corrections right", "Share of second tries that the verifiers passed.", "Wilson interval over second tries."
    ),
    "data/correction_delta": Entry(
        "Gained by correcting",
        "Right second tries over all first attempts: how much the pass rate rises by trying again.",
        "Exact.",
        arxiv("2409.12917"),
    ),
    "data/correction_copy_rate": Entry(
        "Copied corrections", "Share of second tries that repeat what they were to correct.", "Exact."
    ),
    "data/correction_*": Entry("Corrections", "Second tries made, passed or accepted, or their share.", "Exact count."),
    "data/synthesized": Entry(
        "Tasks synthesized",
        "Tasks that the round synthesized beside the proposed ones, and whose own verifier works.",
        "Exact count.",
    ),
    "data/synthesized_requested": Entry(
        "Synthesis requests",
        "Replies, draws and evolutions requested: the synthesized tasks plus all that was refused.",
        "Exact count.",
    ),
    "data/synthesized_sampled": Entry(
        "Attempts at synthesized tasks", "Attempts sampled for tasks that were synthesized.", "Exact count."
    ),
    "data/synthesized_passed": Entry(
        "Right at synthesized tasks", "Attempts at synthesized tasks that the verifiers passed.", "Exact count."
    ),
    "data/synthesized_accepted": Entry(
        "Accepted at synthesized tasks",
        "Attempts at synthesized tasks that curation kept for training.",
        "Exact count.",
    ),
    "data/synthesized_*": Entry("Synthesized by", "Tasks of the round that this method synthesized.", "Exact count."),
    "data/refused_*": Entry(
        "Refused in synthesis",
        "Requests that did not become a task, by reason: a filter, admission, or a task that is already known.",
        "Exact count.",
    ),
    "data/rare_coverage_before": Entry(
        "Coverage of the tail, before",
        "How well the strata (list operations, axes of the taxonomy) are covered by the tasks solved in earlier rounds and the anchor: 1 where "
        "none has less than the panel's share of it.",
        "Mean over strata of min(1, share solved / share in the panel); exact, of the tasks there are.",
    ),
    "data/rare_coverage_after": Entry(
        "Coverage of the tail, after",
        "As before, with the tasks that this round solved.",
        "Mean over strata of min(1, share solved / share in the panel); exact, of the tasks there are.",
    ),
    "data/quotas_asked": Entry("Quotas", "Strata that a share was asked for.", "Exact count."),
    "data/quotas_met": Entry(
        "Quotas met", "Strata whose share was reached; why not stands in curate/quotas.json.", "Exact count."
    ),
    "data/quota_taken_back": Entry(
        "Taken back by quotas",
        "Right attempts that had been dropped for rank alone and were kept for a minimum share.",
        "Exact count.",
    ),
    "data/pairs*": Entry(
        "Preference pairs", "Pairs of a right and a wrong attempt, or why there are none.", "Exact count."
    ),
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
    "train/micro_batch_size": Entry(
        "Micro-batch size", "Examples of one forward pass on one rank while training.", "After any back-off."
    ),
    "train/*": Entry("Training", "A figure of the round's training.", "As the trainer logs it."),
    "time/overhead_share": Entry(
        "Overhead",
        "Share of the round's wall time outside model.generate, trainer.train and the executor.",
        "Wall clock of one run on this machine.",
    ),
    "time/*": Entry("Time", "Seconds of wall time.", "Wall clock of one run on this machine."),
    "cost/train_oom_backoffs": Entry(
        "Memory back-offs", "How often training halved its micro-batch because memory ran out.", "Exact count."
    ),
    "cost/money": Entry("Money", "What servers were paid, by the prices of the config.", "As counted by the backends."),
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
    """Definitions of the keys shown with their sources, those with one pattern put together, in order."""
    groups: dict[Entry, list[str]] = {}
    for key in dict.fromkeys(keys):
        found = entry(key) or Entry("", "No definition is on record for this key.", "Not known.")
        groups.setdefault(found, []).append(key)
    return [{**found._asdict(), "keys": ", ".join(keys_)} for found, keys_ in groups.items()]
