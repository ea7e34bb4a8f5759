"""DPO and KTO on pairs through TRL. Importing this file loads torch, transformers and TRL.

TRL gets batches of exact token ids in an order that the plan fixed: its own text preparation is passed over. The loss, its
figures, optimizer, checkpoints and ranks are its own.

The reference is the weights that the round starts from, in every case: those of a full model, the base under a fresh
adapter, base and adapter where an adapter goes on. Each rank computes the log-probabilities of what it will see once,
before the first step, by TRL's code, so that no second model is held while training.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch

from selfplay.config.training import Train
from selfplay.models.transformers import library as transformer
from selfplay.store.files import write_whole
from selfplay.training.pair_schedule import PairPlan
from selfplay.training.trl_parts import (
    DataCollatorForPreference,
    DataCollatorForUnpairedPreference,
    Dataset,
    DPOConfig,
    DPOTrainer,
    KTOConfig,
    KTOTrainer,
)
from selfplay.training.trl_run import Setup, TrainLogger, arguments, trainable, uses_bf16

Example = dict[str, Any]
Reference = dict[int, tuple[float, ...]]
"""Place in the stream of rows -> log-probabilities under the reference: (chosen, rejected), or (own, stranger's)."""


class Stream:
    """The rows of all steps one after the other, by place, as the rank at hand meets them."""

    def __init__(self, made: PairPlan, settings: Train, setup: Setup) -> None:
        self._made, self._dpo = made, settings.method == "dpo"
        self._rows = [row for step in made.order for row in step]
        self._strangers = [row for step in made.strangers for row in step]
        self.size, self.micro, self.length = settings.batch_rows, setup.micro, len(self._rows)
        self.repeats = self._dpo
        """Whether a row has the same reference wherever it stands: not under KTO, where its stranger differs."""
        self._rank, self._world_size = setup.ranks.rank, setup.ranks.world_size
        self.reference: Reference = {}

    def batches(self, step: int) -> Iterator[range]:
        """Places of this rank's micro-batches in a step: accelerate deals them out in turns."""
        for number in range(self._rank, self.size // self.micro, self._world_size):
            first = step * self.size + number * self.micro
            yield range(first, first + self.micro)

    def all_batches(self) -> Iterator[range]:
        """The same of all steps."""
        for step in range(self._made.steps):
            yield from self.batches(step)

    def row(self, place: int) -> int:
        """Number of the pair, or side, that stands there."""
        return self._rows[place]

    def bare(self, place: int) -> Example:
        """The example as TRL's collators read it, without its reference, with a stranger's completion under KTO."""
        if self._dpo:
            pair = self._made.pairs[self._rows[place]]
            return {"prompt_ids": pair.prompt_ids, "chosen_ids": pair.chosen_ids, "rejected_ids": pair.rejected_ids}
        side, other = self._made.side(self._rows[place]), self._made.side(self._strangers[place])
        return {
            "prompt_ids": side.prompt,
            "completion_ids": side.completion,
            "KL_completion_ids": other.completion,
            "label": side.good,
        }

    def example(self, place: int) -> Example:
        """The example with its reference."""
        found, made = self.bare(place), self.reference[place]
        if self._dpo:
            return {**found, "ref_chosen_logps": made[0], "ref_rejected_logps": made[1]}
        del found["KL_completion_ids"]
        return {**found, "ref_logps": made[0]}

    def strangers_reference(self, step: int) -> list[float]:
        """KTO: the reference's log-probabilities of this rank's strangers in a step."""
        return [self.reference[place][1] for batch in self.batches(step) for place in batch]


class Collator:
    """Places in the stream to one padded micro-batch."""

    def __init__(self, stream: Stream, lay: Callable[[list[Example]], dict[str, torch.Tensor]], *, dpo: bool) -> None:
        self._stream, self._lay, self._dpo = stream, lay, dpo

    def __call__(self, examples: Sequence[dict[str, int]]) -> dict[str, torch.Tensor]:
        """What TRL's trainer reads; under KTO the strangers' reference is that of the rank's whole step."""
        places = [example["place"] for example in examples]
        batch = self._lay([self._stream.example(place) for place in places])
        if not self._dpo:
            step = places[0] // self._stream.size
            batch["ref_KL_logps"] = torch.tensor(self._stream.strangers_reference(step))
        return batch

    def bare(self, places: Iterable[int]) -> dict[str, torch.Tensor]:
        """The batch without reference."""
        return self._lay([self._stream.bare(place) for place in places])


class _OnIds:
    """What both trainers leave out of TRL's."""

    def _prepare_dataset(self, dataset: Any, *given: Any) -> Any:
        """Nothing is tokenised: the collator has the ids."""
        return dataset

    def _precompute_ref_logps(self, dataset: Any, *given: Any) -> Any:
        """The collator has the reference."""
        return dataset

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Not counted: transformers walks all parameters for it in each micro-batch."""
        return 0

    def create_model_card(self, *given: Any, **more: Any) -> None:
        """None: it would ask git and the hub at every checkpoint."""


class PairTrainer(_OnIds, DPOTrainer):
    """TRL's DPO on the plan's pairs."""


class SideTrainer(_OnIds, KTOTrainer):
    """TRL's KTO on the plan's sides.

    The KL term is estimated over the whole optimizer step, all ranks and micro-batches together, where TRL takes each
    micro-batch by itself: so neither can change the loss, and the estimate is better.
    """

    stream: Stream
    collator: Collator
    _known: tuple[int, torch.Tensor] | None = None

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._sides: list[torch.Tensor] = []

    def _compute_kl_logps(self, model: Any, batch: dict[str, Any]) -> torch.Tensor:
        """The student's log-probabilities of this rank's strangers in the step at hand, computed at its first micro-batch."""
        step = self.state.global_step
        if self._known is None or self._known[0] != step:
            batches = [self.collator.bare(places) for places in self.stream.batches(step)]
            of_batch: Any = super()._compute_kl_logps
            found = [of_batch(model, self._prepare_inputs(one)) for one in batches]
            self._known = (step, torch.cat(found))
        return self._known[1]

    def _compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool) -> Any:
        """TRL's, with each side's reward kept until the step is logged."""
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
        """TRL's figures, but for the rewards, whose means it takes over micro-batches: here they are over the step's sides.

        And the share of sides that moved more (good) or less than the KL term, which TRL has for pairs alone.
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


def run(settings: Train, made: PairPlan, setup: Setup) -> tuple[Any, float]:
    """Trains to the last step: the model (in memory, to be saved and dropped) and the seconds inside `trainer.train`."""
    bf16, dpo = uses_bf16(settings, setup), settings.method == "dpo"
    model = trainable(setup.start, settings.lora, device=setup.device, bf16=bf16, seed=setup.seed)
    tokenizer: Any = transformer.load_tokenizer(setup.start)
    pad = tokenizer.pad_token_id or 0
    stream = Stream(made, settings, setup)
    lay = DataCollatorForPreference(pad) if dpo else DataCollatorForUnpairedPreference(pad)
    collator = Collator(stream, lay, dpo=dpo)
    adapted = hasattr(model, "peft_config")
    ours = {"beta": settings.beta, "precompute_ref_log_probs": not adapted, **_with_sft(settings)}
    kind: Any = DPOConfig if dpo else KTOConfig
    trainer_of: Any = PairTrainer if dpo else SideTrainer
    trainer = trainer_of(
        model=model,
        args=arguments(kind, settings, made, setup, model=model, bf16=bf16, ours=ours),
        processing_class=tokenizer,
        train_dataset=Dataset.from_dict({"place": list(range(stream.length))}),
        data_collator=collator,
        callbacks=[TrainLogger(setup)],
    )
    trainer.remove_callback(transformer.PrinterCallback)
    trainer.stream, trainer.collator = stream, collator
    stream.reference = _reference(trainer, setup)
    trainer.precompute_ref_logps = True
    if adapted:
        model.delete_adapter("ref")  # TRL's copy of the adapter has done its work, and would be saved with the model
    began = time.perf_counter()
    trainer.train(resume_from_checkpoint=None if setup.resume is None else str(setup.resume))
    return model, time.perf_counter() - began


def _with_sft(settings: Train) -> dict[str, Any]:
    """TRL's loss as a weighted sum with the likelihood of the chosen side; {} where it is not asked for."""
    if not settings.sft_weight:
        return {}
    named = settings.args.get("loss_type", "sigmoid")
    kinds = [named] if isinstance(named, str) else list(named)
    weights = settings.args.get("loss_weights") or [1.0] * len(kinds)
    return {"loss_type": [*kinds, "sft"], "loss_weights": [*weights, settings.sft_weight]}


def _reference(trainer: Any, setup: Setup) -> Reference:
    """Log-probabilities under the weights the round starts from, which the model still has.

    Computed in the micro-batches of training, so that the student's first ones are the same to the bit, and kept beside
    the checkpoints. A pair that comes again keeps what it had.
    """
    stream, ranks = trainer.stream, setup.ranks
    file = setup.out / "checkpoints" / f"reference-{ranks.rank}-of-{ranks.world_size}-micro-{setup.micro}.json"
    if file.is_file():
        return {int(place): tuple(values) for place, values in json.loads(file.read_text(encoding="utf-8")).items()}
    found: Reference = {}
    of_row: dict[int, tuple[float, ...]] = {}
    for places in stream.all_batches():
        rows = [stream.row(place) for place in places]
        if not stream.repeats or not all(row in of_row for row in rows):
            batch = trainer._prepare_inputs(trainer.collator.bare(places))
            with transformer.old_names_quiet():
                one, other = trainer.compute_ref_log_probs(trainer.model, batch)
            values = zip(one.tolist(), one.tolist() if other is None else other.tolist(), strict=True)
            for place, row, value in zip(places, rows, values, strict=True):
                found[place] = of_row.setdefault(row, value) if stream.repeats else value
        found |= {
            place: found.get(place, of_row[row]) for place, row in zip(places, rows, strict=True) if stream.repeats
        }
    write_whole(file, json.dumps(found))
    return found
