"""What a paid backend may cost, in tokens and in money. Arithmetic only; the ledger is in cache.py."""

from dataclasses import dataclass, replace

from selfplay.errors import ConfigError


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
