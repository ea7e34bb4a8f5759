"""Floor 2: tasks of reasoning-gym (extra `tasks`): made and scored in a process of its own, never in ours.

A task's check says which entry of which data set it is; the process makes that entry again to score an answer. It is
executed fresh, inherits nothing, gives up files, children and rights (see `gym_worker.py`), and is killed at the deadline.
"""

import contextlib
import importlib.util
import json
import os
import secrets
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from selfplay.config.sections import ReasoningGym
from selfplay.errors import ConfigError, OutageError
from selfplay.records import Task
from selfplay.seeds import seed_of
from selfplay.tasks import Fixed
from selfplay.tasks.tables import TableSource, task_of

START_SECONDS = 120.0
ANSWER_SECONDS = 15.0
"""For one entry or one score, on a busy machine too; a scorer that takes longer does not come to an end."""
_WORKER = Path(__file__).with_name("gym_worker.py")
_LAUNCH = (
    "import json, runpy, sys; sys.path.extend(json.loads(sys.argv.pop(1))); "
    "runpy.run_path(sys.argv.pop(1), run_name='__main__')"
)
_MOST_REPLY = 4 * 2**20


class GymProcess:
    """One process with some data sets open. Not thread-safe. Raises ConfigError without the extra, OutageError if it cannot start."""

    def __init__(self, specs: Sequence[dict[str, Any]]) -> None:
        if importlib.util.find_spec("reasoning_gym") is None:
            raise ConfigError(
                "tasks.source is reasoning_gym, and reasoning-gym is not installed; pip install 'selfplay[tasks]'"
            )
        self._buffer = b""
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-B", "-c", _LAUNCH, json.dumps(_places()), str(_WORKER), json.dumps(list(specs))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            cwd="/",
            start_new_session=True,
        )
        ready = self._line(time.monotonic() + START_SECONDS)
        if ready is None:
            self.close()
            names = ", ".join(sorted({str(spec["name"]) for spec in specs}))
            raise OutageError(
                f"reasoning-gym: its process did not open {names} within {START_SECONDS:.0f} s; check tasks.datasets and "
                f"tasks.settings with `{sys.executable} -c 'import reasoning_gym'`"
            )
        self.fenced = bool(json.loads(ready).get("fenced"))
        """Whether the kernel's Landlock keeps it from all files."""

    def ask(self, **question: Any) -> dict[str, Any] | None:
        """The reply; None, and the process is gone, where it is late, died, or said what was not asked."""
        name = secrets.token_hex(8)
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"id": name, **question}).encode() + b"\n")
            self._process.stdin.flush()
            line = self._line(time.monotonic() + ANSWER_SECONDS)
        except OSError:
            line = None
        try:
            reply = json.loads(line) if line else None
        except ValueError:
            reply = None
        if not isinstance(reply, dict) or reply.get("id") != name or self._buffer:
            self.close()
            return None
        return reply

    def _line(self, end: float) -> bytes | None:
        assert self._process.stdout is not None
        stream = self._process.stdout.fileno()
        poll = select.poll()
        poll.register(stream, select.POLLIN)
        while b"\n" not in self._buffer:
            ready = poll.poll(max(0.0, end - time.monotonic()) * 1000)
            chunk = os.read(stream, 65536) if ready else b""
            if not chunk or len(self._buffer) > _MOST_REPLY:
                return None
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def close(self) -> None:
        """Ends the process; safe to call twice."""
        with contextlib.suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def _places() -> list[str]:
    """Folders of installed packages, for an interpreter that inherits no path."""
    spec = importlib.util.find_spec("reasoning_gym")
    own = [str(Path(spec.origin).parent.parent)] if spec is not None and spec.origin else []
    return [*own, *(entry for entry in sys.path if entry.endswith(("site-packages", "dist-packages")))]


def spec_of(section: ReasoningGym, name: str, seed: int, size: int) -> dict[str, Any]:
    """What says which entries a data set has."""
    return {"name": name, "seed": seed, "size": size, "settings": section.settings.get(name, {})}


def open_gym(section: ReasoningGym, seed: int, eval_seed: int) -> TableSource:
    """Training tasks by the run's seed; panel and test by the evaluation's; what they share is left out of training.

    The anchor is empty where answers are bare: the student starts from a pretrained model.
    """
    wanted = [
        ("train", section.size, seed_of("reasoning_gym", seed) % 2**31),
        ("panel", section.panel, seed_of("reasoning_gym/panel", eval_seed) % 2**31),
        ("test", section.panel, seed_of("reasoning_gym/test", eval_seed) % 2**31),
    ]
    if unknown := sorted(set(section.settings) - set(section.datasets)):
        raise ConfigError(
            f"tasks.settings names {', '.join(unknown)}, not among tasks.datasets; remove it or add it there"
        )
    parts: dict[str, list[Task]] = {"train": [], "panel": [], "test": []}
    specs = [(split, spec_of(section, name, s, size)) for split, size, s in wanted for name in section.datasets]
    process = GymProcess([spec for _, spec in specs])
    try:
        for place, (split, spec) in enumerate(specs):
            parts[split] += [
                _task(process, place, spec, split, index, section.threshold) for index in range(spec["size"])
            ]
    finally:
        process.close()
    held = {task.text for split in ("panel", "test") for task in parts[split]}
    pool = [task for task in parts["train"] if task.text not in held]
    anchor = [task.model_copy(update={"split": "anchor"}) for task in pool if task.reference is not None]
    return TableSource(
        pool,
        Fixed(anchor, parts["panel"], parts["test"], files={"reasoning_gym": metadata.version("reasoning-gym")}),
    )


def _task(process: GymProcess, place: int, spec: dict[str, Any], split: str, index: int, threshold: float) -> Task:
    entry = process.ask(data=place, index=index)
    where = f"reasoning-gym {spec['name']} {split} {index}"
    if entry is None or "error" in entry:
        raise OutageError(f"{where}: cannot be made ({(entry or {}).get('error', 'no reply')}); check tasks.settings")
    return task_of(
        {
            "id": f"gym-{spec['name']}-{split}-{index}",
            "prompt": f"{entry['question'].strip()}\n",
            "verifier": {"type": "reasoning_gym", "data": spec, "index": index, "threshold": threshold},
            "reference": None if entry["answer"] is None else f"A: {entry['answer']}",
            "source": "reasoning_gym",
            "tags": (f"topic:{spec['name']}",),
            "split": split,
        },
        where,
    )
