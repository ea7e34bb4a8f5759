"""How well the values of a taxonomy are covered, and draws that prefer the values which fall short. Pure.

A taxonomy has axes (topic, construct, edge case, persona), each with its values. A draw takes one value of every axis. A value
that is covered to a share c of what is wanted is drawn with weight 1 + boost (1 - c)^sharpness.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from selfplay.errors import ConfigError
from selfplay.seeds import rng_of

Taxonomy = Mapping[str, Sequence[str]]
"""Axis name -> its values."""


@dataclass(frozen=True)
class Gap:
    """Coverage of one value of an axis: `have` of `wanted`, in any one unit (solved tasks, passed attempts)."""

    axis: str
    value: str
    have: float
    wanted: float

    @property
    def share(self) -> float:
        """Covered share, in [0, 1]; 1 where nothing is wanted."""
        return 1.0 if self.wanted <= 0 else min(1.0, max(0.0, self.have / self.wanted))


def measure_gaps(taxonomy: Taxonomy, counts: Mapping[str, float], dev: Sequence[Sequence[str]]) -> list[Gap]:
    """One gap for every value of every axis: `counts` (keyed `axis:value`) against the shares of the dev set.

    `dev`: the tags of its tasks. An axis that no dev task carries wants its values equally often. An axis without any
    count has no gaps, since nothing is known about it.
    """
    wanted, found = count_values(dev, taxonomy), list[Gap]()
    for axis, values in taxonomy.items():
        total = sum(counts.get(f"{axis}:{value}", 0) for value in values)
        shares = {value: wanted[f"{axis}:{value}"] for value in values}
        shares = shares if any(shares.values()) else dict.fromkeys(values, 1)
        scale = total / sum(shares.values())
        found += [Gap(axis, v, counts.get(f"{axis}:{v}", 0), shares[v] * scale) for v in values if total]
    return found


def mean_coverage(gaps: Sequence[Gap]) -> float:
    """Mean covered share, in [0, 1]: 1 where no value has less than its share; 0 where nothing was measured."""
    return sum(gap.share for gap in gaps) / len(gaps) if gaps else 0.0


def count_values(tags: Sequence[Sequence[str]], taxonomy: Taxonomy) -> dict[str, int]:
    """How many tasks carry each `axis:value`, zeros included. `tags`: those of each task."""
    counts = {f"{axis}:{value}": 0 for axis, values in taxonomy.items() for value in values}
    for one in tags:
        for tag in one:
            if tag in counts:
                counts[tag] += 1
    return counts


def check_taxonomy(taxonomy: Taxonomy) -> None:
    """Raises ConfigError on no axis, an axis without values, an empty value or a repeated one."""
    if not taxonomy:
        raise ConfigError("taxonomy: has no axis; give at least one, such as topic: [fractions, money]")
    for axis, values in taxonomy.items():
        folded = [value.strip().casefold() for value in values]
        if not folded:
            raise ConfigError(f"taxonomy.{axis}: is empty; give it values, or remove the axis")
        for value in folded:
            if not value or folded.count(value) > 1:
                what = "an empty value" if not value else f"{value!r} twice"
                raise ConfigError(f"taxonomy.{axis}: has {what}; remove it")


def gap_weights(
    taxonomy: Taxonomy, gaps: Sequence[Gap], boost: float = 4.0, sharpness: float = 1.0
) -> dict[str, dict[str, float]]:
    """Axis -> value -> weight: 1 where a value is covered or was not measured, up to 1 + boost where it is absent.

    In between 1 + boost (1 - share)^sharpness: a sharpness above 1 favours values that are nearly absent over those that
    are half covered. Raises ConfigError where a gap names an axis or a value that the taxonomy lacks.
    """
    found = {axis: dict.fromkeys(values, 1.0) for axis, values in taxonomy.items()}
    for gap in gaps:
        if gap.value not in found.get(gap.axis, {}):
            raise ConfigError(f"gap {gap.axis}: {gap.value}: is not in the taxonomy; add it there, or remove the gap")
        found[gap.axis][gap.value] = 1.0 + boost * (1.0 - gap.share) ** sharpness
    return found


def draw_scenarios(
    taxonomy: Taxonomy, count: int, *, gaps: Sequence[Gap] = (), boost: float = 4.0, sharpness: float = 1.0, seed: int
) -> list[dict[str, str]]:
    """`count` draws of one value per axis, by `gap_weights` (uniform without gaps); a draw may repeat."""
    check_taxonomy(taxonomy)
    rng, weighted = rng_of("making/rare", seed), gap_weights(taxonomy, gaps, boost, sharpness)
    return [
        {axis: rng.choices(list(values), weights=list(values.values()))[0] for axis, values in weighted.items()}
        for _ in range(count)
    ]
