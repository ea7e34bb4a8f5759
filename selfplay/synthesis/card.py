"""Floor 4: the card of a made dataset: what it is, how it came to be, what was refused and why, what nobody checked. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from selfplay.synthesis.dataset import Dataset

COLUMNS = {
    "prompt, text": "the task and its solution",
    "task": "JSON: the whole task with its check (`verifier`), reference, parents, tags",
    "outcome, verdicts": "what the verifiers said of the solution",
    "decision, reason": "`accepted`, or why the row was dropped: train on accepted rows alone",
    "tags, source": "maker, way, depth, axes of the taxonomy",
    "origin, model": "who wrote it",
}


def summary_of(dataset: Dataset) -> dict[str, Any]:
    """Figures of a dataset: rows by decision and reason, replies by maker and what became of them, coverage."""
    decisions = Counter(t.decision.reason for t in dataset.traces if t.decision)
    return {
        "rows": len(dataset.traces),
        "accepted": decisions["accepted"],
        "reasons": dict(sorted(decisions.items())),
        "makers": {batch.maker: {"asked": batch.asked, **batch.counts} for batch in dataset.batches},
        "coverage": {key: [dataset.before[key], dataset.after[key]] for key in dataset.before},
    }


def card(name: str, figures: Mapping[str, Any], versions: Mapping[str, str], fingerprint: str, source: str) -> str:
    """The card as Markdown."""
    makers = [
        f"| {_cell(maker)} | {row['asked']} | {row['made']} | {_reasons(row)} |"
        for maker, row in figures["makers"].items()
    ]
    reasons = [f"| {_cell(reason)} | {count} |" for reason, count in figures["reasons"].items()]
    covered = [f"| {_cell(key)} | {before} | {after} |" for key, (before, after) in figures["coverage"].items()]
    parts = [
        f"# {name}\n\nSynthetic tasks with solutions, made by `selfplay make` from seed tasks of `{source}`. {figures['accepted']} of "
        f"{figures['rows']} rows are accepted; the others are kept with the reason why not.",
        _table("Makers", ("maker", "replies", "made", "refused, by reason"), makers),
        _table("Decisions", ("reason", "rows"), reasons),
        _table("Coverage of the taxonomy", ("axis and value", "seed tasks", "accepted"), covered) if covered else "",
        "## Columns\n\n" + "\n".join(f"- `{key}`: {text}" for key, text in COLUMNS.items()),
        "## How far it can be trusted\n\n"
        "A row is accepted only where its solution passes its own check. Tests that a teacher wrote were themselves checked: the reference "
        "passes, programs that give a constant fail, most one-place mutants fail, independent solutions agree. Answers were held to "
        "independent solutions. That does not show that a task is worth learning from, and a teacher that is wrong in the same way every time "
        "passes. Nobody has read the rows. Patterns for personal data were searched; that is no claim of compliance.",
        "## Provenance\n\n"
        + "\n".join(f"- {key}: {value}" for key, value in {**versions, "configuration": fingerprint}.items()),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(title: str, heads: Sequence[str], rows: Sequence[str]) -> str:
    rule = "|" + "---|" * len(heads)
    return "\n".join([f"## {title}\n", f"| {' | '.join(heads)} |", rule, *rows])


def _reasons(row: Mapping[str, int]) -> str:
    return ", ".join(f"{_cell(k)} {v}" for k, v in row.items() if k not in ("asked", "made")) or "-"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
