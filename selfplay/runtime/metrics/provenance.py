"""The composition of a round's training data and how it was selected: human share, age, concentration, balance."""

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from selfplay.collapse import balance_score, provenance_metrics
from selfplay.config.metrics import Definition
from selfplay.runtime.metrics.base import BSTAR, COUNT, EXACT, SHARE, Json, Measured, Metric, RoundView, interval
from selfplay.textstats.ngrams import gram_hashes, stream_of

SHARED_GRAM = 13
"""Consecutive words that a trace must share with a human solution to count as overlapping it (Brown et al. 2005.14165)."""
TARGET = 8
"""Number of different right solutions to aim for per task if curation has no limit per task (from B-STaR's code)."""
EXACT_SHARE = "Exact share of what the round made, so that it needs no interval."


class Provenance(Metric):
    """`collapse_data/...` and `collapse_diversity/balance_score`, from the round's traces and training rows."""

    definitions: ClassVar = {
        "collapse_data/rows": Definition("Training rows", "Rows that the round trained on.", EXACT, COUNT),
        "collapse_data/tokens_total": Definition(
            "Training tokens", "Tokens of the training rows, prompts included.", EXACT, COUNT
        ),
        "collapse_data/human_data_share": Definition(
            "Human share of tokens",
            "Share of the training tokens that comes from the anchor.",
            "Exact, by tokens.",
            SHARE,
            "https://arxiv.org/abs/2404.01413",
            headline=True,
        ),
        "collapse_data/synthetic_age_mean": Definition(
            "Mean age",
            "Mean age, in rounds, of the training rows that the student wrote.",
            "Exact, weighted by tokens.",
            "rounds, 0 or more",
            "https://arxiv.org/abs/2410.16713",
        ),
        "collapse_data/tasks_covered": Definition(
            "Tasks covered", "Different tasks among the training rows.", EXACT, COUNT
        ),
        "collapse_data/per_task_gini": Definition(
            "Concentration", "Gini coefficient of the training rows over their tasks: 0 is even.", "Exact.", SHARE
        ),
        "collapse_data/capped_share": Definition(
            "Over the limit per task",
            "Share of otherwise accepted attempts that were dropped by curate.max_per_task.",
            EXACT_SHARE,
            SHARE,
            "https://arxiv.org/abs/2312.06585",
        ),
        "collapse_data/teacher_share": Definition(
            "Written by the teacher", "Share of the accepted attempts that the teacher wrote.", EXACT_SHARE, SHARE
        ),
        "collapse_data/eval_contam_rate": Definition(
            "Overlaps held-out tasks",
            "Share of the sampled attempts that were dropped because they repeat a dev or test task.",
            f"{EXACT_SHARE} The rule is curation's n-gram rule.",
            SHARE,
        ),
        "collapse_data/seed_overlap_13gram": Definition(
            "Overlaps the anchor",
            "Share of the accepted attempts that have 13 consecutive words in common with an anchor solution.",
            EXACT_SHARE,
            SHARE,
            "https://arxiv.org/abs/2005.14165",
        ),
        "collapse_data/sampling_temperature": Definition(
            "Sampling temperature",
            "Temperature at which the round's attempts were sampled. A low one narrows the data by itself.",
            "As configured.",
            "0 or more",
        ),
        "collapse_data/sampling_top_p": Definition(
            "Sampling top-p", "Top-p at which the round's attempts were sampled.", "As configured.", SHARE
        ),
        "collapse_diversity/balance_score": Definition(
            "Balance of exploration and exploitation",
            "Mean over the round's tasks of min(u/m, 1) * u/s, with u different among s accepted solutions and m the limit per task.",
            "All proposed tasks, 0 for a task without an accepted solution; 95 % score interval over tasks.",
            SHARE,
            BSTAR,
        ),
    }

    def compute(self, view: RoundView) -> Measured:
        """In round 0, which samples nothing, only the metrics of the training rows."""
        sources = view.sources()
        origins = [None if kind == "anchor" else int(source[1:].partition("/")[0]) for kind, source, _ in sources]
        names = [
            source if kind == "anchor" else source.partition("/")[2].rpartition("/")[0] for kind, source, _ in sources
        ]
        found: Json = dict(
            provenance_metrics(origins, names, [float(tokens) for *_, tokens in sources], now=view.number)
        )
        if view.number:
            human = [task.reference or "" for task in view.fixed.anchor]
            traces = view.traces("task_id", "text", "decision", "reason", "origin", "sampler")
            rows = [row for row in traces if row["origin"] != "rollout"]
            found |= _of_traces(rows, view.tasks, view.config.curate.max_per_task, human)
        return Measured(found)


def _of_traces(rows: Sequence[Json], tasks: int, limit: int | None, human: Sequence[str]) -> Json:
    kept = [row for row in rows if row["decision"] == "accepted"]
    found = _sampler(rows) | _balance(kept, tasks, limit)
    reasons = Counter(row["reason"] for row in rows)
    if kept or reasons["over_cap"]:
        found |= _share("capped_share", reasons["over_cap"], reasons["over_cap"] + len(kept))
    if rows:
        found |= _share("eval_contam_rate", reasons["contaminated"], len(rows))
    if kept:
        found |= _share("teacher_share", sum(row["origin"] == "teacher" for row in kept), len(kept))
        found |= _share("seed_overlap_13gram", overlapping([row["text"] for row in kept], human), len(kept))
    return found


def overlapping(texts: Sequence[str], human: Sequence[str]) -> int:
    """How many texts have 13 consecutive words in common with a human text."""
    hashes, counts = gram_hashes(stream_of(texts), SHARED_GRAM)
    known = np.unique(gram_hashes(stream_of(human), SHARED_GRAM)[0])
    owners = np.repeat(np.arange(counts.size), counts)
    return int(np.unique(owners[np.isin(hashes, known)]).size)


def _sampler(rows: Sequence[Json]) -> Json:
    """Temperature and top-p, so that a narrow sampler is not mistaken for a loss of variety."""
    first: dict[str, Any] = next((json.loads(row["sampler"]) for row in rows if row["sampler"]), {})
    names = {"temperature": "collapse_data/sampling_temperature", "top_p": "collapse_data/sampling_top_p"}
    return {key: float(first[name]) for name, key in names.items() if isinstance(first.get(name), int | float)}


def _balance(kept: Sequence[Json], tasks: int, limit: int | None) -> Json:
    if not tasks:
        return {}
    by_task: dict[str, set[str]] = defaultdict(set)
    for row in kept:
        by_task[row["task_id"]].add(" ".join(row["text"].split()))
    sizes = Counter(row["task_id"] for row in kept)
    rest = [0] * max(0, tasks - len(sizes))
    score = balance_score([len(by_task[t]) for t in sizes] + rest, [*sizes.values(), *rest], limit or TARGET)
    return interval("collapse_diversity/balance_score", score)


def _share(name: str, part: int, whole: int) -> Json:
    return {f"collapse_data/{name}": part / whole}
