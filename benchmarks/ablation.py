"""Plain STaR against the loop's defaults, on list programs: equal samples a round, equal optimiser steps, several seeds.

    python benchmarks/ablation.py --seeds 0 1 2 --rounds 6 --json benchmarks/results/ablation-DATE.json --picture docs/dev/pictures

- `star` (Zelikman et al. 2022): tasks of all lengths alike, every right attempt of the round kept, the newest round alone
  trained on, from the warmed-up student anew.
- `defaults`: accumulate with the anchor, copies dropped by text and by canonical program, cap a task with emphasis on the hard ones,
  curriculum at the level.
- `defaults-correction`: the same with a third of the samples spent on second tries at failed attempts.
- `defaults-no-curriculum`: the defaults on tasks of all lengths alike.

Runs that are in --runs-dir already are resumed. The rows of every arm and the dev set's sampler are the same for a seed.
"""

import argparse
import json
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any

from quickstart import ROOT, mean_of, played

from selfplay import open_run
from selfplay.report import svg

SHARED = [
    "eval.samples=16",
    "eval.sample_tasks=60",
    "generate.samples_mastered=null",
    "gate.action=observe",
    "train.steps=80",
]
EVENLY = ["propose.curriculum=null", "curate.above_level_share=null"]
DEFAULTS = ["curate.emphasis_floor=0.5"]
ARMS = {
    "star": [
        *EVENLY,
        "curate.regime=replace",
        "curate.dedup=[]",
        "curate.max_per_task=null",
        "train.start=from_base",
    ],
    "defaults": DEFAULTS,
    "defaults-correction": [
        *DEFAULTS,
        "tasks.correction_rows=100",
        "propose.tasks_per_round=1000",
        "correct.attempts=1",
        "correct.per_task=1",
    ],
    "defaults-no-curriculum": [*EVENLY, *DEFAULTS],
}
FIGURES = (
    "eval/pass_at_1",
    "collapse_diversity/unique_correct_at_16",
    "collapse_tails/rare_item_coverage",
    "test/greedy_accuracy",
)
KEPT = ("round", "data/sampled", "data/accepted", "data/correction_accepted", "collapse_alarm/level")


def rows_of(run: Path) -> list[dict[str, Any]]:
    """The figures that the documentation shows, with their intervals and paired changes."""
    names = [
        *KEPT,
        *(f"{name}{end}" for name in FIGURES for end in ("", "_lo", "_hi", "_delta", "_delta_lo", "_delta_hi")),
    ]
    return [{name: row[name] for name in names if name in row} for row in open_run(run).metrics()]


def table(runs: dict[str, list[dict[str, Any]]]) -> str:
    """A line an arm: means over the seeds at the last round, with the seeds' range."""
    lines = [f"| arm | {' | '.join(FIGURES)} |", f"|{'---|' * (len(FIGURES) + 1)}"]
    for arm, group in runs.items():
        cells = []
        for name in FIGURES:
            last = [run["rounds"][-1][name] for run in group if name in run["rounds"][-1]]
            cells.append(f"{sum(last) / len(last):.3f} ({min(last):.3f} to {max(last):.3f})" if last else "-")
        lines.append(f"| {arm} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS))
    parser.add_argument("--runs-dir", type=Path, default=ROOT / "runs" / "ablation")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--picture", type=Path, help="folder for the SVGs")
    options = parser.parse_args()
    runs: dict[str, list[dict[str, Any]]] = {}
    for seed in options.seeds:
        for arm in options.arms:
            name = f"{arm}-{seed}"
            given = [*SHARED, *ARMS[arm], f"rounds={options.rounds}", f"seed={seed}", f"eval.seed={seed + 1}"]
            code, *_ = played(ROOT / "configs" / "quickstart.yaml", options.runs_dir, name, given)
            if code:
                raise SystemExit(f"{name}: ended with exit code {code}; see {options.runs_dir / name}/logs")
            runs.setdefault(arm, []).append({"name": name, "seed": seed, "rounds": rows_of(options.runs_dir / name)})
            print(table({arm: runs[arm][-1:]}).splitlines()[-1], flush=True)
    print(table(runs))
    if options.json:
        versions = {name: metadata.version(name) for name in ("torch", "transformers", "trl")}
        flat = [run for group in runs.values() for run in group]
        options.json.write_text(
            json.dumps({"date": date.today().isoformat(), "versions": versions, "runs": flat}, indent=1) + "\n"
        )
    if options.picture:
        for name in FIGURES[:3]:
            lines = {arm: mean_of(group, name) for arm, group in runs.items()}
            chart = svg.line_chart(lines, f"{name}, mean and range of {len(options.seeds)} seeds", "round", name)
            (options.picture / f"ablation-{name.partition('/')[2]}.svg").write_text(svg.standalone(chart))


if __name__ == "__main__":
    main()
