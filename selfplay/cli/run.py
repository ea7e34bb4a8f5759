"""`selfplay run`: shows progress, a line per round, and at the end what was gained and what to do next."""

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from selfplay.cli.terminal import Display, clock, round_line
from selfplay.config import Loaded
from selfplay.config.metrics import SCORE, best_round
from selfplay.errors import GateStopped
from selfplay.loop import Finished
from selfplay.store import Commit, RunFolder, read_json

RECENT = 3
"""Rounds from whose mean time the time left is estimated."""


class RunDisplay(Display):
    """Shows the progress of a run, a line per round, and at the end its summary, also if the gate stopped it."""

    def __init__(self, loaded: Loaded) -> None:
        super().__init__()
        self._loaded, self._new = loaded, 0

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
            print(round_line(commit, header=commit.round == 0, planned=self._loaded.config.rounds))
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
    yield ""
    yield f"{run}: {len(commits) - 1} of {max(len(commits) - 1, loaded.config.rounds)} rounds in {clock(seconds)}"
    yield from gained(first, best)
    place = shlex.quote(str(run))
    yield f"report       {run / 'report.html'}"
    if len(commits) > 1:
        yield f"traces       selfplay traces {place} --decision accepted"
    yield f"weights      selfplay export {place} --round {best.round} --out {shlex.quote(f'{run.name}-model')}"
    again = [word for word in loaded.overrides if not word.startswith("rounds=")]
    more = f"rounds={loaded.config.rounds + max(2, loaded.config.rounds // 2)}"
    yield f"more rounds  {shlex.join(['selfplay', 'run', str(loaded.path), *again, more])}"
    yield from tracked(run)


def gained(first: Commit, best: Commit) -> Iterator[str]:
    """Dev accuracy from round 0 to the best round, with the paired interval of the change."""
    old, new = first.metrics.get(SCORE), best.metrics.get(SCORE)
    if old is None or new is None:
        return
    if best.round == first.round:
        yield f"accuracy     {old:.3f} on the dev set in round 0, and no later round is clearly better"
        return
    change, low, high = (best.metrics.get(f"{SCORE}_delta{end}") for end in ("", "_lo", "_hi"))
    told = f"accuracy     {old:.3f} -> {new:.3f} on the dev set, round 0 -> {best.round} (the best)"
    yield told
    if change is not None and low is not None and high is not None:
        sure = "" if low > 0 or high < 0 else "; no change is within it"
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
