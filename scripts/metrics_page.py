"""Writes docs/metrics.md from the definitions of the metrics: `python scripts/metrics_page.py`.

A definition is in the file of the metric that writes the key, so the page is corrected there. A test compares page and code.
"""

from pathlib import Path

from selfplay.config.headline import headline
from selfplay.config.metrics import Definition, definitions, title

PAGE = Path(__file__).resolve().parent.parent / "docs" / "metrics.md"
HEAD = """\
# Metrics: every key of `metrics.jsonl`

This page is written by `python scripts/metrics_page.py` from the definitions in `selfplay/runtime/metrics/`: change them there, not this file.

A key has one slash. A `*` stands for any ending. `KEY_lo` and `KEY_hi` are the ends of a 95 % interval; `KEY_delta` is the change to round 0
on the same tasks, with an interval of its own. A metric that is not defined in a round is left out; it is never 0 or NaN instead. Keys with a mark
in the last column go to Weights & Biases by default (`tracking.metrics: headline`). How collapse is measured, and why so: [collapse.md](collapse.md).
"""


def one_line(text: str) -> str:
    """Text as a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def row(key: str, found: Definition) -> str:
    """One line of a table."""
    estimator = f"[{one_line(found.estimator)}]({found.link})" if found.link else one_line(found.estimator)
    meaning = f"**{one_line(found.title)}.** {one_line(found.meaning)}"
    return f"| `{key}` | {meaning} | {estimator} | {one_line(found.range)} | {'yes' if found.headline else ''} |"


def shown_first() -> list[str]:
    """The headline metrics by group, in the order in which W&B and the report show them."""
    head = ["In the order in which Weights & Biases and the report show them.", "", "| group | metrics |", "|---|---|"]
    return head + [
        f"| {group} | {'; '.join(f'{title(key)} (`{key}`)' for key in keys)} |" for group, keys in headline().items()
    ]


def page() -> str:
    """The whole page: a table for each family of keys, in the order in which they are registered."""
    families: dict[str, list[str]] = {}
    for key, found in definitions().items():
        family = key.partition("/")[0] if "/" in key else "round"
        family = "eval and test" if family.startswith(("eval", "test", "*")) else family
        families.setdefault(family, []).append(row(key, found))
    lines = [HEAD, "## The headline metrics", "", *shown_first(), ""]
    for family, rows in families.items():
        head = ["| key | meaning | estimator | range | W&B |", "|---|---|---|---|---|"]
        lines += [f"## {family}", "", *head, *rows, ""]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
