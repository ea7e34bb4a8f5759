"""Floor 4: the tasks of a round, by the source and the curriculum's edge."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfplay.config.tree import Curriculum, Propose
from selfplay.records import Task
from selfplay.store import read_json, write_json
from selfplay.tasks import Source


def propose(section: Propose, source: Source, *, knobs: Mapping[str, Any], seed: int, out: Path) -> None:
    """Writes `tasks.jsonl` (sorted by id) and DONE with what was refused; rank 0 alone."""
    lengths = edge_shares(section.curriculum, int(knobs.get("edge", 0))) if section.curriculum else None
    found = source.propose(section.tasks_per_round, lengths, seed)
    shares = {str(length): share for length, share in (lengths or {}).items()}
    write_json(
        out / "tasks.json",
        {
            "tasks": [task.model_dump(mode="json", by_alias=True) for task in found.tasks],
            "refused": found.refused,
            "shares": shares,
        },
    )
    write_json(out / "DONE", {"tasks": len(found.tasks), "refused": found.refused})


def read_tasks(out: Path) -> list[Task]:
    """What `propose` wrote."""
    return [Task.model_validate(task) for task in read_json(out / "tasks.json")["tasks"]]


def edge_shares(curriculum: Curriculum, edge: int) -> dict[int, float]:
    """Shares by operation count: `edge_share` at the edge, the rest even over 2 (or 1) up to below it."""
    edge = min(max(edge, curriculum.start), curriculum.end)
    below = list(range(min(2, edge), edge))
    if not below:
        return {edge: 1.0}
    return {**dict.fromkeys(below, (1 - curriculum.edge_share) / len(below)), edge: curriculum.edge_share}


def next_edge(curriculum: Curriculum, edge: int, accepted: Mapping[int, tuple[int, int]]) -> int:
    """The edge of the next round: one step up once `advance_at` of the attempts at the edge were accepted.

    `accepted` maps operation counts to (right attempts, attempts) of this round's training tasks; panel and test have
    no say.
    """
    edge = min(max(edge, curriculum.start), curriculum.end)
    right, attempts = accepted.get(edge, (0, 0))
    mastered = attempts > 0 and right / attempts >= curriculum.advance_at
    return min(edge + curriculum.step, curriculum.end) if mastered else edge
