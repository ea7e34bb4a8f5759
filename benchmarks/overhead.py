"""The loop's overhead, by the clock: what a round of the quick start takes outside the calls that do its work.

    python benchmarks/overhead.py --seeds 0 1 2 --json benchmarks/results/overhead-DATE.json

The work is what happens inside `complete`, `likelihood` and `entropies` of the student, `trainer.train`, and
`Executor.run`: each is timed by a clock around it, so that asking for replies, keeping and judging them count as overhead
here (in `time/overhead_share`, all of sampling, training and verifying is work). The program is taken out of a reply while
the sandbox runs earlier ones, inside `Executor.run`: that time is spent beside its work. A round is its phases and its
commit. Each seed is played in a process of its own, the libraries are loaded before its first round, and the report and
the drawing of tasks beside the loop go on as ever.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import date
from functools import wraps
from importlib import metadata
from pathlib import Path
from typing import Any

from selfplay.cores import usable_cores

ROOT = Path(__file__).resolve().parent.parent


class Clock:
    """Seconds inside the wrapped calls, by name."""

    def __init__(self) -> None:
        self.inside: dict[str, float] = defaultdict(float)

    def around(self, kind: Any, name: str) -> None:
        """Times every call of a method."""
        plain: Callable[..., Any] = getattr(kind, name)

        def timed(*args: Any, **given: Any) -> Any:
            started = time.perf_counter()
            try:
                return plain(*args, **given)
            finally:
                self.inside[name] += time.perf_counter() - started

        setattr(kind, name, timed)


def play(seed: int, rounds: int, runs: Path) -> list[dict[str, Any]]:
    """Plays the quick start in this process: for each round its seconds, those of the work, and the rest by phase."""
    from selfplay.config import load_config
    from selfplay.loop.run import PHASES, name_of
    from selfplay.models.transformers.backend import Embedded
    from selfplay.sandbox import Executor
    from selfplay.training.trl.sft_trainer import RowTrainer

    clock = Clock()
    for kind, name in (
        (Embedded, "complete"),
        (Embedded, "likelihood"),
        (Embedded, "entropies"),
        (RowTrainer, "train"),
        (Executor, "run"),
    ):
        clock.around(kind, name)
    found: dict[int, dict[str, Any]] = defaultdict(lambda: {"seconds": 0.0, "work": defaultdict(float), "rest": {}})

    def timed(plain: Callable[..., Any], part: str) -> Callable[..., Any]:
        @wraps(plain)
        def call(this: Any, *args: Any) -> Any:
            clock.inside.clear()
            started = time.perf_counter()
            try:
                return plain(this, *args)
            finally:
                seconds, row = time.perf_counter() - started, found[this.number]
                row["seconds"] += seconds
                row["rest"][part] = seconds - sum(clock.inside.values())
                for name, spent in clock.inside.items():
                    row["work"][name] += spent

        return call

    loop = sys.modules["selfplay.loop.run"]
    loop.PHASES = tuple(timed(phase, name_of(phase)) for phase in PHASES)  # type: ignore[attr-defined]
    loop.commit_round = timed(loop.commit_round, "commit")  # type: ignore[attr-defined]
    given = [f"name=overhead-{seed}", f"runs_dir={runs}", f"rounds={rounds}", f"seed={seed}", f"eval.seed={seed + 1}"]
    loop.run(load_config(ROOT / "configs" / "quickstart.yaml", given))
    return [
        {
            "round": number,
            "seconds": round(row["seconds"], 3),
            "overhead_share": round(sum(row["rest"].values()) / row["seconds"], 4),
            "work": {name: round(spent, 3) for name, spent in row["work"].items()},
            "rest": {name: round(spent, 3) for name, spent in row["rest"].items()},
        }
        for number, row in sorted(found.items())
    ]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path)
    parser.add_argument(
        "--play", type=Path, metavar="FILE", help="play the first seed here, and write its rounds to FILE"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.play:
            options.play.write_text(json.dumps(play(options.seeds[0], options.rounds, Path(folder))))
            return
        runs = []
        for seed in options.seeds:
            out = Path(folder) / "rounds.json"
            command = [
                sys.executable,
                __file__,
                "--seeds",
                str(seed),
                "--rounds",
                str(options.rounds),
                "--play",
                str(out),
            ]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            runs.append({"seed": seed, "rounds": json.loads(out.read_text())})
            shares = [row["overhead_share"] for row in runs[-1]["rounds"]]
            print(f"seed {seed}: " + " ".join(f"{share:.1%}" for share in shares), flush=True)
    shares = [row["overhead_share"] for run in runs for row in run["rounds"] if row["round"]]
    low = sum(share <= 0.05 for share in shares)
    print(
        f"after round 0: median {statistics.median(shares):.1%} [{min(shares):.1%}, {max(shares):.1%}], "
        f"{low} of {len(shares)} rounds at 5 % or less"
    )
    if options.json:
        versions = {name: metadata.version(name) for name in ("torch", "transformers", "trl")}
        whole = {"date": date.today().isoformat(), "cores": usable_cores(), "versions": versions, "runs": runs}
        options.json.write_text(json.dumps(whole, indent=1) + "\n")


if __name__ == "__main__":
    main()
