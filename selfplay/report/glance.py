"""What a reader needs first: the alarm and its reason, whether the dev set could have seen a fall, and the headline figures in order."""

from selfplay.config.headline import headline
from selfplay.config.metrics import title
from selfplay.report.page_model import Section, Table, cell, signed
from selfplay.report.run_data import Row, RunData, number, triple

LEVEL, BLIND, SMALLEST = "collapse_alarm/level", "collapse_alarm/blind", "collapse_alarm/minimum_detectable_fall"
FALL = 0.10
"""The fall of the dev accuracy that a dev set should show."""
MEANING = (
    "quiet",
    "bad in one round",
    "bad in two rounds running, or clearly bad at once",
    "the verifier or a roll-back failed",
)


def alarm_in_words(run: RunData) -> str:
    """The last round's alarm with its reason, the highest one before it, and what the dev set can see; "" without a level."""
    levels = {row["round"]: int(level) for row in run.rows if (level := number(row, LEVEL)) is not None}
    if not levels:
        return ""
    last = max(levels)
    told = [_level(run, last, levels[last])]
    top = max(levels, key=lambda n: (levels[n], -n))
    if levels[top] > levels[last]:
        told.append(f"The highest: {_level(run, top, levels[top])}")
    return " ".join([*told, sight_in_words(run.row(last), run.sizes.get("dev"))]).strip()


def _level(run: RunData, round_: int, level: int) -> str:
    reason = str(run.commits.get(round_, {}).get("reason") or "").strip().rstrip(".")
    told = f"Alarm level {level} in round {round_} ({MEANING[min(3, level)]})"
    return f"{told}: {reason}." if reason and level else f"{told}."


def sight_in_words(row: Row, tasks: int | None) -> str:
    """What a quiet alarm is worth: the smallest fall that the dev set shows, "blind" if it is above FALL or there is none, and the
    keys that could not be judged. Empty for a round that does not say."""
    if BLIND not in row and SMALLEST not in row:
        return ""
    of = f"{tasks} dev tasks" if tasks else "this dev set"
    smallest, blind = number(row, SMALLEST), str(row.get(BLIND) or "").strip().rstrip(".")
    if smallest is None:
        told = f"Blind: {of} can show no fall of the dev accuracy. A level of 0 says that nothing could be seen."
    elif smallest > FALL:
        told = f"Blind to a fall of {FALL:.2f}: {of} show a lasting fall of the dev accuracy only from {smallest:.2f} on (80 % power)."
    else:
        told = f"With {of}, a lasting fall of the dev accuracy by {smallest:.2f} is seen (80 % power)."
    return f"{told} Not judged: {blind}." if blind else told


def is_blind(row: Row) -> bool:
    """Whether the round says that its dev set cannot show a fall of FALL."""
    smallest = number(row, SMALLEST)
    return (BLIND in row or SMALLEST in row) and (smallest is None or smallest > FALL)


def at_a_glance(run: RunData) -> Section:
    """The headline figures in their order, at round 0, at the best round and now."""
    keys = [
        (group, key) for group, members in headline().items() for key in members if key != "round" and run.points(key)
    ]
    if not keys:
        return Section("glance", "Headline figures", missing="No round has a headline figure yet.")
    first, last = run.rows[0], run.rows[-1]
    columns = {f"round {first['round']}": first}
    if run.best is not None:
        columns |= {f"best, round {run.best}": run.row(run.best)}
    columns |= {f"last, round {last['round']}": last}
    rows = []
    for group, key in keys:
        figures = [cell(row, key) for row in columns.values()]
        rows.append([title(key), *figures, signed(*triple(last, f"{key}_delta")), group])
    lead = "In the order in which they are read. Change: of the last round to round 0, paired over tasks."
    table = Table("With 95 % intervals", ["figure", *columns, "change", "about"], rows)
    return Section("glance", "Headline figures", lead, tables=[table], folded=True, keys=[key for _, key in keys])


def quiet_note(run: RunData) -> str:
    """What stands beside a highest alarm of 0."""
    last = run.rows[-1]
    return f", but the dev set cannot show a fall of {FALL:.2f}" if is_blind(last) else ", quiet in every round"
