"""The top of a page: what happened, the best round, and why the run stopped."""

from collections.abc import Mapping
from typing import Any

from selfplay.report.glance import alarm_in_words, quiet_note
from selfplay.report.page_model import DEV, TEST, counted, signed
from selfplay.report.run_data import RunData, number, setting, triple
from selfplay.report.svg_primitives import say
from selfplay.report.times import clock, round_seconds


def headline(run: RunData) -> dict[str, Any]:
    """What happened, the best round and why it stopped: `sentence`, `stopped`, `alarm`, `figures` [(label, value, note)]."""
    best = run.best
    key = TEST if run.points(TEST) else DEV
    where = "test set" if key == TEST else "dev set"
    found: dict[str, Any] = {"best_round": best, "stopped": stopped(run), "sentence": "", "figures": []}
    found["alarm"] = alarm_in_words(run)
    if not run.rows:
        return {**found, "sentence": "No round is committed yet: there is nothing to report."}
    first, last = run.rows[0], run.row(best) if best is not None else run.rows[-1]
    then, now = number(first, key), number(last, key)
    if then is None or now is None:
        found["sentence"] = f"{counted(len(run.rows), 'round')} committed; no accuracy was measured."
    elif best == first["round"]:
        found["sentence"] = (
            f"Greedy accuracy on the {where} was {say(then)} at round {best}, and no later round was clearly better on the dev set."
        )
    else:
        word = "rose" if now > then else "fell" if now < then else "stayed"
        found["sentence"] = (
            f"Greedy accuracy on the {where} {word} from {say(then)} to {say(now)} by round {last['round']}{_doubt(last, key)}."
        )
    final = run.rows[-1]
    if last["round"] != final["round"] and then is not None and (ended := number(final, key)) is not None:
        found["sentence"] += f" After the last round, {final['round']}, it is {say(ended)}."
    found["figures"] = _figures(run, key, where, first, last)
    return found


def _doubt(row: Mapping[str, Any], key: str) -> str:
    """A caveat where the paired interval of the change holds 0."""
    _, lo, hi = triple(row, f"{key}_delta")
    return ", a change within its 95 % interval of none" if lo is not None and hi is not None and lo <= 0 <= hi else ""


def _figures(
    run: RunData, key: str, where: str, first: Mapping[str, Any], last: Mapping[str, Any]
) -> list[dict[str, str]]:
    change = triple(last, f"{key}_delta")
    levels = [
        (number(row, "collapse_alarm/level") or 0, row["round"])
        for row in run.rows
        if number(row, "collapse_alarm/level") is not None
    ]
    value, ends = _apart(last, key)
    told = (
        f"{ends}; round {first['round']}: {say(number(first, key))}"
        if ends
        else f"round {first['round']}: {say(number(first, key))}"
    )
    planned = _planned(run)
    made = [
        (
            "Best round" if run.best is not None else "Last round",
            f"{last['round']} of {max(run.rounds)}",
            ("by greedy accuracy on the dev set" if run.best is not None else "no round is named the best")
            + (f"; {planned} planned" if planned != max(run.rounds) else ""),
        ),
        (f"Accuracy, {where}", value, told),
    ]
    if change[0] is not None:
        between = (
            f"[{change[1]:+.3f},{GLUE}{change[2]:+.3f}], " if change[1] is not None and change[2] is not None else ""
        )
        made.append((f"Change to round {first['round']}", signed(change[0]), f"{between}paired over tasks"))
    if last["round"] != run.rows[-1]["round"]:
        final, (at_last, between) = run.rows[-1], _apart(run.rows[-1], key)
        lost = number(final, f"{key}_delta")
        made.append(
            (
                f"Last round, {where}",
                at_last,
                ", ".join(filter(None, [between, f"change {signed(lost)}" if lost is not None else ""])),
            )
        )
    if levels:
        top = max(v for v, _ in levels)
        when = f", first in round {min(r for v, r in levels if v == top)}" if top else quiet_note(run)
        made.append(("Highest alarm", say(top), f"of 3{when}"))
    unbiased = triple(run.rows[-1], "eval/best_unbiased")
    if unbiased[0] is not None:
        value, ends = _apart(run.rows[-1], "eval/best_unbiased")
        said = ", ".join(filter(None, (ends, "dev accuracy by cross-fitting")))
        made.insert(2, ("Best round, without selection", value, said))
    if any(map(round_seconds, run.rows)):
        made.append(("Time", clock(sum(map(round_seconds, run.rows))), "all rounds"))
    return [dict(zip(("label", "value", "note"), item, strict=True)) for item in made]


GLUE = "\u00a0"
"""Between the ends of an interval, so that a narrow tile does not break it."""


def _apart(row: Mapping[str, Any], key: str) -> tuple[str, str]:
    """A figure and its interval as two texts; the second is empty if there is none."""
    value, lo, hi = triple(row, key)
    return say(value), "" if lo is None or hi is None else f"[{say(lo)},{GLUE}{say(hi)}]"


def _planned(run: RunData) -> Any:
    """Number of the last planned round, no less than what is done; as it stands where it is no number."""
    asked = setting(run.config, "rounds")
    return max(asked, *run.rounds) if isinstance(asked, int) else asked


def stopped(run: RunData) -> str:
    """Why the run stopped or has not finished, in a sentence."""
    if not run.rows:
        return "It has not finished a round."
    last, planned = max(run.rounds), _planned(run)
    commit = run.commits.get(last, {})
    reason = str(commit.get("reason") or "").strip()
    if commit.get("action") == "stop":
        return f"The gate stopped it after round {last}{': ' + reason if reason else ''}."
    if isinstance(planned, int) and last >= planned:
        return (
            "The only planned round is done." if planned == 1 else f"All {counted(planned, 'planned round')} are done."
        )
    of = f" of {planned}" if isinstance(planned, int) else ""
    return f"It is under way or was interrupted after round {last}{of}; the same command goes on."
