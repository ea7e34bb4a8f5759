"""The W&B series of a run: its group, tags and job type, and its sending after the fact."""

import hashlib
import json
from pathlib import Path
from typing import Any

from selfplay.config import Loaded
from selfplay.config.load import run_name, science_of
from selfplay.config.metrics import SCORE, best_round
from selfplay.curate import privacy
from selfplay.store import Commit, RunFolder, read_json
from selfplay.store.traces import skim_traces

SEEDS = ("seed", "eval.seed")
"""Keys in which the runs of a family differ, beside the operation keys."""
BEST_KEYS = (SCORE, "test/greedy_accuracy", "eval/pass_at_1", "eval/pass_at_8")
"""Metrics of the best round that go into W&B's summary."""


def family_of(loaded: Loaded, run: Path) -> str:
    """The family of a run: the name of its configuration file with a digest of all science keys but the seeds.

    Runs of one file that differ only in name, seeds or operation keys are one family. The file is that of the run's last
    start (start.json), or else the one that `loaded` was read from.
    """
    start = run / "start.json"
    file = read_json(start)["config"] if start.is_file() else loaded.path
    counted = {key: value for key, value in science_of(loaded.config).items() if key not in SEEDS}
    text = json.dumps(counted, sort_keys=True, default=str)
    return f"{run_name(file)}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def tags_of(loaded: Loaded) -> list[str]:
    """W&B tags: training method, source of tasks, kind of student, and `verified` or `control`."""
    config = loaded.config
    return [config.train.method, config.tasks.source, config.student.kind, arm_of(loaded)]


def arm_of(loaded: Loaded) -> str:
    """`control` for a run that accepts attempts without verdict, otherwise `verified`."""
    return "verified" if loaded.config.curate.verified_only else "control"


def open_tracker(loaded: Loaded, run: Path, *, wait: bool, mode: Any = None, resend: bool = False) -> Any:
    """The tracker of a run by its configuration; `wait` and `resend` as in Tracker, `mode` in place of the configuration's."""
    from selfplay.tracking import Tracker

    section = loaded.config.tracking
    return Tracker(
        run,
        loaded.config.model_dump(mode="json"),
        privacy="none" if section.privacy == "none" else scrubbed,
        family=section.group or family_of(loaded, run),
        tags=tags_of(loaded),
        job_type=arm_of(loaded),
        project=section.project,
        mode=mode or section.mode,
        metrics=section.metrics,
        table_rows=section.traces,
        artifacts=section.artifacts,
        wait=wait,
        resend=resend,
    )


def summary_of(commits: list[Commit]) -> dict[str, Any]:
    """The figures of the best round for W&B's summary."""
    best = commits[best_round(commits)]
    figures = {f"best/{key.replace('/', '_')}": best.metrics.get(key) for key in BEST_KEYS}
    return {"best_round": best.round, **figures}


def send(loaded: Loaded, run: Path) -> tuple[str, str, bool]:
    """Sends what W&B lacks of a run's committed rounds; returns the mode, the reason for it, and whether a session was opened.

    A configuration with W&B disabled is sent by `auto`, since whoever calls this wants it sent.
    """
    mode = "auto" if loaded.config.tracking.mode == "disabled" else None
    before = _sessions(run)
    tracker = open_tracker(loaded, run, wait=True, mode=mode, resend=True)
    tracker.catch_up(skim_traces)
    if commits := RunFolder(run).commits():
        tracker.finish(summary_of(commits))
    return tracker.mode, tracker.why, _sessions(run) > before


def _sessions(run: Path) -> int:
    place = run / "tracking.json"
    return len(read_json(place).get("sessions", [])) if place.is_file() else 0


def scrubbed(text: str) -> str:
    """Text with personal identifiers replaced by surrogates, so that it may be sent to W&B."""
    return privacy.scrub(text, "surrogate").text or ""
