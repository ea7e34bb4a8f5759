"""Drives a phase's chunks over the ranks: what is pending comes from the folder, who does it from a counter.

The seam for other ways of running chunks is three calls: `folder.pending()` says what is to be done, `work(tool, chunk)` makes the
rows of one chunk and touches nothing else, `folder.write(chunk, rows)` puts them down, whole. Whoever does the work, the chunk
files are the truth.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any, TypeVar

from selfplay.errors import OutageError
from selfplay.records import Record
from selfplay.runtime.distributed import Ranks
from selfplay.runtime.progress import Progress
from selfplay.store import Chunk, ChunkFolder

Json = dict[str, Any]
Tool = TypeVar("Tool")
Made = TypeVar("Made", bound=Json | Record)
"""What a phase makes its rows of."""


def run_chunks(
    name: str,
    folder: ChunkFolder,
    open_tool: Callable[[], AbstractContextManager[Tool]],
    work: Callable[[Tool, Chunk], list[Made]],
    *,
    ranks: Ranks,
    progress: Progress,
    accepted: Callable[[Made], bool] = lambda row: False,
) -> None:
    """Makes every pending chunk, then DONE. Each rank opens the tool at its first chunk, and frees it before it waits.

    `accepted` says which rows count as accepted in the progress display.
    """
    if ranks.broadcast(f"{name}/done", folder.done() is not None):
        return
    tickets = f"{folder.folder.parent.name}/{name}"  # a counter of its own in every round
    ids: list[int] = ranks.broadcast(
        f"{name}/pending", [chunk.id for chunk in folder.pending()] if ranks.is_main else None
    )
    by_id = {chunk.id: chunk for chunk in folder.chunks}
    total = sum(len(chunk.members) for chunk in folder.chunks)
    progress.phase(name, total, total - sum(len(by_id[id].members) for id in ids))
    with ExitStack() as stack:
        tool: Tool | None = None
        while (ticket := ranks.next_ticket(tickets)) < len(ids):
            if tool is None:
                tool = stack.enter_context(open_tool())
            chunk = by_id[ids[ticket]]
            rows = work(tool, chunk)
            folder.write(chunk, rows)
            progress.advance(len(chunk.members), sum(accepted(row) for row in rows))
            progress.check_stop()
    ranks.barrier(name)
    if ranks.is_main:
        folder.finish({})
    ranks.barrier(f"{name}/finished")
    progress.end(name)


def plan(members: Sequence[str], size: int, seed: Callable[[int], int], inputs: Callable[[int], str]) -> list[Chunk]:
    """Consecutive members in chunks of a size; seed and inputs by chunk id."""
    starts = range(0, len(members), size)
    return [Chunk(n, tuple(members[start : start + size]), seed(n), inputs(n)) for n, start in enumerate(starts)]


def refuse_outage(name: str, chunk: Chunk, errors: int, total: int, max_share: float, example: str) -> None:
    """Raises OutageError where too large a share of a chunk failed for reasons of ours: it is then not written."""
    if total and errors / total > max_share:
        raise OutageError(
            f"{name}, chunk {chunk.id}: {errors} of {total} items failed on our side ({example}), over verify.max_error_share = "
            f"{max_share}; fix this and rerun the same command; only this chunk is redone"
        )
