"""What surrounds the loop: log files, signal handling, W&B and the report.

Tracking and report read what is committed and change nothing: a run without them gives the same results.
"""

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from selfplay.config import Loaded
from selfplay.errors import GateStopped, SelfplayError
from selfplay.loop.tracked import open_tracker, summary_of
from selfplay.runtime.progress import Listener, Progress
from selfplay.store import Commit, RunFolder
from selfplay.store.traces import skim_traces

LOG = logging.getLogger("selfplay")
OnCommit = Callable[[RunFolder, Commit], None]
QUIET = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
}
"""Environment variables that are set unless the user has: no telemetry of dependencies, and no progress bars but ours."""


@contextmanager
def session_of(loaded: Loaded, listener: Listener | None, on_commit: OnCommit | None) -> Iterator["Session"]:
    """The session of one start of a run. It ends with the report and W&B's summary, unless an error other than the gate's stop ends it."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    with ExitStack() as stack:
        session = Session(loaded, listener, on_commit, stack)
        stack.enter_context(stopping(session.progress))
        try:
            yield session
        except GateStopped:
            session.finish()
            raise
        session.finish()


class Session:
    """Passes the events of the loop to log, W&B, report and terminal. On ranks other than 0 it only passes progress on."""

    def __init__(self, loaded: Loaded, listener: Listener | None, on_commit: OnCommit | None, stack: ExitStack) -> None:
        self._loaded, self._path, self._stack = loaded, Path(loaded.config.runs_dir) / loaded.config.name, stack
        self._listener, self._on_commit = listener, on_commit
        self._folder: RunFolder | None = None
        self._tracker: Any = None
        self._follower: Any = None
        self._round = 0
        self._reported = False
        self.progress = Progress(self._hear)

    def opened(self, folder: RunFolder) -> None:
        """Opens the log and W&B. Rank 0 calls it once the run folder is locked and checked."""
        self._folder = folder
        self._stack.enter_context(logging_to(folder.new_log_folder() / "log.txt"))
        self._stack.push(note_end)
        if self._loaded.config.tracking.mode == "disabled":
            return
        commits = folder.commits()
        over = bool(commits) and (commits[-1].round >= self._loaded.config.rounds or commits[-1].action == "stop")
        self._tracker = self._stack.enter_context(open_tracker(self._loaded, self._path, wait=over))
        if self._tracker.url:
            self.progress.note(f"W&B: {self._tracker.url}")
        self._tracker.catch_up(skim_traces)

    def _hear(self, event: str, figures: dict[str, Any]) -> None:
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
        """Writes the report if it is out of date, and W&B's summary of the best round, once the run is over."""
        commits = self._folder.commits() if self._folder is not None else []
        if commits and not self._reported:  # a start that was killed after its last COMMIT left an old report
            self._write_report()
        if self._tracker is not None and commits:
            self._tracker.finish(summary_of(commits))

    def _follow(self, begins: bool) -> None:
        if self._follower is not None:
            self._follower.stop()
            self._follower = None
        if begins and self._tracker is not None and self._folder is not None:
            self._follower = self._tracker.follow(self._folder.phase(self._round, "train") / "curve.jsonl")


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
