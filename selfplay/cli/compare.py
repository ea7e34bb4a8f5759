"""`selfplay compare`: the rounds of several runs in one table, with what can be compared and why the rest is left out."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from selfplay.cli.terminal import print_table
from selfplay.loop.run_view import open_run


class Column(NamedTuple):
    """A figure of the table."""

    title: str
    key: str
    """The metric; {k} stands for a number of samples."""
    part: str
    """The held-out set it is measured on, `dev` or `test`; "" for none."""
    needs: str
    """What a run without it lacks."""


COLUMNS = (
    Column("dev", "eval/greedy_accuracy", "dev", "no round has judged its dev set"),
    Column("test", "test/greedy_accuracy", "test", "no test tasks were measured"),
    Column("pass@{k}", "eval/pass_at_{k}", "dev", "the runs have no number of samples (eval.samples) in common"),
    Column(
        "unique@{k}",
        "collapse_diversity/unique_correct_at_{k}",
        "dev",
        "the runs have no number of samples (eval.samples) in common",
    ),
    Column("rare items", "collapse_tails/rare_item_coverage", "dev", "no round shows a rare item of round 0"),
    Column("accepted", "data/accept_rate", "", "no round has sampled attempts"),
    Column("alarm", "collapse_alarm/level", "", "no round has an alarm"),
)
DRAWS = (8, 4, 2, 1)
"""Numbers of samples k that are tried in turn: the first that all runs have a figure for is shown."""


def compare_command(runs: list[Path], out: Path) -> None:
    """Writes the comparison page, and prints a table with the rounds of all runs, and what can be said of them together."""
    from selfplay.report import write_compare

    opened = [open_run(run) for run in runs]
    page = write_compare([one.path for one in opened], out)
    told = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))["headline"]
    rows = [(one.path.name, row) for one in opened for row in one.metrics()]
    shown, notes = chosen([one.metrics() for one in opened], told.get("unlike", {}))
    cells = [[name, str(row["round"]), *(_cell(row, column) for column in shown)] for name, row in rows]
    print_table("Rounds", ["run", "round", *(column.title for column in shown)], cells)
    if any("-" in row for row in cells):
        notes.append("-: the round has no such figure; round 0 samples no attempts.")
    print(*notes, *filter(None, (told["sentence"], told["stopped"], str(page))), sep="\n")


def chosen(runs: Sequence[Sequence[Mapping[str, Any]]], unlike: Mapping[str, str]) -> tuple[list[Column], list[str]]:
    """The columns to show for the rows of each run, and sentences on those that are not.

    `unlike`: part -> why its figures cannot be compared between the runs, in a sentence.
    """
    shown: list[Column] = []
    dropped: dict[str, list[str]] = {}
    for column in COLUMNS:
        known = next((one for one in _variants(column) if _in(runs, one.key, column.key != one.key)), None)
        if known is not None and column.part not in unlike:
            shown.append(known)
        else:
            title = (known or column).title.replace("@{k}", "@k")
            why = column.needs if known is None else f"the runs cannot be compared in it. {unlike[column.part]}"
            dropped.setdefault(why, []).append(title)
    return shown, [f"Left out: {', '.join(titles)}, since {why.rstrip('.')}." for why, titles in dropped.items()]


def _variants(column: Column) -> Iterator[Column]:
    for k in DRAWS if "{k}" in column.key else ("",):
        yield column._replace(title=column.title.format(k=k), key=column.key.format(k=k))


def _in(runs: Sequence[Sequence[Mapping[str, Any]]], key: str, every: bool) -> bool:
    """Whether a run, or with `every` each run, has a round with the metric."""
    return (all if every else any)(any(key in row for row in rows) for rows in runs)


def _cell(row: Mapping[str, Any], column: Column) -> str:
    value = row.get(column.key)
    return "-" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)
