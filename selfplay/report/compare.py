"""The comparison page: runs side by side, with the seeds of one setting drawn together; or the rounds of one run."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfplay.collapse import paired_delta
from selfplay.config.metrics import title
from selfplay.errors import DataError
from selfplay.report import html, photocopy
from selfplay.report.glance import alarm_in_words
from selfplay.report.headline import headline
from selfplay.report.page_model import DEV, TEST, Chart, Section, Table, cell, counted, interval, listed, signed
from selfplay.report.run_data import Point, RunData, flatten, number, read_run, spread, triple
from selfplay.report.svg import line_chart
from selfplay.report.svg_primitives import say

_OPERATION = ("name", "runs_dir", "seed", "rounds", "launch.", "tracking.", "keep.", "phase_subprocess")
"""Config keys in which runs of one setting may differ."""
_SIDE_BY_SIDE = (
    TEST,
    DEV,
    "eval/pass_at_1",
    "eval/pass_at_8",
    "collapse_tails/rare_item_coverage",
    "collapse_tails/support_retention",
)
_MORE = (
    "collapse_diversity/unique_correct_at_8",
    "collapse_diversity/heterozygosity",
    "collapse_quality/human_nll",
    "collapse_alarm/level",
)
_DATA = ("data/accepted", "data/accept_rate", "data/train_rows")


@dataclass(frozen=True)
class Setting:
    """Runs that differ only in their seed."""

    name: str
    runs: Sequence[RunData]

    def points(self, key: str) -> list[Point]:
        """A metric over the rounds: one run with its interval, or the mean of several with the smallest and the largest value."""
        if len(self.runs) == 1:
            return self.runs[0].points(key)
        by_round: dict[float, list[float]] = {}
        for run in self.runs:
            for x, y, *_ in run.points(key):
                by_round.setdefault(x, []).append(y or 0.0)
        full = {x: spread(ys) for x, ys in sorted(by_round.items()) if len(ys) == len(self.runs)}
        return [(x, *found) for x, found in full.items() if found]


def write_compare(runs: Sequence[Path], out: Path) -> Path:
    """Writes the page `out` (or `out/compare.html` if it is a folder) and the same numbers as JSON beside it; returns its path.

    Runs that differ only in their seed are drawn as one setting: the mean with a band from the smallest to the largest value.
    Differences between runs are paired over the held-out tasks if both measured the same ones. Raises DataError if no run
    is given or a folder is not a run.
    """
    if not runs:
        raise DataError("compare: no runs were given; name at least one run folder")
    read = _named([read_run(Path(run)) for run in runs])
    target = out / "compare.html" if out.is_dir() or not out.suffix else out
    settings = group(read)
    name = read[0].name if len(read) == 1 else " vs ".join(s.name for s in settings)
    sections = (
        [rounds_of(read[0])]
        if len(read) == 1
        else [claim(settings), outcome(settings), _copied(settings), curves(settings), differing(settings)]
    )
    told = (
        headline(read[0])
        if len(read) == 1
        else {"sentence": _sentence(settings), "stopped": "", "alarm": _alarms(settings), "figures": _figures(settings)}
    )
    groups = [("Rounds side by side" if len(read) == 1 else "Side by side", sections)]
    notes = [f"{run.name}: {note}" for run in read for note in run.notes]
    more = {"runs": {run.name: run.rows for run in read}, "notes": notes}
    html.write_whole(target.with_suffix(".json"), html.twin("comparison", name, told, groups, more))
    html.write_whole(target, html.page("comparison", name, told, groups, notes))
    return target


def _named(runs: Sequence[RunData]) -> list[RunData]:
    """Runs with unique names: the parent folder is added if two share a name."""
    names = [run.name for run in runs]
    made = [run if names.count(run.name) == 1 else _renamed(run) for run in runs]
    if len({run.name for run in made}) < len(made):
        raise DataError(
            f"compare: a run was given twice in {', '.join(map(str, (run.path for run in runs)))}; name each once"
        )
    return made


def _renamed(run: RunData) -> RunData:
    parent = run.path.resolve().parent.name
    return RunData(run.path, f"{parent}/{run.name}", run.config, run.rows, run.commits, run.curve, run.notes, run.sizes)


def group(runs: Sequence[RunData]) -> list[Setting]:
    """Runs grouped by setting, in the given order; a run whose config cannot be read is its own setting."""
    found: dict[str, list[RunData]] = {}
    for run in runs:
        science = {k: v for k, v in flatten(run.config).items() if not k.startswith(_OPERATION)}
        key = json.dumps(science, sort_keys=True, default=str) if run.config else run.name
        found.setdefault(key, []).append(run)
    return [Setting(_shared_name([run.name for run in rs]), rs) for rs in found.values()]


def _shared_name(names: Sequence[str]) -> str:
    if len(names) == 1:
        return names[0]
    low, high = min(names), max(names)
    shared = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))
    return f"{low[:shared].rstrip('-_. ').removesuffix('-s').removesuffix('seed').rstrip('-_. ') or low} ({len(names)} seeds)"


def _main_key(settings: Sequence[Setting]) -> str:
    return TEST if all(s.points(TEST) for s in settings) else DEV


def _common_round(settings: Sequence[Setting], key: str) -> float | None:
    """The last round that every setting has the figure for."""
    shared = set.intersection(*({p[0] for p in s.points(key)} for s in settings)) if settings else set()
    return max(shared) if shared else None


def _at(setting: Setting, key: str, number_: float) -> Point:
    return next((p for p in setting.points(key) if p[0] == number_), (number_, None, None, None))


def _sentence(settings: Sequence[Setting]) -> str:
    key = _main_key(settings)
    last = _common_round(settings, key)
    if last is None:
        return "No round has an accuracy in all of them yet."
    told = [f"{s.name} is at {say(_at(s, key, last)[1])}" for s in settings]
    return f"After round {say(last)}, on the {'test set' if key == TEST else 'dev set'}: {listed(told)}."


def _alarms(settings: Sequence[Setting]) -> str:
    """The last alarm of each run in words."""
    told = [(run.name, alarm_in_words(run)) for s in settings for run in s.runs]
    return " ".join(f"{name}: {words}" for name, words in told if words)


def _figures(settings: Sequence[Setting]) -> list[dict[str, str]]:
    key = _main_key(settings)
    made = []
    for s in settings:
        best = [(r, number(run.row(r), key)) for run in s.runs if (r := run.best) is not None]
        found = spread(v for _, v in best if v is not None)
        rounds = listed(sorted({str(r) for r, _ in best}))
        if found and len(best) > 1:
            made.append(
                (s.name, say(found[0]), f"mean at the best rounds ({rounds}); {say(found[1])} to {say(found[2])}")
            )
        elif found:
            made.append((s.name, say(found[0]), f"at its best round, {rounds}"))
    return [dict(zip(("label", "value", "note"), item, strict=True)) for item in made]


def _chart(settings: Sequence[Setting], key: str, *, wide: bool = False) -> Chart:
    lines = {s.name: s.points(key) for s in settings}
    unit = "share of tasks solved" if key.endswith("accuracy") else key
    width, height = (960.0, 380.0) if wide else (480.0, 280.0)
    return Chart(line_chart(lines, title(key), "round", unit, width=width, height=height), wide=wide)


def claim(settings: Sequence[Setting]) -> Section:
    """The main chart: accuracy over the rounds."""
    key = _main_key(settings)
    if not any(s.points(key) for s in settings):
        return Section("claim", "Accuracy", missing="None of the runs has an accuracy yet.")
    seeds = [s for s in settings if len(s.runs) > 1]
    bands = "Shaded: 95 % intervals over tasks" + (
        "; for several seeds from the smallest to the largest, the line is their mean" if seeds else ""
    )
    data = {s.name: s.points(key) for s in settings}
    return Section("claim", "Accuracy by round", f"{bands}.", [_chart(settings, key, wide=True)], keys=[key], data=data)


def outcome(settings: Sequence[Setting]) -> Section:
    """Each run after the last round that all have, and the differences between them."""
    key = _main_key(settings)
    last = _common_round(settings, key)
    if last is None:
        return Section("outcome", "After the same round", missing="The runs share no round with an accuracy.")
    runs = [run for s in settings for run in s.runs]
    rows = []
    for run in runs:
        row = run.row(int(last))
        level = [v for r in run.rows if (v := number(r, "collapse_alarm/level")) is not None and r["round"] <= last]
        rows.append(
            [
                run.name,
                cell(row, key),
                signed(*triple(row, f"{key}_delta")),
                say(number(row, "data/accept_rate")),
                say(max(level, default=None)),
            ]
        )
    first = Table(
        f"After round {say(last)}", ["run", title(key), "change to its round 0", "accept rate", "highest alarm"], rows
    )
    pairs = [_difference(a, b, key, int(last)) for i, a in enumerate(runs) for b in runs[i + 1 :]][:12]
    second = Table("Differences between runs, 95 % intervals", ["runs", "difference", "how"], [p[0] for p in pairs])
    lead = "A paired difference compares the same held-out tasks; it does not cover other seeds."
    return Section(
        "outcome",
        "After the same round",
        lead,
        tables=[first, second],
        keys=[key],
        data={"differences": [p[1] for p in pairs]},
    )


def solved(run: RunData, number_: int, part: str) -> dict[str, float]:
    """Held-out tasks of a round and whether they were solved (1.0 or 0.0); empty if the run did not keep them."""
    path = run.path / "rounds" / f"{number_:03d}" / "evaluate" / "dev.json"
    try:
        found = json.loads(path.read_bytes()).get(part)
    except (OSError, ValueError, AttributeError):
        return {}
    return (
        {str(k): float(v) for k, v in found.items() if isinstance(v, (int, float))} if isinstance(found, dict) else {}
    )


def _difference(a: RunData, b: RunData, key: str, last: int) -> tuple[list[str], dict[str, Any]]:
    """a minus b at one round: paired if both kept the same tasks, else the plain difference without an interval."""
    part = "test" if key == TEST else "dev"
    found, n = paired(solved(a, last, part), solved(b, last, part))
    names = f"{a.name} \u2212 {b.name}"
    if n:
        return [names, signed(*found), f"paired over {n} tasks"], {
            "runs": [a.name, b.name],
            "difference": found,
            "tasks": n,
        }
    ends = number(a.row(last), key), number(b.row(last), key)
    plain = ends[0] - ends[1] if ends[0] is not None and ends[1] is not None else None
    return [names, signed(plain), "not paired: no interval"], {
        "runs": [a.name, b.name],
        "difference": [plain, None, None],
        "tasks": 0,
    }


def paired(
    a: Mapping[str, float], b: Mapping[str, float]
) -> tuple[tuple[float | None, float | None, float | None], int]:
    """Mean difference over the tasks that both have, its 95 % score interval (Tango), and the number of tasks."""
    both = sorted(a.keys() & b.keys())
    if not both:
        return (None, None, None), 0
    found = paired_delta([a[t] for t in both], [b[t] for t in both], span=1.0)
    return (found.value, found.lo, found.hi), len(both)


def _copied(settings: Sequence[Setting]) -> Section:
    return photocopy.side_by_side({s.name: s.runs for s in settings})


def _or_all(settings: Sequence[Setting], key: str) -> str:
    """The key for 8 samples, or the one for all n if the runs do not sample 8."""
    return key if any(s.points(key) for s in settings) or not key.endswith("_8") else f"{key.removesuffix('8')}n"


def curves(settings: Sequence[Setting]) -> Section:
    """The other measures of progress and collapse, side by side."""
    main = _main_key(settings)
    wanted = [_or_all(settings, key) for key in (*_SIDE_BY_SIDE, *_MORE, *_DATA)]
    keys = [key for key in dict.fromkeys(wanted) if key != main and any(s.points(key) for s in settings)]
    if not keys:
        return Section("curves", "More measures", missing="The runs share no further measures.")
    data = {key: {s.name: s.points(key) for s in settings} for key in keys}
    return Section("curves", "More measures", charts=[_chart(settings, key) for key in keys], keys=keys, data=data)


def differing(settings: Sequence[Setting]) -> Section:
    """Config keys in which the settings differ."""
    flats = [flatten(s.runs[0].config) for s in settings]
    keys = sorted({k for flat in flats for k in flat if not k.startswith(("name", "runs_dir"))})
    rows = [
        [k, *(str(flat.get(k, "\u2013")) for flat in flats)]
        for k in keys
        if len({str(flat.get(k)) for flat in flats}) > 1
    ]
    if not rows:
        return Section("settings", "What differs", missing="Their configurations do not differ, or could not be read.")
    seeds = [
        f"{s.name}: seeds {listed(str(run.config.get('seed')) for run in s.runs)}" for s in settings if len(s.runs) > 1
    ]
    lead = f"The runs differ in these settings only. {'. '.join(seeds)}"
    return Section(
        "settings",
        "What differs",
        lead,
        tables=[Table("Configuration", ["key", *(s.name for s in settings)], rows)],
        data={"rows": rows},
    )


def rounds_of(run: RunData) -> Section:
    """One run's rounds in a table, each with its change to round 0 and to its parent, paired over tasks."""
    key = TEST if run.points(TEST) else DEV
    part = "test" if key == TEST else "dev"
    if not run.points(key):
        return Section("rounds", "Rounds", missing="No round has an accuracy yet.")
    rows, data = [], []
    for row in run.rows:
        n = row["round"]
        parent = run.commits.get(n, {}).get("parent")
        step, tasks = (
            paired(solved(run, n, part), solved(run, parent, part))
            if isinstance(parent, int)
            else ((None, None, None), 0)
        )
        sides = [cell(row, k) for k in (DEV, "collapse_tails/rare_item_coverage") if run.points(k)]
        rows.append([str(n), say(parent), cell(row, key), signed(*triple(row, f"{key}_delta")), signed(*step), *sides])
        data.append(
            {
                "round": n,
                "parent": parent,
                "value": triple(row, key),
                "to_round_0": triple(row, f"{key}_delta"),
                "to_parent": step,
                "tasks": tasks,
            }
        )
    names = [title(k) for k in (DEV, "collapse_tails/rare_item_coverage") if run.points(k)]
    columns = ["round", "parent", title(key), "change to round 0", "change to parent", *names]
    sized = f" over {counted(max(d['tasks'] for d in data), 'task')}" if any(d["tasks"] for d in data) else ""
    lead = f"Changes are paired{sized}, with Tango's 95 % score intervals."
    lines = {"test" if key == TEST else "dev": run.points(key)}
    chart = Chart(line_chart(lines, title(key), "round", "share of tasks solved", width=960, height=340), wide=True)
    best = run.best
    more = f" Best on the dev set: round {best}, {interval(*triple(run.row(best), DEV))}." if best is not None else ""
    return Section(
        "rounds", "Rounds", lead + more, [chart], [Table("By round", columns, rows)], keys=[key], data={"rounds": data}
    )
