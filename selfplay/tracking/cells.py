"""The cells of W&B's table of traces."""

import json
from collections.abc import Mapping
from typing import Any


def cell_of(trace: Mapping[str, Any], column: str) -> Any:
    """A column of a trace; the prompt of a chat is its turns, each under the name of its role."""
    task = trace.get("task") if column == "prompt" else None
    try:
        found = json.loads(task) if isinstance(task, str) else task
    except ValueError:
        found = None
    turns = found.get("messages") if isinstance(found, Mapping) else None
    if not isinstance(turns, list) or not all(isinstance(turn, Mapping) for turn in turns) or not turns:
        return trace.get(column)
    return "\n\n".join(f"{turn.get('role')}:\n{turn.get('content')}" for turn in turns)
