"""Floor 5: what a round's training data is made of and how it was chosen: real share, age, concentration, balance.

Read from the round's traces and rows once curation is done; rank 0 alone. Keys `collapse_data/` and
`collapse_diversity/balance_score`.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from selfplay.collapse import balance_score, provenance_metrics, wilson
from selfplay.store.traces import read_parquet, read_sources
from selfplay.textstats.ngrams import gram_hashes
from selfplay.textstats.token_stream import stream_of

SHARED_GRAM = 13
"""Words in a row that a trace must share with a human solution to count as overlapping it (Brown et al. 2005.14165)."""
TARGET = 8
"""Different right solutions wanted of a task, where curation has no cap (B-STaR's code)."""


def figures(round_folder: Path, number: int, tasks: int, cap: int | None, human: Sequence[str]) -> dict[str, float]:
    """The keys of one round. `tasks`: how many were proposed; `cap`: most accepted of one; `human`: the anchor's solutions."""
    sources = read_sources(round_folder / "train.parquet")
    origins = [None if kind == "anchor" else int(source[1:].partition("/")[0]) for kind, source, _ in sources]
    names = [source if kind == "anchor" else source.partition("/")[2].rpartition("/")[0] for kind, source, _ in sources]
    found = provenance_metrics(origins, names, [float(tokens) for *_, tokens in sources], now=number)
    traces = round_folder / "traces.parquet"
    if not traces.is_file():  # round 0 samples nothing
        return {key: round(value, 6) for key, value in found.items()}
    rows = list(read_parquet(traces, ["task_id", "text", "decision", "reason", "origin", "sampler"]))
    kept = [row for row in rows if row["decision"] == "accepted"]
    found |= _sampler(rows) | _chosen(kept, tasks, cap)
    reasons = Counter(row["reason"] for row in rows)
    if kept or reasons["over_cap"]:
        found |= _rate("capped_share", reasons["over_cap"], reasons["over_cap"] + len(kept))
    if rows:
        found |= _rate("eval_contam_rate", reasons["contaminated"], len(rows))
    if kept:
        found |= _rate("teacher_share", sum(row["origin"] == "teacher" for row in kept), len(kept))
        found |= _rate("seed_overlap_13gram", overlapping([row["text"] for row in kept], human), len(kept))
    return {key: round(value, 6) for key, value in found.items()}


def overlapping(texts: Sequence[str], human: Sequence[str]) -> int:
    """How many texts hold 13 words in a row that some human text holds too."""
    hashes, counts = gram_hashes(stream_of(texts), SHARED_GRAM)
    known = np.unique(gram_hashes(stream_of(human), SHARED_GRAM)[0])
    owners = np.repeat(np.arange(counts.size), counts)
    return int(np.unique(owners[np.isin(hashes, known)]).size)


def _sampler(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Temperature and top-p of the first attempts: narrowing by sampling must not be mistaken for the student's."""
    first: dict[str, Any] = next((json.loads(row["sampler"]) for row in rows if row["sampler"]), {})
    names = {"temperature": "collapse_data/sampler_tau", "top_p": "collapse_data/sampler_top_p"}
    return {key: float(first[name]) for name, key in names.items() if isinstance(first.get(name), int | float)}


def _chosen(kept: Sequence[dict[str, Any]], tasks: int, cap: int | None) -> dict[str, float]:
    """B-STaR's balance over all proposed tasks: those without an accepted solution count 0."""
    by_task: dict[str, set[str]] = defaultdict(set)
    for row in kept:
        by_task[row["task_id"]].add(" ".join(row["text"].split()))
    if not tasks:
        return {}
    sizes = Counter(row["task_id"] for row in kept)
    rest = [0] * max(0, tasks - len(sizes))
    e = balance_score([len(by_task[t]) for t in sizes] + rest, [*sizes.values(), *rest], cap or TARGET)
    key = "collapse_diversity/balance_score"
    return {key: e.value, f"{key}_lo": e.lo, f"{key}_hi": e.hi}


def _rate(name: str, part: int, whole: int) -> dict[str, float]:
    e = wilson(part, whole)
    return {f"collapse_data/{name}{end}": x for end, x in (("", e.value), ("_lo", e.lo), ("_hi", e.hi))}
