"""The card of a synthesized data set: what it is, how it was written, what was refused, what nobody checked. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

COLUMNS = {
    "prompt, text": "the task and its solution",
    "task": "JSON: the whole task with its check (`verifier`), reference, parents, tags",
    "outcome, verdicts": "what the verifiers said about the solution",
    "decision, reason": "`accepted`, or why the row was dropped: train on accepted rows alone",
    "tags, source": "method, way, depth, axes of the taxonomy",
    "origin, model": "who wrote the solution",
}
TRUST = (
    "A row is accepted only where its solution passes its own check. Tests that a teacher wrote were tested themselves: the reference "
    "passes, programs that return a constant fail, most one-place mutants fail, independent solutions agree. Final answers were "
    "compared with independent solutions. That does not show that a task is worth learning from, and a teacher that errs in the same "
    "way every time passes. No person has read the rows. Patterns of personal data were searched for; that is no claim of compliance."
)


def dataset_card(
    name: str, summary: Mapping[str, Any], versions: Mapping[str, str], fingerprint: str, source: str
) -> str:
    """The card as Markdown. `summary`: that of the data set; `fingerprint`: of its configuration; `source`: of its seed tasks."""
    methods = [
        f"| {_cell(method)} | {row['requested']} | {row['kept']} | {_reasons(row)} |"
        for method, row in summary["methods"].items()
    ]
    reasons = [f"| {_cell(reason)} | {count} |" for reason, count in summary["reasons"].items()]
    covered = [f"| {_cell(key)} | {before} | {after} |" for key, (before, after) in summary["coverage"].items()]
    origin = {**versions, "configuration": fingerprint}
    parts = [
        f"# {name}\n\nSynthetic tasks with solutions, written by `selfplay synthesize` from seed tasks of `{source}`. "
        f"{summary['accepted']} of {summary['rows']} rows are accepted; the others are kept with the reason why not.",
        _table("Methods", ("method", "replies", "kept", "refused, by reason"), methods),
        _table("Decisions", ("reason", "rows"), reasons),
        _table("Coverage of the taxonomy", ("axis and value", "seed tasks", "accepted"), covered) if covered else "",
        "## Columns\n\n" + "\n".join(f"- `{key}`: {text}" for key, text in COLUMNS.items()),
        f"## Limits of trust\n\n{TRUST}",
        "## Provenance\n\n" + "\n".join(f"- {key}: {value}" for key, value in origin.items()),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(title: str, heads: Sequence[str], rows: Sequence[str]) -> str:
    rule = "|" + "---|" * len(heads)
    return "\n".join([f"## {title}\n", f"| {' | '.join(heads)} |", rule, *rows])


def _reasons(row: Mapping[str, int]) -> str:
    return ", ".join(f"{_cell(k)} {v}" for k, v in row.items() if k not in ("requested", "kept")) or "-"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
