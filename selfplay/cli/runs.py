"""`selfplay runs` lists the runs of a folder; `selfplay fork` begins a new run from a round of an old one."""

import json
import shlex
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from selfplay.cli.terminal import print_table
from selfplay.config import Config, load_config
from selfplay.config.load import plain_override, resolved_text, science_of
from selfplay.config.metrics import SCORE
from selfplay.errors import ConfigError, SelfplayError
from selfplay.loop.run_view import OpenRun, fork, open_run
from selfplay.store import read_json, write_json, write_whole
from selfplay.store.run import chain, changes, is_kept


def runs_command(folder: Path, as_json: bool) -> None:
    """Prints the runs in a folder, the latest first: rounds done, dev accuracy, alarm, state, time of the last change."""
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder; give the folder of all runs, or start a run first")
    rows = sorted(_runs(folder), key=lambda row: (row["when"], row["name"]), reverse=True)
    if as_json:
        print(json.dumps(rows))
    elif rows:
        columns = ["run", "rounds", "dev accuracy", "alarm", "state", "last change"]
        print_table("", columns, [_cells(row) for row in rows])
    else:
        print(f"{folder}: has no run yet")


def _runs(folder: Path) -> Iterator[dict[str, Any]]:
    for place in sorted(folder.iterdir()):
        if place.name.startswith(".") or not (place / "fingerprint.json").is_file():
            continue
        when = max(p.stat().st_mtime for p in (place / "fingerprint.json", *place.glob("rounds/*/COMMIT")))
        row: dict[str, Any] = {"name": place.name, "when": when, "done": None, "planned": None, "alarm": None}
        try:
            yield {**row, **_figures(open_run(place))}
        except SelfplayError as error:
            yield {**row, "state": "unreadable", "reason": str(error), "from": None, "to": None}


def _figures(run: OpenRun) -> dict[str, Any]:
    metrics = [commit.metrics for commit in run.rounds]
    known = [row[SCORE] for row in metrics if SCORE in row]
    return {
        "done": len(metrics) - 1 if metrics else None,
        "planned": run.planned,
        "from": known[0] if known else None,
        "to": known[-1] if known else None,
        "alarm": metrics[-1].get("collapse_alarm/level") if metrics else None,
        "state": run.state(),
        "forked_from": read_json(run.path / "fingerprint.json").get("forked_from"),
    }


def _cells(row: dict[str, Any]) -> list[str]:
    done = "-" if row["done"] is None else str(row["done"])
    planned = "" if row["planned"] is None else f"/{row['planned']}"
    gained = "-" if row["from"] is None else f"{row['from']:.3f} -> {row['to']:.3f}"
    when = datetime.fromtimestamp(row["when"]).strftime("%Y-%m-%d %H:%M")
    alarm = "-" if row["alarm"] is None else str(row["alarm"])
    return [row["name"], f"{done}{planned}", gained, alarm, row["state"], when]


MORE = 2
"""Rounds that a fork of the last planned round plans, where its command names no number."""


def fork_command(run: Path, which: str, overrides: Sequence[str], name: str | None) -> None:
    """Begins a new run with the rounds up to `which` of an old one, and prints the command that continues it.

    The configuration is that of the old run's last start, with `overrides`. `name` None: `RUN-rN`, with a number if that exists. The
    plan is the old run's: a fork of its last round plans MORE. Raises ConfigError on a changed key that a fork cannot change, or for a
    given number of rounds that leaves nothing to do; DataError without the round or its weights.
    """
    old = open_run(run)
    number = old.round_named(which)
    place = name or _free_name(old.path, number)
    config, given = _start_of(old)
    given = [text for text in given if _key(text) not in set(map(_key, overrides))] + list(overrides)
    named = [f"name={json.dumps(place)}", f"runs_dir={json.dumps(str(old.path.parent))}"]
    loaded = load_config(config, [*given, *named])
    changed = changes(read_json(old.path / "fingerprint.json").get("science", {}), science_of(loaded.config))
    if lost := [text for key, text in changed.items() if is_kept(key)]:
        raise ConfigError(
            f"{run}: {'; '.join(lost)} cannot change in a fork, whose first rounds have the old value; start a new run instead"
        )
    done = len(chain(old.rounds, number)) - 1
    if "rounds" in map(_key, overrides) and loaded.config.rounds <= done:
        raise ConfigError(
            f"{run}: rounds is {loaded.config.rounds}, and a fork of round {number} has {done} rounds already; give a number above {done}"
        )
    wanted = max(loaded.config.rounds, old.planned or 0)
    if (planned := wanted if wanted > done else done + MORE) != loaded.config.rounds:
        given = [*(text for text in given if _key(text) != "rounds"), f"rounds={planned}"]
        loaded = load_config(config, [*given, *named])
    new = fork(run, number, place)
    write_json(new.path / "start.json", {"config": str(loaded.path.resolve()), "overrides": [*given, *named]})
    write_whole(new.path / "config.yaml", resolved_text(loaded))
    rounds = f"rounds 0 to {done}" if done else "round 0"
    print(
        f"{new.path}: begins with {rounds} of {run} and continues from its round {number} to round {loaded.config.rounds}"
    )
    for text in changed.values():
        print(f"  {text}")
    where = (
        [] if str(old.path.parent) == Config.model_fields["runs_dir"].default else ["--runs-dir", str(old.path.parent)]
    )
    print(
        f"continue it with:\n  {shlex.join(['selfplay', 'run', _short(config), *map(plain_override, given), '--name', place, *where])}"
    )


def _key(override: str) -> str:
    return override.partition("=")[0].strip()


def _free_name(run: Path, number: int) -> str:
    names = (f"{run.name}-r{number}{end}" for end in ("", *(f"-{n}" for n in range(2, 1000))))
    return next(name for name in names if not run.with_name(name).exists())


def _start_of(run: OpenRun) -> tuple[Path, list[str]]:
    """The configuration file of a run's last start and its overrides without name and folder; without the file, the run's own copy."""
    if (run.path / "start.json").is_file():
        start = read_json(run.path / "start.json")
        if Path(start["config"]).is_file():
            kept = [text for text in start["overrides"] if _key(text) not in ("name", "runs_dir")]
            return Path(start["config"]), kept
    return run.path / "config.yaml", []


def _short(config: Path) -> str:
    """A path as seen from the working directory, if it is below it."""
    here = Path.cwd()
    return str(config.relative_to(here) if config.is_relative_to(here) else config)
