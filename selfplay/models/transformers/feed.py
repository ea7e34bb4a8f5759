"""Batches of prompts on their way through the decoder: their draws go in, and each batch comes out when its last draw is done."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from selfplay.models.base import PromptBatch
from selfplay.models.transformers.decode import Draw


@dataclass
class OpenBatch:
    """A batch of which some draws are not done."""

    batch: PromptBatch
    prompts: list[list[int]]
    draws: list[list[Draw]]
    """For each request; none where its prompt leaves no room for a token."""
    longest: int
    """Most tokens of a row, prompt included."""

    def __post_init__(self) -> None:
        self.owed = sum(map(len, self.draws))


class Feed:
    """Opens the next batch when the decoder asks for more. `opened` encodes a batch."""

    def __init__(self, batches: Iterator[PromptBatch], opened: Callable[[PromptBatch], OpenBatch]) -> None:
        self._batches, self._opened = batches, opened
        self._open: list[OpenBatch] = []
        self._owner: dict[Draw, OpenBatch] = {}
        self._again: list[Draw] = []

    @property
    def longest(self) -> int:
        """Most tokens of a row among the open batches; 1 if there are none."""
        return max((one.longest for one in self._open), default=1)

    def more(self) -> list[Draw] | None:
        """The draws that are begun again, or those of the next batch; None: there are no more batches."""
        if self._again:
            again, self._again = self._again, []
            return again
        batch = next(self._batches, None)
        if batch is None:
            return None
        opened = self._opened(batch)
        self._open.append(opened)
        draws = [draw for group in opened.draws for draw in group]
        self._owner |= dict.fromkeys(draws, opened)
        return draws

    def written(self, draw: Draw) -> None:
        """Notes that a draw is done."""
        self._owner.pop(draw).owed -= 1

    def begin_again(self) -> None:
        """Gives every draw in hand once more, since memory ran out on them."""
        self._again = [draw for one in self._open for group in one.draws for draw in group if not draw.done]

    def finished(self) -> Iterator[OpenBatch]:
        """Takes out the batches that are done."""
        for one in [one for one in self._open if not one.owed]:
            self._open.remove(one)
            yield one
