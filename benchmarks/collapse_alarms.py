"""False alarms and misses of the text alarms on labelled runs of a character n-gram model.

    python -m benchmarks.collapse_alarms --data ../shared/data --set design --json out.json

`design` runs were looked at while the rule file was set; `held_out` runs (other orders, seeds, sizes, slices, rewards)
only after it was frozen. A miss: a run that collapses without level 2 by round 5. A false alarm: level 2 in any round of
a run that does not. Intervals are Wilson's, 95 %.
"""

import argparse
import gzip
import json
import platform
import time
from collections import defaultdict
from collections.abc import Iterator
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.collapse_lab.characters import Spec, run
from selfplay.collapse import wilson
from selfplay.collapse.rounds import profile

GRADED = {"replace": True, "narrow": True, "accumulate": False, "fresh": False, "static": False}
SHOWN = ("half_real", "anchored")


def design(seeds: int, first: int = 0) -> Iterator[Spec]:
    """What the rules were set on."""
    for style in (*GRADED, *SHOWN):
        for order in (2, 3, 5, 6, 8):
            for seed in range(first, first + seeds):
                yield Spec(style, order=order, seed=seed, source_chars=(50_000, 100_000, 300_000)[seed % 3])
    for seed in range(2 * first, 2 * (first + seeds)):
        for style in ("replace", "accumulate"):
            yield Spec(style, order=6, seed=seed, temperature=0.7)


def held_out(seeds: int, first: int = 1000) -> Iterator[Spec]:
    """Never looked at before the rule file was frozen."""
    for style in (*GRADED, *SHOWN):
        for order in (3, 4, 5, 6, 7):
            for seed in range(first, first + seeds):
                yield Spec(
                    style,
                    order=order,
                    seed=seed,
                    texts=(100, 150, 300)[seed % 3],
                    chars=(160, 240, 120, 160)[seed % 4],
                    source_chars=(40_000, 80_000, 150_000, 400_000, 1_000_000)[seed % 5],
                    reward=("the ", "and ", "I ")[seed % 3],
                )
    for seed in range(2 * first, 2 * (first + seeds)):
        for style in ("replace", "accumulate"):
            yield Spec(style, order=6, seed=seed, temperature=(0.8, 1.3)[seed % 2])


def judge(spec: Spec, corpus: str) -> dict[str, Any]:
    """Levels by round of one run."""
    rows = profile(dict(enumerate(run(spec, corpus))), judged_only=True)
    levels = [row["collapse_alarm/level"] for row in rows]
    first = next((t for t, level in enumerate(levels) if level >= 2), None)
    return {
        "spec": spec.__dict__,
        "levels": levels,
        "first_level_2": first,
        "metric": rows[-1]["collapse_alarm/first_metric"],
    }


def summarise(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Rates by style (and temperature), with intervals."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for result in results:
        spec = result["spec"]
        heat = "" if spec["temperature"] == 1.0 else f" at temperature {spec['temperature']}"
        groups[spec["style"] + heat].append(result)
        if not heat and spec["style"] in GRADED:
            groups["all collapsing" if GRADED[spec["style"]] else "all not collapsing"].append(result)
    out: dict[str, Any] = {}
    for name, members in groups.items():
        by_5 = sum(m["first_level_2"] is not None and m["first_level_2"] <= 5 for m in members)
        ever = sum(m["first_level_2"] is not None for m in members)
        once = sum(max(m["levels"]) >= 1 for m in members)
        row: dict[str, Any] = {"runs": len(members)}
        for key, count in (("level_2_by_round_5", by_5), ("level_2_ever", ever), ("level_1_ever", once)):
            e = wilson(count, len(members))
            row[key] = [round(e.value, 4), round(e.lo, 4), round(e.hi, 4)]
        rounds = [m["first_level_2"] for m in members if m["first_level_2"] is not None]
        row["median_first_round"] = float(np.median(rounds)) if rounds else None
        out[name] = row
    return out


def main() -> None:
    """Runs one set and prints the table, or writes all of it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--set", choices=("design", "held_out"), default="design")
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--first-seed", type=int, help="to run a set in parts")
    parser.add_argument("--merge", type=Path, nargs="+", help="JSON files of parts: join them instead of running")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    started = time.process_time()
    if args.merge:
        results = [result for part in args.merge for result in json.loads(part.read_text())["results"]]
    else:
        with gzip.open(args.data / "tinyshakespeare" / "input.txt.gz", "rt", encoding="utf-8") as file:
            corpus = file.read()
        first = {} if args.first_seed is None else {"first": args.first_seed}
        specs = (design if args.set == "design" else held_out)(args.seeds, **first)
        results = [judge(spec, corpus) for spec in specs]
    table = summarise(results)
    for name, row in table.items():
        print(f"{name:34s} {row}")
    if args.json:
        rules = files("selfplay.collapse").joinpath("rules.json").read_bytes()
        head = {
            "set": args.set,
            "runs": len(results),
            "rules_sha256": sha256(rules).hexdigest(),
            "cpu_seconds": round(time.process_time() - started, 1),
            "versions": {"python": platform.python_version(), "numpy": np.__version__},
        }
        args.json.write_text(json.dumps(head | {"summary": table, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
