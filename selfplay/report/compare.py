"""The comparison page: runs side by side, with the seeds of one setting drawn together; or the rounds of one run."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from selfplay.config.metrics import title
from selfplay.errors import DataError
from selfplay.report import html, photocopy
from selfplay.report.glance import alarm_in_words
from selfplay.report.headline import headline
from selfplay.report.held_out import PARTS, Common, common, on_shared, paired, solved
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
        return self.mean(lambda run: run.points(key))

    def mean(self, points_of: Callable[[RunData], list[Point]]) -> list[Point]:
        """The same for any points of a run."""
        if len(self.runs) == 1:
            return points_of(self.runs[0])
        by_round: dict[float, list[float]] = {}
        for run in self.runs:
            for x, y, *_ in points_of(run):
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
    if len(read) == 1:
        sections, told = [rounds_of(read[0])], headline(read[0])
    else:
        on = ground(settings)
        found = {part: common(read, part).why for part in PARTS}
        unlike = {part: why for part, why in found.items() if why}
        sections = [
            claim(settings, on),
            outcome(settings, on),
            _copied(settings, unlike.get("dev", "")),
            curves(settings, on),
            differing(settings),
        ]
        told = {"sentence": _sentence(settings, on), "stopped": on.shared.why, "alarm": _alarms(settings)}
        told |= {"unlike": unlike}
        told |= {
            "figures": [] if on.shared.why else _figures(settings, on.key),
            "story": _story(sections, told["alarm"]),
        }
    groups = [("Rounds side by side" if len(read) == 1 else "Side by side", sections)]
    notes = [f"{run.name}: {note}" for run in read for note in run.notes]
    more = {"runs": {run.name: run.rows for run in read}, "notes": notes}
    html.write_whole(target.with_suffix(".json"), html.twin("comparison", name, told, groups, more))
    html.write_whole(target, html.page("comparison", name, told, groups, notes))
    return target


def in_words(runs: Sequence[Path]) -> tuple[str, list[Table]]:
    """What the page says of several runs: sentences, and the tables of accuracies, differences and settings. Raises as `write_compare`."""
    settings = group(_named([read_run(Path(run)) for run in runs]))
    on = ground(settings)
    told = (_sentence(settings, on), on.shared.why, _alarms(settings))
    return " ".join(filter(None, told)), [*outcome(settings, on).tables, *differing(settings).tables]


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


@dataclass(frozen=True)
class Ground:
    """On which figure the runs can be compared."""

    key: str
    """Metric that is shown."""
    part: str
    """Its tasks: `dev` or `test`."""
    shared: Common

    @property
    def of(self) -> str:
        """`on the test set`, or over which tasks."""
        number = len(self.shared.tasks)
        return f"on the {PARTS[self.part]}" if not self.shared.why else f"on the {number} {self.part} tasks of all runs"

    def points(self, setting: Setting) -> list[Point]:
        """The accuracy by round, with intervals: where the sets differ, on the tasks of all runs, without intervals."""
        if not self.shared.why:
            return setting.points(self.key)
        return setting.mean(lambda run: on_shared(run, self.part, self.shared.tasks))


def ground(settings: Sequence[Setting]) -> Ground:
    """The test set if all measured the same one, else the dev set if that is the same; else the part that shares more tasks."""
    runs = [run for s in settings for run in s.runs]
    tested = all(s.points(TEST) for s in settings)
    found = [
        Ground(key, part, common(runs, part)) for key, part in ((TEST, "test"), (DEV, "dev")) if key == DEV or tested
    ]
    best = max(len(one.shared.tasks) for one in found)
    return next((g for g in found if not g.shared.why), next(g for g in found if len(g.shared.tasks) == best))


def _common_round(settings: Sequence[Setting], on: Ground) -> float | None:
    """The last round that every setting has the figure for."""
    shared = set.intersection(*({p[0] for p in on.points(s)} for s in settings)) if settings else set()
    return max(shared) if shared else None


def _sentence(settings: Sequence[Setting], on: Ground) -> str:
    last = _common_round(settings, on)
    if on.shared.why and last is None:
        return "The accuracies of these runs cannot be compared: they were not measured on the same tasks."
    if last is None:
        return "No round has an accuracy in all of them yet."
    values = {s.name: next(p[1] for p in on.points(s) if p[0] == last) for s in settings}
    told = (
        f"After round {say(last)}, {on.of}: {listed(f'{name} is at {say(value)}' for name, value in values.items())}."
    )
    return f"The runs were not measured on the same tasks. {told}" if on.shared.why else told


def _story(sections: Sequence[Section], alarm: str) -> list[dict[str, str]]:
    """The differences, what is left of round 0, and the alarms in words; what is not known is left out."""
    by_id = {section.id: section for section in sections}
    rows = [row for table in by_id["outcome"].tables[1:] for row in table.rows]
    told = {
        "Difference": ". ".join(f"{names}: {difference}, {how}" for names, difference, how in rows[:3]),
        photocopy.TITLE: by_id[photocopy.ID].lead.removeprefix(photocopy.LEAD).strip(),
        "Gate": alarm,
    }
    return [{"label": label, "text": text} for label, text in told.items() if text]


def _alarms(settings: Sequence[Setting]) -> str:
    """The last alarm of each run in words."""
    told = [(run.name, alarm_in_words(run)) for s in settings for run in s.runs]
    return " ".join(f"{name}: {words}" for name, words in told if words)


def _figures(settings: Sequence[Setting], key: str) -> list[dict[str, str]]:
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


def _chart(settings: Sequence[Setting], key: str) -> Chart:
    unit = "share of tasks solved" if key.endswith("accuracy") else key
    return Chart(line_chart({s.name: s.points(key) for s in settings}, title(key), "round", unit))


def claim(settings: Sequence[Setting], on: Ground) -> Section:
    """The main chart: accuracy over the rounds, on tasks that all runs were measured on."""
    lines = {s.name: on.points(s) for s in settings}
    if not any(lines.values()):
        why = on.shared.why and f"{on.shared.why} No task is known to be in all of them."
        return Section("claim", "Accuracy", missing=why or "None of the runs has an accuracy yet.")
    seeds = any(len(s.runs) > 1 for s in settings)
    lead = f"Only the {counted(len(on.shared.tasks), 'task')} of all runs: {on.shared.why}" if on.shared.why else _BANDS
    lead += " Of several seeds the line is their mean, the band goes from the smallest to the largest." if seeds else ""
    head = f"{title(on.key)}, {on.of}" if on.shared.why else title(on.key)
    chart = line_chart(lines, head, "round", "share of tasks solved", width=960.0, height=380.0)
    return Section("claim", "Accuracy by round", lead, [Chart(chart, wide=True)], keys=[on.key], data=lines)


_BANDS = "Shaded: 95 % intervals over tasks."


def outcome(settings: Sequence[Setting], on: Ground) -> Section:
    """Each run after the last round that all have, and the differences between them."""
    key, last = on.key, _common_round(settings, on)
    if last is None:
        why = on.shared.why or "The runs share no round with an accuracy."
        return Section("outcome", "After the same round", missing=why)
    runs = [run for s in settings for run in s.runs]
    rows = []
    for run in runs:
        row = run.row(int(last))
        level = [v for r in run.rows if (v := number(r, "collapse_alarm/level")) is not None and r["round"] <= last]
        rows.append(
            [
                run.name,
                next((interval(*p[1:]) for p in on.points(Setting(run.name, [run])) if p[0] == last), say(None)),
                say(None) if on.shared.why else signed(*triple(row, f"{key}_delta")),
                say(number(row, "data/accept_rate")),
                say(max(level, default=None)),
            ]
        )
    first = Table(
        f"After round {say(last)}, {on.of}",
        ["run", title(key), "change to its round 0", "accept rate", "highest alarm"],
        rows,
    )
    pairs = [_difference(a, b, on, int(last)) for i, a in enumerate(runs) for b in runs[i + 1 :]][:12]
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


def _difference(a: RunData, b: RunData, on: Ground, last: int) -> tuple[list[str], dict[str, Any]]:
    """a minus b at one round, paired over the tasks of all runs; without a value if a round lacks the outcomes."""
    mine, theirs = (
        {task: value for task, value in solved(run, last, on.part).items() if task in on.shared.tasks} for run in (a, b)
    )
    found, n = paired(mine, theirs)
    how = f"paired over {counted(n, 'task')}" if n else "no outcomes in that round"
    return [f"{a.name} \u2212 {b.name}", signed(*found), how], {
        "runs": [a.name, b.name],
        "difference": found,
        "tasks": n,
    }


def _copied(settings: Sequence[Setting], unlike: str) -> Section:
    warning = (
        f"Each run is drawn on dev tasks of its own, so compare the bars within a run only: {unlike} " if unlike else ""
    )
    return photocopy.side_by_side({s.name: s.runs for s in settings}, warning)


def _or_fewer(settings: Sequence[Setting], key: str) -> str:
    """A key for 8 samples, or for 4 or 2 if some runs sample fewer: figures of unequal numbers are not compared."""
    if not key.endswith("_8"):
        return key
    keys = [f"{key.removesuffix('8')}{k}" for k in (8, 4, 2)]
    return next((one for one in keys if all(s.points(one) for s in settings)), key)


def curves(settings: Sequence[Setting], on: Ground) -> Section:
    """The other measures of progress and collapse, side by side; where the dev sets differ, those that need none."""
    runs = [run for s in settings for run in s.runs]
    why = common(runs, "dev").why
    held_out = [key for key in (*_SIDE_BY_SIDE, *_MORE) if key != TEST or not common(runs, "test").why]
    wanted = [_or_fewer(settings, key) for key in (*([] if why else held_out), *_DATA)]
    keys = [key for key in dict.fromkeys(wanted) if key != on.key and any(s.points(key) for s in settings)]
    lead = f"Measures on the dev set are left out. {why}" if why else ""
    if not keys:
        return Section("curves", "More measures", missing=lead or "The runs share no further measures.")
    data = {key: {s.name: s.points(key) for s in settings} for key in keys}
    charts = [replace(_chart(settings, key), folded=place >= OPEN) for place, key in enumerate(keys)]
    return Section("curves", "More measures", lead, charts, keys=keys, data=data)


OPEN = 6
"""Charts of further measures that are open."""


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
