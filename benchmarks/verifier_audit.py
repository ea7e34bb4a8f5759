"""The audit of a verifier, simulated: how often its intervals hold the truth, and what Youden's J says of filtered retraining.

`python benchmarks/verifier_audit.py [--rounds N] [--json FILE]`

Coverage: rounds of tasks with a known error rate, phi = P(kept | right) and psi = P(kept | wrong) are audited with `audit.share` .05
(at least 8, at most 200 of each stratum) or 1, and each interval is compared with the truth. "by task": right and wrong attempts
gather in tasks, and the verifier errs in the same way at all attempts of a task. "nested": the second check only adds tests.

Retraining: every task has 4 right and 12 wrong solutions. In each round 64 attempts a task are drawn, right ones are kept with
probability phi and wrong ones with psi, and the next student draws in proportion to what was kept (the training rows replace one
another, and the fit is exact). Its accuracy is compared with the law: odds times phi / psi a round. Power: how often the interval of J
is below or above 0, by the number of attempts that are judged again.
"""

import argparse
import json
import platform
from pathlib import Path
from typing import NamedTuple

import numpy as np

from selfplay import __version__
from selfplay.verify.audit_rates import Audit, Stratum, audit, sample, worth

SIZES = ((32, 4), (100, 8), (500, 8))
LAWS = ((0.9, 1.0, 0.2), (0.9, 1.0, 0.5), (0.9, 0.8, 0.6), (0.5, 0.5, 0.5), (0.2, 0.3, 0.6), (0.4, 0.5, 0.6))
"""Error rate of the first student, phi and psi."""
RIGHT, WRONG = 4, 12
"""Solutions of a task in the simulation of retraining."""
Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


class World(NamedTuple):
    """How attempts and verdicts of a round are drawn."""

    tasks: int
    samples: int
    error: float
    phi: float
    psi: float
    by_task: bool = False
    nested: bool = False
    share: float = 0.05


WORLDS = [
    World(*size, error, phi, psi, by_task, nested, share)
    for size in SIZES
    for error, phi, psi in (
        (0.9, 1.0, 0.2),
        (0.2, 0.3, 0.6),
        (0.5, 0.5, 0.5),
        (0.5, 0.9, 0.1),
        (0.95, 0.8, 0.02),
        (0.05, 0.97, 0.6),
        (0.3, 1.0, 0.0),
        (0.7, 0.6, 0.0),
    )
    for by_task in (False, True)
    for nested in (False, True)
    for share in (0.05, 1.0)
    if not (nested and phi < 1)
]


def audited(world: World, seed: int) -> Audit:
    """One round of the world, audited as in a run."""
    rng = np.random.default_rng(seed)
    shape = (world.tasks, world.samples)
    spread = 1.0 if world.by_task else 1e6
    wrong_share = rng.beta(world.error * spread, (1 - world.error) * spread, (world.tasks, 1))
    right = rng.random(shape) >= wrong_share
    luck = np.broadcast_to(rng.random((world.tasks, 1)), shape) if world.by_task else rng.random(shape)
    kept = luck < np.where(right, world.phi, world.psi)
    names = np.repeat(np.arange(world.tasks), world.samples).astype(str)
    kept_side = _stratum(right.ravel()[kept.ravel()], names[kept.ravel()], world.share, seed, "accepted")
    all_worth = worth(names)
    if world.nested:
        return audit(kept_side, None, known_wrong=int((~kept).sum()), attempts_worth=all_worth)
    lost_side = _stratum(right.ravel()[~kept.ravel()], names[~kept.ravel()], world.share, seed, "rejected")
    return audit(kept_side, lost_side, attempts_worth=all_worth)


def _stratum(
    right: "np.ndarray[tuple[int], np.dtype[np.bool_]]", names: Floats, share: float, seed: int, kind: str
) -> Stratum:
    most = min(share, 200 / max(1, right.size))
    drawn = sample(right.size, most, seed, kind, at_least=8)
    found = int(right[drawn].sum())
    return Stratum(right.size, found, len(drawn) - found, worth(names[drawn]))


def truths(world: World) -> dict[str, float]:
    """The true rates of a world by key; a margin and p* only where the verifier keeps something."""
    phi, psi, error = world.phi, world.psi, world.error
    kept = (1 - error) * phi + error * psi
    rates = {"verifier_tpr": phi, "verifier_fpr": psi, "verifier_youden_j": phi - psi, "verifier_error": error}
    p_star = phi / (phi + psi)
    return {
        **rates,
        "verifier_precision": (1 - error) * phi / kept,
        "breakdown_error": p_star,
        "breakdown_error_margin": p_star - error,
    }


def coverage(world: World, rounds: int) -> dict[str, list[float]]:
    """Key -> [share of the shown intervals that hold the truth, share of rounds that show one, mean width, narrowest one]."""
    truth = truths(world)
    held: dict[str, list[tuple[bool, float]]] = {key: [] for key in truth}
    for seed in range(rounds):
        found = audited(world, seed).metrics("x")
        for key, value in truth.items():
            if f"x/{key}" in found:
                low, high = found[f"x/{key}_lo"], found[f"x/{key}_hi"]
                held[key].append((low - 1e-9 <= value <= high + 1e-9, high - low))
    return {key: _summary(rows, rounds) for key, rows in held.items() if rows}


def _summary(rows: list[tuple[bool, float]], rounds: int) -> list[float]:
    widths = [width for _, width in rows]
    figures = (np.mean([good for good, _ in rows]), len(rows) / rounds, np.mean(widths), min(widths))
    return [round(float(figure), 3) for figure in figures]


def retrain(
    error: float, phi: float, psi: float, *, rounds: int = 8, tasks: int = 1500, attempts: int = 64, seed: int = 0
) -> tuple[list[float], list[Audit]]:
    """Accuracy of each student, and the audit of each round's filter from 200 attempts of each stratum."""
    rng = np.random.default_rng(seed)
    p_TM = np.concatenate(
        [np.full((tasks, RIGHT), (1 - error) / RIGHT), np.full((tasks, WRONG), error / WRONG)], axis=1
    )
    accuracy, found = [float(p_TM[:, :RIGHT].sum(1).mean())], []
    for _ in range(rounds):
        drawn_TM = np.stack([rng.multinomial(attempts, p_M) for p_M in p_TM])
        kept_TM = np.concatenate(
            [rng.binomial(drawn_TM[:, :RIGHT], phi), rng.binomial(drawn_TM[:, RIGHT:], psi)], axis=1
        )
        found.append(audit(_drawn(kept_TM, rng), _drawn(drawn_TM - kept_TM, rng)))
        total_T1 = kept_TM.sum(1, keepdims=True)
        p_TM = np.where(total_T1 > 0, kept_TM / np.maximum(total_T1, 1), p_TM)
        accuracy.append(float(p_TM[:, :RIGHT].sum(1).mean()))
    return accuracy, found


def power(error: float, phi: float, psi: float, size: int, rounds: int, attempts: int = 800) -> list[float]:
    """[share of rounds whose interval of J is below 0, share above 0, mean width] with `size` of each stratum judged again."""
    rng = np.random.default_rng(size)
    right, wrong = (1 - error) * attempts, error * attempts
    found = []
    for _ in range(rounds):
        sides = []
        for good, bad in ((right * phi, wrong * psi), (right * (1 - phi), wrong * (1 - psi))):
            total = round(good + bad)
            drawn = min(size, total)
            seen = int(rng.binomial(drawn, good / (good + bad)))
            sides.append(Stratum(total, seen, drawn - seen))
        j = audit(*sides, attempts_worth=attempts / 8).youden_j
        found += [(j.hi < 0, j.lo > 0, j.hi - j.lo)] if j else []
    return [round(float(figure), 3) for figure in np.mean(found, axis=0)]


def powers(rounds: int) -> list[dict[str, list[float]]]:
    """`power` of 800 attempts at 100 tasks, for each setting of `LAWS` and 8 to 100 attempts of each stratum."""
    rows = []
    for error, phi, psi in LAWS:
        sizes = {str(size): power(error, phi, psi, size, rounds) for size in (8, 16, 32, 64, 100)}
        rows.append({"error, phi, psi": [error, phi, psi], **sizes})
        print(json.dumps(rows[-1]))
    return rows


def _drawn(counts_TM: Floats, rng: np.random.Generator) -> Stratum:
    right, total = int(counts_TM[:, :RIGHT].sum()), int(counts_TM.sum())
    size = min(200, total)
    seen = int(rng.hypergeometric(right, total - right, size)) if size else 0
    return Stratum(total, seen, size - seen)


def law(error: float, phi: float, psi: float, rounds: int = 8) -> list[float]:
    """Accuracy by the law: the odds of a right attempt times phi / psi in each round."""
    odds = [(1 - error) / error * (phi / psi) ** number for number in range(rounds + 1)]
    return [one / (1 + one) for one in odds]


def laws() -> list[dict[str, list[float] | None]]:
    """Each setting of `LAWS`, simulated and by the law, with J and the margin to p* in its first round."""
    rows = []
    for error, phi, psi in LAWS:
        accuracy, found = retrain(error, phi, psi)
        j, margin = found[0].youden_j, found[0].margin
        rows.append(
            {
                "error, phi, psi": [error, phi, psi],
                "accuracy": [round(one, 3) for one in accuracy],
                "law": [round(one, 3) for one in law(error, phi, psi)],
                "J": [round(one, 3) for one in (j.value, j.lo, j.hi)] if j else None,
                "p* - error": [round(one, 3) for one in (margin.value, margin.lo, margin.hi)] if margin else None,
            }
        )
        print(json.dumps(rows[-1]))
    return rows


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=400, help="rounds that are simulated in each world")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    args = parser.parse_args()
    simulated, powered, rows = laws(), powers(args.rounds), []
    for world in WORLDS:
        found = coverage(world, args.rounds)
        rows.append({"world": world._asdict(), "coverage": found})
        print(*world, {key: row[0] for key, row in found.items()}, flush=True)
    worst: dict[str, list[float]] = {}
    for row in rows:
        for key, figures in row["coverage"].items():
            worst[key] = min(worst.get(key, figures), figures)
    print("worst coverage", {key: figures[0] for key, figures in worst.items()})
    if args.json:
        versions = {"python": platform.python_version(), "selfplay": __version__}
        figures = {"rounds": args.rounds, "worst": worst, "coverage": rows, "retraining": simulated, "power": powered}
        args.json.write_text(json.dumps({"versions": versions, **figures}) + "\n")


if __name__ == "__main__":
    main()
