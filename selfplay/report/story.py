"""The first screen of a report in sentences: what is left of round 0, the tails, what was dropped, the gate; then the remarks."""

import json
import re
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

from selfplay.config.metrics import title
from selfplay.report.glance import alarm_in_words
from selfplay.report.page_model import Section, counted, listed, signed
from selfplay.report.run_data import RunData, triple
from selfplay.report.sections import dropped, stages
from selfplay.report.svg_primitives import say
from selfplay.report.trace_stats import Tally

_TAILS = {
    "collapse_tails/rare_item_coverage": "",
    "collapse_tails/support_retention": "",
    "eval_frequency/rare": "Dev accuracy on rare tasks",
}
"""Key -> name, where its title does not stand alone."""
_ACTIONS = {"continue": "went on", "warn": "warned", "roll_back": "rolled back", "stop": "stopped"}
REMARK_CHARS = 1200
"""Characters of a remark that are shown."""


def story(run: RunData, tallies: Mapping[int, Tally], photocopy: Section) -> list[dict[str, str]]:
    """[{label, text}]; an untold part of the story is left out, and so is everything before a round is committed."""
    if not run.rows:
        return []
    told = {
        "What is left of round 0": str(photocopy.data.get("in_words") or photocopy.missing),
        "Tails": _tails(run),
        "Dropped, and why": _dropped(run, tallies),
        "Gate": f"{alarm_in_words(run)} {_decisions(run)}".strip(),
    }
    return [{"label": label, "text": text} for label, text in told.items() if text]


def _tails(run: RunData) -> str:
    told = []
    for key, name in _TAILS.items():
        points = run.points(key)
        if len(points) < 2:
            continue
        (start, then, *_), (end, now, *_) = points[0], points[-1]
        change = triple(run.row(int(end)), f"{key}_delta")
        between = f" ({signed(*change)})" if change[0] is not None else ""
        told.append(
            f"{name or title(key)}: {say(then)} at round {say(start)}, {say(now)} at round {say(end)}{between}."
        )
    return " ".join(told)


def _dropped(run: RunData, tallies: Mapping[int, Tally]) -> str:
    """The last round with attempts: how many were accepted, and the reasons of the others."""
    for row in reversed(run.rows):
        tally = tallies.get(row["round"])
        found, why = stages(row, tally), dropped(row, tally)
        if not found.get("sampled"):
            continue
        reasons = listed(f"{say(n)} {name.replace('_', ' ')}" for name, n in why.most_common(4) if n)
        kept = f"; {say(found['accepted'])} were accepted" if "accepted" in found else ""
        ended = f". Dropped: {reasons}" if reasons else ""
        return f"Round {row['round']} sampled {counted(found['sampled'], 'attempt')}{kept}{ended}."
    return ""


def _decisions(run: RunData) -> str:
    """After which rounds the gate did what."""
    by_action: dict[str, list[int]] = {}
    for round_, commit in run.commits.items():
        if action := str(commit.get("action") or ""):
            by_action.setdefault(action, []).append(round_)
    told = [
        f"{_ACTIONS.get(action, action)} after round{'s' if len(rounds) > 1 else ''} {spans(rounds)}"
        for action, rounds in by_action.items()
    ]
    return f"The gate {listed(told)}." if told else ""


def remarks(run: RunData) -> list[dict[str, Any]]:
    """[{rounds, text, last}] of the rounds' remarks and the audits' notes, the newest first.

    Remarks that differ in their numbers only are one, with the text of the last of them; `last`: whether it holds for the last round.
    """
    found: dict[str, tuple[str, list[int]]] = {}
    for round_, commit in run.commits.items():
        for text in (*_texts(commit.get("remarks")), *_audit_notes(run, round_)):
            kind = re.sub(r"\d[\d.,]*", "#", text.partition("\n")[0])
            rounds = found.get(kind, ("", []))[1]
            found[kind] = text[:REMARK_CHARS], [*rounds, *({round_} - set(rounds))]
    ordered = sorted(found.values(), key=lambda one: -one[1][-1])
    end = max(run.rounds, default=0)
    return [
        {"rounds": spans(rounds), "text": text, "last": rounds[-1] == end, "many": len(rounds) > 1}
        for text, rounds in ordered
    ]


def _audit_notes(run: RunData, round_: int) -> list[str]:
    try:
        done = json.loads((run.path / "rounds" / f"{round_:03d}" / "audit" / "DONE").read_bytes())
    except (OSError, ValueError):
        return []
    return _texts(done.get("notes")) if isinstance(done, dict) else []


def _texts(value: Any) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list | tuple) else []


def spans(rounds: Iterable[int]) -> str:
    """`0, 2 to 5 and 9`."""
    runs: list[list[int]] = []
    for n in sorted(rounds):
        if runs and n == runs[-1][-1] + 1:
            runs[-1].append(n)
        else:
            runs.append([n])
    parts = [[f"{run[0]} to {run[-1]}"] if len(run) > 2 else map(str, run) for run in runs]
    return listed(chain.from_iterable(parts))
