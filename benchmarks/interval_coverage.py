"""How often a nominal 95 % interval holds the truth, for every interval that a run writes, by simulation.

Students are simulated task by task: pass rates of three shapes (U: most tasks always or never solved; wide: one hump;
equal: one rate for all), four solutions a task of unequal shares; a second round of an unchanged student, and of one
that falls and narrows. The truth is the same figure on a great many tasks. The
figures come from the functions that a run calls.

    python -m benchmarks.interval_coverage --json benchmarks/results/interval_coverage-DATE.json    # 7 minutes of CPU
    python -m benchmarks.interval_coverage --parts wording --json FILE.json    # replaces this part of the file
    python -m benchmarks.interval_coverage --show FILE.json                    # the table for docs/collapse.md
"""

import argparse
import json
import platform
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from selfplay.collapse import (
    DevSet,
    bounded_mean,
    dev_set_metrics,
    likelihood_metrics,
    mean_of,
    paired_delta,
    ratio_of_sums,
)
from selfplay.collapse.estimate import Floats
from selfplay.runtime.metrics.wording import Wording

SIZES = ((32, 4), (100, 8), (500, 8))
RATES = (0.05, 0.2, 0.5, 0.8, 0.97)
SHAPES = ("U", "wide", "equal")
CHANGES = {"none": (0.0, 0.0, 1.0), "falls": (-0.7, 0.4, 1.5)}
"""Change -> mean and spread of the shift of a task's log odds, and the power that its solutions' shares are raised to."""
TEXTS = (40, 100, 400)
PARTS = ("dev", "drift", "likelihood", "wording")
BAR = 0.9
NEAR, AGAIN = 0.01, 5
"""A cell within so much of the bar is simulated five times as often, so that luck does not decide."""
SHOWN_OFTEN = 0.02
"""A cell counts where the interval is shown in more than this share of the simulated rounds."""
Truth = Mapping[str, float]
Cells = dict[str, dict[str, list[float]]]
"""Key -> size -> [worst coverage over the cells that show it, share of rounds that show it, cells]."""


# ---- students ----


def pass_rates(shape: str, rate: float, tasks: int, rng: np.random.Generator) -> Floats:
    """(P,) chances of a right attempt, with mean `rate`."""
    if shape == "equal":
        return np.full(tasks, rate)
    if shape == "wide":
        return rng.beta(3 * rate, 3 * (1 - rate), tasks)
    odds = 0.4 * rate / (1 - rate) if rate < 0.5 else 0.4
    return rng.beta(odds, odds * (1 - rate) / rate, tasks)


def solution_shares(tasks: int, rng: np.random.Generator) -> Floats:
    """(P, 4) shares of the solutions among right attempts."""
    shares = rng.gamma(0.6, size=(tasks, 4)) + 1e-12
    return np.asarray(shares / shares.sum(1, keepdims=True))


def changed(rates: Floats, shares: Floats, change: str, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """The student of a later round."""
    shift, spread, power = CHANGES[change]
    if change == "none":
        return rates, shares
    inside = np.clip(rates, 1e-9, 1 - 1e-9)
    odds = np.log(inside / (1 - inside)) + shift + spread * rng.normal(size=rates.size)
    narrowed = shares**power
    return 1 / (1 + np.exp(-odds)), narrowed / narrowed.sum(1, keepdims=True)


def attempted(rates: Floats, shares: Floats, n: int, rng: np.random.Generator) -> DevSet:
    """n attempts at each task; wrong ones give one of three answers."""
    right = rng.binomial(n, rates)
    modes, left, rest = np.zeros(shares.shape, dtype=int), right.copy(), np.ones(rates.size)
    for j in range(shares.shape[1]):
        last = j == shares.shape[1] - 1
        chance = 1.0 if last else np.clip(shares[:, j] / np.maximum(rest, 1e-12), 0, 1)
        modes[:, j] = rng.binomial(left, chance)
        left, rest = left - modes[:, j], rest - shares[:, j]
    wrong = rng.multinomial(n - right, [0.6, 0.3, 0.1])
    clusters = tuple(tuple(x for x in row if x) for row in modes.tolist())
    answers = tuple(c + tuple(x for x in row if x) for c, row in zip(clusters, wrong.tolist(), strict=True))
    names = tuple(f"t{i}" for i in range(rates.size))
    tail = tuple(i % 4 == 0 for i in range(rates.size))
    return DevSet(names, (n,) * rates.size, tuple(right.tolist()), clusters, answers, tail=tail)


def counted(truth: Truth, figures: Mapping[str, float], held: dict[str, list[int]]) -> None:
    """Adds one round's figures to (rounds, shown, held) of each key."""
    for key, value in truth.items():
        entry = held.setdefault(key, [0, 0, 0])
        entry[0] += 1
        if f"{key}_lo" in figures:
            entry[1] += 1
            entry[2] += figures[f"{key}_lo"] - 1e-9 <= value <= figures[f"{key}_hi"] + 1e-9


# ---- what is simulated: cells of (name, truth, one round's figures) ----

Cell = tuple[str, Truth, Callable[[np.random.Generator], Mapping[str, float]]]


def values_of(figures: Mapping[str, float]) -> dict[str, float]:
    """The figures without the ends of their intervals."""
    return {k: v for k, v in figures.items() if not k.endswith(("_lo", "_hi", "_expected"))}


def dev_set_cells(tasks: int, n: int, many: int, only: str = "") -> Iterator[Cell]:
    """All keys of the dev set's samples, and greedy accuracy with its change; `only` cells whose name starts so ("U 0.05")."""
    for shape, rate, change in product(SHAPES, RATES, CHANGES):
        if not f"{shape} {rate} {change}".startswith(only):
            continue
        figures = partial(dev_set_figures, size=tasks, n=n, shape=shape, rate=rate, change=change)
        truth = values_of(figures(np.random.default_rng(1), size=many))
        if change == "none":
            truth |= {key: 0.0 for key in truth if key.endswith("_delta")}
        yield f"{shape} {rate} {change}", truth, figures


def dev_set_figures(
    rng: np.random.Generator, *, size: int, n: int, shape: str, rate: float, change: str
) -> dict[str, float]:
    """The figures of two rounds of one simulated student on `size` tasks, with n attempts each."""
    before, shares = pass_rates(shape, rate, size, rng), solution_shares(size, rng)
    after, narrowed = changed(before, shares, change, rng)
    first, now = attempted(before, shares, n, rng), attempted(after, narrowed, n, rng)
    ks = tuple(k for k in (1, 2, 4, 8) if k <= n)
    return dev_set_metrics(now, first, ks=ks) | greedy(before, after, change, rng)


def greedy(before: Floats, after: Floats, change: str, rng: np.random.Generator) -> dict[str, float]:
    """Greedy accuracy of two rounds: an unchanged student answers the same but for a few, as in floating point."""
    place = rng.random(before.size)
    again = np.where(rng.random(before.size) < 0.03, rng.random(before.size), place)
    first, now = (place < before).astype(float), (again < (before if change == "none" else after)).astype(float)
    change_of = paired_delta(now, first, span=1.0)
    return bounded_mean(now).keyed("eval/greedy_accuracy") | change_of.keyed("eval/greedy_accuracy_delta")


def drift_cells(tasks: int, n: int, many: int) -> Iterator[Cell]:
    """Nats and lengths: skewed by task, and a divergence that few tasks carry."""
    for name, spread, far in (("near", 0.3, 1.0), ("far", 0.8, 10.0), ("few tasks", 1.2, 30.0)):

        def figures(
            rng: np.random.Generator, size: int = tasks, spread: float = spread, far: float = far
        ) -> dict[str, float]:
            lengths = np.round(20 + rng.gamma(2.0, 15.0 * spread, (size, n)))
            nats = lengths * np.exp(rng.normal(-1, spread, (size, 1)))
            moved = rng.gamma(1 / spread, far * spread, size) + rng.normal(0, 1, size)
            mean = lengths.mean(1)
            cut = rng.beta(0.2, 2.0, size) if spread > 1 else np.full(size, 0.05)
            truncated = rng.binomial(n, cut) / n
            later = rng.normal(0.1, spread, size)
            found = {
                "collapse_drift/kl_fwd_seq": mean_of(moved),
                "collapse_drift/kl_fwd_tok": ratio_of_sums(moved, lengths[:, 0]),
                "collapse_drift/token_entropy_free": ratio_of_sums(nats.sum(1), lengths.sum(1), least=0.0),
                "collapse_drift/token_entropy_ref_prefix_delta": paired_delta(later, np.zeros(size)),
                "collapse_drift/len_mean": mean_of(mean, least=0.0),
                "collapse_drift/trunc_rate": bounded_mean(truncated, np.full(size, n), trials=n),
            }
            return {k: v for key, e in found.items() for k, v in e.keyed(key).items()}

        yield name, values_of(figures(np.random.default_rng(2), many)), figures


LAWS: dict[str, Callable[[np.random.Generator, int], Floats]] = {
    "lognormal .5": lambda rng, size: np.exp(rng.normal(-3, 0.5, size)),
    "lognormal .8": lambda rng, size: np.exp(rng.normal(-3, 0.8, size)),
    "gamma 2": lambda rng, size: rng.gamma(2.0, 0.5, size),
}


def likelihood_cells(texts: int, many: int) -> Iterator[Cell]:
    """Nats a token of human texts, one mean a text, and their changes."""
    for name, law in LAWS.items():

        def figures(
            rng: np.random.Generator, size: int = texts, law: Callable[[np.random.Generator, int], Floats] = law
        ) -> dict[str, float]:
            first = law(rng, size)
            now = first * np.exp(rng.normal(0.05, 0.2, size))
            return likelihood_metrics(now[:, None], first[:, None])

        yield name, values_of(figures(np.random.default_rng(3), many)), figures


def wording_cells(tasks: int, n: int) -> Iterator[Cell]:
    """Keys of wording, from samples that share their task's words; the truth is the mean over 60 rounds of one student."""
    rng = np.random.default_rng(4)
    shares = 1 / np.arange(1, 3001)
    shares /= shares.sum()
    topics = [rng.choice(3000, 40, p=shares) for _ in range(tasks)]

    def view(rng: np.random.Generator, baseline: Any) -> Any:
        rows = []
        for topic in topics:
            for _ in range(n):
                own, common = rng.choice(topic, 12), rng.choice(3000, 12, p=shares)
                words = topic[:6] if rng.random() < 0.15 else rng.permutation(np.concatenate([own, common]))
                rows.append({"text": " ".join(f"w{x}" for x in words)})
        return SimpleNamespace(judged=lambda part: (rows, 0), baseline=baseline)

    kept = Wording().compute(view(rng, None)).kept

    def figures(rng: np.random.Generator) -> Mapping[str, float]:
        return Wording().compute(view(rng, kept)).figures

    seen: dict[str, list[float]] = defaultdict(list)
    for seed in range(60):
        for key, value in values_of(figures(np.random.default_rng([5, seed]))).items():
            seen[key].append(value)
    yield "one student", {key: float(np.mean(found)) for key, found in seen.items()}, figures


# ---- running and showing ----


def run(cells: Iterator[Cell], size: str, rounds: int, out: dict[str, dict[str, Any]]) -> None:
    """Adds {size: {cell: {key: [shown share, coverage]}}}."""
    table = out.setdefault(size, {})
    for name, truth, figures in cells:
        started, held = time.process_time(), dict[str, list[int]]()
        for i in range(rounds):
            counted(truth, figures(np.random.default_rng([7, i])), held)
        near = any(hit < (BAR + NEAR) * seen for _, seen, hit in held.values())
        for i in range(rounds, AGAIN * rounds if near else rounds):
            counted(truth, figures(np.random.default_rng([7, i])), held)
        table[name] = {
            key: [round(shown / of, 4), round(hit / shown, 4)] for key, (of, shown, hit) in held.items() if shown
        }
        print(f"{size:16s} {name:24s} {time.process_time() - started:6.1f} s", flush=True)


def simulate(args: argparse.Namespace, out: dict[str, dict[str, Any]]) -> None:
    """The cells that were asked for."""
    parts, rounds, many = args.parts, args.rounds, args.many
    for tasks, n in [size for size in SIZES if size[0] in args.sizes]:
        size, few = f"{tasks} x {n}", max(1, rounds if tasks < 500 else rounds // 2)
        if "dev" in parts:
            run(dev_set_cells(tasks, n, many, args.only), size, few, out)
        if "drift" in parts:
            run(drift_cells(tasks, n, many), size, few, out)
        if "wording" in parts:
            run(wording_cells(tasks, n), size, max(1, few // 5), out)
    for texts in TEXTS if "likelihood" in parts else ():
        run(likelihood_cells(texts, many), f"{texts} texts", rounds, out)


def worst(out: Mapping[str, Mapping[str, Mapping[str, list[float]]]]) -> Cells:
    """By key and size: the least coverage over cells, the greatest share of rounds that show the interval, and the cells."""
    found: Cells = defaultdict(dict)
    for size, cells in out.items():
        often = [(key, *row) for keys in cells.values() for key, row in keys.items() if row[0] > SHOWN_OFTEN]
        for key, shown, coverage in often:
            entry = found[key].setdefault(size, [1.0, 0.0, 0])
            found[key][size] = [min(entry[0], coverage), max(entry[1], shown), entry[2] + 1]
    return found


def shown(out: Mapping[str, Any]) -> str:
    """The table: key against size, the worst coverage in each; - where no interval is shown."""
    sizes = list(out)
    lines = ["| key | " + " | ".join(sizes) + " |", "|---" * (len(sizes) + 1) + "|"]
    for key, by_size in sorted(worst(out).items()):
        entries = [f"{by_size[s][0]:.2f}" if s in by_size else "-" for s in sizes]
        lines.append(f"| `{key}` | " + " | ".join(entries) + " |")
    return "\n".join(lines)


def main() -> None:
    """Simulates and writes the result, or shows the table of a result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--sizes", nargs="+", type=int, default=[tasks for tasks, _ in SIZES], help="numbers of tasks")
    parser.add_argument("--only", default="", help="cells of the dev set whose name starts so, such as U")
    parser.add_argument("--rounds", type=int, default=400)
    parser.add_argument("--many", type=int, default=30_000, help="tasks of the truth")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--show", type=Path)
    args = parser.parse_args()
    if args.show:
        print(shown(json.loads(args.show.read_text())["coverage"]))
        return
    out = json.loads(args.json.read_text())["coverage"] if args.json and args.json.is_file() else {}
    simulate(args, out)
    print(shown(out))
    low = [(k, s, e[0]) for k, sizes in worst(out).items() for s, e in sizes.items() if e[0] < BAR]
    print(f"below {BAR}: {low or 'none'}")
    if args.json:
        head = {
            "rounds": args.rounds,
            "tasks_of_the_truth": args.many,
            "rates": RATES,
            "shapes": SHAPES,
            "changes": CHANGES,
            "entry": "[share of rounds that show the interval, share of those that hold the truth]",
            "versions": {"python": platform.python_version(), "numpy": np.__version__},
        }
        args.json.write_text(json.dumps(head | {"below_bar": low, "coverage": out}, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
