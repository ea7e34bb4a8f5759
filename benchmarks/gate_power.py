"""Level and power of the gate's rules, by simulation: ten rounds of a student with known ability, many runs at once.

    python -m benchmarks.gate_power --runs 1000 --json out.json        # all cells
    python -m benchmarks.gate_power --table out.json                   # prints a file of results

Each task has a difficulty; the student's ability at it jitters from round to round (0.5 or 1.0 logits: a restless
student). Greedy outcomes are its sign; the rate at temperature 1 is a logistic of it; right attempts fall into four
solutions; human texts jitter by 15 % and have rare spikes. Nulls: unchanged, rising (+.02 a round), jump (+.15, then
flat), sharpening (rates move towards the greedy outcomes and modes narrow a little). Collapses: see COLLAPSES. A false
alarm is level 2 in any of ten rounds. A null above 2 % is simulated again, with fresh draws and more runs, and that
figure counts.
"""

import argparse
import json
import math
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from selfplay.collapse import DevRound, best_round_of, best_unbiased, smallest_fall, wilson
from selfplay.collapse.dev_history import History
from selfplay.collapse.dev_rules import KEYS, Judged, dev_rules, judge, rules_hash
from selfplay.collapse.estimate import Floats

ROUNDS = 10
SIZES, STARTS, SAMPLES, JITTERS = (32, 100, 500), (0.05, 0.2, 0.42, 0.7, 0.9), (4, 8, 16), (0.5, 1.0)
NULLS = ("unchanged", "rising", "jump", "sharpening")
COLLAPSES = (
    "-.01 a round", "-.02 a round", "-.10 from round 3", "-.20 from round 3", "+.15, then -.02 a round",
    "+.15, then -.05 a round", "modes lost", "human text lost",
)  # fmt: skip
BARS = {"-.01 a round": 0.80, "-.10 from round 3": 0.95, "+.15, then -.02 a round": 0.95}
"""Least share of runs at level 2 by round 10, at 100 tasks with 8 samples and a start of .42."""
MOST_FALSE = 0.03
SPREAD = 2.0
MODES, HUMAN_TEXTS = 4, 100
FEWEST_RIGHT = 8
"""Right attempts from which each round of `modes lost` learns a task's modes."""
BLOCK = 1_500_000
"""Numbers in an array of one block of runs."""


@dataclass(frozen=True)
class Cell:
    """One simulated setting."""

    scenario: str
    tasks: int
    start: float
    jitter: float


def cells(sizes: tuple[int, ...] = SIZES, starts: tuple[float, ...] = STARTS) -> Iterator[Cell]:
    """All nulls; collapses at the starts that have room to fall."""
    for tasks in sizes:
        for start in starts:
            yield from (Cell(name, tasks, start, jitter) for name in NULLS for jitter in JITTERS)
            if start >= 0.2:
                yield from (Cell(name, tasks, start, 0.5) for name in COLLAPSES)


def ability_of(accuracy: float, jitter: float) -> float:
    """The mean ability at which this share of tasks is solved greedily."""
    low, high = -9.0, 9.0
    for _ in range(60):
        middle = (low + high) / 2
        solved = 0.5 * math.erfc(-middle / math.hypot(SPREAD, jitter) / math.sqrt(2))
        low, high = (middle, high) if solved < accuracy else (low, middle)
    return low


def path_of(cell: Cell) -> Floats:
    """The mean ability by round."""
    t = np.arange(ROUNDS + 1)
    falls = {
        "rising": 0.02 * t, "jump": 0.15 * (t > 0), "-.01 a round": -0.01 * t, "-.02 a round": -0.02 * t,
        "-.10 from round 3": -0.10 * (t > 2), "-.20 from round 3": -0.20 * (t > 2),
        "+.15, then -.02 a round": np.where(t > 0, 0.17 - 0.02 * t, 0),
        "+.15, then -.05 a round": np.where(t > 0, 0.20 - 0.05 * t, 0),
    }  # fmt: skip
    change = falls.get(cell.scenario, 0.0 * t)
    return np.asarray([ability_of(min(0.99, max(0.003, cell.start + d)), cell.jitter) for d in change])


def histories(cell: Cell, runs: int, samples: tuple[int, ...], rng: np.random.Generator) -> dict[int, History]:
    """The same runs seen with so many samples a task; more samples hold the fewer."""
    shape = (runs, ROUNDS + 1, cell.tasks)
    ability = rng.normal(0, SPREAD, (runs, 1, cell.tasks)) + path_of(cell)[None, :, None]
    ability = ability + rng.normal(0, cell.jitter, shape)
    greedy = (ability > 0).astype(np.float64)
    rates = 1 / (1 + np.exp(1 - 1.2 * ability))
    if cell.scenario == "sharpening":
        sharp = np.minimum(0.9, 0.1 * np.arange(ROUNDS + 1))[None, :, None]
        rates = (1 - sharp) * rates + sharp * greedy
    modes = _modes(cell, runs, rng)
    nats = _human(cell, runs, rng)
    counts, drawn, out = np.zeros((*shape, MODES)), 0, {}
    for n in samples:
        counts += _attempts(rates, modes, n - drawn, rng)
        drawn = n
        right = counts.sum(-1)
        alike = (counts * (counts - 1)).sum(-1)
        differ = np.where(right >= 2, 1 - alike / np.maximum(right * (right - 1), 1), np.nan)
        out[n] = History(greedy, right / n, differ, nats)
    return out


def _modes(cell: Cell, runs: int, rng: np.random.Generator) -> list[Floats]:
    """The shares of a task's solutions, by round."""
    first = rng.gamma(0.6, size=(runs, cell.tasks, MODES)) + 1e-9
    first /= first.sum(-1, keepdims=True)
    out = [first]
    for t in range(1, ROUNDS + 1):
        if cell.scenario == "modes lost":
            out.append(_split(np.full(first.shape[:2], FEWEST_RIGHT), out[-1], rng) / FEWEST_RIGHT)
        elif cell.scenario == "sharpening":
            power = first ** (1 + min(0.45, 0.05 * t))
            out.append(power / power.sum(-1, keepdims=True))
        else:
            out.append(first)
    return out


def _human(cell: Cell, runs: int, rng: np.random.Generator) -> Floats:
    """Nats per token of the human texts. `human text lost`: a third of them lose .03 a round."""
    shape = (runs, ROUNDS + 1, HUMAN_TEXTS)
    nats = np.exp(rng.normal(-2.5, 0.6, (runs, 1, HUMAN_TEXTS))) * np.exp(rng.normal(0, 0.15, shape))
    nats += 0.2 * (rng.random(shape) < 0.01)
    if cell.scenario == "human text lost":
        nats += 0.03 * np.arange(ROUNDS + 1)[None, :, None] * (np.arange(HUMAN_TEXTS) % 3 == 0)
    return nats


def _attempts(rates_R_T_P: Floats, modes: list[Floats], n: int, rng: np.random.Generator) -> Floats:
    """Right attempts of n, by solution."""
    right = rng.binomial(n, rates_R_T_P)
    return np.stack([_split(right[:, t], modes[t], rng) for t in range(ROUNDS + 1)], 1)


def _split(right: Any, shares: Floats, rng: np.random.Generator) -> Floats:
    """Counts by solution: a multinomial draw, one solution after the other."""
    left, mass, out = np.asarray(right).copy(), np.ones(shares.shape[:-1]), []
    for j in range(MODES - 1):
        chance = np.clip(shares[..., j] / np.maximum(mass, 1e-12), 0, 1)
        out.append(rng.binomial(left, chance))
        left, mass = left - out[-1], mass - shares[..., j]
    return np.stack([*out, left], -1).astype(np.float64)


def simulate(cell: Cell, runs: int, samples: tuple[int, ...], seed: int) -> dict[int, dict[str, Any]]:
    """Rates of one cell, by samples a task."""
    rng = np.random.default_rng(
        [seed, *map(ord, cell.scenario), cell.tasks, round(100 * cell.start), round(10 * cell.jitter)]
    )
    per_block = max(1, BLOCK // ((ROUNDS + 1) * cell.tasks))
    found: dict[int, list[tuple[Floats, Floats, Floats]]] = {n: [] for n in samples}
    for at in range(0, runs, per_block):
        for n, history in histories(cell, min(per_block, runs - at), samples, rng).items():
            found[n].append(_first(judge(history, planned=ROUNDS)))
    return {n: _rates(*(np.concatenate(part) for part in zip(*blocks, strict=True))) for n, blocks in found.items()}


def _first(judged: Judged) -> tuple[Floats, Floats, Floats]:
    """By run: the first round at level 2 and at level 1 (99: none), and the key of the smallest p at level 2."""

    def first(reached: Any) -> Floats:
        return np.where(reached.any(1), reached.argmax(1), 99)

    two = first(judged.level_R_T >= 2)
    at = np.minimum(two, ROUNDS)
    p = np.where(np.isnan(judged.p_R_T_K), np.inf, judged.p_R_T_K)[np.arange(len(two)), at]
    return two, first(judged.level_R_T >= 1), p.argmin(1)


def _rates(two: Floats, one: Floats, key: Floats) -> dict[str, Any]:
    reached = two < 99
    e = wilson(int(reached.sum()), len(two))
    return {
        "runs": len(two),
        "level_2": [round(e.value, 4), round(e.lo, 4), round(e.hi, 4)],
        "level_2_by_5": round(float((two <= 5).mean()), 4),
        "level_1": round(float((one < 99).mean()), 4),
        "keys": {name: int((key[reached] == k).sum()) for k, name in enumerate(KEYS)},
    }


def name_of(cell: Cell, samples: int) -> str:
    """The cell as a key of the results."""
    return f"{cell.scenario} | {cell.tasks} x {samples} | start {cell.start} | jitter {cell.jitter}"


def run_cell(
    cell: Cell, runs: int, power_runs: int, seed: int, samples: tuple[int, ...] = SAMPLES
) -> dict[int, dict[str, Any]]:
    """One cell's results by samples. A null above 2 % is simulated again with four times the runs."""
    null = cell.scenario in NULLS
    found = simulate(cell, runs if null else power_runs, samples, seed)
    doubtful = [n for n, row in found.items() if null and row["level_2"][0] > 0.02]
    again = simulate(cell, 4 * runs, samples, seed + 1) if doubtful else {}
    return found | {n: again[n] | {"first_look": found[n]["level_2"][0]} for n in doubtful}


def sight_of(tasks: int, runs: int, seed: int) -> dict[str, float]:
    """Whether the smallest fall that is told is seen: level 2 by the dev accuracy alone, from round 3 on, beside three other keys."""
    rng, jitter = np.random.default_rng([seed, tasks, 1]), 0.5
    fall = smallest_fall(tasks, discordance=0.08) or 0.0
    path = np.asarray([ability_of(0.6, jitter)] * 3 + [ability_of(0.6 - fall, jitter)] * (ROUNDS - 2))
    ability = rng.normal(0, SPREAD, (runs, 1, tasks)) + path[None, :, None]
    greedy = (ability + rng.normal(0, jitter, (runs, ROUNDS + 1, tasks)) > 0).astype(np.float64)
    none, rules = np.full((runs, ROUNDS + 1, 0), np.nan), dev_rules()
    beside = replace(rules, warn=rules.warn / len(KEYS), alarm=rules.alarm / len(KEYS))
    judged = judge(History(greedy, none, none, none), planned=ROUNDS, rules=beside)
    return {"fall": fall, "seen": round(float((judged.level_R_T >= 2).any(1).mean()), 3)}


def selection_of(tasks: int, runs: int, seed: int, start: float = 0.42) -> dict[str, float]:
    """Ten equal noisy rounds: how far the highest accuracy, the kept round's and the cross-fitted one lie above the truth, and
    how often the intervals of the last one hold it."""
    rng, names, jitter = np.random.default_rng([seed, tasks, 2]), [f"t{i:04d}" for i in range(tasks)], 1.0
    found = []
    for _ in range(runs):
        ability = ability_of(start, jitter) + rng.normal(0, SPREAD, tasks) + rng.normal(0, jitter, (ROUNDS + 1, tasks))
        greedy = (ability > 0).astype(float)
        rounds = [DevRound(t, dict(zip(names, row.tolist(), strict=True))) for t, row in enumerate(greedy)]
        fair = best_unbiased(rounds)
        assert fair is not None
        kept, highest = greedy[best_round_of(rounds) or 0].mean(), greedy.mean(1).max()
        inside = fair.accuracy.lo <= start <= fair.accuracy.hi, fair.change.lo <= 0 <= fair.change.hi
        above = [x - start for x in (highest, kept, fair.accuracy.value)]
        found.append([*above, fair.change.value, *map(float, inside)])
    columns = ("highest", "kept", "unbiased", "unbiased_change", "unbiased_covers", "change_covers")
    return {name: round(float(x), 4) for name, x in zip(columns, np.mean(found, axis=0), strict=True)}


def missed_bars(results: dict[str, Any]) -> list[str]:
    """What does not meet its bar."""
    out = []
    for name, row in results.items():
        scenario, size, start, _ = name.split(" | ")
        reached = row["level_2"][0]
        if scenario in NULLS and reached > MOST_FALSE:
            out.append(f"{name}: level 2 in {reached:.1%}, more than {MOST_FALSE:.0%}")
        if (size, start) == ("100 x 8", "start 0.42") and reached < BARS.get(scenario, 0):
            out.append(f"{name}: level 2 in {reached:.1%}, fewer than {BARS[scenario]:.0%}")
    return out


def table(results: dict[str, Any]) -> str:
    """Worst null and power by size, start and samples, in %."""
    lines = ["| tasks x samples | start | worst null | " + " | ".join(COLLAPSES) + " |"]
    lines.append("|" + "---|" * (3 + len(COLLAPSES)))
    found = {tuple(name.split(" | ")[1:3]) for name in results}
    places = sorted(found, key=lambda one: (*map(int, one[0].split(" x ")), one[1]))
    for size, start in places:
        rows = {name: row for name, row in results.items() if name.split(" | ")[1:3] == [size, start]}
        worst = max(row["level_2"][0] for name, row in rows.items() if name.split(" | ")[0] in NULLS)
        cells_ = [
            next((f"{100 * row['level_2'][0]:.0f}" for name, row in rows.items() if name.split(" | ")[0] == c), "")
            for c in COLLAPSES
        ]
        lines.append(f"| {size} | {start.removeprefix('start ')} | {100 * worst:.1f} | " + " | ".join(cells_) + " |")
    return "\n".join(lines)


def main() -> None:
    """Runs all cells, or prints a file of results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=1000, help="of each null")
    parser.add_argument("--power-runs", type=int, default=400, help="of each collapse")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--starts", type=float, nargs="+", default=list(STARTS))
    parser.add_argument(
        "--json", type=Path, help="written after each cell; cells that it holds already are not run again"
    )
    parser.add_argument("--table", type=Path, help="print the tables of a file of results, and nothing else")
    args = parser.parse_args()
    if args.table:
        show(json.loads(args.table.read_text()))
        return
    head: dict[str, Any] = {"rules_sha256": rules_hash(), "rounds": ROUNDS, "seed": args.seed}
    head["versions"] = {"python": platform.python_version(), "numpy": np.__version__}
    before = json.loads(args.json.read_text()) if args.json and args.json.is_file() else {}
    results = before["results"] if {key: before.get(key) for key in head} == head else {}
    spent = before.get("cpu_seconds", 0.0) if results else 0.0
    out = head | {"results": results}
    known = before if results else {}
    out["sight"] = {**known.get("sight", {}), **{str(n): sight_of(n, args.power_runs, args.seed) for n in args.sizes}}
    out["selection"] = dict(known.get("selection", {}))
    for tasks in args.sizes:
        for start in STARTS:
            out["selection"][f"{tasks} | start {start}"] = selection_of(tasks, args.power_runs, args.seed, start)
    for cell in cells(tuple(args.sizes), tuple(args.starts)):
        if name_of(cell, SAMPLES[0]) in results:
            continue
        at_bar = cell.scenario in BARS and (cell.tasks, cell.start) == (100, 0.42)
        found = run_cell(cell, args.runs, args.runs if at_bar else args.power_runs, args.seed)
        for n, row in found.items():
            results[name_of(cell, n)] = row
            print(f"{name_of(cell, n):72s} {row['level_2'][0]:.3f} {row['keys']}", flush=True)
        out |= {"cpu_seconds": round(spent + time.process_time(), 1), "missed": missed_bars(results)}
        if args.json:
            args.json.write_text(json.dumps(out, indent=1) + "\n")
    show(out)


def show(out: dict[str, Any]) -> None:
    """Prints the tables."""
    print(table(out["results"]))
    for tasks, row in out["sight"].items():
        print(
            f"{tasks} tasks: a fall of {row['fall']} is told as the smallest that 80 % of runs show; seen in {row['seen']:.0%}"
        )
    for tasks, row in out["selection"].items():
        print(f"{tasks}, ten equal rounds, above the truth: {row}")
    print("\n".join(missed_bars(out["results"])) or "all bars are met")


if __name__ == "__main__":
    main()
