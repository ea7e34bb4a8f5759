"""Runs the loop with log files, signal handling, W&B and the report. `selfplay run` and `selfplay.run` call `start`.

Tracking and report read what is committed and change nothing: a run without them gives the same results.
"""

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from selfplay.config import Loaded
from selfplay.config.metrics import SCORE, best_round
from selfplay.curate import privacy
from selfplay.errors import GateStopped, SelfplayError
from selfplay.loop.run import Finished, OnCommit, run
from selfplay.runtime.progress import Listener, Progress
from selfplay.store import Commit, RunFolder
from selfplay.store.traces import skim_traces

LOG = logging.getLogger("selfplay")
BEST_KEYS = (SCORE, "test/greedy_accuracy", "eval/pass_at_1", "eval/pass_at_8")
"""Metrics of the best round that go into W&B's summary."""
QUIET = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
}
"""Environment variables that are set unless the user has: no telemetry of dependencies, and no progress bars but ours."""


def start(loaded: Loaded, *, listener: Listener | None = None, on_commit: OnCommit | None = None) -> Finished:
    """Starts or resumes a run with logs, W&B and report; raises what `selfplay.loop.run.run` raises.

    `listener` receives progress events (see `selfplay.runtime.progress.Listener`); `on_commit` is called with each new round.
    """
    path = Path(loaded.config.runs_dir) / loaded.config.name
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    with ExitStack() as stack:
        observer = Observer(loaded, path, listener, on_commit, stack)
        progress = Progress(observer.hear)
        stack.enter_context(stopping(progress))
        try:
            finished = run(loaded, progress=progress, on_open=observer.opened, on_commit=observer.committed)
        except GateStopped:
            observer.finish()
            raise
        observer.finish()
        return finished


class Observer:
    """Receives the events of the loop on rank 0 and forwards them to log, W&B, report and terminal."""

    def __init__(
        self,
        loaded: Loaded,
        path: Path,
        listener: Listener | None,
        on_commit: OnCommit | None,
        stack: ExitStack,
    ) -> None:
        self._loaded, self._path, self._stack = loaded, path, stack
        self._listener, self._on_commit = listener, on_commit
        self._tracker: Any = None
        self._follower: Any = None
        self._round = 0
        self._reported = False

    def opened(self, folder: RunFolder) -> None:
        """The run folder is locked and checked: opens the log and W&B."""
        self._stack.enter_context(logging_to(folder.new_log_folder() / "log.txt"))
        self._stack.push(note_end)
        section = self._loaded.config.tracking
        if section.mode == "disabled":
            return
        from selfplay.tracking import Tracker

        self._tracker = self._stack.enter_context(
            Tracker(
                self._path,
                self._loaded.config.model_dump(mode="json"),
                privacy="none" if section.privacy == "none" else scrubbed,
                family=section.group or "",
                project=section.project,
                mode=section.mode,
                metrics=section.metrics,
                table_rows=section.traces,
                system_metrics=False,
            )
        )
        self._tracker.catch_up(skim_traces)

    def hear(self, event: str, figures: dict[str, Any]) -> None:
        """Handles one progress event."""
        if event == "round":
            self._round = figures["number"]
        if event == "note":
            LOG.info("%s", figures["text"])
        if event in ("phase", "end") and figures["name"] == "train":
            self._follow(event == "phase")
        if self._listener is not None:
            self._listener(event, figures)

    def committed(self, folder: RunFolder, commit: Commit) -> None:
        """Handles a new round: sends its metrics to W&B and writes the report again."""
        LOG.info("round %d committed: %s %s", commit.round, commit.action, commit.reason)
        if self._tracker is not None:
            traces = folder.round(commit.round) / "traces.parquet"
            self._tracker.log_round(commit.row(), skim_traces(traces) if traces.is_file() else ())
        self._write_report()
        if self._on_commit is not None:
            self._on_commit(folder, commit)

    def _write_report(self) -> None:
        from selfplay.report import write_report

        self._reported = True
        try:
            write_report(self._path, skim_traces)
        except Exception as error:  # a report that fails must not end the run
            LOG.warning(
                "the report was not written, %s: %s; run `selfplay report %s` to write it",
                type(error).__name__,
                error,
                self._path,
            )

    def finish(self) -> None:
        """The run is over: writes the report if it is out of date, and W&B's summary of the best round."""
        commits = RunFolder(self._path).commits()
        if commits and not self._reported:  # a start that was killed after its last COMMIT left an old report
            self._write_report()
        if self._tracker is not None and commits:
            best = commits[best_round(commits)]
            figures = {f"best/{key.replace('/', '_')}": best.metrics.get(key) for key in BEST_KEYS}
            self._tracker.finish({"best_round": best.round, **figures})

    def _follow(self, begins: bool) -> None:
        if self._follower is not None:
            self._follower.stop()
            self._follower = None
        if begins and self._tracker is not None:
            self._follower = self._tracker.follow(RunFolder(self._path).phase(self._round, "train") / "curve.jsonl")


def scrubbed(text: str) -> str:
    """Text with personal identifiers replaced by surrogates, so that it may be sent to W&B."""
    return privacy.scrub(text, "surrogate").text or ""


@contextmanager
def logging_to(path: Path) -> Iterator[None]:
    """Writes what the package and its libraries log to a file while the block runs."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root, level = logging.getLogger(), LOG.level
    root.addHandler(handler)
    LOG.setLevel(min(level or logging.INFO, logging.INFO))
    try:
        yield
    finally:
        LOG.setLevel(level)
        root.removeHandler(handler)
        handler.close()


def note_end(kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
    """Logs the error that a start ends with, for `selfplay status`: launchers keep neither exit code nor message."""
    if error is not None and kind is not None:
        text = " ".join(str(error).split())
        LOG.info("ended: %s", text if isinstance(error, SelfplayError) else f"{kind.__name__}: {text}")


@contextmanager
def stopping(progress: Progress) -> Iterator[None]:
    """Handles SIGINT and SIGTERM while the block runs: the first asks for a stop, the second stops at once.

    After the first, the current chunk is finished, or training is saved. Does nothing outside the main thread, which alone gets signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def handle(number: int, frame: Any) -> None:
        progress.stop_requested = True
        progress.note("stopping once the current work is saved; interrupt again to stop at once")
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
