"""SFT through TRL's trainer, on exact token ids in the order that the schedule fixed.

Optimizer, learning rates, accumulation, checkpoints and ranks are TRL's own. What is overridden, and why, stands at each method.
"""

from collections.abc import Sequence
from typing import Any

import torch

from selfplay.models.transformers import library
from selfplay.models.transformers.attention import head_on
from selfplay.records import Row
from selfplay.training.logger import TrainLogger
from selfplay.training.methods.base import TrainRun
from selfplay.training.methods.sft import RowSchedule, Sft
from selfplay.training.trl.sharding import Sharded
from selfplay.training.trl.trainer import (
    Dataset,
    SFTConfig,
    SFTTrainer,
    adapter_in_fp32,
    run_trainer,
    trainer_arguments,
)
from selfplay.training.trl.weights import load_trainable, train_device, uses_bf16


class RowCollator:
    """Makes one micro-batch of the rows with the given numbers: padded on the right, or (`join`) joined into one sequence.

    Under causal attention no real token sees padding on its right, so no mask is made. Joined rows have positions from 0
    each, by which transformers keeps them apart. Both ways give the loss of each row alone.
    """

    def __init__(self, rows: Sequence[Row], *, pad: int, join: bool) -> None:
        self._rows, self._pad, self._join = rows, pad, join
        self._weighted = any(row.weight != 1.0 for row in rows)

    def __call__(self, examples: Sequence[dict[str, int]]) -> dict[str, torch.Tensor]:
        """`input_ids`, `labels`, with `position_ids` where joined and `weight` (one a label) where any row has one."""
        rows = [self._rows[e["row"]] for e in examples]
        ids = [torch.tensor(r.input_ids) for r in rows]
        labels = [torch.tensor((-100, *r.labels[1:])) for r in rows]
        weights = [torch.full((len(r.labels),), r.weight) for r in rows]
        batch = {"input_ids": self._lay(ids, self._pad), "labels": self._lay(labels, -100)}
        if self._join:
            batch["position_ids"] = self._lay([torch.arange(len(r.input_ids)) for r in rows], 0)
        if self._weighted:
            batch["weight"] = self._lay(weights, 0.0)
        return batch

    def _lay(self, parts: list[torch.Tensor], padding: float) -> torch.Tensor:
        if self._join:
            return torch.cat(parts)[None]
        return torch.nn.utils.rnn.pad_sequence(parts, batch_first=True, padding_value=padding)


class RowTrainer(Sharded, SFTTrainer):
    """TRL's SFT on the schedule's rows."""

    loss_is_scaled_for_ga: Any = True

    def __init__(self, schedule: RowSchedule, *, world_size: int, **given: Any) -> None:
        super().__init__(**given)
        self._schedule, self._world_size = schedule, world_size

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Weighted likelihood over the loss tokens of the whole optimizer step, all ranks and micro-batches together.

        TRL has no row weights, and gathers entropy and accuracy over all ranks in each micro-batch. The divisor comes
        from the schedule, so neither ranks nor micro-batches can change it.
        """
        weight = inputs.pop("weight", None)
        labels = inputs["labels"][:, 1:]
        if labels.device.type == "cpu":  # TRL's tiled head has a slower product
            wanted = labels != -100
            with head_on(self.model, torch.nn.functional.pad(wanted, (0, 1))):  # nothing is predicted at the last place
                logits = model(**{k: v for k, v in inputs.items() if k != "labels"}, use_cache=False).logits[0]
            losses = torch.nn.functional.cross_entropy(logits.float(), labels[wanted], reduction="none")
            scale = None if weight is None else weight[:, 1:][wanted]
        else:
            losses = -model(**inputs, use_cache=False, fused_lm_head=True).log_probs
            scale = None if weight is None else weight[:, 1:]
        total = losses.sum() if scale is None else (losses * scale).sum()
        loss = total * (self._world_size / self._schedule.labels[self.state.global_step])  # DDP averages over ranks
        return (loss, None) if return_outputs else loss

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Not counted: transformers walks all parameters for it in each micro-batch."""
        return 0

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> None:
        """Not counted: the schedule has the number, so no gather over ranks is needed."""

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Without TRL's model card, which asks git and the hub at every checkpoint."""
        super(SFTTrainer, self)._save_checkpoint(model, trial)


def train(method: Sft, schedule: RowSchedule, run: TrainRun) -> tuple[Any, float]:
    """Trains to the last step: the model (in memory, to be saved and dropped) and the seconds inside `trainer.train`."""
    device = train_device(run.device)
    bf16 = uses_bf16(method, device)
    sharded_full = run.ranks.sharded and method.lora is None
    start = run.resume if sharded_full and run.resume is not None else run.start
    model = load_trainable(start, method.lora, device=device, bf16=bf16, seed=run.seed, ranks=run.ranks)
    tokenizer = library.load_tokenizer(run.start)
    ours = {"dataset_kwargs": {"skip_prepare_dataset": True}}
    args = trainer_arguments(SFTConfig, method, schedule, run, model=model, device=device, bf16=bf16, ours=ours)
    with adapter_in_fp32(model):
        trainer = RowTrainer(
            schedule,
            world_size=run.ranks.world_size,
            model=model,
            args=args,
            processing_class=tokenizer,
            train_dataset=Dataset.from_dict({"row": [row for step in schedule.order for row in step]}),
            data_collator=RowCollator(schedule.rows, pad=tokenizer.pad_token_id or 0, join=method.packing),
            callbacks=[TrainLogger(run)],
        )
    return model, run_trainer(trainer, run)
