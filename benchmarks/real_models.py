r"""SmolLM2 on two cores: families of tasks, arms and seeds, one run after another; a stopped measurement goes on.

    python benchmarks/real_models.py --model smollm2-135m-instruct --families largest --arms verified unverified format --seeds 0 1 2
    python benchmarks/real_models.py --collect --json benchmarks/results/real_models-DATE.json --picture docs/dev/pictures \
        --page docs/real-models.md

Every run is `selfplay run` in a process of its own on one thread. Its wall and CPU seconds (those of its process tree) are added to
NAME.times beside its folder each time that it is played or resumed, so `--collect` needs only --runs-dir and plays nothing. Runs that
have not come to their last round are left out of the results and named.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date
from importlib import metadata
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from selfplay import open_run
from selfplay.report import svg

ROOT = Path(__file__).resolve().parent.parent
FAMILIES = {
    "largest": ROOT / "configs" / "smollm2.yaml",
    "word_problems": ROOT / "configs" / "smollm2_word_problems.yaml",
    "functions": ROOT / "configs" / "smollm2_functions.yaml",
}
ARMS = {
    "verified": [],
    "unverified": ["curate.verified_only=false", "curate.regime=replace", "gate.action=observe"],
    "format": ["gate.action=observe"],
}
"""Of the arm `unverified` every reply is trained on, of `format` every one that has the form of an answer, right or wrong."""
FORMS = {"largest": "number", "word_problems": "equation"}
"""The check of the start's checks.py that the arm `format` trains by."""
KEPT = ["keep.last=1", "keep.best=false", "launch.threads=1"]
SCORE = "test/greedy_accuracy"
FIGURES = (SCORE, f"{SCORE}_delta", "eval/greedy_accuracy", "eval/pass_at_1", "eval/pass_at_4", "eval/pass_at_8")
COUNTS = (
    "round",
    "data/sampled",
    "data/passed",
    "data/accepted",
    "train/steps",
    "train/loss_last",
    "collapse_alarm/level",
)
TIMES = (
    "time/generate_seconds",
    "time/train_seconds",
    "time/evaluate_seconds",
    "time/round_seconds",
    "time/overhead_share",
)


def play(family: str, arm: str, seed: int, model: Path, runs: Path) -> int:
    """Plays or resumes one run and notes what it took. Returns its exit code."""
    name = f"{family}-{arm}-s{seed}"
    overrides = [f"student.model={model.resolve()}", f"seed={seed}", *ARMS[arm], *KEPT]
    if arm == "format":
        overrides.append(f'verify.check={{type: "python:checks:{FORMS[family]}"}}')
    command = [sys.executable, "-m", "selfplay", "run", str(FAMILIES[family]), *overrides]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with (runs / f"{name}.log").open("a", encoding="utf-8") as log:
        code = subprocess.run(
            [*command, "--name", name, "--runs-dir", str(runs)],
            check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=log,
            stderr=log,
        ).returncode
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    took = {
        "wall_seconds": round(time.perf_counter() - started, 1),
        "cpu_seconds": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
        "peak_gb": round(after.ru_maxrss / 1e6, 2),
        "exit_code": code,
    }
    with (runs / f"{name}.times").open("a", encoding="utf-8") as times:
        times.write(json.dumps(took) + "\n")
    return code


def finished(runs: Path) -> Iterator[dict[str, Any]]:
    """What each run that has come to its last round came to; the others are named."""
    for times in sorted(runs.glob("*.times")):
        family, arm, seed = times.stem.rsplit("-", 2)
        folder = runs / times.stem
        rows = open_run(folder).metrics()
        wanted = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))["rounds"]
        if len(rows) <= wanted:
            print(f"{times.stem}: is at round {len(rows) - 1} of {wanted}, and left out")
            continue
        took = [json.loads(line) for line in times.read_text(encoding="utf-8").splitlines()]
        yield {
            "family": family,
            "arm": arm,
            "seed": int(seed.removeprefix("s")),
            "exit_code": took[-1]["exit_code"],
            "wall_seconds": round(sum(one["wall_seconds"] for one in took), 1),
            "cpu_seconds": round(sum(one["cpu_seconds"] for one in took), 1),
            "peak_gb": max(one["peak_gb"] for one in took),
            "rounds": [short(row) for row in rows],
        }


def short(row: dict[str, Any]) -> dict[str, Any]:
    """The figures of a round that the documentation shows; a figure that was not measured is left out."""
    keys = [*COUNTS, *TIMES, *(f"{key}{end}" for key in FIGURES for end in ("", "_lo", "_hi"))]
    return {key: row[key] for key in keys if key in row}


def table(found: list[dict[str, Any]]) -> str:
    """A line a run, as Markdown."""
    lines = [
        "| family | arm | seed | test by round | change [95 %] | CPU s | wall s | peak GB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for run in found:
        last, key = run["rounds"][-1], f"{SCORE}_delta"
        change = f"{last[key]:+.3f} [{last[f'{key}_lo']:+.3f}, {last[f'{key}_hi']:+.3f}]"
        by_round = " ".join(f"{row[SCORE]:.3f}" for row in run["rounds"])
        cells = [
            run["family"],
            run["arm"],
            run["seed"],
            by_round,
            change,
            run["cpu_seconds"],
            run["wall_seconds"],
            run["peak_gb"],
        ]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def write_table(page: Path, lines: str) -> None:
    """Puts the table into a page, in place of what stands between its two marks."""
    before, mark, rest = page.read_text(encoding="utf-8").partition("<!-- table: benchmarks/real_models.py -->\n")
    _, end, after = rest.partition("<!-- end -->")
    if not (mark and end):
        sys.exit(f"{page}: has no marks for the table")
    page.write_text(f"{before}{mark}{lines}\n{end}{after}", encoding="utf-8")


def chart(found: list[dict[str, Any]], family: str) -> str:
    """Test accuracy by round: a line an arm, the mean over its seeds, with their range as band."""
    lines: dict[str, list[tuple[float, float, float | None, float | None]]] = {}
    for arm in ARMS:
        by_round = list(
            zip(
                *(
                    [row[SCORE] for row in run["rounds"]]
                    for run in found
                    if (run["family"], run["arm"]) == (family, arm)
                ),
                strict=False,
            )
        )
        if by_round:
            seeds = f"{len(by_round[0])} seed{'s' * (len(by_round[0]) > 1)}"
            lines[f"{arm}, {seeds}"] = [(n, statistics.fmean(v), min(v), max(v)) for n, v in enumerate(by_round)]
    title = f"SmolLM2-135M-Instruct, {family.replace('_', ' ')}: accuracy on 200 test tasks"
    return svg.standalone(svg.line_chart(lines, title, "round", "greedy accuracy", y_range=(0.0, 1.0)))


def collect(options: argparse.Namespace) -> None:
    """Prints the table, and writes the results and a picture for each family."""
    found = list(finished(options.runs_dir))
    print(table(found))
    if options.json:
        versions = {name: metadata.version(name) for name in ("torch", "transformers", "trl")}
        results = {
            "date": date.today().isoformat(),
            "machine": platform.machine(),
            "threads": 1,
            "versions": versions,
            "runs": found,
        }
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    if options.page:
        write_table(options.page, table(found))
    if options.picture:
        for family in sorted({run["family"] for run in found}):
            (options.picture / f"smollm2-{family.replace('_', '-')}.svg").write_text(
                chart(found, family), encoding="utf-8"
            )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("smollm2-135m-instruct"), help="folder of the base model")
    parser.add_argument("--families", nargs="+", choices=sorted(FAMILIES), default=["largest"])
    parser.add_argument("--arms", nargs="+", choices=sorted(ARMS), default=["verified"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--runs-dir", type=Path, default=ROOT / "runs" / "real")
    parser.add_argument("--collect", action="store_true", help="play nothing, and gather what --runs-dir has")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--page", type=Path, help="Markdown page whose table is written anew")
    parser.add_argument("--picture", type=Path, help="folder for the SVGs")
    options = parser.parse_args()
    options.runs_dir.mkdir(parents=True, exist_ok=True)
    if options.collect:
        collect(options)
        return
    for family, arm, seed in product(options.families, options.arms, options.seeds):
        if arm != "format" or family in FORMS:
            play(family, arm, seed, options.model, options.runs_dir)


if __name__ == "__main__":
    main()
