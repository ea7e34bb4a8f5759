"""The gate's rules on runs that exist: alarm levels by round, and a confusion table over runs that were labelled beforehand.

    python -m benchmarks.gate_runs runs/verified-0=healthy runs/unverified-0=collapsing --json out.json
    python -m benchmarks.gate_runs --draw out.json --picture docs/dev/pictures     dev accuracy by arm: mean and range of its seeds

Reads `rounds/NNN/COMMIT` (the parent) and `rounds/NNN/evaluate/dev.json` of each run folder, and judges each round by the
rules over dev tasks alone: neither canaries nor the verifier's J. A run without a label is shown, and not counted.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import yaml

from selfplay.collapse import DevRound, alarm_of
from selfplay.collapse.dev_rules import rules_hash
from selfplay.report import svg

LABELS = ("healthy", "collapsing")


def judged(run: Path, rounds: int | None = None) -> dict[str, Any]:
    """Levels by round of one run, with the reasons of its first level 2. `rounds`: judge only so many after round 0."""
    config = yaml.safe_load((run / "config.yaml").read_text())
    planned = rounds or int(config.get("rounds", 1))
    kept: dict[int, DevRound] = {}
    parents: dict[int, int | None] = {}
    levels, accuracy, reasons = [], [], dict[int, list[str]]()
    for folder in sorted(run.glob("rounds/[0-9]*")):
        number = int(folder.name)
        if not (folder / "COMMIT").is_file() or (rounds is not None and number > rounds):
            continue
        parents[number] = json.loads((folder / "COMMIT").read_text())["parent"]
        kept[number] = DevRound.read(number, json.loads((folder / "evaluate" / "dev.json").read_text()))
        chain, tip = [number], parents[number]
        while tip is not None:
            chain, tip = [tip, *chain], parents[tip]
        alarm = alarm_of([kept[n] for n in chain], planned=planned)
        levels.append(alarm.level)
        greedy = kept[number].greedy.values()
        accuracy.append(round(sum(greedy) / len(greedy), 4) if greedy else None)
        if alarm.level:
            reasons[number] = alarm.reasons
        blind = alarm.blind
    first = next((n for n, level in enumerate(levels) if level >= 2), None)
    found = {"planned": planned, "levels": levels, "first_level_2": first, "dev_accuracy": accuracy}
    return found | {"reasons": reasons, "blind_in_last_round": blind if levels else {}}


def confusion(rows: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """Label -> how many of its runs reached level 2, level 1 alone, or nothing."""
    out = {label: {"level 2": 0, "level 1": 0, "quiet": 0} for label in LABELS}
    for row in rows:
        if row["label"] in out and row["levels"]:
            top = max(row["levels"])
            out[row["label"]]["level 2" if top >= 2 else "level 1" if top else "quiet"] += 1
    return out


def draw(rows: list[dict[str, Any]], picture: Path) -> None:
    """Dev accuracy by round of each arm that has several seeds (`arm-0`, `arm-1`, ...): their mean, with their range as band."""
    arms: dict[str, list[list[float]]] = {}
    for row in rows:
        arm = Path(row["run"]).name.removeprefix("quickstart-").rpartition("-")[0]
        arms.setdefault(arm, []).append(row["dev_accuracy"])
    lines = {
        arm: [(n, sum(at) / len(at), min(at), max(at)) for n, at in enumerate(zip(*seeds, strict=False))]
        for arm, seeds in arms.items()
        if len(seeds) > 1
    }
    chart = svg.line_chart(lines, "Dev accuracy by arm, mean and range of three seeds", "round", "greedy accuracy")
    (picture / "gate-runs.svg").write_text(svg.standalone(chart))


def main() -> None:
    """Judges the runs and prints both tables; or draws what an earlier call wrote."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draw", type=Path, help="draw the runs of this JSON file instead")
    parser.add_argument("--picture", type=Path, default=Path("docs/dev/pictures"), help="folder for the SVG")
    parser.add_argument("runs", nargs="*", help="RUN_FOLDER or RUN_FOLDER=healthy, RUN_FOLDER=collapsing")
    parser.add_argument("--rounds", type=int, help="judge only so many rounds after round 0")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if args.draw:
        draw(json.loads(args.draw.read_text())["runs"], args.picture)
        return
    rows = []
    for given in args.runs:
        folder, _, label = given.partition("=")
        if label not in ("", *LABELS):
            parser.error(f"{given}: the label is {label!r}; give one of {', '.join(LABELS)}, or none")
        if not (Path(folder) / "config.yaml").is_file():
            parser.error(f"{folder}: is not a run folder (it has no config.yaml)")
        row = {"run": "/".join(Path(folder).parts[-2:]), "label": label, **judged(Path(folder), args.rounds)}
        rows.append(row)
        print(f"{row['run']:36s} {label:11s} levels {row['levels']} dev accuracy {row['dev_accuracy']}")
        for number, reasons in row["reasons"].items():
            print(f"    round {number}: {'; '.join(reasons)}")
    table = confusion(rows)
    for label, counts in table.items():
        print(f"{label}: {counts}")
    if args.json:
        args.json.write_text(
            json.dumps({"rules_sha256": rules_hash(), "confusion": table, "runs": rows}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
