"""The tracker, the only file that imports `wandb` (and only when a run is tracked)."""

import hashlib
import heapq
import json
import logging
import netrc
import os
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar
from urllib.parse import urlsplit

from selfplay.config.metrics import is_headline
from selfplay.tracking.follower import Follower
from selfplay.tracking.sent import Sent, frames, place, read_lines, replace, wait_until_settled

SCHEMA_VERSION = 1
TABLE_ROWS = 50
CELL_CHARS = 4000
"""Bound on one text cell of the trace table."""
COLUMNS = (
    *("round", "task_id", "attempt", "turn", "origin", "outcome", "decision", "reason", "rank", "finish_reason"),
    *("tags", "prompt", "text", "verdicts"),
)
FLUSH_SECONDS = 1.0
"""How much of W&B's file a SIGKILL can lose; it is sent again on resume."""

Privacy = Callable[[str], str] | Literal["none"]
Mode = Literal["online", "offline", "disabled"]
T = TypeVar("T")
_LOG = logging.getLogger("selfplay.tracking")
_MODES: dict[str, Mode] = {"online": "online", "run": "online", "shared": "online", "disabled": "disabled"}


def choose_mode(asked: Literal["auto", "online", "offline", "disabled"] = "auto") -> tuple[Mode, str]:
    """The mode to start in, and why. WANDB_MODE wins over `asked`; online without a key becomes offline."""
    named = os.environ.get("WANDB_MODE", "").strip().lower()
    wanted, by = (named, f"WANDB_MODE={named}") if named else (asked, f"tracking mode {asked}")
    if wanted == "auto":
        return ("online", "a key is set") if _has_key() else ("offline", "no key is set")
    mode = _MODES.get(wanted, "offline")
    if mode == "online" and not _has_key():
        return "offline", f"{by}, but no key is set"
    return mode, by


def _has_key() -> bool:
    """Whether wandb would find a key, without reading it: environment or netrc."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname
    named = os.environ.get("NETRC")
    for path in [Path(named)] if named else [Path.home() / ".netrc", Path.home() / "_netrc"]:
        try:
            if path.is_file() and host in netrc.netrc(path).hosts:
                return True
        except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
            continue
    return False


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

    `config` is the resolved config; `family` groups runs (seeds and arms of one setting); if empty, the run's name.
    `privacy` rewrites every text before it is written or sent; "none" says that no text needs it.
    `table_rows`: sampled traces in a round's table. `metrics`: send the headline figures of a row (see
    `selfplay.config.metrics`), or all. Every failure of wandb becomes one warning line. Mode `disabled` does nothing and
    never imports wandb.
    """

    def __init__(
        self,
        folder: Path,
        config: Mapping[str, Any],
        *,
        privacy: Privacy,
        family: str = "",
        project: str = "selfplay",
        mode: Literal["auto", "online", "offline", "disabled"] = "auto",
        table_rows: int = TABLE_ROWS,
        metrics: Literal["headline", "all"] = "headline",
        system_metrics: bool = True,
        init_timeout: float = 20.0,
    ) -> None:
        if privacy != "none" and not callable(privacy):
            raise ValueError(f"tracking: privacy is {privacy!r}; give a function from text to text, or 'none'")
        self.folder = folder
        self.mode, self.why = choose_mode(mode)
        self._privacy = privacy
        self._table_rows = table_rows
        self._all = metrics == "all"
        self._lock = threading.RLock()
        self._axes: set[str] = set()
        self._run: Any = None
        self._sent = Sent(folder)
        if self.mode == "disabled":
            return
        known = {"family": family or folder.name, "project": project}
        limits = {"x_disable_stats": not system_metrics, "init_timeout": init_timeout}
        opened = self._attempt(
            "the online start" if self.mode == "online" else "the start", lambda: self._open(config, known, limits)
        )
        if opened is None and self.mode == "online":
            self.mode, self.why = "offline", "the server was not reached"
            self._attempt("the offline start", lambda: self._open(config, known, limits, afresh=True))
        if self._run is None:
            self.mode = "disabled"
        elif self.mode == "offline":
            _LOG.info(
                "W&B is offline (%s); `wandb sync %s` sends it later", self.why, folder / "wandb" / "offline-run-*"
            )

    def _open(
        self, config: Mapping[str, Any], known: Mapping[str, str], limits: Mapping[str, Any], afresh: bool = False
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
            config=self._filtered(dict(config)),
            dir=str(self.folder),
            mode="online" if self.mode == "online" else "offline",
            resume="allow" if self.mode == "online" else None,
            reinit="create_new",
            settings=wandb.Settings(x_transaction_log_flush_interval=FLUSH_SECONDS, **quiet, **limits),
        )
        self._sent.recover(sessions, run.starting_step if self.mode == "online" else 0, history)
        opened = Path(run.dir).parent.resolve().relative_to(self.folder.resolve()).as_posix()
        url = run.url if self.mode == "online" else None
        sessions.append({"folder": opened, "mode": self.mode, "first": self._sent.next_step, "url": url})
        replace(self.folder / "tracking.json", json.dumps(identity, indent=1) + "\n")
        run.define_metric("round")
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
            if self._run is None or int(row["round"]) in self._sent.rounds:
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
            data[f"traces/round_{int(row['round']):03d}"] = table
        self._run.log(data, step=self._sent.note({"round": row["round"]}), commit=True)
        level = row.get("collapse_alarm/level") or 0
        if level >= 2:
            first = row.get("collapse_alarm/first_metric") or "no single metric"
            text = self._filtered(f"round {row['round']}: level {level}, first moved: {first}")
            self._run.alert(title=f"collapse alarm level {level}", text=text)

    def _chosen(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The figures of a row that are sent, their texts filtered."""
        return {k: self._filtered(v) for k, v in row.items() if v is not None and (self._all or is_headline(k))}

    def _table(self, traces: Iterable[Mapping[str, Any]]) -> Any:
        def order(trace: Mapping[str, Any]) -> bytes:
            key = f"{trace.get('round')}/{trace.get('task_id')}/{trace.get('attempt')}"
            return hashlib.sha256(key.encode("utf-8", "replace")).digest()

        picked = heapq.nsmallest(self._table_rows, traces, key=order)
        if not picked:
            return None
        import wandb

        rows = [[self._cell(trace.get(column)) for column in COLUMNS] for trace in picked]
        return wandb.Table(columns=list(COLUMNS), data=rows, allow_mixed_types=True)

    def _cell(self, value: Any) -> Any:
        if value is None or isinstance(value, (bool, int, float)):
            return value
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        return str(self._filtered(text))[:CELL_CHARS]

    def log_train(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Sends the curve rows that were not sent yet, by (round, train/step); rows without a step are passed over."""
        with self._lock:
            for row in rows if self._run is not None else ():
                if "train/step" in row and place(row) not in self._sent.train:
                    self._attempt(f"training step {row['train/step']}", partial(self._send_train, row))

    def _send_train(self, row: Mapping[str, Any]) -> None:
        data = self._chosen(row)
        self._run.log(data, step=self._sent.note(row), commit=True)

    def catch_up(self, read_traces: Callable[[Path], Iterable[Mapping[str, Any]]] | None = None) -> None:
        """Sends what the run folder's committed rounds hold and W&B lacks, in order: to be called once on resume.

        `read_traces` takes the path of a traces.parquet and gives its rows; None sends no tables.
        """
        for commit in sorted(self.folder.glob("rounds/*/COMMIT")) if self._run is not None else ():
            row = self._attempt(f"the row of {commit}", partial(_committed_row, commit))
            if not isinstance(row, dict) or row.get("round") in self._sent.rounds:
                continue
            self.log_train(read_lines(commit.parent / "train" / "curve.jsonl"))
            traces = commit.parent / "traces.parquet"
            self.log_round(row, read_traces(traces) if read_traces and traces.is_file() else ())

    def follow(self, curve: Path) -> Follower:
        """Sends rows of a growing curve file as they come, from a thread, until its `stop()`; use it as a `with` block."""
        return Follower(curve, self.log_train)

    def finish(self, summary: Mapping[str, Any] | None = None, exit_code: int = 0) -> None:
        """Writes the run's summary (the best round and its figures) and closes it; a second call does nothing."""
        with self._lock:
            run, self._run = self._run, None
            if run is not None:
                chosen = {k: self._filtered(v) for k, v in (summary or {}).items() if v is not None}
                self._attempt("the summary", lambda: run.summary.update(chosen))
                self._attempt("the end", lambda: run.finish(exit_code=exit_code))

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


def _committed_row(commit: Path) -> dict[str, Any]:
    """The round's whole row: its metrics with what COMMIT keeps apart, the time and cost figures."""
    found = json.loads(commit.read_text(encoding="utf-8"))
    return {"round": found["round"], **found["metrics"], **found.get("time", {}), **found.get("cost", {})}
