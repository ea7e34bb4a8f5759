"""pass@k, the variety of right solutions, and the tails, from the samples of the dev set."""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from typing import ClassVar

from selfplay.collapse import DevSet, dev_set_metrics, dev_set_of
from selfplay.config.metrics import Definition
from selfplay.curate.solution_key import solution_signature
from selfplay.records import Outcome, Task
from selfplay.runtime.metrics.accuracy import STRATA
from selfplay.runtime.metrics.base import (
    BSTAR,
    CHEN,
    COUNT,
    DEV_SAMPLES,
    HURLBERT,
    OVER_TASKS,
    SHARE,
    SIMPSON,
    Json,
    Measured,
    Metric,
    RoundView,
)
from selfplay.tasks import Fixed

KS = (1, 2, 4, 8, 16)
RARE_SHARE = 0.05
"""A tag value that fewer of the anchor's tasks carry is a rare item."""
FROM_ONE = "1 or more"
DANG, RETENTION = "https://arxiv.org/abs/2504.10478", "https://arxiv.org/abs/2507.14843"

PASS = {
    "eval/samples_errors": Definition(
        "Samples without an outcome",
        "Sampled attempts that could not be judged (`error`). Above verify.max_error_share there is no pass@k.",
        "Exact count.",
        COUNT,
    ),
    "eval/pass_at_1": Definition(
        "pass@1",
        "Chance that one sampled attempt solves a dev task.",
        f"c/n per task with c of n samples right, averaged; {DEV_SAMPLES}.",
        SHARE,
        CHEN,
        headline=True,
    ),
    "eval/pass_at_8": Definition(
        "pass@8",
        "Chance that at least one of 8 sampled attempts solves a dev task.",
        f"1 - C(n-c, 8)/C(n, 8) per task (unbiased, without replacement; Chen et al. 2021), averaged; {DEV_SAMPLES}.",
        SHARE,
        CHEN,
    ),
    "eval/pass_at_n": Definition(
        "pass@n",
        "Share of the dev tasks that any of the n samples solves.",
        f"As observed, without extrapolation; {DEV_SAMPLES}.",
        SHARE,
        CHEN,
        headline=True,
    ),
    "eval/pass_at_*": Definition(
        "pass@k",
        "Chance that at least one of k sampled attempts solves a dev task.",
        f"1 - C(n-c, k)/C(n, k) per task (unbiased, without replacement; Chen et al. 2021), averaged; {DEV_SAMPLES}.",
        SHARE,
        CHEN,
    ),
    "collapse_quality/pass_gap": Definition(
        "pass@n minus pass@1",
        "What more attempts still add. It closes when the student becomes certain, rightly or wrongly.",
        f"Difference of the two estimates per task; {DEV_SAMPLES}.",
        SHARE,
        "https://arxiv.org/abs/2504.13837",
    ),
}
VARIETY = {
    "collapse_diversity/unique_correct_at_8": Definition(
        "Unique correct solutions among 8",
        "Expected number of different right solutions among 8 samples of a task (different by canonical code, or by answer and path).",
        f"Rarefaction: sum over solutions of 1 - C(n-c, 8)/C(n, 8), without replacement; {DEV_SAMPLES}.",
        "0 to 8",
        HURLBERT,
        headline=True,
    ),
    "collapse_diversity/unique_correct_at_*": Definition(
        "Unique correct solutions",
        "Expected number of different right solutions among k samples of a task (different by canonical code, or by answer and path).",
        f"Rarefaction: sum over solutions of 1 - C(n-c, k)/C(n, k), without replacement; {DEV_SAMPLES}.",
        "0 to k",
        HURLBERT,
    ),
    "collapse_diversity/unique_correct_per_solved": Definition(
        "Unique correct solutions per solved task",
        "Expected number of different right solutions among n samples of a task that is solved. Unlike `unique_correct_at_n` it does not "
        "rise because more tasks are solved.",
        f"Rarefaction; tasks with a right sample in both rounds; {OVER_TASKS}.",
        "0 to n",
        HURLBERT,
        headline=True,
    ),
    "collapse_diversity/pass_at_k_s": Definition(
        "Two different right solutions",
        "Chance that n samples of a task contain at least two different right solutions (Pass@K-S with K = n, S = 2).",
        f"Exact, by the polynomial's terms below y^2; {DEV_SAMPLES}.",
        SHARE,
        BSTAR,
    ),
    "collapse_diversity/heterozygosity": Definition(
        "Chance that two right ones differ",
        "Chance that two right samples of one task are different solutions: 1 - 1/N for N equally common ones (Hill number of order 2).",
        f"Unbiased, pairs without replacement, tasks with two right samples in both rounds; {OVER_TASKS}.",
        SHARE,
        SIMPSON,
    ),
    "collapse_diversity/hill0_rarefied": Definition(
        "Different ones among four right",
        "Number of different solutions among four right samples of a task (Hill number of order 0).",
        f"Rarefaction; tasks with four right samples in both rounds; {OVER_TASKS}.",
        "1 to 4",
        HURLBERT,
    ),
    "collapse_diversity/hill2_u": Definition(
        "Effective number (order 2)",
        "1 over the chance that two draws are the same solution.",
        "U-statistic, unbiased in its inverse at every n; it is slow to show a lost tail.",
        FROM_ONE,
        SIMPSON,
    ),
    "collapse_diversity/behaviour_entropy": Definition(
        "Entropy of four right ones",
        "Shannon entropy of the solutions among four right samples of a task (logarithm of the Hill number of order 1).",
        f"Exact expectation under rarefaction; tasks with four right samples in both rounds; {OVER_TASKS}.",
        "nats, 0 to 1.39",
        RETENTION,
    ),
    "collapse_diversity/unconditional_hill1": Definition(
        "Different answers, right or wrong",
        "Effective number of different answers among all samples of a task. A student that learns gives up wrong ones: read it beside "
        "the figures of the right ones.",
        f"exp of the entropy at equal draws; {DEV_SAMPLES}.",
        FROM_ONE,
        "https://arxiv.org/abs/2504.12522",
    ),
}
TAILS = {
    "collapse_tails/rare_item_coverage": Definition(
        "Rare item coverage",
        "Share of the rare items, fixed at round 0, that some right sample still shows. The tail is counted in items, since its mass can stay "
        "while its items disappear.",
        "Rare tags of the anchor, or rare tasks if there are none; equal n in each round; 95 % score interval over items.",
        SHARE,
        "https://arxiv.org/abs/2402.07043",
        headline=True,
    ),
    "collapse_tails/rare_strata_pass_at_n": Definition(
        "pass@n on rare tasks",
        "Share of the rare dev tasks that any of n samples solves.",
        f"{DEV_SAMPLES}.",
        SHARE,
        CHEN,
    ),
    "collapse_tails/pass_at_n_in_*": Definition(
        "pass@n in a stratum",
        "Share of the stratum's dev tasks that any of n samples solves.",
        f"{DEV_SAMPLES}.",
        SHARE,
        CHEN,
    ),
    "collapse_tails/support_retention": Definition(
        "Support kept",
        "Of the dev tasks solved at round 0, the share that is solved now.",
        "Tasks solved by any of n samples, at equal n; 95 % Wilson interval over tasks. Its change is what it is above chance, with a "
        "linearised t interval.",
        SHARE,
        RETENTION,
        headline=True,
    ),
    "collapse_tails/support_retention_expected": Definition(
        "Support kept, by chance",
        "What `support_retention` would be for two draws of one unchanged student.",
        "Exact, from the pooled counts of both rounds, which are taken as exchangeable.",
        SHARE,
        RETENTION,
    ),
    "collapse_tails/support_expansion": Definition(
        "Support gained",
        "Share of the dev tasks that are solved now and were not at round 0.",
        f"Tasks solved by any of n samples, at equal n; {OVER_TASKS}.",
        SHARE,
        RETENTION,
    ),
    "collapse_tails/good_turing_unseen": Definition(
        "Unseen mass",
        "Chance that the fourth right solution of a task is one that its first three did not show.",
        "Rarefaction to four right samples (solutions seen once over draws, Good 1953), so that it does not follow the pass rate; tasks with "
        f"four in both rounds; {OVER_TASKS}.",
        SHARE,
        "https://doi.org/10.1093/biomet/40.3-4.237",
    ),
    "collapse_tails/unsolved_answer_diversity": Definition(
        "Spread on unsolved tasks",
        "Number of different answers among n samples, on tasks that round 0 never solved. It falls when the student is stuck on one wrong answer.",
        f"Rarefaction; {DEV_SAMPLES}. No change: some of its tasks were unsolved at round 0 by luck.",
        FROM_ONE,
        "https://arxiv.org/abs/2509.06941",
    ),
    "collapse_tails/polarisation": Definition(
        "Polarisation",
        "How far the tasks are either always or never solved: variance of the pass rates over its largest possible value.",
        "E[rho^2] from c(c-1)/n(n-1), so that chance does not count as spread; n samples of each sampled dev task; no interval.",
        SHARE,
        DANG,
    ),
    "collapse_tails/frac_all_fail": Definition(
        "Never solved",
        "Share of the dev tasks that none of n samples solves.",
        f"Depends on n; {DEV_SAMPLES}.",
        SHARE,
        DANG,
    ),
    "collapse_tails/frac_all_pass": Definition(
        "Always solved",
        "Share of the dev tasks that all n samples solve.",
        f"Depends on n; {DEV_SAMPLES}.",
        SHARE,
        DANG,
    ),
}


class Samples(Metric):
    """`eval/pass_at_...` and what `selfplay.collapse.dev_set_metrics` makes of the samples."""

    definitions: ClassVar = {**PASS, **VARIETY, **TAILS}

    def compute(self, view: RoundView) -> Measured:
        """Keeps the counts by task as `samples`."""
        rows, errors = view.judged("samples")
        failed: Json = {"eval/samples_errors": errors} if errors else {}
        if not rows or view.too_many(errors, len(rows) + errors):
            return Measured(failed)
        counted = _counted(view.fixed, rows)
        first = DevSet.from_dict(view.baseline["samples"]) if view.baseline and "samples" in view.baseline else None
        figures = dev_set_metrics(counted, first, ks=KS)
        return Measured(failed | dict(figures), {"samples": counted.to_dict()})


def _counted(fixed: Fixed, rows: Sequence[Json]) -> DevSet:
    by_task: dict[str, list[Json]] = defaultdict(list)
    for row in rows:
        by_task[row["task_id"]].append(row)
    tasks = [task for task in fixed.dev if task.id in by_task]
    right = [[row["outcome"] == Outcome.PASS.value for row in by_task[task.id]] for task in tasks]
    labels: list[list[Hashable]] = [
        [solution_signature(task, row["text"]) for row in by_task[task.id]] for task in tasks
    ]
    return dev_set_of(
        [task.id for task in tasks],
        right,
        labels,
        labels,
        strata=[task.tag("difficulty") or "all" for task in tasks],
        tail=[task.tag("frequency") == "rare" for task in tasks],
        items=_items_met(rare_items(fixed), tasks, right),
    )


def rare_items(fixed: Fixed) -> set[str]:
    """Tag values of dev tasks that fewer than RARE_SHARE of the anchor's tasks carry; the anchor never changes."""
    counts: dict[str, int] = defaultdict(int)
    for task in fixed.anchor:
        for tag in set(task.tags):
            counts[tag] += 1
    offered = {tag for task in fixed.dev for tag in task.tags if ":" in tag and tag.partition(":")[0] not in STRATA}
    return {tag for tag in offered if counts[tag] < RARE_SHARE * len(fixed.anchor)}


def _items_met(items: set[str], tasks: Sequence[Task], right: Sequence[Sequence[bool]]) -> dict[str, int]:
    """For each rare item, the number of right attempts at tasks that need it."""
    met = dict.fromkeys(sorted(items), 0)
    for task, row in zip(tasks, right, strict=True):
        for tag in items.intersection(task.tags):
            met[tag] += sum(row)
    return met
