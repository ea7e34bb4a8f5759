"""Level and power of the panel alarms, by simulation: 10 rounds of a student with known pass rates and solution modes.

    python benchmarks/collapse_panel_alarms.py --runs 200 --json out.json

Nulls: `unchanged`, and `improving` (pass rates rise, modes as they were). Collapses: `modes_drift` (each round learns from
8 of its own right attempts a task, pass rates rise), `tail_lost` (the hardest third is forgotten step by step while
the rest improves), `decline` (pass rates fall by a tenth a round). A false alarm is level 2 in any of 10 rounds.
"""

import argparse
import json
import platform
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from selfplay.collapse import alarms, freeze_strata, freeze_tail, panel_metrics, panel_of, wilson
from selfplay.collapse.panel import Panel

COLLAPSES = {"unchanged": False, "improving": False, "modes_drift": True, "tail_lost": True, "decline": True}
ROUNDS = 10


def sampled(rates: np.ndarray, modes: np.ndarray, n: int, rng: np.random.Generator) -> Panel:
    """One round's panel of n attempts a task."""
    right = rng.random((rates.size, n)) < rates[:, None]
    pick = (rng.random((rates.size, n, 1)) > np.cumsum(modes, axis=1)[:, None, :]).sum(axis=2)
    return panel_of([f"t{i}" for i in range(rates.size)], right.tolist(), pick.tolist())


def step(
    scenario: str, rates: np.ndarray, modes: np.ndarray, hard: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The next round's student."""
    up = rates + 0.1 * rates * (1 - rates)
    if scenario == "unchanged":
        return rates, modes
    if scenario == "improving":
        return up, modes
    if scenario == "modes_drift":
        drawn = np.stack([rng.multinomial(8, p) for p in modes]) / 8
        return up, drawn
    if scenario == "tail_lost":
        return np.where(hard, rates * 0.6, up), modes
    return rates * 0.9, modes


def one_run(scenario: str, tasks: int, n: int, seed: int) -> list[int]:
    """Alarm levels of one run."""
    rng = np.random.default_rng([seed, tasks, n, len(scenario)])
    rates, modes = rng.beta(0.7, 1.0, tasks), rng.dirichlet(np.full(12, 0.5), tasks)
    hard = rates < np.quantile(rates, 0.33)
    first = sampled(rates, modes, n, rng)
    first = Panel.from_dict(first.to_dict() | {"strata": freeze_strata(first), "tail": freeze_tail(first)})
    rows: list[dict[str, Any]] = [{"round": 0, **panel_metrics(first)}]
    for t in range(1, ROUNDS + 1):
        rates, modes = step(scenario, rates, modes, hard, rng)
        rows.append({"round": t, **panel_metrics(sampled(rates, modes, n, rng), first, resamples=400, seed=t)})
    return [alarm["level"] for alarm in alarms(rows)]


def main() -> None:
    """Runs all scenarios and prints rates with Wilson intervals."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 200])
    parser.add_argument("--attempts", type=int, default=16)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    out: dict[str, Any] = {}
    for tasks in args.sizes:
        for scenario, collapses in COLLAPSES.items():
            runs = args.runs if not collapses else max(20, args.runs // 5)
            levels = [one_run(scenario, tasks, args.attempts, args.seed + i) for i in range(runs)]
            row: dict[str, Any] = {"runs": runs, "collapses": collapses}
            for key, hit in (
                ("level_1_ever", [max(x) >= 1 for x in levels]),
                ("level_2_by_round_5", [max(x[:6]) >= 2 for x in levels]),
                ("level_2_ever", [max(x) >= 2 for x in levels]),
            ):
                e = wilson(sum(hit), runs)
                row[key] = [round(e.value, 4), round(e.lo, 4), round(e.hi, 4)]
            rounds = [next(t for t, v in enumerate(x) if v >= 2) for x in levels if max(x) >= 2]
            row["median_first_round"] = float(np.median(rounds)) if rounds else None
            out[f"{scenario}, {tasks} tasks x {args.attempts}"] = row
            print(f"{scenario:12s} {tasks:4d} x {args.attempts} {row}", flush=True)
    if args.json:
        rules = files("selfplay.collapse").joinpath("rules.json").read_bytes()
        head = {"rules_sha256": sha256(rules).hexdigest(), "rounds": ROUNDS, "seed": args.seed}
        head["versions"] = {"python": platform.python_version(), "numpy": np.__version__}
        args.json.write_text(json.dumps(head | {"summary": out}, indent=1) + "\n")


if __name__ == "__main__":
    main()
