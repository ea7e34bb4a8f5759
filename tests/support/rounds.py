"""One round in hand with a backend and verifiers of the test's own: the phases are the real ones."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selfplay.config import Config
from selfplay.models import Backend
from selfplay.records import Task
from selfplay.runtime.context import RoundContext, write_tasks
from selfplay.runtime.distributed import join
from selfplay.runtime.progress import Progress
from selfplay.runtime.resources import RunResources
from selfplay.store import Commit, RunFolder, write_json
from selfplay.verify import Verifier

PLAIN: dict[str, Any] = {
    "tasks": {"source": "arithmetic"},
    "student": {"kind": "scripted"},
    "propose": {"tasks_per_round": 10},
    "train": {"epochs": 1, "start": "continue"},
}


class GivenParts(RunResources):
    """What a run opens, with a sampler and verifiers that are given."""

    def __init__(self, config: Config, folder: Path, backend: Backend, verifiers: Mapping[str, Verifier]) -> None:
        super().__init__(config, folder, join(None, "cpu"), folder)
        self._backend, self._verifiers = backend, verifiers

    @contextmanager
    def sampler(self, model: Path, identity: str) -> Iterator[Backend]:
        """The backend that was given."""
        yield self._backend

    @contextmanager
    def verifiers(self) -> Iterator[Mapping[str, Verifier]]:
        """The verifiers that were given."""
        yield self._verifiers


def first_round(
    folder: Path, tasks: Sequence[Task], backend: Backend, verifiers: Mapping[str, Verifier], **settings: Any
) -> RoundContext:
    """Round 1 of a run in `folder`, its tasks proposed; `settings` are laid over a plain configuration, key by key."""
    config = Config.model_validate({**PLAIN, "runs_dir": str(folder), "name": "a", **settings})
    parts = GivenParts(config, folder, backend, verifiers)
    before = [Commit(round=0, parent=None, next_parent=0, outputs={"model": "weights"})]
    ctx = RoundContext(1, 0, config, RunFolder(folder / "a"), parts, parts.ranks, Progress(), before)
    write_tasks(ctx.at("propose"), tasks)
    write_json(ctx.at("propose") / "DONE", {"tasks": len(tasks), "filtered": 0, "shares": {}})
    return ctx
