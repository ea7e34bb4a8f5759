"""How hard a server may be pushed (adaptive concurrency, pauses, back-off), and what it may cost in tokens and money.

No network, no global randomness; the ledger is in cache.py. Concurrency follows TCP's rule: one more request a full turn while
replies come (additive increase), half as many when the server says it is too much (multiplicative decrease), and only once for
all requests that were sent under one limit.
"""

import asyncio
import math
from collections import deque
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from selfplay.errors import ConfigError
from selfplay.seeds import rng_of


@dataclass(frozen=True)
class Patience:
    """How long to wait and how often to try again. All times in seconds."""

    deadline_seconds: float = 300.0
    """For one exchange, from connecting to the last byte: a slow drip of bytes does not extend it."""
    patience_seconds: float = 900.0
    """For one item over all its tries; no try starts after it."""
    retries: int = 5
    """Tries after the first that may fail; a refusal while other requests succeed is not counted."""
    initial_backoff_seconds: float = 0.5
    """The first back-off; it doubles with every failed try."""
    max_wait_seconds: float = 60.0
    """Longest back-off. A server that asks for a longer pause (Retry-After) is taken as down."""
    give_up_after: int = 3
    """Items in a row that failed all tries: the server is down, and the rest of the call fails at once."""

    def wait(self, failures: int, *parts: int | str) -> float:
        """Back-off in seconds after `failures` >= 1 failed tries: exponential, 50 to 100 % of it by the seed parts."""
        full = min(self.initial_backoff_seconds * 2.0 ** min(failures - 1, 30), self.max_wait_seconds)
        return full * (0.5 + 0.5 * rng_of(*parts, failures).random())


def retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Seconds that a Retry-After header asks for, >= 0: a number, or an HTTP date counted from `now` (default: the clock).

    None where there is none or it cannot be read.
    """
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            date = parsedate_to_datetime(value)
        except (ValueError, TypeError, OverflowError):
            return None
        aware = date if date.tzinfo else date.replace(tzinfo=UTC)
        seconds = (aware - (now or datetime.now(UTC))).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None


class Limit:
    """How many requests may be under way: a number between 1 and `most` that follows the server."""

    def __init__(self, most: int, start: int | None = None) -> None:
        self.most = most
        self.value = float(min(start or most, most))
        self.epoch = 0
        """Counts the decreases. A request carries the epoch it was sent in."""

    def grow(self) -> None:
        """One reply came: about one more request for every `value` of these."""
        self.value = min(float(self.most), self.value + 1.0 / self.value)

    def shrink(self, epoch: int) -> bool:
        """The server refused a request sent in `epoch`: halves the limit, but once for all requests of that epoch."""
        if epoch != self.epoch:
            return False
        self.value = max(1.0, self.value / 2.0)
        self.epoch += 1
        return True


class Gate:
    """Lets requests through in order, at most `limit.value` at once, none during a pause. For one event loop."""

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self.active = 0
        self._opens_at = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def enter(self) -> int:
        """Waits for a place and takes it; gives the epoch. Every `enter` is followed by one `leave`."""
        loop = asyncio.get_running_loop()
        while True:
            pause = self._opens_at - loop.time()
            if pause > 0:
                await asyncio.sleep(pause)
            elif self.active < int(self.limit.value):
                self.active += 1
                return self.limit.epoch
            else:
                await self._turn(loop)

    async def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        place = loop.create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            self._wake()  # the place may have been given to the cancelled one
            raise

    def leave(self) -> None:
        """Gives the place back."""
        self.active -= 1
        self._wake()

    def pause(self, seconds: float) -> None:
        """Nothing is sent for so long; a longer pause that runs already stays."""
        self._opens_at = max(self._opens_at, asyncio.get_running_loop().time() + seconds)

    def _wake(self) -> None:
        free = int(self.limit.value) - self.active
        while free > 0 and self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                free -= 1


@dataclass(frozen=True)
class Prices:
    """Money a million tokens, from the provider's dated price list; the currency is the caller's."""

    prompt_per_million: float
    completion_per_million: float


@dataclass(frozen=True)
class Spent:
    """Tokens and money; `estimated` says how many of the requests have no exact count from the server."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    money: float = 0.0
    requests: int = 0
    estimated: int = 0

    @property
    def tokens(self) -> int:
        """Prompt and completion together."""
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))

    def __sub__(self, other: "Spent") -> "Spent":
        return Spent(*(getattr(self, name) - getattr(other, name) for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class Budget:
    """A hard stop. None is no limit. Cached replies cost nothing, so the same command goes on where it stopped."""

    max_tokens: int | None = None
    max_money: float | None = None
    prices: Prices | None = None

    def __post_init__(self) -> None:
        if self.max_money is not None and self.prices is None:
            raise ConfigError(
                f"budget: max_money is {self.max_money} but there are no prices; give prices, or max_tokens"
            )

    @property
    def limited(self) -> bool:
        """Whether there is any limit."""
        return self.max_tokens is not None or self.max_money is not None

    def priced(self, spent: Spent) -> Spent:
        """The same with the money its tokens cost; 0 without prices."""
        if self.prices is None:
            return replace(spent, money=0.0)
        prompt = spent.prompt_tokens * self.prices.prompt_per_million
        return replace(spent, money=(prompt + spent.completion_tokens * self.prices.completion_per_million) / 1e6)

    def fits(self, total: Spent) -> bool:
        """Whether so much may be spent in all; exactly the limit still may."""
        tokens_fit = self.max_tokens is None or total.tokens <= self.max_tokens
        return tokens_fit and (self.max_money is None or total.money <= self.max_money)

    def describe(self, spent: Spent) -> str:
        """`1200 of 1000 tokens` or the like, for messages."""
        parts = []
        if self.max_tokens is not None:
            parts.append(f"{spent.tokens} of {self.max_tokens} tokens")
        if self.max_money is not None:
            parts.append(f"{spent.money:.4f} of {self.max_money:g} in money")
        return " and ".join(parts) or f"{spent.tokens} tokens, no limit"
