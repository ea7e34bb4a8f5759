"""How far a phase has come between two chunks: from tokens and rows as an engine writes them."""

from dataclasses import dataclass


@dataclass
class Call:
    """One call of an engine."""

    rows: int
    """Completions that it makes, or texts that it scores."""
    limit: int
    """Most tokens of a completion; 0 for texts that are scored."""
    tokens: int = 0
    ended: int = 0
    share: float = 0.0
    """What is done of it, in [0, 1]; never falls."""


class Pace:
    """The tokens and rows of a phase since this start of it, and how much of the chunk in hand is done."""

    def __init__(self) -> None:
        self.tokens = 0
        """Tokens that were written in this phase."""
        self._exposure = self._ended = 0
        self._before = 0
        self._call: Call | None = None

    def begin(self, rows: int, limit: int) -> None:
        """A call begins."""
        self._call = Call(rows, limit)

    def settle(self) -> None:
        """The call has ended, and all its rows are done."""
        self._before += self._call.rows if self._call else 0
        self._call = None

    def next_chunk(self) -> None:
        """The chunk in hand is done."""
        self._before, self._call = 0, None

    def write(self, tokens: int, rows: int) -> None:
        """An engine wrote tokens and ended rows. Outside a call only the tokens count."""
        self.tokens += tokens
        if self._call is not None:
            self._call.tokens += tokens
            self._call.ended += rows
            if self._call.limit:
                self._exposure, self._ended = self._exposure + tokens, self._ended + rows
            self._call.share = max(self._call.share, self._share(self._call))

    @property
    def rows(self) -> float:
        """Rows of the chunk in hand that are done, those under way by their share."""
        return self._before + (0.0 if self._call is None else self._call.rows * self._call.share)

    def _share(self, call: Call) -> float:
        """Tokens written over tokens expected, in [0, 1]; of texts that are scored, the share of them.

        A row that goes on is expected to write as much again as a row of this phase writes in all, and no more than the limit leaves:
        tokens over ended rows, the maximum likelihood estimate of a mean length where ends come at a constant rate and some are still to come.
        """
        if not call.limit:
            return min(1.0, call.ended / call.rows) if call.rows else 1.0
        left = max(0, call.rows - call.ended)
        mean = self._exposure / self._ended if self._ended else float(call.limit)
        owed = left * max(0.0, min(mean, call.limit - call.tokens / max(1, call.rows)))
        return call.tokens / (call.tokens + owed) if call.tokens else 0.0
