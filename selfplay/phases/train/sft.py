"""One TRL trainer, from weights on disk to weights on disk. Importing this file loads torch, transformers and TRL.

TRL gets batches of exact token ids in an order that the plan fixed; optimizer, schedule, accumulation, checkpoints and
ranks are its own. What is overridden here, and why, stands at each method.
"""

import dataclasses
import gc
import json
import os
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from selfplay.config.tree import Lora, Train
from selfplay.errors import ConfigError
from selfplay.models import transformer
from selfplay.phases.train.disk import commit_checkpoint, sync
from selfplay.phases.train.plan import TAKEN, Plan
from selfplay.ranks import Ranks
from selfplay.records import Row

CHECKPOINTING_PARAMETERS = 1_000_000_000
"""Gradient checkpointing is on from this size where `train.args` does not say: below, it costs more than it saves."""


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


class Journal(transformer.TrainerCallback):
    """Writes the curve as training goes, and the marker of each checkpoint once all ranks have written their part."""

    def __init__(self, curve: Path, *, round: int, step_offset: int, ranks: Ranks) -> None:
        self._curve, self._round, self._offset, self._ranks = curve, round, step_offset, ranks

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """One line a step, on rank 0."""
        if not self._ranks.is_main or "loss" not in (logs or {}):
            return
        row = {f"train/{key}": value for key, value in (logs or {}).items() if key != "epoch"}
        row |= {"train/step": self._offset + state.global_step, "round": self._round}
        with self._curve.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The checkpoint counts from here on."""
        step = state.global_step
        self._ranks.barrier(f"checkpoint {step}")
        if self._ranks.is_main:
            sync(self._curve)
            folder = Path(args.output_dir) / f"checkpoint-{step}"
            commit_checkpoint(folder, step=step, world_size=self._ranks.world_size)


@dataclasses.dataclass(frozen=True)
class Setup:
    """What one run of the trainer is given, beside settings and plan."""

    start: str | Path
    out: Path
    seed: int
    round: int
    step_offset: int
    micro: int
    resume: Path | None
    device: torch.device
    ranks: Ranks


def check_args(args: dict[str, Any]) -> None:
    """Raises ConfigError for keys of `train.args` that SFTConfig does not have, or that are set elsewhere."""
    known = {f.name for f in dataclasses.fields(SFTConfig) if f.init}
    for key in args:
        if key in TAKEN:
            raise ConfigError(f"train.args.{key} is {args[key]!r}, but it is not free here; {TAKEN[key]}")
        if key not in known:
            raise ConfigError(f"train.args.{key}: TRL's SFTConfig has no such argument; look up its name, or remove it")


def arguments(settings: Train, made: Plan, setup: Setup, *, parameters: int, bf16: bool) -> SFTConfig:
    """TRL's arguments: ours, the user's `train.args`, and no reporting."""
    check_args(settings.args)
    known = {f.name for f in dataclasses.fields(SFTConfig)}
    new = "activation_checkpointing" in known  # since transformers 5.24; the old name warns there
    given = {key.replace("gradient_check", "activation_check") if new else key: v for key, v in settings.args.items()}
    cpu = setup.device.type == "cpu"
    ours: dict[str, Any] = {
        "output_dir": str(setup.out / "checkpoints"),
        "max_steps": made.steps,
        "per_device_train_batch_size": setup.micro,
        "gradient_accumulation_steps": settings.batch_rows // (setup.micro * setup.ranks.world_size),
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": settings.scheduler,
        "warmup_steps": settings.warmup_steps,
        "weight_decay": settings.weight_decay,
        "max_length": None,
        "bf16": bf16,
        "use_cpu": cpu,
        "seed": setup.seed % 2**31,
        "data_seed": setup.seed % 2**31,
        "save_strategy": "no" if settings.save_steps is None else "steps",
        "save_steps": settings.save_steps or 500,
        "save_total_limit": 2,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "report_to": "none",
        "disable_tqdm": True,
        "remove_unused_columns": False,
        "dataset_kwargs": {"skip_prepare_dataset": True},
        "train_sampling_strategy": "sequential",
        "average_tokens_across_devices": False,
        "ddp_find_unused_parameters": False,
        "dataloader_pin_memory": not cpu,
        f"{'activation' if new else 'gradient'}_checkpointing": parameters >= CHECKPOINTING_PARAMETERS,
    }
    try:
        return SFTConfig(**(ours | given))
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"train: TRL refuses its arguments ({error}); correct train.args, scheduler or precision"
        ) from error


def run(settings: Train, made: Plan, setup: Setup) -> tuple[Any, float]:
    """Trains to the last step: the model (in memory, to be saved and dropped) and the seconds inside `trainer.train`."""
    bf16 = settings.precision == "bf16" or (settings.precision == "auto" and transformer.has_fast_bf16(setup.device))
    model = trainable(setup.start, settings.lora, device=setup.device, bf16=bf16, seed=setup.seed)
    size = sum(p.numel() for p in model.parameters())
    args = arguments(settings, made, setup, parameters=size, bf16=bf16)
    tokenizer = transformer.load_tokenizer(setup.start)
    journal = Journal(setup.out / "curve.jsonl", round=setup.round, step_offset=setup.step_offset, ranks=setup.ranks)
    trainer = RowTrainer(
        made,
        ranks=setup.ranks,
        model=model,
        args=args,
        processing_class=tokenizer,
        train_dataset=Dataset.from_dict({"row": [row for batch in made.order for row in batch]}),
        data_collator=RowCollator(made.rows, pad=tokenizer.pad_token_id or 0, join=settings.packing),
        callbacks=[journal],
    )
    trainer.remove_callback(transformer.PrinterCallback)
    began = time.perf_counter()
    trainer.train(resume_from_checkpoint=None if setup.resume is None else str(setup.resume))
    seconds = time.perf_counter() - began
    return model, seconds


def trainable(start: str | Path, lora: Lora | None, *, device: torch.device, bf16: bool, seed: int) -> Any:
    """The weights to train: all in fp32, or an adapter (continued, or fresh on a base that is held in bf16)."""
    folder = transformer.resolve(start)
    if transformer.is_adapter(folder):
        if lora is None:
            raise ConfigError(f"{start}: training starts from an adapter, but train.lora is not set; set train.lora")
        dtype = torch.bfloat16 if bf16 else torch.float32
        return transformer.load_model(folder, device=device, dtype=dtype, trainable=True)
    if lora is None:
        return transformer.load_model(folder, device=device, dtype=torch.float32)
    base = transformer.load_model(folder, device=device, dtype=torch.bfloat16 if bf16 else torch.float32)
    torch.manual_seed(seed % 2**31)  # the adapter's first weights
    return transformer.new_adapter(
        base, rank=lora.rank, alpha=lora.alpha, dropout=lora.dropout, targets=lora.target_modules, rslora=lora.rslora
    )


def save(model: Any, start: str | Path, folder: Path) -> None:
    """Weights and tokenizer into a folder that `from_pretrained` loads; an adapter stays one, with its base's name."""
    transformer.save_model(model, folder, base=start)
    transformer.load_tokenizer(start).save_pretrained(folder)


@cache
def settle_heap() -> None:
    """Takes what is loaded by now out of the garbage collector's sight, once.

    The libraries alone are a million objects, and trainers collect at every start: a quarter second of CPU each time.
    """
    gc.collect()
    gc.freeze()


def free() -> None:
    """Gives the memory of what was dropped back, so that sampling finds it."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def train_device(device: str) -> torch.device:
    """Where this rank trains; CPU ranks say so in the environment, since TRL asks accelerate on its own."""
    if os.environ.get("ACCELERATE_USE_CPU", "").lower() == "true":
        device = "cpu"
    return transformer.pick_device(device)
