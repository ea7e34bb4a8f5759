"""Sections of the collapse profile: distribution and tails by round, quality against diversity, drift, provenance, alarms."""

import itertools
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence

from selfplay.config.metrics import definition, title
from selfplay.report.page_model import DEV, Chart, Section, Table, cell, interval, pick, signed, without_twins
from selfplay.report.run_data import Point, RunData, number, triple
from selfplay.report.sections import rows_by_kind
from selfplay.report.svg import bar_chart, bar_matrix, line_chart, scatter
from selfplay.report.svg_primitives import say
from selfplay.report.trace_stats import LENGTHS, Tally

FAMILIES = {
    "collapse_tails": "Tails",
    "collapse_diversity": "Diversity",
    "collapse_quality": "Quality",
    "collapse_drift": "Drift from round 0",
    "collapse_data": "Provenance",
}
MOST_ROWS = 32
"""Most rows of the picture of the distribution; the rarest values are put together."""
_COARSE = {"difficulty", "frequency", "split", "source"}
"""Tags that are strata of tasks, not parts of a solution."""
_FIRST_CHOICE = ("unique_correct_at_", "heterozygosity", "hill2_u", "distinct_2", "vendi")


def distribution(tallies: Mapping[int, Tally]) -> Section:
    """The distribution of the accepted attempts over the values of one tag, by round, rare values last."""
    usable = [t for t in tallies.values() if t.accepted]
    if not usable:
        return Section(
            "distribution", "What was accepted, round by round", missing="No round has accepted attempts to compare."
        )
    shown = [next(t for t in usable if t.round == r) for r in pick(sorted(t.round for t in usable), 5)]
    family = _family(usable)
    counts = {t.round: t.tags.get(family, Counter()) if family else _length_bins(t) for t in shown}
    rows, groups = _ranked(shown, counts, ordered=bool(family))
    columns = [f"round {t.round} (n = {say(t.accepted)})" for t in shown]
    charts = [_matrix(part, rows, columns, groups, family) for part in dict.fromkeys(groups.values()) if len(rows) > 1]
    charts += [*_frequency(usable), *_variety(usable, family)]
    rule = f"Rare: the lower half by share in round {shown[0].round}, drawn on a scale of its own." if family else ""
    lead = f"If the student collapses, common values grow and rare ones fade from left to right. {rule}".strip()
    data = {"columns": [t.round for t in shown], "rows": rows, "groups": groups}
    return Section("distribution", "What was accepted, round by round", lead, charts, data=data)


def _matrix(
    part: str, rows: Mapping[str, Sequence[float]], columns: Sequence[str], groups: Mapping[str, str], family: str
) -> Chart:
    chosen = {name: values for name, values in rows.items() if groups[name] == part}
    longest = max(v for values in chosen.values() for v in values)
    what = f"{'Common' if part == 'common' else 'Rare'} {family}s" if family else "Lengths in characters"
    note = f"share of accepted attempts; the longest bar is {longest:.1%}"
    return Chart(bar_matrix(chosen, columns, groups, what, note, index=int(part == "rare")), wide=True)


def _variety(tallies: Sequence[Tally], family: str) -> list[Chart]:
    """Expected number of different values in equally many draws (rarefaction), since more attempts show more values."""
    counts = {t.round: t.tags[family] for t in sorted(tallies, key=lambda t: t.round) if family and t.tags.get(family)}
    if len(counts) < 2:
        return []
    kinds = max(len(c) for c in counts.values())
    draws = min(kinds, *(c.total() for c in counts.values()))  # few enough that every round misses some
    met = {r: round(sum(1 - _missed(c.total(), n, draws) for n in c.values()), 3) for r, c in counts.items()}
    points: list[Point] = [(float(r), value, None, None) for r, value in met.items()]
    name = f"Different {family}s among the accepted"
    return [Chart(line_chart({"": points}, name, "round", f"expected number in {draws} draws"))]


def _missed(total: int, count: int, draws: int) -> float:
    """Chance that none of `draws` draws without replacement is one of `count` among `total`."""
    left = total - count
    if draws > left:
        return 0.0
    logs = [math.lgamma(n + 1) for n in (left, total - draws, left - draws, total)]
    return math.exp(logs[0] + logs[1] - logs[2] - logs[3])


def _family(tallies: Sequence[Tally]) -> str:
    """The tag with the most different values, at least four; "" if there is none."""
    sizes = Counter[str]()
    for tally in tallies:
        for family, values in tally.tags.items():
            sizes[family] = max(sizes[family], len(values))
    fitting = [(size, family) for family, size in sizes.items() if size >= 4 and family and family not in _COARSE]
    return max(fitting)[1] if fitting else ""


def _length_bins(tally: Tally) -> Counter[str]:
    names = [f"{lo} to {hi}" for lo, hi in itertools.pairwise(LENGTHS)] + [f"over {LENGTHS[-1]}"]
    return Counter(
        {name: tally.lengths[edge] for name, edge in zip(names, LENGTHS, strict=True) if tally.lengths[edge]}
    )


def _ranked(
    shown: Sequence[Tally], counts: Mapping[int, Counter[str]], ordered: bool
) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Shares by value, common ones first, and the group of each value."""
    names = list(dict.fromkeys(name for found in counts.values() for name in found))
    if ordered:
        totals = sum(counts.values(), Counter[str]())
        names.sort(key=lambda name: (-counts[shown[0].round][name], -totals[name], name))
    half = (len(names) + 1) // 2 if ordered else len(names)
    groups = {name: "common" if i < half else "rare" for i, name in enumerate(names)}
    rows = {name: [counts[t.round][name] / t.accepted for t in shown] for name in names}
    if len(names) > MOST_ROWS:
        rest = names[MOST_ROWS - 1 :]
        summed = [sum(rows[name][k] for name in rest) for k in range(len(shown))]
        rows = {name: rows[name] for name in names[: MOST_ROWS - 1]} | {f"{len(rest)} rarer": summed}
        groups[f"{len(rest)} rarer"] = "rare"
    return rows, {name: groups[name] for name in rows}


def _frequency(tallies: Sequence[Tally]) -> list[Chart]:
    """Common against rare tasks among the accepted, if the tasks are tagged so."""
    found = {str(t.round): t.tags["frequency"] for t in sorted(tallies, key=lambda t: t.round) if "frequency" in t.tags}
    shares = {
        r: {name: c[name] / max(1, c.total()) for name in ("common", "rare", *c) if name in c} for r, c in found.items()
    }
    return (
        [Chart(bar_chart(shares, "Common and rare tasks among the accepted", "round", "share", stacked=True))]
        if shares
        else []
    )


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
        return Chart(line_chart({"": run.points(keys[0])}, title(keys[0]), "round", keys[0], height=230))
    lines = without_twins({key.removeprefix(f"{stem}_").removesuffix("_fixed"): run.points(key) for key in keys})
    known = definition(keys[-1])
    return Chart(line_chart(lines, known.title if known else title(stem), "round", f"{stem}_*", height=230))


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
    return Table(
        "Then and now, with 95 % intervals", ["metric", f"round {first}", f"round {last}", "change"], rows, folded=True
    )


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
    lead += (
        f"The highest level was {say(top)}: "
        + ("quiet", "bad in one round", "bad in two rounds or a hard rule", "stop")[min(3, int(top))]
        + "."
    )
    columns = ["round", "level", "active", "first metric", "action", "reason"]
    rows = []
    for row in run.rows:
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
    return Section(
        "alarms",
        "Alarms",
        lead,
        charts,
        [Table("By round", columns, rows)],
        keys=["collapse_alarm/level"],
        data={"levels": levels},
    )


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
