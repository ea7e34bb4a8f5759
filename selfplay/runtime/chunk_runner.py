"""Distributes the chunks of a phase over the ranks. The folder says which chunks are pending; a shared counter assigns them.

Another way of running chunks needs three calls: `folder.pending()` lists the chunks without a valid file, `work(tool, chunk)`
computes the rows of one chunk without side effects, and `folder.write(chunk, rows)` writes its file atomically. Only the chunk
files count; it does not matter which rank wrote them.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import chain
from typing import Any, TypeVar

from selfplay.errors import OutageError
from selfplay.records import Record
from selfplay.runtime.distributed import Ranks
from selfplay.runtime.progress import Progress
from selfplay.store import Chunk, ChunkFolder

Json = dict[str, Any]
Tool = TypeVar("Tool")
RowType = TypeVar("RowType", bound=Json | Record)
"""The type of a phase's rows."""


def run_chunks(
    name: str,
    folder: ChunkFolder,
    open_tool: Callable[[], AbstractContextManager[Tool]],
    work: Callable[[Tool, Chunk], list[RowType]],
    *,
    ranks: Ranks,
    progress: Progress,
    accepted: Callable[[RowType], bool | None] = lambda row: None,
    size: Callable[[str], int] = lambda member: 1,
) -> None:
    """Computes every pending chunk, then writes DONE. All ranks call it.

    `open_tool` opens what the work needs (a model, the verifiers): each rank does so at its first chunk, and closes it before it
    waits for the others. For the progress display, `accepted` says of a row whether it passed, None if it was not judged, and `size` how many
    rows (attempts or scored texts) a member makes.
    """

    def each(tool: Tool, chunks: Iterable[Chunk]) -> Iterator[tuple[Chunk, list[RowType]]]:
        return ((chunk, work(tool, chunk)) for chunk in chunks)

    stream_chunks(name, folder, open_tool, each, ranks=ranks, progress=progress, accepted=accepted, size=size)


def stream_chunks(
    name: str,
    folder: ChunkFolder,
    open_tool: Callable[[], AbstractContextManager[Tool]],
    work: Callable[[Tool, Iterable[Chunk]], Iterator[tuple[Chunk, list[RowType]]]],
    *,
    ranks: Ranks,
    progress: Progress,
    accepted: Callable[[RowType], bool | None] = lambda row: None,
    size: Callable[[str], int] = lambda member: 1,
) -> None:
    """As `run_chunks`, but `work` is given this rank's chunks as they are assigned, and gives each with its rows as it is done.

    So it may begin a chunk before the last is done. After a request to stop it is given no more, and what it has begun is written.
    """
    if ranks.broadcast(f"{name}/done", folder.done() is not None):
        return
    ids: list[int] = ranks.broadcast(
        f"{name}/pending", [chunk.id for chunk in folder.pending()] if ranks.is_main else None
    )
    by_id = {chunk.id: chunk for chunk in folder.chunks}
    sizes = {chunk.id: sum(map(size, chunk.members)) for chunk in folder.chunks}
    total, owed = sum(sizes.values()), [sizes[id] for id in ids]
    progress.phase(name, total, total - sum(owed))
    tickets = f"{folder.folder.parent.name}/{name}"  # each round has its own counter

    def assigned() -> Iterator[Chunk]:
        while not progress.stop_requested and (ticket := ranks.next_ticket(tickets)) < len(ids):
            if ranks.world_size > 1:  # the chunks before this one are done, or in the hands of other ranks
                progress.total(total, total - sum(owed[ticket:]))
            yield by_id[ids[ticket]]

    mine = assigned()
    if (first := next(mine, None)) is not None:
        with open_tool() as tool:
            for chunk, rows in work(tool, chain([first], mine)):
                folder.write(chunk, rows)
                verdicts = [passed for row in rows if (passed := accepted(row)) is not None]
                progress.advance(sizes[chunk.id], sum(verdicts), len(verdicts))
    progress.check_stop()
    ranks.barrier(name)
    if ranks.is_main:
        folder.finish({})
    ranks.barrier(f"{name}/finished")
    progress.end(name)


def plan(members: Sequence[str], size: int, seed: Callable[[int], int], inputs: Callable[[int], str]) -> list[Chunk]:
    """Splits members into chunks of `size` consecutive ones. `seed` and `inputs` are called with the id of each chunk."""
    starts = range(0, len(members), size)
    return [Chunk(n, tuple(members[start : start + size]), seed(n), inputs(n)) for n, start in enumerate(starts)]


def refuse_outage(name: str, chunk: Chunk, errors: int, total: int, max_share: float, example: str) -> None:
    """Raises OutageError if more than `max_share` of a chunk's items failed through an outage; the chunk is then not written."""
    if total and errors / total > max_share:
        raise OutageError(
            f"{name}, chunk {chunk.id}: {errors} of {total} items failed through an outage ({example}), more than verify.max_error_share = "
            f"{max_share}; fix this and rerun the same command; only this chunk is redone"
        )
