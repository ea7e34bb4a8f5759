"""The commands that read a run: `report`, `compare`, `status`, `traces`."""

import json
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfplay.cli.terminal import print_table, round_line
from selfplay.errors import ConfigError
from selfplay.loop.run_view import open_run
from selfplay.records import Outcome
from selfplay.store.traces import skim_traces


def report_command(run: Path) -> None:
    """Writes the report and prints its path."""
    from selfplay.report import write_report

    print(write_report(open_run(run).path, skim_traces))


def compare_command(runs: list[Path], out: Path) -> None:
    """Writes the comparison page, and prints a table with the rounds of all runs, and what can be said of them together."""
    from selfplay.report import write_compare

    opened = [open_run(run) for run in runs]
    rows = [[o.path.name, *_short(row)] for o in opened for row in o.metrics()]
    print_table("Rounds", ["run", "round", "dev", "test", "pass@8", "unique@8", "rare items", "alarm"], rows)
    page = write_compare([o.path for o in opened], out)
    told = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))["headline"]
    print(*filter(None, (told["sentence"], told["stopped"], str(page))), sep="\n")


_COLUMNS = (
    "eval/greedy_accuracy",
    "test/greedy_accuracy",
    "eval/pass_at_8",
    "collapse_diversity/unique_correct_at_8",
    "collapse_tails/rare_item_coverage",
)


def _short(row: Mapping[str, Any]) -> list[str]:
    figures = (f"{row[key]:.3f}" if key in row else "-" for key in _COLUMNS)
    return [str(row["round"]), *figures, str(row.get("collapse_alarm/level", "-"))]


def status_command(run: Path, as_json: bool) -> None:
    """Prints the rounds and the state of the run."""
    status = open_run(run).status()
    if as_json:
        print(json.dumps(status))
        return
    opened = open_run(run)
    for commit in opened.rounds:
        print(round_line(commit, header=commit.round == 0, planned=opened.planned))
    print(f"{run}: {status['state']}" + (f" ({status['reason']})" if status["reason"] else ""))
    if status["phases_done"]:
        print(f"round {status['round']} in progress: {', '.join(status['phases_done'])} done; {status['chunks']}")


WORDS = {"outcome": tuple(word.value for word in Outcome), "decision": ("accepted", "dropped")}
"""The words that the filters of `traces` take."""


def traces_command(
    run: Path, number: int | None, wanted: Mapping[str, str | None], task: str | None, limit: int, as_json: bool
) -> None:
    """Prints the matching traces of a round; None: of the last one that has attempts, finished or not.

    Raises ConfigError if a filter is a word that no attempt can have.
    """
    for option, words in WORDS.items():
        if (value := wanted.get(option)) is not None and value not in words:
            raise ConfigError(f"--{option} is {value!r}; use one of {', '.join(words)}")
    opened, shown, seen = open_run(run), 0, Counter[str]()
    number = opened.last_with_traces() if number is None else number
    rows = opened.traces(number)
    if number >= len(opened.rounds):
        print(f"round {number} is not finished: its attempts so far", file=sys.stderr)
    for row in rows:
        seen[str(row["reason"])] += 1
        if not _matches(row, wanted, task):
            continue
        if shown == limit:
            print(f"more traces match; raise --limit (now {limit})")
            return
        shown += 1
        if as_json:
            print(json.dumps(row))
        else:
            _print_trace(row)
    if not shown:
        print(f"no trace of round {number} matches")
        if wanted.get("reason") is not None and seen:
            print(f"reasons in round {number}: {', '.join(f'{name} ({count})' for name, count in seen.most_common())}")


def _matches(row: Mapping[str, Any], wanted: Mapping[str, str | None], task: str | None) -> bool:
    fits = all(value is None or row[key] == value for key, value in wanted.items())
    return fits and (task is None or row["task_id"].startswith(task))


def _print_trace(row: Mapping[str, Any]) -> None:
    decided = f"{row['decision']} ({row['reason']})" if row["decision"] else "not decided yet"
    print(_safe(f"--- {row['task_id']} attempt {row['attempt']}: {row['outcome'] or 'not verified yet'}, {decided}"))
    print(_safe(row["prompt"]).rstrip())
    print(_safe(row["text"]).rstrip())
    for verdict in row["verdicts"]:
        print(
            f"    {verdict['verifier']}: {verdict['outcome']} {_safe(verdict['reason'])} {_safe(verdict['evidence'])}"
        )


def _safe(text: str) -> str:
    """Text of a model without the characters that control a terminal."""
    return "".join(c if c in "\n\t" or (c.isprintable()) else "?" for c in text)
