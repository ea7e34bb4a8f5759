"""Sections of the collapse profile: quality against diversity, families of metrics, provenance, alarms."""

import re
from collections.abc import Sequence

from selfplay.collapse.dev_rules import KEYS
from selfplay.config.metrics import definition, title
from selfplay.report.glance import BLIND, MEANING, SMALLEST, sight_in_words
from selfplay.report.page_model import (
    DEV,
    Chart,
    Section,
    Table,
    cell,
    interval,
    of_all,
    signed,
    some_rounds,
    without_twins,
)
from selfplay.report.run_data import RunData, number, triple
from selfplay.report.sections import rows_by_kind
from selfplay.report.svg import bar_chart, line_chart, scatter
from selfplay.report.svg_primitives import say

FAMILIES = {
    "collapse_tails": "Tails",
    "collapse_diversity": "Diversity",
    "collapse_quality": "Quality",
    "collapse_drift": "Drift from round 0",
    "collapse_data": "Provenance",
}
_FIRST_CHOICE = ("unique_correct_at_", "heterozygosity", "hill2_u", "distinct_2", "vendi")


def balance(run: RunData) -> Section:
    """Quality against diversity over the rounds."""
    quality = next((k for k in ("eval/pass_at_1", DEV) if run.points(k)), "")
    keys = [key for key in run.keys("collapse_diversity") if not key.endswith("_n")]
    diversity = next(
        (k for word in _FIRST_CHOICE for k in sorted(keys, reverse=True) if k.partition("/")[2].startswith(word)), ""
    )
    diversity = diversity or (keys[0] if keys else "")
    if not quality or not diversity:
        return Section(
            "balance", "Quality and diversity", missing="No round has both a quality and a diversity figure."
        )
    ys = {p[0]: p[1] for p in run.points(diversity)}
    path = [
        (x, y, f"round {say(r)}") for r, x, *_ in run.points(quality) if x is not None and (y := ys.get(r)) is not None
    ]
    picture = scatter({"": path}, "The path of the run", title(quality), title(diversity), connect=True)
    rare = {key.partition("/")[2]: run.points(key) for key in run.keys("eval_frequency")}
    name = diversity.partition("/")[2].replace("_", " ")
    lines = (
        line_chart(rare, "Dev accuracy on common and rare tasks", "round", "share of tasks solved")
        if rare
        else line_chart({"": run.points(diversity)}, title(diversity), "round", name)
    )
    lead = "Up and to the right is better at both. Down and to the right, the student gets better at fewer things."
    return Section(
        "balance",
        "Quality and diversity",
        lead,
        [Chart(picture), Chart(lines)],
        keys=[quality, diversity],
        data={"path": path},
    )


def families(run: RunData) -> list[Section]:
    """One section per family of collapse metrics: small charts of what moved, a sentence for what did not."""
    sections = []
    for prefix, name in FAMILIES.items():
        keys = run.keys(prefix)
        if not keys:
            sections.append(Section(prefix, name, missing=f"No round has {prefix}/ figures."))
            continue
        seen = {key: [p[1] for p in run.points(key)] for key in keys}
        still = [key for key, values in seen.items() if len(values) > 1 and len(set(values)) == 1]
        told = "; ".join(f"{title(key)}: {say(run.points(key)[-1][1])}" for key in still)
        charts = [
            _family_chart(run, stem, found) for stem, found in _stems([k for k in keys if k not in still]).items()
        ]
        sections.append(
            Section(
                prefix,
                name,
                f"The same in every round. {told}." if told else "",
                charts,
                [_then_and_now(run, keys)],
                folded=True,
                keys=keys,
                data={key: run.points(key) for key in keys},
            )
        )
    return sections


def _stems(keys: Sequence[str]) -> dict[str, list[str]]:
    """Groups keys of one kind: `unique_correct_at_1` and `_8`, `distinct_1_fixed` and `_2_fixed`."""
    found: dict[str, list[str]] = {}
    for key in keys:
        match = re.fullmatch(r"(.+_(?:at|in))_([A-Za-z0-9]+)|(.+distinct)_\d_fixed", key)
        found.setdefault((match[1] or match[3]) if match else key, []).append(key)
    return found


def _family_chart(run: RunData, stem: str, keys: Sequence[str]) -> Chart:
    if len(keys) == 1:
        return Chart(
            line_chart({"": run.points(keys[0])}, title(keys[0]), "round", keys[0], height=200, small=True), folded=True
        )
    lines = without_twins({key.removeprefix(f"{stem}_").removesuffix("_fixed"): run.points(key) for key in keys})
    known = definition(keys[-1])
    return Chart(
        line_chart(lines, known.title if known else title(stem), "round", f"{stem}_*", height=200, small=True),
        folded=True,
    )


def _then_and_now(run: RunData, keys: Sequence[str]) -> Table:
    rows = []
    for key in keys:
        points = run.points(key)
        change = triple(run.row(int(points[-1][0])), f"{key}_delta")
        change = (
            change
            if change[0] is not None or len(points) < 2
            else ((points[-1][1] or 0) - (points[0][1] or 0), None, None)
        )
        rows.append(
            [
                title(key),
                interval(*points[0][1:]),
                interval(*points[-1][1:]),
                signed(*change) if len(points) > 1 else "\u2013",
            ]
        )
    first, last = run.rounds[0], run.rounds[-1]
    return Table("Then and now, with 95 % intervals", ["metric", f"round {first}", f"round {last}", "change"], rows)


def alarms(run: RunData) -> Section:
    """Alarm level by round, and the metric that moved first."""
    levels = run.points("collapse_alarm/level")
    if not levels:
        return Section("alarms", "Alarms", missing="No round has an alarm level: nothing was compared with round 0.")
    moved = [
        (row["round"], str(row["collapse_alarm/first_metric"]))
        for row in run.rows
        if row.get("collapse_alarm/first_metric")
    ]
    top = max(p[1] or 0 for p in levels)
    lead = (
        f"The first metric that moved was {moved[0][1]}, in round {moved[0][0]}. "
        if moved
        else "No metric has moved beyond its margin. "
    )
    lead += f"The highest level was {say(top)}: " + MEANING[min(3, int(top))] + "."
    lead += f" {sight_in_words(run.rows[-1], run.sizes.get('dev'))}".rstrip()
    columns = ["round", "level", "active", "first metric", "action", "reason"]
    rows = []
    for row in some_rounds(run):
        commit = run.commits.get(row["round"], {})
        told = [
            cell(row, "collapse_alarm/level"),
            cell(row, "collapse_alarm/n_active"),
            str(row.get("collapse_alarm/first_metric") or "\u2013"),
        ]
        rows.append(
            [
                str(row["round"]),
                *told,
                str(commit.get("action") or row.get("gate/action") or "\u2013"),
                str(commit.get("reason") or ""),
            ]
        )
    bars = {str(row["round"]): {"level": number(row, "collapse_alarm/level")} for row in run.rows}
    charts = (
        [Chart(bar_chart(bars, "Alarm level", "round", "level, 0 to 3", y_range=(0, 3), height=200))] if top else []
    )
    tables = [Table(f"By round{of_all(run)}", columns, rows, True), *_by_key(run)]
    keys = ["collapse_alarm/level", *(key for key in run.rows[-1] if key.startswith((_P, SMALLEST)))]
    return Section("alarms", "Alarms", lead, charts, tables, keys=keys, data={"levels": levels})


_P = "collapse_alarm/p_"


def _by_key(run: RunData) -> list[Table]:
    """What the gate read, key by key, in the last round: p, its lowest value so far, the smallest fall seen, why it is blind."""
    last = run.rows[-1]
    blind = dict(
        re.findall(rf"(?:^|; )({'|'.join(KEYS)}): (.*?)(?=; (?:{'|'.join(KEYS)}): |$)", str(last.get(BLIND, "")))
    )
    rows = []
    for key in KEYS:
        smallest = SMALLEST if key == "dev_accuracy" else f"{SMALLEST}_{key}"
        lowest = min(((p, int(r)) for r, p, *_ in run.points(f"{_P}{key}") if p is not None), default=None)
        told = [_p(number(last, f"{_P}{key}")), f"{_p(lowest[0])}, round {lowest[1]}" if lowest else say(None)]
        rows.append([key.replace("_", " "), *told, say(number(last, smallest)), blind.get(key, "")])
    if not any(cell not in ("", say(None)) for row in rows for cell in row[1:]):
        return []
    columns = ["key", "p", "lowest p so far", "smallest fall seen (80 % power)", "blind, because"]
    return [
        Table(
            f"By key, in round {last['round']}: a small p is a fall that chance does not explain", columns, rows, True
        )
    ]


def _p(value: float | None) -> str:
    return say(None) if value is None else f"{value:.2g}"


def provenance(run: RunData) -> Section:
    """Where the training rows came from, by round."""
    rows = {str(row["round"]): rows_by_kind(row) for row in run.rows}
    rows = {r: found for r, found in rows.items() if found}
    if not rows:
        return Section("provenance", "Training rows", missing="No round says where its training rows came from.")
    chart = bar_chart(rows, "Training rows by origin", "round", "rows", stacked=True)
    lead = (
        "New: this round's accepted attempts. Older: those of earlier rounds. Anchor: human or teacher data of round 0."
    )
    return Section("provenance", "Training rows", lead, [Chart(chart)], data={"rows": rows})
