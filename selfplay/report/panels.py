"""Floor 2: the panels of one run but the collapse profile: headline, accuracy, funnel, time, training, examples."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from selfplay.report.ink import say
from selfplay.report.parts import Chart, Panel, Table, by_round, cell, counted, listed, signed
from selfplay.report.reading import Point, RunData, best_round, flatten, number, setting, triple
from selfplay.report.svg import bar_chart, funnel, line_chart
from selfplay.report.tally import Tally

PANEL, TEST = "eval/greedy_accuracy", "test/greedy_accuracy"
_SUMS = ("round", "total", "all", "wall", "work")
"""Time keys that start so hold a sum of the others."""


def headline(run: RunData) -> dict[str, Any]:
    """What happened, the best round and why it stopped: `sentence`, `stopped`, `figures` [(label, value, note)]."""
    best = best_round(run.rows, PANEL)
    key = TEST if run.points(TEST) else PANEL
    where = "test set" if key == TEST else "panel"
    found: dict[str, Any] = {"best_round": best, "stopped": stopped(run), "sentence": "", "figures": []}
    if not run.rows:
        return {**found, "sentence": "No round is committed yet: there is nothing to report."}
    first, last = run.rows[0], run.row(best) if best is not None else run.rows[-1]
    then, now = number(first, key), number(last, key)
    if then is None or now is None:
        found["sentence"] = f"{counted(len(run.rows), 'round')} committed; no accuracy was measured."
    elif best == first["round"]:
        found["sentence"] = (
            f"The {where} accuracy was {say(then)} at round {best}, and no later round did better on the panel."
        )
    else:
        word = "rose" if now > then else "fell" if now < then else "stayed"
        found["sentence"] = f"Greedy accuracy on the {where} {word} from {say(then)} to {say(now)} by round {best}."
    final = run.rows[-1]
    if best != final["round"] and then is not None and (ended := number(final, key)) is not None:
        found["sentence"] += f" After the last round, {final['round']}, it is {say(ended)}."
    found["figures"] = _figures(run, key, where, first, last)
    return found


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
    planned = setting(run.config, "rounds")
    made = [
        (
            "Best round",
            f"{last['round']} of {max(run.rounds)}",
            "by the panel's greedy accuracy" + (f"; {planned} planned" if planned != max(run.rounds) else ""),
        ),
        (f"Accuracy, {where}", value, told),
    ]
    if change[0] is not None:
        between = f"[{change[1]:+.3f}, {change[2]:+.3f}], " if change[1] is not None and change[2] is not None else ""
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
        when = f", first in round {min(r for v, r in levels if v == top)}" if top else ", quiet in every round"
        made.append(("Highest alarm", say(top), f"of 3{when}"))
    if any(map(_round_seconds, run.rows)):
        made.append(("Time", _clock(sum(map(_round_seconds, run.rows))), "all rounds"))
    return [dict(zip(("label", "value", "note"), item, strict=True)) for item in made]


def _apart(row: Mapping[str, Any], key: str) -> tuple[str, str]:
    """A figure and its interval as two texts; the second empty where there is none."""
    value, lo, hi = triple(row, key)
    return say(value), "" if lo is None or hi is None else f"[{say(lo)}, {say(hi)}]"


def stopped(run: RunData) -> str:
    """Why the run is where it is, in a sentence."""
    if not run.rows:
        return "It has not finished a round."
    last, planned = max(run.rounds), setting(run.config, "rounds")
    commit = run.commits.get(last, {})
    reason = str(commit.get("reason") or "").strip()
    if commit.get("action") == "stop":
        return f"The gate stopped it after round {last}{': ' + reason if reason else ''}."
    if isinstance(planned, int) and last >= planned:
        return f"All {counted(planned, 'planned round')} are done."
    of = f" of {planned}" if isinstance(planned, int) else ""
    return f"It is under way or was interrupted after round {last}{of}; the same command goes on."


def accuracy(run: RunData) -> Panel:
    """Accuracy by round, as a whole and by stratum."""
    shown = {"panel": run.points(PANEL), "test": run.points(TEST)}
    shown = {name: points for name, points in shown.items() if points}
    if not shown:
        return Panel("accuracy", "Accuracy", missing="No round has an accuracy yet.")
    charts = [Chart(line_chart(shown, "Greedy accuracy", "round", "share of tasks solved", y_range=_unit(shown)))]
    passes = [key for key in run.keys("eval") if key.startswith("eval/pass_at_")]
    sampled = {key.partition("/")[2].replace("pass_at_", "pass@"): run.points(key) for key in passes}
    if sampled:
        charts.append(
            Chart(
                line_chart(sampled, "Sampled accuracy on the panel", "round", "share of tasks", y_range=_unit(sampled))
            )
        )
    strata = {(part, name): keys for part in ("eval", "test") for name, keys in run.strata(part).items()}
    for (part, name), keys in strata.items():
        if part == "eval" and ("test", name) in strata:
            continue
        lines = {key.partition("/")[2]: run.points(key) for key in keys}
        head = f"{'Panel' if part == 'eval' else 'Test'} accuracy by {name.replace('_', ' ')}"
        charts.append(Chart(line_chart(lines, head, "round", "share of tasks solved", y_range=_unit(lines))))
    ends = passes[:1] + passes[-1:] if len(passes) > 1 else passes
    main_key = TEST if run.points(TEST) else PANEL
    columns = {
        PANEL: "panel",
        TEST: "test",
        f"{main_key}_delta": "change",
        **{k: k.partition("/")[2].replace("pass_at_", "pass@") for k in ends},
    }
    main = by_round(
        run,
        list(columns),
        list(columns.values()),
        "By round, with 95 % intervals; change: to round 0, paired over tasks",
    )
    keys = [*(k for ks in strata.values() for k in ks)]
    tables = (
        [main, by_round(run, keys, [k.replace("_", " ").replace("/", ": ") for k in keys], "By stratum", True)]
        if keys
        else [main]
    )
    n = setting(run.config, "eval.samples")
    sizes = listed(f"{words} {run.sizes[part]}" for part, words in _SIZES.items() if part in run.sizes)
    lead = "The panel is what rounds are compared on and the gate reads; the test set is read by no decision. "
    lead += "Shaded: 95 % intervals over tasks; with many lines they stand in the tables."
    lead += f" Tasks: {sizes}." if sizes else ""
    lead += f" pass@k comes from {n} samples a task at temperature 1." if sampled and n else ""
    data = {key: run.points(key) for key in [PANEL, TEST, *passes, *keys] if run.points(key)}
    return Panel("accuracy", "Accuracy by round", lead, charts, tables, keys=[*data], data=data)


def _unit(series: Mapping[str, Sequence[Point]]) -> tuple[float, float]:
    """From 0 to the next tenth above everything, 1 at most."""
    top = max((v for points in series.values() for p in points for v in (p[1], p[3]) if v is not None), default=1.0)
    return 0.0, min(1.0, max(0.1, (int(top * 10 + 0.999)) / 10))


_STAGES = {
    "sampled": ("data/sampled", "data/attempts"),
    "verified": ("data/verified",),
    "right": ("data/passed", "data/right", "data/verified_pass"),
    "accepted": ("data/accepted",),
    "trained on": ("data/trained", "data/train_rows", "data/rows"),
}
_SIZES = {"panel": "panel", "test": "test", "samples": "sampled for pass@k"}
_KINDS = ("new", "older", "anchor")


def rows_by_kind(row: Mapping[str, Any]) -> dict[str, float]:
    """Training rows of a round by origin; empty where the row does not say."""
    total = number(row, "data/train_rows")
    shares = {kind: number(row, f"data/{kind}_share") for kind in _KINDS}
    if total is not None and any(v is not None for v in shares.values()):
        return {kind: float(round(share * total)) for kind, share in shares.items() if share is not None}
    anchor = number(row, "data/anchor_rows")
    return {"anchor": anchor} if anchor is not None else {}


def stages(row: Mapping[str, Any], tally: Tally | None) -> dict[str, float]:
    """How many attempts of a round got how far, and the rows trained on; what is not known is left out."""
    found = {
        name: v
        for name, keys in _STAGES.items()
        if (v := next((v for k in keys if (v := number(row, k)) is not None), None)) is not None
    }
    outcomes = {k.removeprefix("data/outcome_"): number(row, k) or 0 for k in row if k.startswith("data/outcome_")}
    if outcomes:
        found.setdefault("verified", sum(v for k, v in outcomes.items() if k not in ("error", "none")))
    if tally is not None and tally.total:
        found.setdefault("sampled", tally.total)
        found.setdefault("verified", tally.total - tally.outcomes["error"] - tally.outcomes["none"])
        found.setdefault("right", tally.outcomes["pass"])
        found.setdefault("accepted", tally.accepted)
    return {name: found[name] for name in _STAGES if name in found}


def dropped(row: Mapping[str, Any], tally: Tally | None) -> Counter[str]:
    """Reasons of dropped attempts, from the row's data/dropped_* keys, else from the traces."""
    counts = {k.removeprefix("data/dropped_"): int(number(row, k) or 0) for k in row if k.startswith("data/dropped_")}
    return Counter(counts) if counts else Counter(tally.reasons if tally else {})


def selection(run: RunData, tallies: Mapping[int, Tally]) -> Panel:
    """From sampled to trained on, with the reasons of those left behind."""
    reached = {row["round"]: stages(row, tallies.get(row["round"])) for row in run.rows}
    reasons = {row["round"]: dropped(row, tallies.get(row["round"])) for row in run.rows}
    usable = [r for r, found in reached.items() if found.get("sampled")]
    if not usable:
        return Panel("selection", "From sampled to trained on", missing="No round has sampled attempts yet.")
    last = usable[-1]
    why = ", ".join(f"{name.replace('_', ' ')} {say(count)}" for name, count in reasons[last].most_common(5) if count)
    kinds = listed(f"{name} {say(v)}" for name, v in rows_by_kind(run.row(last)).items() if v)
    steps = [
        (name, n, f"dropped: {why}" if why and name == "accepted" else "")
        for name, n in reached[last].items()
        if name != "trained on"
    ]
    names = [name for name, _ in sum(reasons.values(), Counter()).most_common(5)]
    ends = {
        str(r): {"accepted": reached[r].get("accepted"), **{n.replace("_", " "): reasons[r][n] for n in names}}
        for r in usable
    }
    charts = [
        Chart(funnel(steps, f"Round {last}")),
        Chart(bar_chart(ends, "Where attempts ended", "round", "attempts", stacked=True)),
    ]
    columns = ["round", *_STAGES, "dropped because"]
    rows = [[str(r), *(say(reached[r].get(s)) for s in _STAGES), _reasons(reasons[r])] for r in reached]
    data = {"stages": reached, "dropped": {r: dict(c) for r, c in reasons.items()}}
    lead = "Right means that the verifiers passed it; rows trained on include older rounds and the anchor."
    lead += (
        f" Round {last} trained on {counted(reached[last]['trained on'], 'row')}{': ' + kinds if kinds else ''}."
        if "trained on" in reached[last]
        else ""
    )
    keys = [k for k in run.keys("data") if not k.startswith(("data/dropped_", "data/outcome_"))]
    return Panel(
        "selection",
        "From sampled to trained on",
        lead,
        charts,
        [Table("By round", columns, rows)],
        keys=keys,
        data=data,
    )


def _reasons(found: Counter[str]) -> str:
    return (
        ", ".join(f"{name.replace('_', ' ')} {say(count)}" for name, count in found.most_common() if count) or "\u2013"
    )


def _parts(row: Mapping[str, Any]) -> dict[str, float]:
    """Seconds by phase; sums of others left out."""
    keys = [
        k for k in row if k.startswith("time/") and k.endswith("_seconds") and not k.partition("/")[2].startswith(_SUMS)
    ]
    return {k.partition("/")[2].removesuffix("_seconds"): v for k in keys if (v := number(row, k)) is not None}


def _round_seconds(row: Mapping[str, Any]) -> float:
    whole = next((v for s in _SUMS if (v := number(row, f"time/{s}_seconds")) is not None), None)
    return whole if whole is not None else sum(_parts(row).values())


def _clock(seconds: float) -> str:
    """`48 s`, `5 min 12 s`, `3 h 5 min`."""
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 7200 else f"{whole // 3600} h {whole % 3600 // 60} min"


def time(run: RunData) -> Panel:
    """Where a round's time went."""
    parts = {str(row["round"]): _parts(row) for row in run.rows}
    parts = {r: found for r, found in parts.items() if found}
    if not parts:
        return Panel("time", "Time", missing="No round has time figures yet.")
    charts = [Chart(bar_chart(parts, "Seconds a round, by phase", "round", "seconds", stacked=True))]
    overhead = run.points("time/overhead_share")
    if overhead:
        top = max(0.06, *(p[1] or 0 for p in overhead))
        charts.append(
            Chart(
                line_chart(
                    {"": overhead}, "Overhead of the loop", "round", "share of the round's time", y_range=(0, top)
                )
            )
        )
    names = list(dict.fromkeys(n for found in parts.values() for n in found))
    rows = [
        [str(row["round"]), *(say(_parts(row).get(n)) for n in names), cell(row, "time/overhead_share")]
        for row in run.rows
    ]
    table = Table("Seconds by phase", ["round", *names, "overhead share"], rows, folded=True)
    lead = f"{_clock(sum(map(_round_seconds, run.rows)))} in all. Overhead is the time outside sampling, training and the executor."
    keys = [k for k in run.keys("time") if k.startswith("time/")]
    return Panel("time", "Time", lead, charts, [table], keys=keys, data={"seconds": parts})


def training(run: RunData) -> Panel:
    """The training curve over all rounds."""
    names = [
        k
        for k in ("train/loss", "train/mean_token_accuracy", "train/eval_loss")
        if any(number(r, k) is not None for r in run.curve)
    ]
    if not names:
        return Panel("training", "Training", missing="No training step has been logged yet.")
    charts: list[Chart] = []
    data: dict[str, Any] = {}
    for key in names[:2]:
        raw = [
            (x, y)
            for r in run.curve
            if (y := number(r, key)) is not None and (x := number(r, "train/step")) is not None
        ]
        points = _thinned(raw)
        data[key] = points
        head = "Training loss" if key == "train/loss" else key.partition("/")[2].replace("_", " ").capitalize()
        unit = "nats a token" if "loss" in key else "share"
        charts.append(Chart(line_chart({"": points}, head, "optimizer step, all rounds", unit)))
    last = max(number(r, "train/step") or 0 for r in run.curve)
    rounds = len({r.get("round") for r in run.curve})
    lead = f"{counted(last, 'optimizer step')} in {counted(rounds, 'round')}; the axis runs on over the rounds."
    return Panel("training", "Training", lead, charts, keys=names[:2], data=data)


def _thinned(raw: Sequence[tuple[float, float]], most: int = 300) -> list[Point]:
    """At most `most` points, each the mean of its neighbours."""
    size = -(-len(raw) // most) if raw else 1
    groups = [sorted(raw)[i : i + size] for i in range(0, len(raw), size)]
    return [(sum(x for x, _ in g) / len(g), sum(y for _, y in g) / len(g), None, None) for g in groups]


def examples(tallies: Mapping[int, Tally]) -> Panel:
    """A few attempts of the last round with traces, accepted and dropped."""
    held = [t for t in tallies.values() if t.examples]
    if not held:
        return Panel("examples", "Examples", missing="No traces to show.")
    last = max(held, key=lambda t: t.round)
    lead = f"Drawn by a fixed rule from the {counted(last.total, 'attempt')} of round {last.round}. The text is the model's own."
    return Panel("examples", "Attempts to read", lead, examples=last.examples, data={"round": last.round})


def setup(run: RunData) -> Panel:
    """The configuration, versions and lineage of rounds."""
    flat = flatten(run.config)
    tables = []
    if flat:
        tables.append(Table("Configuration", ["key", "value"], [[k, str(v)] for k, v in flat.items()], folded=True))
    lineage = [
        [
            str(n),
            say(c.get("parent")),
            str(c.get("action") or "\u2013"),
            str(c.get("reason") or ""),
            str(c.get("world_size") or "\u2013"),
        ]
        for n, c in run.commits.items()
    ]
    if lineage:
        tables.insert(
            0,
            Table(
                "Rounds and their parents", ["round", "parent", "action", "optimizer steps so far", "ranks"], lineage
            ),
        )
    versions = run.commits[max(run.commits)].get("versions") if run.commits else None
    if isinstance(versions, dict) and versions:
        tables.append(
            Table("Versions", ["package", "version"], [[k, str(v)] for k, v in sorted(versions.items())], folded=True)
        )
    if not tables:
        return Panel("setup", "Set-up", missing="The run has neither a configuration nor a committed round.")
    abandoned = [n for n, c in run.commits.items() if c.get("action") == "roll_back"]
    lead = f"Rolled back after round {listed(map(str, abandoned))}." if abandoned else ""
    return Panel("setup", "Set-up", lead, tables=tables, data={"config": run.config, "versions": versions or {}})
