"""SFT on rows through TRL. Importing this file loads torch, transformers and TRL.

TRL gets batches of exact token ids in an order that the plan fixed; optimizer, schedule, accumulation, checkpoints and
ranks are its own. What is overridden here, and why, stands at each method.
"""

import time
from collections.abc import Sequence
from typing import Any

import torch

from selfplay.config.training import Train
from selfplay.models.transformers import library as transformer
from selfplay.records import Row
from selfplay.runtime.distributed import Ranks
from selfplay.training.schedule import Plan
from selfplay.training.trl_parts import Dataset, SFTConfig, SFTTrainer
from selfplay.training.trl_run import Setup, TrainLogger, arguments, trainable, uses_bf16


class RowCollator:
    """Numbers of rows to one micro-batch: padded on the right, or (`join`) one sequence with positions from 0 a row.

    Right padding under causal attention is seen by no real token, so that no mask is made; joined rows are kept apart
    by transformers, which reads them from the positions: both give the loss of each row alone.
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


class RowTrainer(SFTTrainer):
    """TRL's SFT on the plan's rows."""

    loss_is_scaled_for_ga: Any = True

    def __init__(self, made: Plan, *, ranks: Ranks, **given: Any) -> None:
        super().__init__(**given)
        self._made, self._world_size = made, ranks.world_size

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Weighted likelihood over the loss tokens of the whole optimizer step, all ranks and micro-batches together.

        TRL has no row weights, and gathers entropy and accuracy over all ranks in each micro-batch. The divisor comes
        from the plan, so that neither ranks nor micro-batches can change it.
        """
        weight = inputs.pop("weight", None)
        labels = inputs["labels"][:, 1:]
        if labels.device.type == "cpu":  # TRL's tiled head would score the prompt as well, and in a slower product
            wanted = labels != -100
            logits = model(**{k: v for k, v in inputs.items() if k != "labels"}, use_cache=False).logits[:, :-1]
            losses = torch.nn.functional.cross_entropy(logits[wanted].float(), labels[wanted], reduction="none")
            scale = None if weight is None else weight[:, 1:][wanted]
        else:
            losses = -model(**inputs, use_cache=False, fused_lm_head=True).log_probs
            scale = None if weight is None else weight[:, 1:]
        total = losses.sum() if scale is None else (losses * scale).sum()
        loss = total * (self._world_size / self._made.labels[self.state.global_step])  # DDP averages over ranks
        return (loss, None) if return_outputs else loss

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Not counted: transformers walks all parameters for it in each micro-batch."""
        return 0

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> None:
        """Not counted: the plan knows, and no gather over ranks is needed."""

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Without TRL's model card, which asks git and the hub at every checkpoint."""
        super(SFTTrainer, self)._save_checkpoint(model, trial)


def run(settings: Train, made: Plan, setup: Setup) -> tuple[Any, float]:
    """Trains to the last step: the model (in memory, to be saved and dropped) and the seconds inside `trainer.train`."""
    bf16 = uses_bf16(settings, setup)
    model = trainable(setup.start, settings.lora, device=setup.device, bf16=bf16, seed=setup.seed)
    ours = {"dataset_kwargs": {"skip_prepare_dataset": True}}
    args = arguments(SFTConfig, settings, made, setup, model=model, bf16=bf16, ours=ours)
    tokenizer = transformer.load_tokenizer(setup.start)
    trainer = RowTrainer(
        made,
        ranks=setup.ranks,
        model=model,
        args=args,
        processing_class=tokenizer,
        train_dataset=Dataset.from_dict({"row": [row for batch in made.order for row in batch]}),
        data_collator=RowCollator(made.rows, pad=tokenizer.pad_token_id or 0, join=settings.packing),
        callbacks=[TrainLogger(setup)],
    )
    trainer.remove_callback(transformer.PrinterCallback)
    began = time.perf_counter()
    trainer.train(resume_from_checkpoint=None if setup.resume is None else str(setup.resume))
    seconds = time.perf_counter() - began
    return model, seconds
