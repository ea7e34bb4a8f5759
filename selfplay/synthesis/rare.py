"""Floor 4: tasks to order: constraints drawn from a taxonomy, more often where the run's own tail falls short.

A taxonomy has axes (topic, construct, edge case, persona), each with its values. A draw takes one value of every axis. Weights come
from measured coverage: a value whose stratum is covered to a share c of what is wanted weighs 1 + boost (1 - c).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from selfplay.errors import ConfigError
from selfplay.models import Backend
from selfplay.prompts import making as prompts
from selfplay.prompts.making import Kind
from selfplay.records import Sampling, digest
from selfplay.seeds import rng_of
from selfplay.synthesis.batch import Batch, asked, why_unread
from selfplay.synthesis.evolve import problem_fault, shape_of, task_of
from selfplay.synthesis.faults import rare_fault

MAKER = "rare"
Taxonomy = Mapping[str, Sequence[str]]
"""Axis name -> its values."""


@dataclass(frozen=True)
class Gap:
    """How well one value of an axis is covered: `have` of `wanted`, in any one unit (tasks solved, right attempts)."""

    axis: str
    value: str
    have: float
    wanted: float

    @property
    def share(self) -> float:
        """Covered share, in [0, 1]; nothing wanted is covered."""
        return 1.0 if self.wanted <= 0 else min(1.0, max(0.0, self.have / self.wanted))


def measured(taxonomy: Taxonomy, counts: Mapping[str, float], dev: Sequence[Sequence[str]]) -> list[Gap]:
    """One gap for every value of every axis: `counts` (by `axis:value`) against the shares that the dev set has.

    `dev`: tags of its tasks, which never change in a run. An axis that no dev task carries wants its values equally
    often. An axis of which nothing was counted has no gaps: nothing is known of it.
    """
    wanted, found = coverage(dev, taxonomy), list[Gap]()
    for axis, values in taxonomy.items():
        total = sum(counts.get(f"{axis}:{value}", 0) for value in values)
        asked = {value: wanted[f"{axis}:{value}"] for value in values}
        asked = asked if any(asked.values()) else dict.fromkeys(values, 1)
        scale = total / sum(asked.values())
        found += [Gap(axis, v, counts.get(f"{axis}:{v}", 0), asked[v] * scale) for v in values if total]
    return found


def covered(gaps: Sequence[Gap]) -> float:
    """Mean covered share of all strata, in [0, 1]: 1 where none has less than its share; 0 where nothing was measured."""
    return sum(gap.share for gap in gaps) / len(gaps) if gaps else 0.0


def check_taxonomy(taxonomy: Taxonomy) -> None:
    """Raises ConfigError on no axis, an axis without values, a value that is empty or stands twice."""
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


def weights(
    taxonomy: Taxonomy, gaps: Sequence[Gap], boost: float = 4.0, sharpness: float = 1.0
) -> dict[str, dict[str, float]]:
    """Weight of every value, by axis: 1 where it is covered or not measured, up to 1 + boost where nothing is.

    In between 1 + boost (1 - share)^sharpness: above 1, what is half covered gives way to what is hardly covered.

    Raises ConfigError where a gap names an axis or a value that the taxonomy does not have.
    """
    found = {axis: dict.fromkeys(values, 1.0) for axis, values in taxonomy.items()}
    for gap in gaps:
        if gap.value not in found.get(gap.axis, {}):
            raise ConfigError(f"tail gap {gap.axis}: {gap.value}: is not in the taxonomy; add it there or drop the gap")
        found[gap.axis][gap.value] = 1.0 + boost * (1.0 - gap.share) ** sharpness
    return found


def draw(
    taxonomy: Taxonomy,
    count: int,
    *,
    gaps: Sequence[Gap] = (),
    boost: float = 4.0,
    sharpness: float = 1.0,
    seed: int,
) -> list[dict[str, str]]:
    """`count` draws, each axis by its weights (all equal without gaps); the same draw may come again."""
    check_taxonomy(taxonomy)
    rng, weighed = rng_of("making/rare", seed), weights(taxonomy, gaps, boost, sharpness)
    return [
        {axis: rng.choices(list(values), weights=list(values.values()))[0] for axis, values in weighed.items()}
        for _ in range(count)
    ]


def rare(
    draws: Sequence[Mapping[str, str]], teacher: Backend, *, kind: Kind = "math", sampling: Sampling, seed: int
) -> Batch:
    """One task a draw, tagged with its values; `parents` is empty, the draw stands in the tags."""
    batch = Batch(MAKER, len(draws))
    named = [(f"{n}/{digest(dict(one))}", prompts.rare(one, kind)) for n, one in enumerate(draws)]
    found = asked(teacher, MAKER, named, shape_of(kind), sampling=sampling, seed=seed)
    for one, (name, _), [answer] in zip(draws, named, found, strict=True):
        if answer.value is None:
            batch.refuse(name, why_unread(answer), answer.fault)
            continue
        if fault := problem_fault(answer.value, partial(rare_fault, dict(one))):
            batch.refuse(name, fault, answer.value.task)
            continue
        batch.take(task_of(MAKER, answer.value, (), tuple(f"{axis}:{value}" for axis, value in one.items())))
    return batch


def coverage(tags: Sequence[Sequence[str]], taxonomy: Taxonomy) -> dict[str, int]:
    """How many tasks carry each `axis:value`, zeros included."""
    counts = {f"{axis}:{value}": 0 for axis, values in taxonomy.items() for value in values}
    for one in tags:
        for tag in one:
            if tag in counts:
                counts[tag] += 1
    return counts
