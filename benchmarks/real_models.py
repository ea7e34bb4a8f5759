"""Real models on two cores: seeds and arms of the starts in FAMILIES, one run after another; a stopped measurement goes on.

    python benchmarks/real_models.py --model DIR --families largest --arms verified unverified format --seeds 0 1 2
    python benchmarks/real_models.py --collect --json benchmarks/results/real_models-DATE.json --picture docs/dev/pictures

Every run is `selfplay run` in a process of its own. Its wall and CPU seconds (those of its process tree) are added to NAME.times
beside its folder each time that it is played or resumed, so the collection needs only the runs folder and plays nothing.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FAMILIES = {
    "largest": ROOT / "configs" / "smollm2.yaml",
    "word_problems": ROOT / "configs" / "smollm2_word_problems.yaml",
}
ARMS = {
    "verified": [],
    "unverified": ["curate.verified_only=false", "curate.regime=replace", "gate.action=observe"],
    "format": ["gate.action=observe"],
}
FORMS = {"largest": "number", "word_problems": "equation"}
"""The check of the start's checks.py that the arm `format` trains by."""
KEPT = ["keep.last=1", "keep.best=false", "launch.threads=1"]


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


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("smollm2-135m-instruct"), help="folder of the base model")
    parser.add_argument("--families", nargs="+", choices=sorted(FAMILIES), default=["largest"])
    parser.add_argument("--arms", nargs="+", choices=sorted(ARMS), default=["verified"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--runs-dir", type=Path, default=ROOT / "runs" / "real")
    options = parser.parse_args()
    options.runs_dir.mkdir(parents=True, exist_ok=True)
    for family in options.families:
        for arm in options.arms:
            for seed in options.seeds:
                play(family, arm, seed, options.model, options.runs_dir)


if __name__ == "__main__":
    main()
