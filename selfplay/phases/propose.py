"""Floor 5: the tasks of a round, by the source and the curriculum's edge."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from selfplay.config.tree import Curriculum, Propose
from selfplay.records import SCHEMA_VERSION, Record
from selfplay.store import read_lines, write_json, write_lines
from selfplay.tasks import Source
from selfplay.tasks.book import TaskBook

FILE = "tasks.jsonl"
EDGE_OF_KNOWN = 0.6
"""Share of the mastered tasks that lie at the edge itself: what was mastered last is forgotten first."""


class Head(Record):
    """First line of `tasks.jsonl`; the tasks follow, one a line, sorted by id."""

    schema_version: int = SCHEMA_VERSION
    tasks: int
    refused: int = 0
    shares: dict[str, float] = Field(default_factory=dict)
    """By operation count, where there is a curriculum."""


def draw(section: Propose, source: Source, edge: int | None, seed: int) -> list[bytes]:
    """The lines of `tasks.jsonl`: they follow from settings, source, edge and seed alone."""
    lengths = edge_shares(section.curriculum, edge) if section.curriculum and edge is not None else None
    found = source.propose(section.tasks_per_round, lengths, seed)
    shares = {str(length): share for length, share in (lengths or {}).items()}
    head = Head(tasks=len(found.tasks), refused=found.refused, shares=shares)
    return [head.to_line().encode(), *TaskBook.of(found.tasks).lines]


def propose(drawn: Sequence[bytes], out: Path) -> None:
    """Writes what `draw` gave, and DONE with what was refused; rank 0 alone."""
    head = Head.from_line(drawn[0])
    write_lines(out / FILE, drawn)
    write_json(out / "DONE", {"tasks": head.tasks, "refused": head.refused, "notices": notices(head)})


def notices(head: Head) -> list[str]:
    """A sentence where more than half of the draws were refused."""
    drawn = head.tasks + head.refused
    if 2 * head.refused <= drawn:
        return []
    return [
        f"{head.refused} of {drawn} drawn tasks were refused, as they are held out for the dev set or the test set; widen the source "
        "(more operation counts), hold out fewer tasks, or lower propose.tasks_per_round"
    ]


def read_head(out: Path) -> Head:
    """What `propose` wrote of the tasks as a whole. Raises StoreError where the file is missing or broken."""
    return read_lines(out / FILE, lambda lines: Head.from_line(lines[0]))


def read_tasks(out: Path) -> TaskBook:
    """The tasks that `propose` wrote. Raises StoreError where the file is missing or broken."""
    return read_lines(out / FILE, _tasks_in)


def _tasks_in(lines: Sequence[bytes]) -> TaskBook:
    head, book = Head.from_line(lines[0]), TaskBook.read(lines[1:])
    if len(book) != head.tasks:
        raise ValueError(f"{len(book)} tasks, its first line says {head.tasks}")
    return book


def edge_in(curriculum: Curriculum, round: int, knobs: Mapping[str, Any]) -> int:
    """The edge of a round: by the fixed schedule where there is one, else as the rounds before left it."""
    if curriculum.edges:
        return curriculum.edges[min(round, len(curriculum.edges)) - 1]
    return int(knobs.get("edge", curriculum.start))


def edge_shares(curriculum: Curriculum, edge: int) -> dict[int, float]:
    """Shares by operation count: one and two steps beyond the edge; of the rest, most at the edge, the others below."""
    edge = min(max(edge, curriculum.start), curriculum.end)
    known = 1 - curriculum.next_share - curriculum.after_share
    below = range(min(2, edge), edge)
    shares = dict.fromkeys(below, known * (1 - EDGE_OF_KNOWN) / max(1, len(below)))
    shares[edge] = known * (EDGE_OF_KNOWN if below else 1.0)
    for count, share in ((edge + 1, curriculum.next_share), (edge + 2, curriculum.after_share)):
        count = min(count, curriculum.end)
        shares[count] = shares.get(count, 0.0) + share
    return {count: share for count, share in shares.items() if share > 0}


def next_edge(curriculum: Curriculum, edge: int, right: Mapping[int, tuple[int, int]]) -> int:
    """The edge of the next round: on while `advance_at` of the attempts at the next count were right.

    `right` maps operation counts to (right attempts, attempts) of this round's training tasks; dev set and test set have no
    say.
    """
    edge = min(max(edge, curriculum.start), curriculum.end)
    while edge < curriculum.end:
        passed, attempts = right.get(edge + 1, (0, 0))
        if not attempts or passed / attempts < curriculum.advance_at:
            break
        edge += 1
    return edge
