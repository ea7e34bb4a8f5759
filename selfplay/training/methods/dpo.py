"""DPO: direct preference optimization on pairs (Rafailov et al. 2023). Imports without torch."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from selfplay.records import Preference
from selfplay.training.methods.base import TrainRun
from selfplay.training.pairs import PairMethod, PairSchedule, lengths_of
from selfplay.training.schedule import order_in_steps


class Dpo(PairMethod):
    """Direct preference optimization: an example is a pair."""

    method: Literal["dpo"] = "dpo"
    sft_weight: float = Field(0.0, ge=0)
    """Weight of the chosen sides' own likelihood beside the preference (RPO: Pang et al. 2024). 0: none."""

    trl_config: ClassVar[str] = "DPOConfig"

    def schedule(self, data: Sequence[Preference], *, seed: int) -> PairSchedule:
        """See `TrainingMethod.schedule`."""
        pairs = self.kept_pairs(data)
        lengths = [sum(lengths_of(pair)) for pair in pairs]
        order = order_in_steps(self, lengths, seed=seed)
        return PairSchedule(
            pairs=pairs,
            order=order,
            examples=len(pairs),
            left_out=len(data) - len(pairs),
            tokens=sum(lengths[pair] for step in order for pair in step),
        )

    def train(self, schedule: PairSchedule, run: TrainRun) -> tuple[Any, float]:
        """See `TrainingMethod.train`."""
        from selfplay.training.trl.dpo_trainer import train

        return train(self, schedule, run)
