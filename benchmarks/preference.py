"""Preference training in the loop, measured: margins, accuracy of preferences and of solutions by round, for each arm.

    python benchmarks/preference.py --seeds 0 --json benchmarks/results/preference-DATE.json
    python benchmarks/preference.py --arms dpo kto --rounds 2

Every run is `selfplay run configs/quickstart_dpo.yaml` in a process of its own, one after another, the gate only observing, so
that every arm shows all rounds. CPU seconds are those of its whole process tree. Runs that are in --runs-dir are resumed.
"""

import argparse
import json
import platform
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any

from quickstart import ROOT, played

from selfplay import load_config, open_run
from selfplay.cores import usable_cores

CONFIG = ROOT / "configs" / "quickstart_dpo.yaml"
ARMS: dict[str, dict[str, Any]] = {
    "dpo+sft": {},
    "dpo": {"sft_weight": 0},
    "kto": {"method": "kto", "sft_weight": None},
    "sft": {"method": "sft", "sft_weight": None},
}
"""Changes to the config's `train`, None for keys that the method does not have: as the config is; the preference alone;
sides of pairs; and the accepted rows alone, at the same steps and learning rate."""
SHOWN = (
    *("test/greedy_accuracy", "test/greedy_accuracy_delta", "eval/pass_at_1", "eval/pass_at_n"),
    *("collapse_quality/human_nll", "collapse_tails/rare_item_coverage", "collapse_alarm/level"),
    *("data/pairs", "data/train_pairs", "data/accepted", "data/sampled", "train/pairs", "train/loss_last"),
    *("train/rewards_margin_first", "train/rewards_margin_last"),
    *("train/rewards_accuracy_first", "train/rewards_accuracy_last", "time/round_seconds", "time/train_seconds"),
)


def train_of(arm: str) -> str:
    """The override that makes `train` the arm's."""
    given = load_config(CONFIG).config.train.model_dump(mode="json", exclude_unset=True) | ARMS[arm]
    return f"train={json.dumps({key: value for key, value in given.items() if value is not None})}"


def run_once(runs: Path, name: str, overrides: list[str]) -> dict[str, Any]:
    """One run and what it came to."""
    code, wall, cpu = played(CONFIG, runs, name, overrides)
    return {
        "name": name,
        "set": overrides,
        "exit_code": code,
        "wall_seconds": round(wall, 1),
        "cpu_seconds": round(cpu, 1),
        "rounds": rounds_of(runs / name),
    }


def rounds_of(run: Path) -> list[dict[str, Any]]:
    """The figures of a run's rounds that the documentation shows."""
    ends = ("", "_lo", "_hi")
    return [
        {"round": row["round"], **{key + end: row[key + end] for key in SHOWN for end in ends if key + end in row}}
        for row in open_run(run).metrics()
    ]


def read_run(run: Path) -> dict[str, Any]:
    """The same of a run that is there, with the training settings it had."""
    train = json.loads((run / "fingerprint.json").read_text())["science"]
    keys = ("method", "learning_rate", "beta", "sft_weight", "steps", "batch_size")
    return {"name": run.name, "train": {k: train.get(f"train.{k}") for k in keys}, "rounds": rounds_of(run)}


def table(runs: list[dict[str, Any]]) -> str:
    """A line a round, as Markdown."""
    heads = (
        "run",
        "round",
        "test accuracy",
        "change [95 %]",
        "pairs",
        "margin",
        "preference accuracy",
        "anchor nll",
        "alarm",
    )
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for run in runs:
        for row in run["rounds"]:
            change = "test/greedy_accuracy_delta"
            low, high = row.get(f"{change}_lo", 0.0), row.get(f"{change}_hi", 0.0)
            cells = [
                run["name"],
                str(row["round"]),
                f"{row['test/greedy_accuracy']:.3f}",
                f"{row[change]:+.3f} [{low:+.3f}, {high:+.3f}]" if change in row else "-",
                str(row.get("data/train_pairs", "-")),
                _ends(row, "train/rewards_margin"),
                _ends(row, "train/rewards_accuracy"),
                f"{row.get('collapse_quality/human_nll', float('nan')):.3f}",
                str(row.get("collapse_alarm/level", "-")),
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _ends(row: dict[str, Any], key: str) -> str:
    """First and last value of a figure of the round's training."""
    return f"{row[f'{key}_first']:.2f} -> {row[f'{key}_last']:.2f}" if f"{key}_last" in row else "-"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS))
    parser.add_argument("--rounds", type=int, help="as in the config by default")
    parser.add_argument("--runs-dir", type=Path, default=ROOT / "runs" / "bench")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="further overrides")
    parser.add_argument(
        "--read", nargs="+", type=Path, default=[], metavar="RUN", help="run folders to show, instead of runs"
    )
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    more = [*([f"rounds={options.rounds}"] if options.rounds is not None else []), *options.set, "gate.action=observe"]
    runs = [read_run(path) for path in options.read]
    for arm in [] if options.read else options.arms:
        for seed in options.seeds:
            given = [train_of(arm), *more, f"seed={seed}", f"eval.seed={seed + 1}"]
            runs.append(run_once(options.runs_dir, f"preference-{arm.replace('+', '-')}-{seed}", given))
            print(table(runs[-1:]).split("\n", 2)[2], flush=True)
    print(table(runs))
    if options.json:
        versions = {name: metadata.version(name) for name in ("torch", "transformers", "trl")}
        about = {"date": date.today().isoformat(), "cores": usable_cores(), "machine": platform.machine()}
        options.json.write_text(
            json.dumps({**about, "versions": versions, "set": options.set, "runs": runs}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
