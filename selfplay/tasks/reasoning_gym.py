"""Tasks of reasoning-gym (extra `tasks`), made in a separate process, never in ours.

A task's check says which entry of which data set it is; the scorer makes that entry again (selfplay/verify/reasoning_gym.py).
"""

import contextlib
import importlib.util
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from selfplay.answers import extract_answer
from selfplay.config.sections import Count, TaskSettings
from selfplay.errors import ConfigError, OutageError
from selfplay.records import Task
from selfplay.seeds import seed_of
from selfplay.tasks.base import FaultOf, Fixed
from selfplay.tasks.pool import PoolSource
from selfplay.tasks.rows import in_split, task_of

START_SECONDS = 120.0
"""Until the first entry, on a busy machine too."""
ENTRY_SECONDS = 30.0
"""Between two entries: a data set that takes longer does not come to an end."""
WORKER = Path(__file__).with_name("reasoning_gym_worker.py")
"""The text that imports reasoning-gym."""
_LAUNCH = (
    "import json, runpy, sys; sys.path.extend(json.loads(sys.argv.pop(1))); "
    "runpy.run_path(sys.argv.pop(1), run_name='__main__')"
)


class ReasoningGym(TaskSettings):
    """Procedural tasks of reasoning-gym, by data set name; its own scorers judge the answers, in the sandbox."""

    source: Literal["reasoning_gym"]
    datasets: tuple[str, ...] = Field(min_length=1)
    """Names such as [chain_sum, countdown]."""
    size: Count = 200
    """Training tasks of each data set, and of each level where there are levels."""
    dev: Count = 20
    """The same in the dev set, and as many in the test set."""
    threshold: float = Field(1.0, gt=0, le=1)
    """Score that passes."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Data set name -> its own settings, such as {chain_sum: {max_terms: 4}}."""
    levels: tuple[Count, ...] = ()
    """Levels of the data sets' own curricula, 1 the easiest, such as [1, 2, 3]: each data set is made at each of them, and its
    tasks have that difficulty. `settings` win over a level's. Empty: the data sets as `settings` say, without a difficulty."""

    known_license = "apache-2.0"
    language = "en"
    scripted_student = False

    def open(self, *, seed: int, eval_seed: int, folder: Path, fault_of: FaultOf | None = None) -> PoolSource:
        """Training tasks by the run's seed, dev set and test set by the evaluation's; what they share is left out of training.

        The anchor holds the tasks whose entry comes with an answer. Raises ConfigError where the extra is not installed or the
        settings name no data set of `datasets`, and OutageError where an entry cannot be made.
        """
        if unknown := sorted(set(self.settings) - set(self.datasets)):
            raise ConfigError(
                f"tasks.settings names {', '.join(unknown)}, not among tasks.datasets; remove it or add it there"
            )
        wanted = [
            ("train", self.size, seed_of("reasoning_gym", seed) % 2**31),
            ("dev", self.dev, seed_of("reasoning_gym/panel", eval_seed) % 2**31),
            ("test", self.dev, seed_of("reasoning_gym/test", eval_seed) % 2**31),
        ]
        parts: dict[str, list[Task]] = {"train": [], "dev": [], "test": []}
        specs = [
            (split, spec_of(self, name, seed, size, level))
            for split, size, seed in wanted
            for name in self.datasets
            for level in self.levels or (None,)
        ]
        made = entries([spec for _, spec in specs])
        with contextlib.closing(made):
            for split, spec in specs:
                parts[split] += [
                    _task(next(made, None), spec, split, index, self.threshold) for index in range(spec["size"])
                ]
        held = {task.text for split in ("dev", "test") for task in parts[split]}
        pool = [task for task in parts["train"] if task.text not in held]
        anchor = in_split((task for task in pool if task.reference is not None), "anchor")
        return PoolSource(
            pool, Fixed(anchor, parts["dev"], parts["test"], files={"reasoning_gym": metadata.version("reasoning-gym")})
        )


def spec_of(section: ReasoningGym, name: str, seed: int, size: int, level: int | None = None) -> dict[str, Any]:
    """What says which entries a data set has; `level`: of its own curriculum."""
    spec = {"name": name, "seed": seed, "size": size, "settings": section.settings.get(name, {})}
    return spec if level is None else spec | {"level": level}


def places() -> tuple[str, ...]:
    """Folders of installed packages, for an interpreter that inherits no path. Raises ConfigError without the extra."""
    spec = importlib.util.find_spec("reasoning_gym")
    if spec is None or not spec.origin:
        raise ConfigError(
            "tasks.source is reasoning_gym, and reasoning-gym is not installed; pip install 'selfplay[tasks]'"
        )
    own = str(Path(spec.origin).parent.parent)
    return tuple(dict.fromkeys([own, *(e for e in sys.path if e.endswith(("site-packages", "dist-packages")))]))


def entries(specs: Sequence[dict[str, Any]]) -> Generator[dict[str, Any], None, None]:
    """All entries of all data sets, in order: `question`, `answer`, `mark`, or `error`. Ends early where it hangs or dies."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-S",
            "-s",
            "-P",
            "-B",
            "-c",
            _LAUNCH,
            json.dumps(places()),
            str(WORKER),
            json.dumps(list(specs)),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        cwd="/",
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        yield from (json.loads(line) for line in _lines(process.stdout.fileno()))
    finally:
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _lines(stream: int) -> Iterator[bytes]:
    poll = select.poll()
    poll.register(stream, select.POLLIN)
    buffer, end = b"", time.monotonic() + START_SECONDS
    while poll.poll(max(0.0, end - time.monotonic()) * 1000):
        chunk = os.read(stream, 65536)
        if not chunk:
            return
        *lines, buffer = (buffer + chunk).split(b"\n")
        if lines:
            yield from lines
            end = time.monotonic() + ENTRY_SECONDS


def written(answer: str) -> str:
    """A reply with this answer; between tags where its form, such as several lines, needs that."""
    plain = f"A: {answer}"
    return plain if extract_answer(plain) == answer else f"<answer>\n{answer}\n</answer>"


def _task(entry: dict[str, Any] | None, spec: dict[str, Any], split: str, index: int, threshold: float) -> Task:
    where = f"reasoning-gym {spec['name']} {split} {index}"
    if entry is None or "error" in entry:
        why = "its process ended or did not answer" if entry is None else entry["error"]
        raise OutageError(
            f"{where}: cannot be made ({why}); check tasks.datasets, tasks.settings and tasks.levels with "
            f"`{sys.executable} -c 'import reasoning_gym'`"
        )
    level = spec.get("level")
    return task_of(
        {
            "id": f"gym-{spec['name']}-{split}-{'' if level is None else f'{level}-'}{index}",
            "prompt": f"{entry['question'].strip()}\n",
            "verifier": {
                "type": "reasoning_gym",
                "data": spec,
                "index": index,
                "mark": entry["mark"],
                "threshold": threshold,
            },
            "reference": None if entry["answer"] is None else written(entry["answer"]),
            "source": "reasoning_gym",
            "tags": (f"topic:{spec['name']}",),
            "difficulty": level,
            "split": split,
        },
        where,
    )
