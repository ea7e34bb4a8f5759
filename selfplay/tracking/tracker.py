"""The tracker. With `workspace` the only file that imports `wandb`, and only when a run is tracked."""

import hashlib
import heapq
import json
import logging
import os
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from selfplay.config.headline import headline_first
from selfplay.config.metrics import BEST, is_headline
from selfplay.tracking.cells import cell_of
from selfplay.tracking.follower import Follower
from selfplay.tracking.lineage import Artifacts, Product, alias, aliases_of, fill, products, read_commit
from selfplay.tracking.mode import choose_mode
from selfplay.tracking.sent import Sent, frames, place, read_lines, replace, wait_until_settled

SCHEMA_VERSION = 1
TABLE_ROWS = 50
CELL_CHARS = 4000
"""Bound on one text cell of the trace table."""
COLUMNS = (
    *("round", "task_id", "attempt", "turn", "origin", "outcome", "decision", "reason", "rank", "finish_reason"),
    *("tags", "prompt", "text", "verdicts"),
)
ARTIFACT_SECONDS = 60
"""How long an edge waits for the upload of the artifact it begins at."""
FLUSH_SECONDS = 1.0
"""How much of W&B's file a SIGKILL can lose; it is sent again on resume."""

Privacy = Callable[[str], str] | Literal["none"]
T = TypeVar("T")
_LOG = logging.getLogger("selfplay.tracking")


def history(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of one `.wandb` file in order, live, torn or finished; `_step` is W&B's own step."""
    from wandb.proto import wandb_internal_pb2 as pb

    for frame in frames(path):
        record = pb.Record()  # type: ignore[attr-defined]
        record.ParseFromString(frame)
        if record.WhichOneof("record_type") == "history":
            items = record.history.item
            yield {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


class Tracker:
    """One W&B series for one run folder; create it on rank 0 only. Safe to call from several threads.

    `config` is the resolved config; `family` groups runs (the seeds of one setting); if empty, the run's name. `tags` and
    `job_type` are W&B's. `privacy` rewrites every text before it is written or sent; "none" says that no text needs it.
    `table_rows`: sampled traces in a round's table. `metrics`: send the headline figures of a row (see
    `selfplay.config.metrics`), or all. `artifacts`: see `selfplay.tracking.lineage.fill`. `wait`: the session opens with the
    first row or summary that W&B lacks, so that a finished run that starts again opens none. `resend`: online, only what W&B's server has counts
    as sent, whatever the files say. Every failure of wandb becomes one warning line. Mode `disabled` does nothing and never imports wandb.
    """

    def __init__(
        self,
        folder: Path,
        config: Mapping[str, Any],
        *,
        privacy: Privacy,
        family: str = "",
        tags: Sequence[str] = (),
        job_type: str | None = None,
        project: str = "selfplay",
        mode: Literal["auto", "online", "offline", "disabled"] = "auto",
        table_rows: int = TABLE_ROWS,
        metrics: Literal["headline", "all"] = "headline",
        artifacts: Artifacts = "references",
        system_metrics: bool = True,
        init_timeout: float = 20.0,
        wait: bool = False,
        resend: bool = False,
    ) -> None:
        if privacy != "none" and not callable(privacy):
            raise ValueError(f"tracking: privacy is {privacy!r}; give a function from text to text, or 'none'")
        self.folder = folder
        self.mode, self.why = choose_mode(mode)
        self._privacy = privacy
        self._table_rows = table_rows
        self._all = metrics == "all"
        self._artifacts: Artifacts = artifacts
        self._resend = resend
        self._lock = threading.RLock()
        self._axes: set[str] = set()
        self._logged: dict[str, Any] = {}
        self._run: Any = None
        self._sent = Sent(folder)
        self._waits = wait and self.mode != "disabled" and not (resend and self.mode == "online")
        known = {"family": family or folder.name, "project": project}
        about = {"tags": [str(self._filtered(tag))[:64] for tag in tags], "job_type": job_type}
        limits = {"x_disable_stats": not system_metrics, "init_timeout": init_timeout}
        self._start = partial(self._open, config, known, about, limits)
        if self._waits:
            sessions = self._attempt("what was sent", lambda: self._identity(known)["sessions"])
            self._attempt("what was sent", lambda: self._sent.recover(sessions or [], 0, history))
        else:
            self._begin()

    @property
    def url(self) -> str | None:
        """The address of the online session; None offline, and while none is open."""
        return self._run.url if self._run is not None and self.mode == "online" else None

    def _begin(self) -> None:
        self._waits = False
        if self.mode == "disabled":
            return
        opened = self._attempt("the online start" if self.mode == "online" else "the start", self._start)
        if opened is None and self.mode == "online":
            self.mode, self.why = "offline", "the server was not reached"
            self._attempt("the offline start", partial(self._start, afresh=True))
        if self._run is None:
            self.mode = "disabled"
        elif self.mode == "offline":
            _LOG.info(
                "W&B is offline (%s); `wandb sync %s` sends it later", self.why, self.folder / "wandb" / "offline-run-*"
            )

    def _ready(self) -> bool:
        """Whether rows can be sent; opens the session that waited for one."""
        if self._waits:
            self._begin()
        return self._run is not None

    def _open(
        self,
        config: Mapping[str, Any],
        known: Mapping[str, str],
        about: Mapping[str, Any],
        limits: Mapping[str, Any],
        afresh: bool = False,
    ) -> bool:
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # its crash reports are telemetry
        import wandb

        if afresh:  # the service of a start that failed still holds the run's id
            wandb.teardown()

        identity = self._identity(known)
        sessions = identity["sessions"]
        if sessions:
            wait_until_settled(self.folder / sessions[-1]["folder"])
        quiet = {"console": "off", "silent": True, "disable_git": True, "save_code": False, "x_disable_meta": True}
        run = wandb.init(
            id=identity["id"],
            name=self.folder.name,
            project=identity["project"],
            group=identity["group"],
            **about,
            config=self._filtered(dict(config)),
            dir=str(self.folder),
            mode="online" if self.mode == "online" else "offline",
            resume="allow" if self.mode == "online" else None,
            reinit="create_new",
            settings=wandb.Settings(x_transaction_log_flush_interval=FLUSH_SECONDS, **quiet, **limits),
        )
        online = self.mode == "online"
        counted = [] if online and self._resend else sessions
        self._sent.recover(counted, run.starting_step if online else 0, history)
        opened = Path(run.dir).parent.resolve().relative_to(self.folder.resolve()).as_posix()
        url = run.url if self.mode == "online" else None
        sessions.append({"folder": opened, "mode": self.mode, "first": self._sent.next_step, "url": url})
        replace(self.folder / "tracking.json", json.dumps(identity, indent=1) + "\n")
        run.define_metric("round")
        run.define_metric("traces", step_metric="round", step_sync=False)
        run.define_metric("train/step")
        run.define_metric("train/*", step_metric="train/step", step_sync=False)
        self._run = run
        return True

    def _identity(self, known: Mapping[str, str]) -> dict[str, Any]:
        path = self.folder / "tracking.json"
        if path.is_file():
            found = json.loads(path.read_text(encoding="utf-8"))
            if found.get("schema_version", 0) > SCHEMA_VERSION:
                raise ValueError(
                    f"{path}: schema_version {found['schema_version']} is newer than {SCHEMA_VERSION}; update"
                )
            return dict(found)
        fresh = {"schema_version": SCHEMA_VERSION, "id": uuid.uuid4().hex[:12], "project": known["project"]}
        made = {**fresh, "group": known["family"], "sessions": []}
        replace(path, json.dumps(made, indent=1) + "\n")
        return made

    def log_round(self, row: Mapping[str, Any], traces: Iterable[Mapping[str, Any]] = ()) -> None:
        """Sends a committed round's row, with a table of 50 sampled traces; a round that W&B has is passed over.

        `row` has `round` and flat keys of one slash; None leaves a key out. `traces` are rows as in traces.parquet.
        """
        with self._lock:
            if int(row["round"]) in self._sent.rounds or not self._ready():
                return
            self._attempt(f"round {row['round']}", lambda: self._send_round(row, traces))

    def _send_round(self, row: Mapping[str, Any], traces: Iterable[Mapping[str, Any]]) -> None:
        data = self._chosen(row)
        data.pop("train/step", None)
        for key in data:
            prefix = key.partition("/")[0]
            axis = key if prefix == "train" else f"{prefix}/*"
            if "/" in key and axis not in self._axes:
                self._axes.add(axis)
                self._run.define_metric(axis, step_metric="round", step_sync=False)
        table = self._table(traces)
        if table is not None:
            data["traces"] = table
        self._log_artifacts(int(row["round"]))
        self._run.log(data, step=self._sent.note({"round": row["round"]}), commit=True)
        level = row.get("collapse_alarm/level") or 0
        if level >= 2:
            first = row.get("collapse_alarm/first_metric") or "no single metric"
            text = self._filtered(f"round {row['round']}: level {level}, first moved: {first}")
            self._run.alert(title=f"collapse alarm level {level}", text=text)

    def _chosen(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The figures of a row that are sent, headline metrics first, their texts filtered."""
        kept = (key for key, value in row.items() if value is not None and (self._all or is_headline(key)))
        return {key: self._filtered(row[key]) for key in headline_first(kept)}

    def _table(self, traces: Iterable[Mapping[str, Any]]) -> Any:
        def order(trace: Mapping[str, Any]) -> bytes:
            key = f"{trace.get('round')}/{trace.get('task_id')}/{trace.get('attempt')}"
            return hashlib.sha256(key.encode("utf-8", "replace")).digest()

        picked = heapq.nsmallest(self._table_rows, traces, key=order)
        if not picked:
            return None
        import wandb

        rows = [[self._cell(cell_of(trace, column)) for column in COLUMNS] for trace in picked]
        return wandb.Table(columns=list(COLUMNS), data=rows, allow_mixed_types=True)

    def _cell(self, value: Any) -> Any:
        if value is None or isinstance(value, (bool, int, float)):
            return value
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        return str(self._filtered(text))[:CELL_CHARS]

    def log_train(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Sends the curve rows that were not sent yet, by (round, train/step); rows without a step are passed over."""
        with self._lock:
            for row in rows:
                if "train/step" in row and place(row) not in self._sent.train and self._ready():
                    self._attempt(f"training step {row['train/step']}", partial(self._send_train, row))

    def _send_train(self, row: Mapping[str, Any]) -> None:
        data = self._chosen(row)
        self._run.log(data, step=self._sent.note(row), commit=True)

    def catch_up(self, read_traces: Callable[[Path], Iterable[Mapping[str, Any]]] | None = None) -> None:
        """Sends what the run folder's committed rounds hold and W&B lacks, in order: to be called once on resume.

        `read_traces` takes the path of a traces.parquet and gives its rows; None sends no tables.
        """
        for commit in sorted(self.folder.glob("rounds/*/COMMIT")) if self.mode != "disabled" else ():
            row = self._attempt(f"the row of {commit}", partial(_committed_row, commit))
            if not isinstance(row, dict) or row.get("round") in self._sent.rounds:
                continue
            self.log_train(read_lines(commit.parent / "train" / "curve.jsonl"))
            traces = commit.parent / "traces.parquet"
            self.log_round(row, read_traces(traces) if read_traces and traces.is_file() else ())
        self._link_older()

    def follow(self, curve: Path) -> Follower:
        """Sends rows of a growing curve file as they come, from a thread, until its `stop()`; use it as a `with` block."""
        return Follower(curve, self.log_train)

    def finish(self, summary: Mapping[str, Any] | None = None, exit_code: int = 0) -> None:
        """Writes the run's summary (the best round and its figures) and closes it; a second call does nothing.

        A tracker that waits opens no session for a summary that was written before.
        """
        with self._lock:
            chosen = {k: self._filtered(v) for k, v in (summary or {}).items() if v is not None}
            place = self.folder / "tracking.json"
            if self._waits and chosen and place.is_file() and self._noted().get("summary") != chosen:
                self._begin()
            run, self._run, self._waits = self._run, None, False
            if run is not None:
                self._attempt("the summary", lambda: run.summary.update(chosen))
                self._attempt("the end", lambda: run.finish(exit_code=exit_code))
                if chosen:
                    self._attempt("the note of the summary", lambda: self._note(summary=chosen))

    def _noted(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "tracking.json").read_text(encoding="utf-8")))

    def _note(self, **known: Any) -> None:
        replace(self.folder / "tracking.json", json.dumps(self._noted() | known, indent=1) + "\n")

    def _log_artifacts(self, number: int) -> None:
        """Logs what a round made, before its row: a round whose row arrived has its artifacts too."""
        if self._artifacts == "off" or not read_commit(self.folder, number):
            return
        noted = self._noted()
        for round_, aliases in aliases_of(self.folder, number, BEST):
            for product in products(self.folder, noted["id"], round_):
                self._attempt(f"the artifact {product.name} of round {round_}", partial(self._log, product, aliases))
        self._note(logged=sorted({*noted.get("logged", []), number}))
        if self.mode == "online":
            self._attempt(f"the lineage of round {number}", partial(self._link, number))

    def _log(self, product: Product, aliases: Sequence[str]) -> None:
        import wandb

        with _staging_in(self.folder / "wandb"):
            metadata = self._filtered(dict(product.metadata))
            artifact = wandb.Artifact(product.name, type=product.kind, metadata=metadata)
            fill(artifact, product, self._artifacts, self._filtered)
            self._logged[f"{product.name}:{alias(product.round)}"] = self._run.log_artifact(
                artifact, aliases=list(aliases)
            )

    def _link_older(self) -> None:
        """Makes, online, the used-by edges of rounds whose artifacts were sent offline; the first failure ends the attempt."""
        if self._run is None or self.mode != "online" or self._artifacts == "off":
            return
        noted = self._noted()
        for number in sorted({*noted.get("logged", [])} - {*noted.get("linked", [])}):
            if self._attempt(f"the lineage of round {number}", partial(self._link, number)) is None:
                return

    def _link(self, number: int) -> bool:
        """Says that the run used the weights that a round started from. `use_artifact` needs the server."""
        noted = self._noted()
        parents = {name for p in products(self.folder, noted["id"], number) for name in p.metadata["parents"]}
        for name in sorted(name for name in parents if not name.endswith(alias(number))):
            if name in self._logged:
                self._logged[name].wait(timeout=ARTIFACT_SECONDS)
            self._run.use_artifact(name)
        self._note(linked=sorted({*noted.get("linked", []), number}))
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.finish(exit_code=0 if kind is None else 1)

    def _filtered(self, value: Any) -> Any:
        """`value` with every text in it passed through the privacy filter."""
        if isinstance(value, str):
            return value if self._privacy == "none" else self._privacy(value)
        if isinstance(value, Mapping):
            return {k: self._filtered(v) for k, v in value.items()}
        if isinstance(value, (list, tuple, set)):
            return [self._filtered(v) for v in value]
        return value if value is None or isinstance(value, (bool, int, float)) else self._filtered(str(value))

    def _attempt(self, what: str, action: Callable[[], T]) -> T | None:
        """The one boundary: whatever wandb raises becomes a line in the log, and the run goes on."""
        try:
            return action()
        except Exception as error:
            reason = (str(error).splitlines() or [""])[0][:300]
            key = os.environ.get("WANDB_API_KEY")
            reason = reason.replace(key, "***") if key else reason
            _LOG.warning(
                "tracking: %s failed, %s: %s; the run goes on, metrics.jsonl is complete, and a resume sends what is missing",
                *(what, type(error).__name__, reason),
            )
            return None


@contextmanager
def _staging_in(folder: Path) -> Iterator[None]:
    """Where wandb keeps the files of artifacts until they are uploaded: in the run folder, not in the home folder."""
    before = os.environ.get("WANDB_DATA_DIR")
    os.environ["WANDB_DATA_DIR"] = str(folder.resolve())
    try:
        yield
    finally:
        if before is None:
            del os.environ["WANDB_DATA_DIR"]
        else:
            os.environ["WANDB_DATA_DIR"] = before


def _committed_row(commit: Path) -> dict[str, Any]:
    """The round's whole row: its metrics with what COMMIT keeps apart, the time and cost figures."""
    found = json.loads(commit.read_text(encoding="utf-8"))
    return {"round": found["round"], **found["metrics"], **found.get("time", {}), **found.get("cost", {})}
