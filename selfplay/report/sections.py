"""Sections of a run's report: accuracy, from sampled to trained on, examples, set-up."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from selfplay.report.failed_tests import shown
from selfplay.report.page_model import (
    DEV,
    TEST,
    Chart,
    Section,
    Table,
    by_round,
    counted,
    listed,
    of_all,
    some_rounds,
    without_twins,
)
from selfplay.report.run_data import Point, RunData, flatten, number, setting
from selfplay.report.svg import bar_chart, funnel, line_chart
from selfplay.report.svg_primitives import say
from selfplay.report.trace_stats import Tally


def accuracy(run: RunData) -> Section:
    """Accuracy by round, as a whole and by stratum."""
    main_lines = {"dev": run.points(DEV), "test": run.points(TEST)}
    main_lines = {name: points for name, points in main_lines.items() if points}
    if not main_lines:
        return Section("accuracy", "Accuracy", missing="No round has an accuracy yet.")
    charts = [
        Chart(line_chart(main_lines, "Greedy accuracy", "round", "share of tasks solved", y_range=_unit(main_lines)))
    ]
    passes = [key for key in run.keys("eval") if key.startswith("eval/pass_at_")]
    sampled = without_twins({key.partition("/")[2].replace("pass_at_", "pass@"): run.points(key) for key in passes})
    passes = [f"eval/{name.replace('@', '_at_')}" for name in sampled]
    if sampled:
        charts.append(
            Chart(
                line_chart(
                    sampled, "Sampled accuracy on the dev set", "round", "share of tasks", y_range=_unit(sampled)
                )
            )
        )
    strata = {(part, name): keys for part in ("eval", "test") for name, keys in run.strata(part).items()}
    for (part, name), keys in strata.items():
        if part == "eval" and ("test", name) in strata:
            continue
        lines = {key.partition("/")[2]: run.points(key) for key in keys}
        head = f"{'Dev' if part == 'eval' else 'Test'} accuracy by {name.replace('_', ' ')}"
        charts.append(
            Chart(
                line_chart(lines, head, "round", "share of tasks solved", y_range=_unit(lines), small=True), folded=True
            )
        )
    ends = passes[:1] + passes[-1:] if len(passes) > 1 else passes
    main_key = TEST if run.points(TEST) else DEV
    columns = {
        DEV: "dev",
        TEST: "test",
        f"{main_key}_delta": "change",
        **{k: k.partition("/")[2].replace("pass_at_", "pass@") for k in ends},
    }
    main = by_round(
        run,
        list(columns),
        list(columns.values()),
        "By round, with 95 % intervals; change: to round 0, paired over tasks",
        True,
    )
    keys = [*(k for ks in strata.values() for k in ks)]
    tables = (
        [main, by_round(run, keys, [k.replace("_", " ").replace("/", ": ") for k in keys], "By stratum", True)]
        if keys
        else [main]
    )
    n = setting(run.config, "eval.samples")
    sizes = listed(f"{words} {run.sizes[part]}" for part, words in _SIZES.items() if part in run.sizes)
    lead = "Rounds are compared on the dev set, which the gate reads; no decision reads the test set. "
    lead += "Shaded: 95 % intervals over tasks; with many lines they are in the tables only."
    lead += f" Tasks: {sizes}." if sizes else ""
    lead += f" pass@k comes from {n} samples a task at temperature 1." if sampled and n else ""
    data = {key: run.points(key) for key in [DEV, TEST, *passes, *keys] if run.points(key)}
    return Section("accuracy", "Accuracy by round", lead, charts, tables, keys=[*data], data=data)


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
_SIZES = {"dev": "dev", "test": "test", "samples": "sampled for pass@k"}
_KINDS = ("new", "older", "anchor")


def rows_by_kind(row: Mapping[str, Any]) -> dict[str, float]:
    """Training rows of a round by origin; empty if the row does not say."""
    total = number(row, "data/train_rows")
    shares = {kind: number(row, f"data/{kind}_share") for kind in _KINDS}
    if total is not None and any(v is not None for v in shares.values()):
        return {kind: float(round(share * total)) for kind, share in shares.items() if share is not None}
    anchor = number(row, "data/anchor_rows")
    return {"anchor": anchor} if anchor is not None else {}


def stages(row: Mapping[str, Any], tally: Tally | None) -> dict[str, float]:
    """How many attempts of a round reached each stage, and the rows trained on; an unknown number is left out."""
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


def selection(run: RunData, tallies: Mapping[int, Tally]) -> Section:
    """From sampled to trained on, with the reasons for which attempts were dropped."""
    reached = {row["round"]: stages(row, tallies.get(row["round"])) for row in run.rows}
    reasons = {row["round"]: dropped(row, tallies.get(row["round"])) for row in run.rows}
    usable = [r for r, found in reached.items() if found.get("sampled")]
    if not usable:
        return Section("selection", "From sampled to trained on", missing="No round has sampled attempts yet.")
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
    rounds = [row["round"] for row in some_rounds(run)]
    rows = [[str(r), *(say(reached[r].get(s)) for s in _STAGES), _reasons(reasons[r])] for r in rounds]
    data = {"stages": reached, "dropped": {r: dict(c) for r, c in reasons.items()}}
    lead = "Right: the verifiers passed the attempt. Rows trained on include older rounds and the anchor."
    lead += (
        f" Round {last} trained on {counted(reached[last]['trained on'], 'row')}{': ' + kinds if kinds else ''}."
        if "trained on" in reached[last]
        else ""
    )
    keys = [k for k in run.keys("data") if not k.startswith(("data/dropped_", "data/outcome_"))]
    return Section(
        "selection",
        "From sampled to trained on",
        lead,
        charts,
        [Table(f"By round{of_all(run)}", columns, rows, True), *_synthesis(run)],
        keys=keys,
        data=data,
    )


def _synthesis(run: RunData) -> list[Table]:
    """Synthesized tasks, coverage of the tail and quotas by round, where a run has synthesis or quotas."""
    keys = [
        key
        for key in run.keys("data")
        if key.startswith(("data/synthesized", "data/refused_", "data/rare_", "data/quota"))
    ]
    names = [key.removeprefix("data/").replace("_", " ") for key in keys]
    return [by_round(run, keys, names, "Synthesized tasks, coverage of the tail, quotas", True)] if keys else []


def _reasons(found: Counter[str]) -> str:
    return (
        ", ".join(f"{name.replace('_', ' ')} {say(count)}" for name, count in found.most_common() if count) or "\u2013"
    )


def examples(tallies: Mapping[int, Tally]) -> Section:
    """A few attempts of the last round with traces, accepted and dropped."""
    held = [t for t in tallies.values() if t.examples]
    if not held:
        return Section("examples", "Examples", missing="No traces to show.")
    last = max(held, key=lambda t: t.round)
    lead = f"Chosen by a fixed rule from the {counted(last.total, 'attempt')} of round {last.round}. The model wrote the text."
    return Section("examples", "Attempts to read", lead, examples=last.examples, data={"round": last.round})


def setup(run: RunData) -> Section:
    """The configuration, the versions, and the parent of each round."""
    flat = flatten(run.config)
    tables = []
    if flat:
        tables.append(
            Table("Configuration", ["key", "value"], [[k, shown(v, 200)] for k, v in flat.items()], folded=True)
        )
    parents = [
        [
            str(n),
            say(number(c, "parent")),
            str(c.get("action") or "\u2013"),
            say(number(c, "train_steps")),
            say(number(c, "world_size")),
        ]
        for n, c in run.commits.items()
        if n in {row["round"] for row in some_rounds(run)}
    ]
    if parents:
        tables.insert(
            0,
            Table(
                f"Rounds and their parents{of_all(run)}",
                ["round", "parent", "action", "optimizer steps so far", "ranks"],
                parents,
                True,
            ),
        )
    versions = run.commits[max(run.commits)].get("versions") if run.commits else None
    if isinstance(versions, dict) and versions:
        tables.append(
            Table("Versions", ["package", "version"], [[k, str(v)] for k, v in sorted(versions.items())], folded=True)
        )
    if not tables:
        return Section("setup", "Set-up", missing="The run has neither a configuration nor a committed round.")
    abandoned = [n for n, c in run.commits.items() if c.get("action") == "roll_back"]
    lead = f"Rolled back after round {listed(map(str, abandoned))}." if abandoned else ""
    return Section("setup", "Set-up", lead, tables=tables, data={"config": run.config, "versions": versions or {}})
