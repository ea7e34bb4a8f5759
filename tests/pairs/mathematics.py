"""Pairs of a reference and a reply that are equal, or unequal, by construction."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from . import amounts, expressions, structures, wordings
from .replies import Reply, compose, hedge, in_prose, nothing, only_in_thought
from .texts import Family, Text

# kind: (family, weight). What needs symbolic work costs a hundred times more, so it is drawn less often.
FAMILIES: dict[str, tuple[Family, int]] = {
    "integer": (amounts.integers, 12),
    "fraction": (amounts.fractions, 8),
    "decimal": (amounts.decimals, 7),
    "scientific": (amounts.scientific, 4),
    "percent": (amounts.percents, 5),
    "rounded": (amounts.rounded_decimals, 3),
    "repeating": (amounts.repeating_decimals, 1),
    "arithmetic": (amounts.arithmetic, 3),
    "huge": (amounts.huge_powers, 1),
    "money": (amounts.money, 5),
    "large words": (amounts.large_words, 2),
    "unit": (amounts.units, 6),
    "area": (amounts.areas, 2),
    "angle": (amounts.angles, 2),
    "rate": (amounts.rates, 2),
    "ordinal": (amounts.ordinals, 1),
    "base": (amounts.bases, 2),
    "set": (structures.sets, 3),
    "list": (structures.lists, 3),
    "roots": (structures.roots, 2),
    "tuple": (structures.tuples, 4),
    "points": (structures.points, 2),
    "plus minus": (structures.plus_minus, 1),
    "interval": (structures.intervals, 3),
    "ray": (structures.rays, 2),
    "union": (structures.unions, 1),
    "vector": (structures.vectors, 2),
    "matrix": (structures.matrices, 2),
    "ratio": (structures.ratios, 3),
    "named values": (structures.named_values, 3),
    "assignment": (structures.assignments, 3),
    "polynomial": (expressions.polynomials, 4),
    "factored": (expressions.factored, 3),
    "forged": (expressions.forged, 2),
    "rational term": (expressions.rational_terms, 2),
    "radical": (expressions.radicals, 3),
    "pi": (expressions.pi_multiples, 2),
    "complex": (expressions.complex_numbers, 2),
    "function": (expressions.functions, 2),
    "equation": (expressions.equations, 2),
    "quadratic": (expressions.quadratics, 2),
    "definition": (expressions.definitions, 1),
    "inequality": (expressions.inequalities, 1),
    "yes or no": (wordings.yes_no, 3),
    "word": (wordings.names, 4),
    "choice": (wordings.choices, 6),
    "clock time": (wordings.clock_times, 3),
    "date": (wordings.dates, 2),
    "two counts": (wordings.two_counts, 2),
    "labelled": (wordings.labelled, 2),
    "span": (wordings.spans, 2),
}


@dataclass(frozen=True, slots=True)
class Pair:
    """A reference, a model's reply, whether they give the same answer, and how the pair was made."""

    gold: str
    reply: str
    equal: bool
    kind: str
    how: str

    @property
    def brief(self) -> str:
        return f"{self.gold!r} ~ {self.reply!r}"


def _gold(rng: Random, text: Text) -> str:
    if text.plain is not None and (text.latex is None or rng.random() < 0.65):
        return text.plain
    return f"${text.latex}$" if rng.random() < 0.5 else str(text.latex)


def _unequal(rng: Random, right: Text, wrong: Text, single: bool) -> Reply:
    """A reply that does not give the right value."""
    draw = rng.random()
    if single and draw < 0.15:
        return hedge(rng, right, wrong)
    if draw < 0.17:
        return only_in_thought(rng, right)
    if draw < 0.18:
        return nothing(rng)
    planted = rng.random() < 0.5
    return compose(rng, wrong, right if planted else None)


def pair(seed: int, index: int, kind: str | None = None) -> Pair:
    """The pair at an index of a seed's sequence; `kind` keeps to one family."""
    rng = Random(f"mathematics/{seed}/{index}/{kind or ''}")
    name = kind or rng.choices(list(FAMILIES), [weight for _, weight in FAMILIES.values()])[0]
    drawn = FAMILIES[name][0](rng)
    gold, right, wrong = rng.choice(drawn.gold), rng.choice(drawn.right), rng.choice(drawn.wrong)
    equal = rng.random() < 0.5
    if equal:
        reply = compose(rng, right, wrong)
        return Pair(_gold(rng, gold), reply.text, True, name, f"{right.how} [{reply.how}]")
    reply = _unequal(rng, right, wrong, drawn.single)
    return Pair(_gold(rng, gold), reply.text, False, name, f"{wrong.how} [{reply.how}]")


def pairs(seed: int, count: int, kind: str | None = None) -> Iterator[Pair]:
    """So many pairs of a seed, one after another."""
    return (pair(seed, index, kind) for index in range(count))


__all__ = ["FAMILIES", "Pair", "in_prose", "pair", "pairs"]
