"""The quick start, measured: seeds and arms, accuracy by round and operation count, wall and CPU seconds, one picture.

    python benchmarks/quickstart.py --seeds 0 1 2 --json benchmarks/results/quickstart-DATE.json --picture docs/dev/pictures
    python benchmarks/quickstart.py --arms pair                  `make quickstart` itself: each seed beside its control
    python benchmarks/quickstart.py --arms all --rounds 8        the 2 x 2 {verified, unverified} x {accumulate, replace}
    python benchmarks/quickstart.py --config configs/frontier.yaml

Every run is `selfplay run` in a process of its own, one after another; CPU seconds are those of its whole process tree.
Runs that are in --runs-dir already are resumed, so a stopped measurement goes on; their times are left out.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any

from selfplay import open_run
from selfplay.cores import usable_cores
from selfplay.report import svg

ROOT = Path(__file__).resolve().parent.parent
ARMS = {
    "verified-accumulate": [],
    "verified-replace": ["curate.regime=replace"],
    "unverified-accumulate": ["curate.verified_only=false"],
    "unverified-replace": ["curate.verified_only=false", "curate.regime=replace"],
}
PAIR = {"verified": [], "unverified": [*ARMS["unverified-replace"], "gate.action=observe"]}
"""The two runs of `make quickstart`: equal tasks, samples, steps, temperature and rounds."""
FIXED = ["gate.action=observe", "propose.curriculum.levels=[2,3,3,3,4,4,4,4]"]
"""For the 2 x 2: no arm is rolled back, and all meet the same lengths in the same rounds."""
COUNTS = range(1, 7)


def played(config: Path, runs: Path, name: str, overrides: list[str]) -> tuple[int, float, float]:
    """Plays or resumes one run in a process of its own: exit code, wall seconds, CPU seconds of the process tree."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [
        sys.executable,
        "-m",
        "selfplay",
        "run",
        str(config),
        *overrides,
        "--name",
        name,
        "--runs-dir",
        str(runs),
    ]
    code = subprocess.run(
        command, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL
    ).returncode
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return code, time.perf_counter() - started, cpu


def run_once(config: Path, runs: Path, name: str, overrides: list[str]) -> dict[str, Any]:
    """One run and what it came to. Its overhead is all wall time, start and report included, outside the work proper.

    A run that was there already has no times: they would be those of its resumption.
    """
    whole = not (runs / name).exists()
    code, wall, cpu = played(config, runs, name, overrides)
    rows = open_run(runs / name).metrics()
    return {
        "name": name,
        "exit_code": code,
        "wall_seconds": round(wall, 1) if whole else None,
        "cpu_seconds": round(cpu, 1) if whole else None,
        "overhead_share": round(1 - sum(row["time/work_seconds"] for row in rows) / wall, 4) if whole else None,
        "rounds": [short(row) for row in rows],
    }


def short(row: dict[str, Any]) -> dict[str, Any]:
    """The figures of a round that the documentation shows."""
    keys = [
        "round",
        "collapse_alarm/level",
        "time/round_seconds",
        "time/work_seconds",
        "time/overhead_share",
        "data/accepted",
        "data/sampled",
    ]
    for key in (
        "test/greedy_accuracy",
        "test/greedy_accuracy_delta",
        "eval/greedy_accuracy",
        "eval/pass_at_8",
        "collapse_diversity/unique_correct_at_8",
        "collapse_tails/rare_item_coverage",
    ):
        keys += [key, f"{key}_lo", f"{key}_hi"]
    keys += [f"test_difficulty/{count}" for count in COUNTS]
    return {key: row[key] for key in keys if key in row}


def series(runs: list[dict[str, Any]], key: str) -> dict[str, list[tuple[float, float, float | None, float | None]]]:
    """Name -> points with their intervals, for a chart."""
    return {
        run["name"]: [(r["round"], r[key], r.get(f"{key}_lo"), r.get(f"{key}_hi")) for r in run["rounds"] if key in r]
        for run in runs
    }


def mean_of(runs: list[dict[str, Any]], key: str) -> list[tuple[float, float, float | None, float | None]]:
    """Mean over seeds, with the range of the seeds as band."""
    rounds = min(len(run["rounds"]) for run in runs)
    values = [[run["rounds"][n][key] for run in runs] for n in range(rounds)]
    return [(n, sum(v) / len(v), min(v), max(v)) for n, v in enumerate(values)]


def change(row: dict[str, Any]) -> str:
    """The paired change to round 0 with its interval."""
    key = "test/greedy_accuracy_delta"
    return f"{row[key]:+.3f} [{row[f'{key}_lo']:+.3f}, {row[f'{key}_hi']:+.3f}]" if key in row else "-"


def table(runs: list[dict[str, Any]]) -> str:
    """A line a run, as Markdown."""
    lines = [
        "| run | round 0 | last round | change [95 %] | by operations 1..6, last round | wall s | CPU s |",
        "|---|---|---|---|---|---|---|",
    ]
    for run in runs:
        first, last = run["rounds"][0], run["rounds"][-1]
        cells = [run["name"], *(f"{r['test/greedy_accuracy']:.3f}" for r in (first, last)), change(last)]
        cells += [" ".join(f"{last.get(f'test_difficulty/{count}', float('nan')):.2f}" for count in COUNTS)]
        cells += [str(run[key] or "-") for key in ("wall_seconds", "cpu_seconds")]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=ROOT / "configs" / "quickstart.yaml")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--arms",
        choices=["verified", "pair", "all"],
        default="verified",
        help="pair: with the control run of each seed; all: the 2 x 2, on a fixed schedule",
    )
    parser.add_argument("--rounds", type=int, help="as in the config by default")
    parser.add_argument("--runs-dir", type=Path, default=ROOT / "runs" / "bench")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="further overrides")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--picture", type=Path, help="folder for the SVG")
    options = parser.parse_args()
    arms = {"all": ARMS, "pair": PAIR, "verified": {"verified": []}}[options.arms]
    fixed = FIXED if options.arms == "all" else []
    rounds = [f"rounds={options.rounds}"] if options.rounds is not None else []
    runs: dict[str, list[dict[str, Any]]] = {}
    for arm, overrides in arms.items():
        for seed in options.seeds:
            name = f"{options.config.stem}-{arm}-{seed}"
            given = [*overrides, *fixed, *rounds, *options.set, f"seed={seed}", f"eval.seed={seed + 1}"]
            runs.setdefault(arm, []).append(run_once(options.config, options.runs_dir, name, given))
            print(table(runs[arm][-1:]).splitlines()[-1], flush=True)
    flat = [run for group in runs.values() for run in group]
    print(table(flat))
    versions = {name: metadata.version(name) for name in ("torch", "transformers", "trl")}
    found = {
        "date": date.today().isoformat(),
        "cores": usable_cores(),
        "machine": platform.machine(),
        "versions": versions,
        "runs": flat,
    }
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    if options.picture:
        options.picture.mkdir(parents=True, exist_ok=True)
        lines = {arm: mean_of(group, "test/greedy_accuracy") for arm, group in runs.items()}
        if options.arms == "verified":
            lines = series(flat, "test/greedy_accuracy")
        chart = svg.line_chart(lines, "Test accuracy, programs of 2 to 6 operations", "round", "greedy accuracy")
        (options.picture / f"{options.config.stem}-{options.arms}.svg").write_text(svg.standalone(chart))


if __name__ == "__main__":
    main()
