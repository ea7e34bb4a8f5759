"""Runs one level of the collapse lab, prints its bars, and writes curves and pictures.

python -m benchmarks.collapse_lab 0 --out results/
"""

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfplay.errors import ConfigError

if TYPE_CHECKING:
    from benchmarks.collapse_lab.laws import Check

Series = dict[str, list[tuple[float, float, float | None, float | None]]]


@dataclass(frozen=True)
class _Asked:
    """What the command line says."""

    full: bool = False
    device: str | None = None
    seed: int | None = None
    draws: int | None = None


def run_level(
    level: int,
    *,
    full: bool = False,
    device: str | None = None,
    seed: int | None = None,
    draws: int | None = None,
    out: Path | None = None,
) -> int:
    """Runs one level and prints each bar with its prediction, its measurement and whether it holds.

    Level 0 checks closed-form laws, level 1 is a bigram language model; both take seconds. Level 2 trains transformers on
    the expression language: by default at the smoke size (two cores, under five minutes), with `full` at the registered
    size (one large GPU). `device` overrides the setting's. `seed`: None for the registered one. `draws`: transitions a round
    of level 1 for all its bars, None for the registered sizes. `out`: a folder for results.json and one SVG per curve.
    Returns 0 if every bar holds, else 1. Raises ConfigError for another level or an option that the level lacks.
    """
    runs = {0: _laws, 1: _bigram, 2: _expressions}
    if level not in runs:
        raise ConfigError(f"lab: level is {level}, which is no level; give 0, 1 or 2")
    if level < 2 and (full or device):
        raise ConfigError(f"lab: level {level} has no such size and runs on the CPU; leave out --full and --device")
    if draws is not None and (level != 1 or draws < 1):
        raise ConfigError(f"lab: draws is {draws} at level {level}; give a number from 1 on, at level 1 only")
    checks, charts = runs[level](_Asked(full, device, seed, draws))
    _print(level, checks)
    if out is not None:
        _save(out, level, checks, charts)
    return 0 if all(check.holds for check in checks) else 1


def _laws(asked: _Asked) -> tuple[list["Check"], dict[str, Series]]:
    from benchmarks.collapse_lab.laws import check_laws

    return check_laws(asked.seed or 0), {}


def _bigram(asked: _Asked) -> tuple[list["Check"], dict[str, Series]]:
    from benchmarks.collapse_lab.bars import level_1, level_1_variety
    from benchmarks.collapse_lab.bigram import SPARSE_DRAWS, Setting, run_all

    size = Setting() if asked.seed is None else Setting(seed=asked.seed)
    curves = run_all(replace(size, draws=asked.draws or size.draws))
    pair = ("verified_replace", "verified_accumulate")
    sparse = curves if asked.draws else run_all(replace(size, draws=SPARSE_DRAWS), pair)
    charts: dict[str, Series] = {}
    names = {"loss": "loss, nats a word", "variety": "variety of right followers", "coverage": "rare items met"}
    for name, title in names.items():
        charts[title] = {
            arm: [(float(t), float(y), None, None) for t, y in enumerate(c.mean(name))] for arm, c in curves.items()
        }
    return level_1(curves) + level_1_variety(sparse), charts


def _expressions(asked: _Asked) -> tuple[list["Check"], dict[str, Series]]:
    from benchmarks.collapse_lab.bars import level_2
    from benchmarks.collapse_lab.expressions import SMOKE, Setting, run

    setting = replace(Setting() if asked.full else SMOKE, seed=asked.seed or 0)
    if asked.device:
        setting = replace(setting, device=asked.device)
    members = run(setting, lambda line: print(line, flush=True))
    keys = {
        "loss, nats a token": "loss",
        "pass@1": "eval/pass_at_1",
        "pass@n": "eval/pass_at_n",
        "unique correct@16": "collapse_diversity/unique_correct_at_16",
        "rare items met": "collapse_tails/rare_item_coverage",
        "alarm level": "level",
    }
    charts: dict[str, Series] = {}
    for title, key in keys.items():
        charts[title] = {
            arm: _mean_points([[row.get(key, math.nan) for row in m.rows] for m in members if m.arm == arm])
            for arm in setting.arms
        }
    return level_2(members), charts


def _mean_points(rows: Sequence[Sequence[float]]) -> list[tuple[float, float, float | None, float | None]]:
    """Mean over seeds, with the range of the seeds if there are several."""
    columns = [[y for y in column if math.isfinite(y)] for column in zip(*rows, strict=True)]
    return [
        (float(t), sum(c) / len(c), min(c) if len(c) > 1 else None, max(c) if len(c) > 1 else None)
        for t, c in enumerate(columns)
        if c
    ]


def _print(level: int, checks: Sequence["Check"]) -> None:
    from selfplay.cli.terminal import print_table

    if not checks:
        print(f"Collapse lab, level {level}: too few rounds to judge a bar at this size")
        return
    rows = [[c.name, f"{c.predicted:.3g}", f"{c.measured:.3g}", c.bar, "holds" if c.holds else "FAILS"] for c in checks]
    print_table(f"Collapse lab, level {level}", ["bar", "predicted", "measured", "rule", ""], rows)


def _save(out: Path, level: int, checks: Sequence["Check"], charts: Mapping[str, Series]) -> None:
    from selfplay.report.svg import line_chart, standalone

    out.mkdir(parents=True, exist_ok=True)
    data: dict[str, Any] = {
        "level": level,
        "bars": [check.to_dict() for check in checks],
        "curves": charts,
    }
    (out / "results.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    for title, series in charts.items():
        name = "".join(c if c.isalnum() else "-" for c in title.partition(",")[0])
        picture = standalone(line_chart(series, title, "round", "", width=640, height=360))
        (out / f"level-{level}-{name}.svg").write_text(picture, encoding="utf-8")


def main() -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.collapse_lab",
        description="Does the collapse monitor raise an alarm where collapse is known to happen, and only there?",
    )
    parser.add_argument(
        "level", type=int, help="0: laws (seconds); 1: bigram model (seconds); 2: transformers (minutes)"
    )
    parser.add_argument("--full", action="store_true", help="level 2 at its registered size; needs one large GPU")
    parser.add_argument("--device", help="cpu or cuda, for level 2")
    parser.add_argument("--seed", type=int, help="seed of all arms; default: the registered one")
    parser.add_argument("--draws", type=int, help="transitions a round for all bars of level 1, such as 6000")
    parser.add_argument("--out", type=Path, help="folder for results and curves")
    given = parser.parse_args()
    try:
        return run_level(**vars(given))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
