"""Floor 2: tasks of reasoning-gym (extra `tasks`), made in a process of its own, never in ours.

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
from typing import Any

from selfplay.answers import extract_answer
from selfplay.config.sections import ReasoningGym
from selfplay.errors import ConfigError, OutageError
from selfplay.records import Task
from selfplay.seeds import seed_of
from selfplay.tasks import Fixed
from selfplay.tasks.rows import task_of
from selfplay.tasks.tables import TableSource

START_SECONDS = 120.0
"""Until the first entry, on a busy machine too."""
ENTRY_SECONDS = 30.0
"""Between two entries: a data set that takes longer does not come to an end."""
WORKER = Path(__file__).with_name("gym_worker.py")
"""The text that imports reasoning-gym."""
_LAUNCH = (
    "import json, runpy, sys; sys.path.extend(json.loads(sys.argv.pop(1))); "
    "runpy.run_path(sys.argv.pop(1), run_name='__main__')"
)


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


def spec_of(section: ReasoningGym, name: str, seed: int, size: int) -> dict[str, Any]:
    """What says which entries a data set has."""
    return {"name": name, "seed": seed, "size": size, "settings": section.settings.get(name, {})}


def open_gym(section: ReasoningGym, seed: int, eval_seed: int) -> TableSource:
    """Training tasks by the run's seed; dev set and test set by the evaluation's; what they share is left out of training.

    The anchor is empty where answers are bare: the student starts from a pretrained model.
    """
    wanted = [
        ("train", section.size, seed_of("reasoning_gym", seed) % 2**31),
        ("dev", section.dev, seed_of("reasoning_gym/panel", eval_seed) % 2**31),
        ("test", section.dev, seed_of("reasoning_gym/test", eval_seed) % 2**31),
    ]
    if unknown := sorted(set(section.settings) - set(section.datasets)):
        raise ConfigError(
            f"tasks.settings names {', '.join(unknown)}, not among tasks.datasets; remove it or add it there"
        )
    parts: dict[str, list[Task]] = {"train": [], "dev": [], "test": []}
    specs = [(split, spec_of(section, name, s, size)) for split, size, s in wanted for name in section.datasets]
    made = entries([spec for _, spec in specs])
    with contextlib.closing(made):
        for split, spec in specs:
            parts[split] += [
                _task(next(made, None), spec, split, index, section.threshold) for index in range(spec["size"])
            ]
    held = {task.text for split in ("dev", "test") for task in parts[split]}
    pool = [task for task in parts["train"] if task.text not in held]
    anchor = [task.model_copy(update={"split": "anchor"}) for task in pool if task.reference is not None]
    return TableSource(
        pool,
        Fixed(anchor, parts["dev"], parts["test"], files={"reasoning_gym": metadata.version("reasoning-gym")}),
    )


def written(answer: str) -> str:
    """A reply with this answer; between tags where its form, such as several lines, needs that."""
    plain = f"A: {answer}"
    return plain if extract_answer(plain) == answer else f"<answer>\n{answer}\n</answer>"


def _task(entry: dict[str, Any] | None, spec: dict[str, Any], split: str, index: int, threshold: float) -> Task:
    where = f"reasoning-gym {spec['name']} {split} {index}"
    if entry is None or "error" in entry:
        why = "its process ended or did not answer" if entry is None else entry["error"]
        raise OutageError(
            f"{where}: cannot be made ({why}); check tasks.datasets and tasks.settings with "
            f"`{sys.executable} -c 'import reasoning_gym'`"
        )
    return task_of(
        {
            "id": f"gym-{spec['name']}-{split}-{index}",
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
            "split": split,
        },
        where,
    )
