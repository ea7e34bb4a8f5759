"""`selfplay plan` against real runs: seconds of a round and the peak of memory, planned from the table, by the trial, and measured.

    python benchmarks/plan.py --json benchmarks/results/plan-DATE.json

Each configuration is planned twice (from the table, and with `--measure`), then run for two rounds in a process of its own. Memory is
the largest sum of resident memory over the process tree, looked at every tenth of a second. A ratio of 1 is a perfect plan; the
bars are a factor of 2 for seconds and 30 % for memory. On a busy machine the table's ratio shows the other load, the trial's less so.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

from selfplay.cores import usable_cores
from selfplay.loop.run_view import open_run

ROOT = Path(__file__).resolve().parent.parent
CONFIGS = ("smoke", "quickstart")
ROUNDS = 2


def planned(config: Path, *options: str) -> dict[str, Any]:
    """The plan of a configuration as JSON, made in a process of its own."""
    command = [sys.executable, "-m", "selfplay", "plan", str(config), f"rounds={ROUNDS}", "--json", *options]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, cwd=ROOT).stdout)
    return found


def resident(pid: int) -> int:
    """Bytes of resident memory of a process and its descendants; shared pages count once for each."""
    total, waiting = 0, [pid]
    while waiting:
        one = waiting.pop()
        try:
            total += 4096 * int(Path(f"/proc/{one}/statm").read_text().split()[1])
            waiting += map(int, Path(f"/proc/{one}/task/{one}/children").read_text().split())
        except OSError:
            continue
    return total


def measured(config: Path) -> dict[str, Any]:
    """A run: the wall seconds of round 0 and of the later rounds (mean), and the peak of memory."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "selfplay", "run", str(config), f"rounds={ROUNDS}", "tracking.mode=disabled"]
        process = subprocess.Popen([*command, "--runs-dir", folder], stdout=subprocess.DEVNULL, cwd=ROOT)
        peak = 0
        while process.poll() is None:
            peak = max(peak, resident(process.pid))
            time.sleep(0.1)
        seconds = [row["time/round_seconds"] for row in open_run(next(Path(folder).iterdir())).metrics()]
    return {"first": seconds[0], "later": sum(seconds[1:]) / ROUNDS, "memory": peak}


def seconds_of(plan: dict[str, Any], which: str) -> float:
    """Planned seconds of round 0 (`first`) or of a later one (`later`)."""
    return float(sum(phase["seconds"] for phase in plan[which]))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configs", nargs="+", default=CONFIGS)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    for name in options.configs:
        config = ROOT / "configs" / f"{name}.yaml"
        table, trial, real = planned(config), planned(config, "--measure"), measured(config)
        row: dict[str, Any] = {"config": name, "measured": real, "rates": trial["rates"]}
        for how, plan in (("table", table), ("trial", trial)):
            row[how] = {which: round(seconds_of(plan, which) / real[which], 2) for which in ("first", "later")}
        row["memory"] = round(table["memory_bytes"] / real["memory"], 2)
        rows.append(row)
        print(json.dumps(row), flush=True)
    if options.json:
        head = {"date": date.today().isoformat(), "cores": usable_cores()}
        options.json.write_text(json.dumps({**head, "runs": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
