"""The sections of a run's time and of its training curve."""

from collections.abc import Mapping, Sequence
from typing import Any

from selfplay.report.page_model import Chart, Section, Table, cell, counted, of_all, some_rounds
from selfplay.report.run_data import Point, RunData, number
from selfplay.report.svg import bar_chart, line_chart
from selfplay.report.svg_primitives import say

_SUMS = ("round", "total", "all", "wall", "work")
"""Time keys that start with one of these are sums of the others."""


def _parts(row: Mapping[str, Any]) -> dict[str, float]:
    """Seconds by phase, without the sums."""
    keys = [
        k for k in row if k.startswith("time/") and k.endswith("_seconds") and not k.partition("/")[2].startswith(_SUMS)
    ]
    return {k.partition("/")[2].removesuffix("_seconds"): v for k in keys if (v := number(row, k)) is not None}


def round_seconds(row: Mapping[str, Any]) -> float:
    """Wall seconds of a round: its own sum if the row has one, else the sum of its phases."""
    whole = next((v for s in _SUMS if (v := number(row, f"time/{s}_seconds")) is not None), None)
    return whole if whole is not None else sum(_parts(row).values())


def clock(seconds: float) -> str:
    """`48 s`, `5 min 12 s`, `3 h 5 min`."""
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 7200 else f"{whole // 3600} h {whole % 3600 // 60} min"


def time(run: RunData) -> Section:
    """Time of the rounds, by phase."""
    parts = {str(row["round"]): _parts(row) for row in run.rows}
    parts = {r: found for r, found in parts.items() if found}
    if not parts:
        return Section("time", "Time", missing="No round has time figures yet.")
    charts = [Chart(bar_chart(parts, "Seconds per round, by phase", "round", "seconds", stacked=True))]
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
        for row in some_rounds(run)
    ]
    table = Table(f"Seconds by phase{of_all(run)}", ["round", *names, "overhead share"], rows)
    lead = f"{clock(sum(map(round_seconds, run.rows)))} in all. Overhead is the time outside generation, training and the sandbox."
    keys = [k for k in run.keys("time") if k.startswith("time/")]
    return Section("time", "Time", lead, charts, [table], folded=True, keys=keys, data={"seconds": parts})


def training(run: RunData) -> Section:
    """The training curve over all rounds."""
    names = [
        k
        for k in ("train/loss", "train/rewards_margin", "train/mean_token_accuracy", "train/eval_loss")
        if any(number(r, k) is not None for r in run.curve)
    ]
    if not names:
        return Section("training", "Training", missing="No training step has been logged yet.")
    charts: list[Chart] = []
    data: dict[str, Any] = {}
    paired = any("train/rewards_margin" in r for r in run.curve)
    loss_unit = "loss of the method" if paired else "nats per token"
    for key in names[:2]:
        raw = [
            (x, y)
            for r in run.curve
            if (y := number(r, key)) is not None and (x := number(r, "train/step")) is not None
        ]
        points = _thinned(raw)
        data[key] = points
        head = "Training loss" if key == "train/loss" else key.partition("/")[2].replace("_", " ").capitalize()
        unit = {"train/loss": loss_unit, "train/rewards_margin": "nats"}.get(key, "share")
        charts.append(Chart(line_chart({"": points}, head, "optimizer step, all rounds", unit), folded=bool(charts)))
    last = max(number(r, "train/step") or 0 for r in run.curve)
    rounds = len({r.get("round") for r in run.curve})
    lead = f"{counted(last, 'optimizer step')} in {counted(rounds, 'round')}; the axis runs on over the rounds."
    return Section("training", "Training", lead, charts, keys=names[:2], data=data)


def _thinned(raw: Sequence[tuple[float, float]], most: int = 150) -> list[Point]:
    """At most `most` points, each the mean of its neighbours."""
    size = -(-len(raw) // most) if raw else 1
    groups = [sorted(raw)[i : i + size] for i in range(0, len(raw), size)]
    return [(sum(x for x, _ in g) / len(g), sum(y for _, y in g) / len(g), None, None) for g in groups]
