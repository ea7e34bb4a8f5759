"""Traces through the phases that need no model: chunks written, verified, curated, traces.parquet. Time and memory by size.

    python benchmarks/store.py --sizes 1000 10000 100000 --json benchmarks/results/store-DATE.json

Each size runs in a process of its own: CPU seconds of generate, verify and curate with a scripted student on arithmetic,
per 1,000 traces, and the peak of resident memory. Linear time means equal figures per 1,000.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = 4


def measure(traces: int) -> dict[str, Any]:
    """One size, in this process."""
    from selfplay.config import load_config
    from selfplay.loop import run

    seconds: dict[str, float] = {}
    clock: dict[str, float] = {}
    marks: dict[str, int] = {}

    def heard(event: str, figures: dict[str, Any]) -> None:
        if event == "phase":
            clock[figures["name"]] = time.process_time()
        elif event == "end" and figures["name"] in clock:
            seconds[figures["name"]] = time.process_time() - clock[figures["name"]]
            marks[figures["name"]] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "c.yaml"
        path.write_text(
            "rounds: 1\ntasks: {source: arithmetic, anchor: 20, held_out: 10}\nstudent: {kind: scripted}\n"
            f"propose: {{tasks_per_round: {traces // SAMPLES}}}\ngenerate: {{samples_per_task: {SAMPLES}, chunk_tasks: 256}}\n"
            "train: {epochs: 1, start: continue}\neval: {samples: 0}\ntracking: {mode: disabled}\n"
        )
        run(load_config(path, [f"runs_dir={folder}/runs"]), listener=heard)
    phases = {name: seconds[name] for name in ("generate", "verify", "curate")}
    return {
        "traces": traces,
        "cpu_seconds": {name: round(value, 2) for name, value in phases.items()},
        "cpu_seconds_per_1000": round(1000 * sum(phases.values()) / traces, 3),
        "peak_mib": {name: round(marks[name] / 1024) for name in phases},
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one)))
        return
    rows = []
    for size in options.sizes:
        command = [sys.executable, __file__, "--one", str(size)]
        done = subprocess.run(
            command, check=True, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )
        rows.append(json.loads(done.stdout.splitlines()[-1]))
        print(rows[-1], flush=True)
    if options.json:
        options.json.write_text(json.dumps({"date": date.today().isoformat(), "sizes": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
