"""W&B's workspace of a project and a report that compares runs, made by code. The only file that imports `wandb_workspaces`.

Both are built without a login and without a connection; only `save` asks W&B's server. The package is the extra `workspace`.
"""

import contextlib
import io
import json
import os
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # its crash reports are telemetry
import wandb

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # it is written in an old style of pydantic
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws
    from wandb_workspaces import expr

from selfplay.errors import ConfigError, OutageError
from selfplay.tracking.mode import choose_mode
from selfplay.tracking.panels import ROUND, Panel, sections
from selfplay.tracking.sent import replace

NAME = "selfplay"
COLUMNS = (
    "summary:best_round",
    "summary:best/eval_greedy_accuracy",
    "summary:collapse_alarm/level",
    "config:seed.value",
)
"""Columns of the list of runs, beside their names: what `Tracker.finish` writes, the last alarm, the seed."""
MOST_RUNS = 50
"""Lines that one panel shows."""


@dataclass(frozen=True)
class Place:
    """A project at W&B."""

    project: str
    entity: str = ""
    """User or team; "" for the default one of the key."""


@dataclass(frozen=True)
class Compared:
    """What a report says and shows. Its texts have passed the privacy filter."""

    title: str
    lead: str
    """What the runs show, in sentences."""
    tables: Mapping[str, Sequence[Sequence[str]]] = field(default_factory=dict)
    """Title -> rows of cells, the first of which is the head."""
    run_ids: Sequence[str] = ()
    """The runs' ids at W&B."""


def workspace(place: Place, known: Collection[str] | None = None, name: str = NAME) -> Any:
    """The workspace of a project: runs grouped by arm (job type) and family (group), `round` as axis, a section for each of `sections`.

    `known`: metrics that the project's runs have; None: all headline metrics.
    """
    parts = [
        ws.Section(
            name=title,
            panels=[_line(panel) for panel in panels],
            is_open=number < 2,
            panel_settings=ws.SectionPanelSettings(x_axis=ROUND),  # a section's own axis goes before the workspace's
        )
        for number, (title, panels) in enumerate(sections(known).items())
    ]
    return ws.Workspace(
        entity=place.entity,
        project=place.project,
        name=name,
        sections=parts,
        settings=ws.WorkspaceSettings(x_axis=ROUND, max_runs=MOST_RUNS),
        runset_settings=ws.RunsetSettings(
            groupby=[expr.Metric("JobType"), expr.Metric("Group")], pinned_columns=list(COLUMNS)
        ),
    )


def report(place: Place, compared: Compared, known: Collection[str] | None = None, *, online: bool = False) -> Any:
    """A report that compares runs: what they show in words and tables, then the same sections of panels over these runs alone.

    `online`: W&B is asked for the project when the report is saved, so that an unknown one is refused.
    """
    where = {"entity": place.entity, "project": place.project} if online else {}
    runs = wr.Runset(name="Compared runs", filters=expr.And(expr.Metric("ID").isin(list(compared.run_ids))), **where)
    blocks: list[Any] = [wr.P(text=compared.lead)]
    for title, rows in compared.tables.items():
        blocks += [wr.H2(text=title), wr.MarkdownBlock(text=_markdown(rows))]
    for title, panels in sections(known).items():
        blocks += [wr.H2(text=title), wr.PanelGrid(runsets=[runs], panels=_laid_out(panels))]
    return wr.Report(
        entity=place.entity, project=place.project, title=compared.title[:128], blocks=blocks, width="fluid"
    )


def spec_of(made: Any) -> dict[str, Any]:
    """What W&B's server would get of a workspace or a report, as JSON types."""
    found: dict[str, Any] = json.loads(made._to_model().spec.model_dump_json(by_alias=True, exclude_none=True))
    return found


def write_spec(made: Any, file: Path) -> None:
    """Writes what `save` would send into a file; needs no key and no connection."""
    name = made.title if isinstance(made, wr.Report) else made.name
    about = {"entity": made.entity, "project": made.project, "name": name, "spec": spec_of(made)}
    replace(file, json.dumps(about, indent=1) + "\n")


def default_entity(place: Place) -> Place:
    """The place with its entity, the key's default one if none is given. Raises ConfigError without a key or entity, OutageError without a server."""
    mode, why = choose_mode("online")
    if mode != "online":
        raise ConfigError(
            f"W&B is {mode} ({why}), so nothing can be saved there; run `wandb login`, or write it to a file with --dry-run FILE"
        )
    if place.entity:
        return place
    entity = _asked(place, lambda: wandb.Api().default_entity)
    if not entity:
        raise ConfigError("W&B names no default entity for this key; give one with --entity, a user or a team")
    return Place(place.project, str(entity))


def save(made: Any) -> str:
    """Saves a workspace or a report as a new one at W&B, and returns its address. Raises as `default_entity`, and ConfigError if W&B refuses it."""
    place = Place(made.project, made.entity)
    found = urlsplit(_asked(place, lambda: str(_quietly(made).url)))
    app = urlsplit(
        wandb.setup().settings.app_url
    )  # the package forgets the path of an app that is not at the root of its host
    path = f"{app.path.rstrip('/')}/{found.path.removeprefix(app.path).lstrip('/')}"
    return str(urlunsplit(found._replace(path=path)))


def _quietly(made: Any) -> Any:
    """Saves without the lines that the package prints: they have its own address."""
    with contextlib.redirect_stderr(io.StringIO()):
        return made.save()


def _asked(place: Place, ask: Callable[[], Any]) -> Any:
    """The one boundary to W&B's server: what it raises becomes a sentence without the key."""
    try:
        return ask()
    except Exception as error:
        chain = [
            text for one in (error, error.__cause__, error.__context__) if one for text in str(one).splitlines()[:1]
        ]
        reason = " ".join(chain[:1])[:300]
        key = os.environ.get("WANDB_API_KEY")
        reason = reason.replace(key, "***") if key else reason
        where = f"{place.entity or 'the default entity'}/{place.project}"
        if any(word in text.lower() for text in chain for word in UNREACHABLE):
            raise OutageError(
                f"W&B was not reached ({reason}); try again later, or write it to a file with --dry-run FILE"
            ) from None
        raise ConfigError(
            f"{where}: W&B refused ({reason}); check the key (`wandb login`), --entity and --project: a project exists once a run was sent to it"
        ) from None


UNREACHABLE = ("did not respond", "connection", "timed out", "timeout", "dial tcp", "no such host", "name resolution")
"""Words of an error that tell a server that is not there from one that refuses."""


def _line(panel: Panel, layout: Any = None) -> Any:
    grouped = {"groupby": wr.Metric("JobType"), "groupby_aggfunc": "mean", "groupby_rangefunc": "minmax"}
    return wr.LinePlot(
        title=panel.title,
        x=panel.axis,
        y=list(panel.keys),
        max_runs_to_show=MOST_RUNS,
        **(grouped if panel.arms else {}),
        **({"layout": layout} if layout else {}),
    )


def _laid_out(panels: Sequence[Panel]) -> list[Any]:
    """Panels of a report, three in a row of its 24 columns."""
    return [_line(panel, wr.Layout(x=8 * (n % 3), y=6 * (n // 3), w=8, h=6)) for n, panel in enumerate(panels)]


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    head, *body = ([cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows)
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
