"""What a training run on pairs will do, worked out before a model is loaded: pairs, their order, strangers for KTO. No torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from selfplay.config.training import Train
from selfplay.errors import DataError
from selfplay.records import Preference
from selfplay.training.schedule import TrainSchedule, in_steps


class Side(NamedTuple):
    """One completion of a pair."""

    prompt: tuple[int, ...]
    completion: tuple[int, ...]
    good: bool

    @property
    def length(self) -> int:
        """Tokens."""
        return len(self.prompt) + len(self.completion)


@dataclass(frozen=True)
class PairPlan(TrainSchedule):
    """One training run on pairs; a row of `order` is a pair under DPO, and under KTO a side: 2 a pair, the chosen first."""

    pairs: tuple[Preference, ...]
    """Those that take part."""
    strangers: tuple[tuple[int, ...], ...]
    """KTO: for every row of `order` the side whose completion stands beside its prompt in the estimate of the KL term: each
    of the step's completions once, and of another prompt wherever the step allows. Empty under DPO."""

    def side(self, number: int) -> Side:
        """A side by its number."""
        return _side(self.pairs[number // 2], good=number % 2 == 0)


def _side(pair: Preference, *, good: bool) -> Side:
    return Side(pair.prompt_ids, pair.chosen_ids if good else pair.rejected_ids, good)


def pair_plan(settings: Train, pairs: Sequence[Preference], *, seed: int) -> PairPlan:
    """Pairs and their order, as `plan` orders rows. Both sides of a pair take part or neither, so KTO's are balanced.

    Raises DataError where no pair is left.
    """
    longest, kept = settings.max_length, fitting(settings, pairs)
    if not kept:
        why = f"none of {len(pairs)} pairs has two completions" + (f" and at most {longest} tokens" if longest else "")
        raise DataError(f"train: nothing to train on: {why}; raise train.max_length, or look at why curate made none")
    both = [(_side(pair, good=True).length, _side(pair, good=False).length) for pair in kept]
    single = settings.method == "kto"
    lengths = [length for two in both for length in two] if single else [sum(two) for two in both]
    order = in_steps(settings, lengths, seed=seed)
    return PairPlan(
        pairs=kept,
        order=order,
        strangers=tuple(_strangers(step, [kept[n // 2].prompt_ids for n in step]) for step in order) if single else (),
        left_out=len(pairs) - len(kept),
        tokens=sum(lengths[row] for step in order for row in step),
    )


def fitting(settings: Train, pairs: Sequence[Preference]) -> tuple[Preference, ...]:
    """Those with two completions, both within `max_length`."""
    return tuple(pair for pair in pairs if _fits(pair, settings.max_length))


def _fits(pair: Preference, longest: int | None) -> bool:
    sides = (_side(pair, good=True), _side(pair, good=False))
    whole = all(side.prompt and side.completion for side in sides)
    return whole and (longest is None or all(side.length <= longest for side in sides))


def _strangers(step: tuple[int, ...], prompts: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """The step turned by as many places as leave the fewest prompts with a completion of their own."""
    count = len(step)

    def own(turn: int) -> int:
        return sum(prompts[i] == prompts[(i - turn) % count] for i in range(count))

    best, fewest = 0, count + 1
    for turn in range(1, count):
        if (found := own(turn)) < fewest:
            best, fewest = turn, found
        if not fewest:
            break
    return tuple(step[(i - best) % count] for i in range(count))
