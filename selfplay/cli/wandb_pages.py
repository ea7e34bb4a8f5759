"""`selfplay wandb-workspace` and `selfplay wandb-report`: from run folders to a workspace and a report at W&B."""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from selfplay.errors import ConfigError
from selfplay.loop.run_view import open_run
from selfplay.loop.tracked import scrubbed
from selfplay.report.run_data import number, read_run
from selfplay.store import read_json

PROJECT = "selfplay"


@dataclass(frozen=True)
class Tracked:
    """What a run folder knows of its series at W&B."""

    path: Path
    run_id: str
    """Its id there; "" if it was never tracked."""
    project: str
    entity: str
    """"" until a session was online."""
    metrics: frozenset[str]
    """Names of its numbers, those of its training curve included."""


def workspace_command(runs: Sequence[Path], project: str, entity: str, name: str, dry_run: Path | None) -> None:
    """Makes the workspace of a project. Raises ConfigError without the package, the project or the key."""
    pages, found = _package(), [_tracked(run) for run in runs]
    place = pages.Place(project or _shared("project", found) or PROJECT, entity or _shared("entity", found))
    place = place if dry_run else pages.default_entity(place)
    known = frozenset[str]().union(*(one.metrics for one in found)) if found else None
    _finish(pages, pages.workspace(place, known, scrubbed(name)), "workspace", dry_run)


def report_command(runs: Sequence[Path], entity: str, title: str, dry_run: Path | None) -> None:
    """Makes the report that compares runs. Raises as `workspace_command`, and for runs that W&B does not know."""
    from selfplay.report.compare import in_words

    if len(runs) < 2:
        raise ConfigError(f"wandb-report: {len(runs)} run was given, and a report compares runs; name at least two")
    pages, found = _package(), [_tracked(run) for run in runs]
    if unknown := [str(one.path) for one in found if not one.run_id]:
        raise ConfigError(f"{', '.join(unknown)}: was never tracked; send it first with `selfplay track RUN`")
    place = pages.Place(_shared("project", found), entity or _shared("entity", found))
    place = place if dry_run else pages.default_entity(place)
    lead, tables = in_words(runs)
    compared = pages.Compared(
        title=scrubbed(title or " vs ".join(one.path.resolve().name for one in found)),
        lead=scrubbed(lead),
        tables={
            scrubbed(table.caption): [[scrubbed(cell) for cell in row] for row in (table.columns, *table.rows)]
            for table in tables
        },
        run_ids=[one.run_id for one in found],
    )
    known = frozenset[str]().union(*(one.metrics for one in found))
    if offline := [one.path.name for one in found if not one.entity]:
        print(f"{', '.join(offline)}: not online yet, so the panels lack it until `selfplay track RUN` has sent it")
    _finish(pages, pages.report(place, compared, known, online=dry_run is None), "report", dry_run)


def _package() -> Any:
    """The module that makes workspaces and reports. Raises ConfigError if its package is not installed."""
    try:
        return importlib.import_module("selfplay.tracking.workspace")
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("wandb_workspaces"):
            raise
        raise ConfigError(
            "the package wandb-workspaces is not installed; install it with: pip install 'selfplay[workspace]'"
        ) from None


def _tracked(run: Path) -> Tracked:
    opened, place = open_run(run), run / "tracking.json"
    known = read_json(place) if place.is_file() else {}
    online = [session["url"] for session in known.get("sessions", []) if session.get("url")]
    data = read_run(opened.path)
    rows = [*data.rows, *data.curve]
    return Tracked(
        path=run,
        run_id=known.get("id", ""),
        project=known.get("project", ""),
        entity=urlsplit(online[-1]).path.split("/")[-4] if online else "",
        metrics=frozenset(key for row in rows for key in row if number(row, key) is not None),
    )


def _shared(field: str, runs: Sequence[Tracked]) -> str:
    """The project or entity of all runs; "" if none has one. Raises ConfigError if they differ."""
    found = sorted({value for one in runs if (value := getattr(one, field))})
    if len(found) > 1:
        raise ConfigError(f"the runs are in several W&B {field}s, {', '.join(found)}; name runs of one {field} only")
    return found[0] if found else ""


def _finish(pages: Any, made: Any, what: str, dry_run: Path | None) -> None:
    if dry_run is not None:
        pages.write_spec(made, dry_run)
        print(f"{dry_run}: the {what} of {made.project} as W&B would get it; nothing was sent")
    else:
        print(f"{what}  {pages.save(made)}")
