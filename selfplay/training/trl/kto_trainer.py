"""KTO through TRL's trainer, on exact token ids.

TRL estimates the KL term from the completions of a micro-batch, each under its neighbour's prompt. Here the schedule pairs
prompts and completions over the whole optimizer step, and all ranks and micro-batches of a step share one estimate.
"""

from typing import Any, ClassVar

import torch

from selfplay.training.methods.base import TrainRun
from selfplay.training.methods.kto import Kto, KTOSchedule
from selfplay.training.trl.preference_trainer import Example, ExampleStream, OnTokenIds, train_on_stream
from selfplay.training.trl.trainer import DataCollatorForUnpairedPreference, KTOConfig, KTOTrainer


class KTOStream(ExampleStream):
    """Sides of pairs, with the reference's log-probabilities (own completion, KL completion)."""

    repeats: ClassVar[bool] = False

    def __init__(self, schedule: KTOSchedule, method: Kto, run: TrainRun) -> None:
        super().__init__(schedule, method, run)
        self._example = schedule.example
        self._kl_numbers = [number for step in schedule.kl_completions for number in step]

    def bare(self, place: int) -> Example:
        """See `ExampleStream.bare`; with the completion for the KL term."""
        side, other = self._example(self.numbers[place]), self._example(self._kl_numbers[place])
        return {
            "prompt_ids": side.prompt,
            "completion_ids": side.completion,
            "KL_completion_ids": other.completion,
            "label": side.good,
        }

    def with_reference(self, place: int) -> Example:
        """See `ExampleStream.with_reference`; without the completion for the KL term, which `of_step` covers."""
        found = self.bare(place)
        del found["KL_completion_ids"]
        return {**found, "ref_logps": self.reference[place][0]}

    def of_step(self, step: int) -> dict[str, torch.Tensor]:
        """The reference's log-probabilities of all KL completions that this rank has in the step."""
        values = [self.reference[place][1] for batch in self.batches(step) for place in batch]
        return {"ref_KL_logps": torch.tensor(values)}


class SideTrainer(OnTokenIds, KTOTrainer):
    """TRL's KTO on the schedule's examples.

    The KL term is estimated over the whole optimizer step, all ranks and micro-batches together, where TRL takes each
    micro-batch by itself. So ranks and micro-batches do not change the loss, and the estimate is better.
    """

    _known: tuple[int, torch.Tensor] | None = None

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._sides: list[torch.Tensor] = []

    def _compute_kl_logps(self, model: Any, batch: dict[str, Any]) -> torch.Tensor:
        """The student's log-probabilities of this rank's KL completions in the step, computed at its first micro-batch."""
        step = self.state.global_step
        if self._known is None or self._known[0] != step:
            batches = [self.collator.bare(places) for places in self.stream.batches(step)]
            of_batch: Any = super()._compute_kl_logps
            found = [of_batch(model, self._prepare_inputs(one)) for one in batches]
            self._known = (step, torch.cat(found))
        return self._known[1]

    def _compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool) -> Any:
        """TRL's loss; each side's reward is kept until the step is logged."""
        seen: dict[str, torch.Tensor] = {}

        def watched(**given: Any) -> Any:
            out = model(**given)
            seen["logps"] = out.log_probs.detach().sum(-1)
            return out

        of_trl: Any = super()._compute_loss
        loss = of_trl(watched, inputs, return_outputs)
        moved = seen["logps"] - inputs["ref_logps"]
        good = inputs["label"].float()
        right = ((moved > self._metrics["train"]["kl"][-1]) == inputs["label"]).float()
        self._sides.append(self.accelerator.gather(torch.stack((self.beta * moved, good, right), dim=1)).cpu())
        return loss

    def log(self, logs: dict[str, float], *given: Any, **more: Any) -> None:
        """TRL's figures, with the means of the rewards over the step's sides; TRL takes them over micro-batches.

        Also logs the share of sides that moved more (good) or less than the KL term, which TRL has for pairs alone.
        """
        if self._sides:
            reward, good, right = torch.cat(self._sides).unbind(1)
            means = {"chosen": reward[good == 1].mean().item(), "rejected": reward[good == 0].mean().item()}
            means["margins"] = means["chosen"] - means["rejected"]
            means["accuracies"] = right.mean().item()
            for name, value in means.items():  # a step with one kind of side alone has no mean of the other
                self._metrics["train"].pop(f"rewards/{name}", None)
                if value == value:
                    self._metrics["train"][f"rewards/{name}"] = [value]
            self._sides.clear()
        super().log(logs, *given, **more)


def train(method: Kto, schedule: KTOSchedule, run: TrainRun) -> tuple[Any, float]:
    """Trains to the last step: the model (in memory, to be saved and dropped) and the seconds inside `trainer.train`."""
    return train_on_stream(
        method,
        schedule,
        run,
        KTOStream(schedule, method, run),
        trainer_class=SideTrainer,
        config_class=KTOConfig,
        collator_class=DataCollatorForUnpairedPreference,
        ours={},
    )
