"""The commands that read a run: `report`, `status`, `traces`."""

import json
import sys
import textwrap
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfplay.cli.terminal import round_line
from selfplay.errors import ConfigError
from selfplay.loop.run_view import open_run
from selfplay.records import Outcome, Task
from selfplay.store.traces import skim_traces


def report_command(run: Path) -> None:
    """Writes the report and prints its path."""
    from selfplay.report import write_report

    print(write_report(open_run(run).path, skim_traces))


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


ORIGINS = ("student", "teacher", "rollout")
WORDS = {"outcome": tuple(word.value for word in Outcome), "decision": ("accepted", "dropped"), "origin": ORIGINS}
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


SAID_ALREADY = ("accepted", "failed", "invalid", "passed")
"""Reasons of a decision or a verdict that say no more than the outcome beside them."""
RULE = 80
"""Width of the line above a trace."""


def _print_trace(row: Mapping[str, Any]) -> None:
    """The trace under a line of its own: the prompt by its roles, the reply, and what each verifier said; texts are set in."""
    why = f" ({row['reason']})" if row["reason"] and row["reason"] not in SAID_ALREADY else ""
    undecided = "a roll-out of the training" if row["origin"] == "rollout" else "not decided yet"
    decided = f"{row['decision']}{why}" if row["decision"] else undecided
    head = f"── {row['task_id']} attempt {row['attempt']}: {row['outcome'] or 'not verified yet'}, {decided} "
    print(_safe(head).ljust(RULE, "─"))
    for turn in Task.model_validate(row["task"]).turns:
        _print_turn(turn.role, turn.content)
    _print_turn("reply", row["text"])
    for verdict in row["verdicts"]:
        reason = "" if verdict["reason"] in SAID_ALREADY else verdict["reason"]
        said = "; ".join(filter(None, (_safe(reason), _safe(verdict["evidence"]).strip())))
        print(
            textwrap.indent(
                f"{verdict['verifier']}: {verdict['outcome']}{f': {said}' if said else ''}", "    "
            ).lstrip()
        )
    print()


def _print_turn(role: str, text: str) -> None:
    print(f"{role}:")
    print(textwrap.indent(_safe(text).strip("\n") or "(nothing)", "    "))


def _safe(text: str) -> str:
    """Text of a model without the characters that control a terminal."""
    return "".join(c if c in "\n\t" or (c.isprintable()) else "?" for c in text)
