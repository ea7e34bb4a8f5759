"""DPO through TRL's trainer, on exact token ids."""

from typing import Any, ClassVar

from selfplay.records import Preference
from selfplay.training.methods.base import TrainRun
from selfplay.training.methods.dpo import Dpo
from selfplay.training.pairs import PairSchedule
from selfplay.training.trl.preference_trainer import Example, ExampleStream, OnTokenIds, train_on_stream
from selfplay.training.trl.trainer import DataCollatorForPreference, DPOConfig, DPOTrainer


class PairStream(ExampleStream):
    """Pairs, with the reference's log-probabilities (chosen, rejected)."""

    repeats: ClassVar[bool] = True

    def __init__(self, schedule: PairSchedule, method: Dpo, run: TrainRun) -> None:
        super().__init__(schedule, method, run)
        self._pairs = schedule.pairs

    def bare(self, place: int) -> Example:
        """See `ExampleStream.bare`."""
        pair: Preference = self._pairs[self.numbers[place]]
        return {"prompt_ids": pair.prompt_ids, "chosen_ids": pair.chosen_ids, "rejected_ids": pair.rejected_ids}

    def with_reference(self, place: int) -> Example:
        """See `ExampleStream.with_reference`."""
        chosen, rejected = self.reference[place]
        return {**self.bare(place), "ref_chosen_logps": chosen, "ref_rejected_logps": rejected}


class PairTrainer(OnTokenIds, DPOTrainer):
    """TRL's DPO on the schedule's pairs."""


def train(method: Dpo, schedule: PairSchedule, run: TrainRun) -> tuple[Any, float]:
    """Trains to the last step: the model (in memory, to be saved and dropped) and the seconds inside `trainer.train`."""
    return train_on_stream(
        method,
        schedule,
        run,
        PairStream(schedule, method, run),
        trainer_class=PairTrainer,
        config_class=DPOConfig,
        collator_class=DataCollatorForPreference,
        ours=_with_sft(method),
    )


def _with_sft(method: Dpo) -> dict[str, Any]:
    """TRL's loss as a weighted sum with the likelihood of the chosen side; {} where it is not asked for."""
    if not method.sft_weight:
        return {}
    named = method.args.get("loss_type", "sigmoid")
    kinds = [named] if isinstance(named, str) else list(named)
    weights = method.args.get("loss_weights") or [1.0] * len(kinds)
    return {"loss_type": [*kinds, "sft"], "loss_weights": [*weights, method.sft_weight]}
