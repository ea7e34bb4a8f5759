"""The order of examples in a training run and the size of its micro-batches, fixed before a model is loaded. No torch.

The order comes from the seed and nothing else, so ranks, micro-batches, resumption and library versions cannot change it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from selfplay.config.training import Train
from selfplay.errors import ConfigError
from selfplay.seeds import rng_of

CPU_MICRO_TOKENS = 2048
"""On a CPU a forward pass of about this many tokens stays in the caches (benchmarks/training.py)."""


@dataclass(frozen=True)
class TrainSchedule:
    """The order of one training run, fixed."""

    order: tuple[tuple[int, ...], ...]
    """For every optimizer step the numbers of its examples, shortest first, so that a micro-batch has little padding."""
    examples: int
    """Different rows, or pairs, that take part."""
    left_out: int
    """Rows or pairs longer than `max_length`, or without a token that carries a loss."""
    tokens: int
    """Input tokens of all steps, over all ranks."""

    @property
    def steps(self) -> int:
        """Optimizer steps."""
        return len(self.order)


def order_in_steps(settings: Train, lengths: Sequence[int], *, seed: int) -> tuple[tuple[int, ...], ...]:
    """The order of examples of these lengths: seeded passes over all of them, cut into steps of exactly `batch_size`.

    A step may span two passes. Within a step the shorter examples come first.
    """
    size = settings.batch_size
    steps = settings.steps or max(1, ceil((settings.epochs or 1) * len(lengths) / size))
    stream: list[int] = []
    while len(stream) < steps * size:
        order = list(range(len(lengths)))
        rng_of("train order", seed, len(stream) // len(lengths)).shuffle(order)
        stream += order
    return tuple(tuple(sorted(stream[i * size : (i + 1) * size], key=lambda r: (lengths[r], r))) for i in range(steps))


def micro_batch_size(settings: Train, schedule: TrainSchedule, *, least: int, world_size: int, on_cpu: bool) -> int:
    """Examples of one forward pass on one rank, `least` or more. Raises ConfigError where `batch_size` does not divide up."""
    share, given = _share(settings.batch_size, world_size), settings.micro_batch_size
    if least > min(share, given or share):
        raise ConfigError(
            f"train: {settings.method} compares the examples of one forward pass, but there is 1 "
            f"(train.batch_size {settings.batch_size} over {world_size} ranks, train.micro_batch_size {given}); "
            f"give at least {least}"
        )
    if given is not None:
        if share % given:
            fits = [d for d in divisors(share) if d <= given]
            raise ConfigError(
                f"train.micro_batch_size is {given}, which does not divide a rank's share of {share} "
                f"(train.batch_size {settings.batch_size} over {world_size} ranks); use {fits[-1]}"
            )
        return given
    if not on_cpu:
        return share
    mean = max(1, schedule.tokens // (schedule.steps * settings.batch_size))
    fits = [d for d in divisors(share) if d >= least]
    return [d for d in fits if d == fits[0] or d * mean <= CPU_MICRO_TOKENS][-1]


def _share(batch_size: int, world_size: int) -> int:
    """Examples of one optimizer step on one rank."""
    share, rest = divmod(batch_size, world_size)
    if rest or not share:
        near = max(1, round(batch_size / world_size)) * world_size
        raise ConfigError(
            f"train.batch_size is {batch_size}, which {world_size} ranks cannot share evenly; "
            f"use {near}, or another number of ranks"
        )
    return share


def halved(micro: int) -> int:
    """The next smaller micro-batch that still divides what `micro` divides."""
    return [d for d in divisors(micro) if d <= max(1, micro // 2)][-1]


def divisors(number: int) -> list[int]:
    """All divisors, rising."""
    return [d for d in range(1, number + 1) if number % d == 0]
