"""Level and power of the panel alarms, by simulation: 10 rounds of a student with known pass rates and solution modes.

    python benchmarks/collapse_dev_set_alarms.py --runs 200 --seed 10000 --sizes 150 --json out.json

Nulls: `unchanged`; `improving` (pass rates rise, modes as they were); `restless` (each round's pass rates lie about the
same place, 0.3 in the logit off it: a student that moves a little and goes nowhere). Collapses, each in several
strengths: `modes_drift` (each round learns from so many of its own right attempts a task, while pass rates rise),
`tail_lost` (the hardest third keeps this share of its pass rate a round, the rest improves), `decline` (all pass rates
keep this share a round), `human_drift` (human text loses so many nats a token a round). A false alarm is level 2 in any
of 10 rounds. The file is written after every arm; an arm that it holds already is not run again.
"""

import argparse
import json
import platform
from dataclasses import replace
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from selfplay.collapse import (
    alarms,
    dev_set_metrics,
    dev_set_of,
    freeze_strata,
    freeze_tail,
    likelihood_metrics,
    load_rules,
    wilson,
)
from selfplay.collapse.dev_set import DevSet

NULLS = ("unchanged", "improving", "restless")
COLLAPSES: dict[str, tuple[float, ...]] = {
    "modes_drift": (8, 16, 32, 64),
    "tail_lost": (0.6, 0.8, 0.9),
    "decline": (0.9, 0.95, 0.98),
    "human_drift": (0.05, 0.02, 0.01),
}
ROUNDS = 10
RESTLESS = 0.3
HUMAN_TEXTS = 60


def sampled(rates: np.ndarray, modes: np.ndarray, n: int, rng: np.random.Generator) -> DevSet:
    """One round's panel of n attempts a task."""
    right = rng.random((rates.size, n)) < rates[:, None]
    pick = (rng.random((rates.size, n, 1)) > np.cumsum(modes, axis=1)[:, None, :]).sum(axis=2)
    return dev_set_of([f"t{i}" for i in range(rates.size)], right.tolist(), pick.tolist())


def step(
    scenario: str, strength: float, rates: np.ndarray, modes: np.ndarray, hard: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The next round's student."""
    up = rates + 0.1 * rates * (1 - rates)
    if scenario == "improving":
        return up, modes
    if scenario == "modes_drift":
        return up, np.stack([rng.multinomial(int(strength), p) for p in modes]) / strength
    if scenario == "tail_lost":
        return np.where(hard, rates * strength, up), modes
    return (rates * strength if scenario == "decline" else rates), modes


def shaken(rates: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same pass rates, each a little off in the logit."""
    odds = rates / np.maximum(1 - rates, 1e-12) * np.exp(rng.normal(0, RESTLESS, rates.size))
    return np.asarray(odds / (1 + odds))


def one_run(scenario: str, strength: float, tasks: int, n: int, seed: int) -> list[dict[str, Any]]:
    """The rows of one run."""
    rng = np.random.default_rng([seed, tasks, n, len(scenario), int(1000 * strength)])
    rates, modes = rng.beta(0.7, 1.0, tasks), rng.dirichlet(np.full(12, 0.5), tasks)
    hard = rates < np.quantile(rates, 0.33)
    first = sampled(rates, modes, n, rng)
    first = DevSet.from_dict(first.to_dict() | {"strata": freeze_strata(first), "tail": freeze_tail(first)})
    human = rng.gamma(4.0, 0.4, (HUMAN_TEXTS, 1))
    rows: list[dict[str, Any]] = [{"round": 0, **dev_set_metrics(first), **likelihood_metrics(human.tolist())}]
    for t in range(1, ROUNDS + 1):
        rates, modes = step(scenario, strength, rates, modes, hard, rng)
        seen = shaken(rates, rng) if scenario == "restless" else rates
        now = human + rng.normal(strength * t if scenario == "human_drift" else 0.0, 0.05, human.shape)
        row = dev_set_metrics(sampled(seen, modes, n, rng), first)
        rows.append({"round": t, **row, **likelihood_metrics(now.tolist(), human.tolist())})
    return rows


def arm(scenario: str, strength: float, tasks: int, n: int, runs: int, seed: int) -> dict[str, Any]:
    """Rates of one arm by the rule file, and by the rule file without its rules for slow drifts."""
    rules = load_rules()
    found = [one_run(scenario, strength, tasks, n, seed + i) for i in range(runs)]
    row = {"runs": runs, "collapses": scenario in COLLAPSES, **rates([alarms(rows, rules=rules) for rows in found])}
    without = replace(rules, ewma=())
    return row | {"without_ewma": rates([alarms(rows, rules=without) for rows in found])}


def rates(found: list[list[dict[str, Any]]]) -> dict[str, Any]:
    """How often which level was reached, with Wilson intervals, and the metric that most often moved first."""
    levels = [[alarm["level"] for alarm in run] for run in found]
    row: dict[str, Any] = {}
    for key, hit in (
        ("level_1_ever", [max(x) >= 1 for x in levels]),
        ("level_2_by_round_5", [max(x[:6]) >= 2 for x in levels]),
        ("level_2_ever", [max(x) >= 2 for x in levels]),
    ):
        e = wilson(sum(hit), len(levels))
        row[key] = [round(e.value, 4), round(e.lo, 4), round(e.hi, 4)]
    reached = [next(t for t, v in enumerate(x) if v >= 2) for x in levels if max(x) >= 2]
    row["median_first_round"] = float(np.median(reached)) if reached else None
    first = [run[-1]["first_metric"] for run in found if run[-1]["first_metric"]]
    row["first_metric"] = max(sorted(set(first)), key=first.count) if first else ""
    return row


def main() -> None:
    """Runs all arms and prints rates with Wilson intervals."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=200, help="of each null; collapses take three tenths as many")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sizes", type=int, nargs="+", default=[150])
    parser.add_argument("--attempts", type=int, default=16)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rules = files("selfplay.collapse").joinpath("rules.json").read_bytes()
    head = {"rules_sha256": sha256(rules).hexdigest(), "rounds": ROUNDS, "seed": args.seed}
    head["versions"] = {"python": platform.python_version(), "numpy": np.__version__}
    out: dict[str, Any] = {}
    if args.json and args.json.is_file():
        before = json.loads(args.json.read_text())
        out = before["summary"] if {k: before[k] for k in head} == head else {}
    arms = [(name, 0.0) for name in NULLS] + [(name, s) for name, strengths in COLLAPSES.items() for s in strengths]
    for tasks in args.sizes:
        for scenario, strength in arms:
            runs = args.runs if scenario in NULLS else max(20, 3 * args.runs // 10)
            name = f"{scenario}{f' {strength:g}' if strength else ''}, {tasks} tasks x {args.attempts}"
            if out.get(name, {}).get("runs") != runs:
                out[name] = arm(scenario, strength, tasks, args.attempts, runs, args.seed)
            print(f"{name:36s} {out[name]}", flush=True)
            if args.json:
                args.json.write_text(json.dumps(head | {"summary": out}, indent=1) + "\n")


if __name__ == "__main__":
    main()
