"""KTO: Kahneman-Tversky optimization, which reads each side of a pair alone (Ethayarajh et al. 2024). Imports without torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

from selfplay.records import Preference
from selfplay.training.methods.base import TrainRun
from selfplay.training.pairs import PairMethod, PairSchedule, lengths_of
from selfplay.training.schedule import order_in_steps


class KTOExample(NamedTuple):
    """One side of a pair."""

    prompt: tuple[int, ...]
    completion: tuple[int, ...]
    good: bool
    """Whether it is the chosen side."""


@dataclass(frozen=True)
class KTOSchedule(PairSchedule):
    """One training run on sides of pairs. Example 2n is the chosen side of pair n, example 2n + 1 the rejected one."""

    kl_completions: tuple[tuple[int, ...], ...]
    """For every place in `order` the example whose completion stands beside this place's prompt in the estimate of the KL
    term. Each step uses each of its completions once, under another prompt wherever the step allows."""

    def example(self, number: int) -> KTOExample:
        """An example by its number."""
        pair, good = self.pairs[number // 2], number % 2 == 0
        return KTOExample(pair.prompt_ids, pair.chosen_ids if good else pair.rejected_ids, good)


class Kto(PairMethod):
    """Kahneman-Tversky optimization: an example is one side of a pair."""

    method: Literal["kto"] = "kto"

    trl_config: ClassVar[str] = "KTOConfig"
    smallest_micro_batch: ClassVar[int] = 2

    def schedule(self, data: Sequence[Preference], *, seed: int) -> KTOSchedule:
        """See `TrainingMethod.schedule`. Both sides of a pair take part or neither, so right and wrong are balanced."""
        pairs = self.kept_pairs(data)
        lengths = [length for pair in pairs for length in lengths_of(pair)]
        order = order_in_steps(self, lengths, seed=seed)
        return KTOSchedule(
            pairs=pairs,
            order=order,
            examples=len(pairs),
            left_out=len(data) - len(pairs),
            tokens=sum(lengths[side] for step in order for side in step),
            kl_completions=tuple(_kl_completions(step, [pairs[n // 2].prompt_ids for n in step]) for step in order),
        )

    def train(self, schedule: KTOSchedule, run: TrainRun) -> tuple[Any, float]:
        """See `TrainingMethod.train`."""
        from selfplay.training.trl.kto_trainer import train

        return train(self, schedule, run)


def _kl_completions(step: tuple[int, ...], prompts: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """The step rotated by the number of places that leaves the fewest prompts with a completion of their own."""
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
