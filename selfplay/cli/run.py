"""`selfplay run`: shows progress, a line per round, and at the end what was gained and what to do next."""

import shlex
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from selfplay.cli.run_start import projected_seconds, student_line
from selfplay.cli.terminal import Display, clock, rough_time, round_line
from selfplay.config import Loaded
from selfplay.config.load import plain_override
from selfplay.config.metrics import SCORE, best_round
from selfplay.errors import GateStopped
from selfplay.loop import Finished
from selfplay.store import Commit, RunFolder, read_json
from selfplay.store.run import planned_rounds

RECENT = 3
"""Rounds from whose mean time the time left is estimated."""


class RunDisplay(Display):
    """Shows the progress of a run, a line per round, and at the end its summary, also if the gate stopped it."""

    def __init__(self, loaded: Loaded) -> None:
        self._gain, self._since = "", 0.0
        self._left: float | None = None
        self._measured = False
        super().__init__()
        self._loaded, self._new = loaded, 0
        self._folder = RunFolder(Path(loaded.config.runs_dir) / loaded.config.name)
        self._described = self.silent

    def hear(self, event: str, figures: dict[str, Any]) -> None:
        """Shows one event; before the first phase with a model, what the model is."""
        super().hear(event, figures)
        if event == "round":
            self._begin_round(self._folder.commits())
        elif event == "phase" and not self._described and (self._folder.round(0) / "initial").is_dir():
            self._described = True
            if told := student_line(self._loaded, self._folder):
                self.tell(told)

    def about_run(self) -> str:
        """`round 3 of 9, 12:40 left of the run, dev accuracy 0.213 -> 0.344 (+0.131)`; what is not known yet is left out."""
        left = None if self._left is None else max(self._left - (time.monotonic() - self._since), self.phase_left())
        told = "" if left is None else clock(left) if self._measured else f"roughly {rough_time(left)}"
        return ", ".join(filter(None, [self._round, told and f"{told} left of the run", self._gain]))

    def _begin_round(self, commits: Sequence[Commit]) -> None:
        planned = self._loaded.config.rounds
        self._since = time.monotonic()
        scores = [commit.metrics[SCORE] for commit in commits if SCORE in commit.metrics]
        change = f" -> {scores[-1]:.3f} ({scores[-1] - scores[0]:+.3f})" if len(scores) > 1 else ""
        self._gain = f"dev accuracy {scores[0]:.3f}{change}" if scores else ""
        self._left = seconds_left(commits, planned) if commits else None
        self._measured = self._left is not None
        if self._left is not None and not self._new:
            left = planned - len(commits) + 1
            self.tell(f"a round takes about {rough_time(self._left / left)}, as the last ones did")
        elif len(commits) == 1 and not self.silent and (seconds := projected_seconds(self._loaded, commits[0])):
            self._left = seconds * planned
            self.tell(f"a round takes roughly {rough_time(seconds)}, by its plan at the speed of round 0")

    def __exit__(self, *error: object) -> None:
        if self._new and any(isinstance(part, GateStopped) for part in error):
            config = self._loaded.config
            for line in summary(self._loaded, RunFolder(Path(config.runs_dir) / config.name).commits()):
                self.line(line)
        super().__exit__(*error)

    def committed(self, folder: RunFolder, commit: Commit) -> None:
        """Shows a new round."""
        planned = self._loaded.config.rounds
        self.line(round_line(commit, self._new == 0, planned, seconds_left(folder.commits(), planned)))
        self._new += 1

    def finished(self, run: Finished) -> None:
        """Prints the summary of a run on stdout, below its rounds if none of them is new."""
        if self.silent:
            return
        for commit in () if self._new else run.commits:
            print(
                round_line(
                    commit, header=commit.round == 0, planned=planned_rounds(self._loaded.config.rounds, run.commits)
                )
            )
        for line in summary(self._loaded, run.commits):
            print(line)


def seconds_left(commits: Sequence[Commit], planned: int) -> float | None:
    """Estimated seconds left of a run: the mean time of its last rounds times the rounds left; None after round 0, which has fewer phases."""
    times = [commit.time["time/round_seconds"] for commit in commits[1:] if "time/round_seconds" in commit.time]
    left = planned - (len(commits) - 1)
    if left <= 0:
        return 0.0
    recent = times[-RECENT:]
    return left * sum(recent) / len(recent) if recent else None


def summary(loaded: Loaded, commits: Sequence[Commit]) -> Iterator[str]:
    """What a run gained, and the commands for what one does next."""
    run = Path(loaded.config.runs_dir) / loaded.config.name
    first, best = commits[0], commits[best_round(commits)]
    seconds = sum(commit.time.get("time/round_seconds", 0.0) for commit in commits)
    planned = planned_rounds(loaded.config.rounds, commits)
    yield ""
    yield f"{run}: {len(commits) - 1} of {planned} rounds in {clock(seconds)}"
    if loaded.config.rounds < planned:
        yield f"rounds       is {loaded.config.rounds}, and {planned} are done: finished rounds stay"
    yield from gained(first, best)
    place = shlex.quote(str(run))
    yield f"report       {run / 'report.html'}"
    if len(commits) > 1:
        yield f"traces       selfplay traces {place} --decision accepted"
    yield f"weights      selfplay export {place} --round {best.round} --out {shlex.quote(f'{run.name}-model')}"
    again = [plain_override(word) for word in loaded.overrides if not word.startswith("rounds=")]
    more = f"rounds={planned + max(2, planned // 2)}"
    yield f"more rounds  {shlex.join(['selfplay', 'run', str(loaded.path), *again, more])}"
    yield from tracked(run)


def gained(first: Commit, best: Commit) -> Iterator[str]:
    """Dev accuracy from round 0 to the best round, with the paired interval of the change."""
    old, new = first.metrics.get(SCORE), best.metrics.get(SCORE)
    if old is None or new is None:
        return
    if best.round == first.round:
        yield f"accuracy     {old:.3f} on the dev set in round 0; no later round is clearly better"
        return
    change, low, high = (best.metrics.get(f"{SCORE}_delta{end}") for end in ("", "_lo", "_hi"))
    told = f"accuracy     {old:.3f} -> {new:.3f} on the dev set, round 0 -> {best.round} (the best)"
    yield told
    if change is not None and low is not None and high is not None:
        sure = "" if low > 0 or high < 0 else "; 0 is in it"
        yield f"change       {change:+.3f} [{low:+.3f}, {high:+.3f}], 95 % interval, paired over tasks{sure}"


def tracked(run: Path) -> Iterator[str]:
    """Where the run is in W&B; nothing if it is not tracked."""
    sessions = read_json(run / "tracking.json").get("sessions", []) if (run / "tracking.json").is_file() else []
    if not sessions:
        return
    last = sessions[-1]
    if last.get("url"):
        yield f"W&B          {last['url']}"
    elif last.get("mode") == "offline":
        yield f"W&B          offline; send it with: wandb sync {shlex.quote(str(run / last['folder']))}"
