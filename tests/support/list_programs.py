"""List programs of ours, run in this process."""

from typing import Any

from selfplay.records import Task


def passes(code: str, task: Task) -> bool:
    """Runs a program of ours (never a model's) on the task's hidden inputs."""
    names: dict[str, Any] = {}
    exec(code, names)
    return all(names["f"](*[list(arg) for arg in args]) == expected for args, expected in task.check["cases"])
