"""Training with the model sharded over the ranks (FSDP2), as transformers does it while it reads the weights. Loads torch.

Each rank holds its share of weights, gradients and optimizer; a block's weights are gathered for its forward and its backward pass. An
adapter is small and whole on every rank. Checkpoints hold whole weights and an optimizer of torch's distributed format, so that
another number of ranks goes on from them.
"""

import os
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.tensor import DTensor
from transformers import AutoConfig

from selfplay.models.transformers.library import resolve
from selfplay.runtime.distributed import Ranks

OPTIMIZER = "optimizer_shards"
"""Folder of the optimizer in a checkpoint of sharded weights."""


def placement(ranks: Ranks, *, bf16: bool) -> dict[str, Any]:
    """What `from_pretrained` is given to read this rank's shards alone; {} where the model is not sharded.

    `bf16`: blocks are gathered in bf16 for their products, and gradients are summed in fp32.
    """
    if not ranks.sharded:
        return {}
    from transformers.distributed.configuration_utils import (
        DistributedConfig,
    )  # here, since fsdp_size exists from transformers 5.20 on

    config = DistributedConfig(fsdp_size=ranks.world_size, fsdp_mixed_precision=bf16, fsdp_cpu_offload=_offloads())
    return {"distributed_config": config}


def sharding_fault(folder: Path, ranks: Ranks) -> str:
    """Why full weights cannot be trained in so many shards; "" where they can.

    transformers 5.24 shards a model before it ties its embeddings, and torch then pads either side on its own: the optimizer moves one
    of the two, and the next step reads the other.
    """
    config = AutoConfig.from_pretrained(resolve(folder))
    text = config.get_text_config(decoder=True)
    offload = _offloads()
    if not getattr(config, "tie_word_embeddings", False) or (text.vocab_size % ranks.world_size == 0 and not offload):
        return ""
    why = (
        "fsdp_offload_params is true"
        if offload
        else f"its vocabulary of {text.vocab_size} does not divide by {ranks.world_size} ranks"
    )
    fits = next(n for n in range(ranks.world_size, 0, -1) if text.vocab_size % n == 0)
    what = "set it to false" if offload else f"launch {fits} ranks" if fits > 1 else "use accelerate_config.yaml"
    return f"the student has one matrix for input and output, and {why}, so FSDP2 would train half of it; {what}, or set train.lora"


def _offloads() -> bool:
    """Whether the launch asks for weights and optimizer in the memory of the CPU."""
    return os.environ.get("FSDP_OFFLOAD_PARAMS", "false").lower() in ("1", "true")


def is_sharded(model: Any) -> bool:
    """Whether the trained weights are sharded: those of a full model; an adapter on sharded weights is whole."""
    return not hasattr(model, "peft_config") and bool(getattr(model, "_is_fsdp_managed_module", False))


def gathered(model: Any) -> dict[str, torch.Tensor] | None:
    """The weights to save of a model on shards, on rank 0; None where they are what the model holds. All ranks call it.

    Of a full model they are on the CPU, and {} on the other ranks; an adapter is whole on every rank.
    """
    if is_sharded(model):
        found: dict[str, Any] = get_model_state_dict(
            model, options=StateDictOptions(full_state_dict=True, cpu_offload=True)
        )
        del model.config.distributed_config  # what is saved is a plain model
        tied = getattr(model, "all_tied_weights_keys", None) or {}
        return {name: tensor for name, tensor in found.items() if name not in tied}
    return _whole(model) if hasattr(model, "peft_config") and _has_shards(model) else None


def _has_shards(model: Any) -> bool:
    return any(isinstance(parameter, DTensor) for parameter in model.parameters())


def _whole(model: Any) -> dict[str, torch.Tensor]:
    """What is not sharded: an adapter. PEFT would gather the base for it, on all ranks, and wait for those that do not save."""
    return {name: tensor for name, tensor in model.state_dict().items() if not isinstance(tensor, DTensor)}


class Sharded:
    """Mixed into TRL's trainers: checkpoints of sharded weights, which transformers refuses to write and to go on from."""

    model: Any
    optimizer: Any
    lr_scheduler: Any
    args: Any

    def __init__(self, *, args: Any, **given: Any) -> None:
        kept, args.save_only_model = args.save_only_model, True  # or transformers refuses; what it lacks is below
        of_trainer: Any = super()
        of_trainer.__init__(args=args, **given)
        self.args.save_only_model = kept

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """An adapter is saved without a look at the shards of its base."""
        of_trainer: Any = super()
        adapted = state_dict is None and hasattr(self.model, "peft_config") and _has_shards(self.model)
        of_trainer._save(output_dir, state_dict=_whole(self.model) if adapted else state_dict)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        """Writes the shards of the optimizer, each rank its own."""
        of_trainer: Any = super()
        if not is_sharded(self.model):
            of_trainer._save_optimizer_and_scheduler(output_dir)
            return
        from transformers.distributed.checkpoint import save_optimizer_distributed  # from 5.20 on

        save_optimizer_distributed(self.model, self.optimizer.optimizer, str(Path(output_dir) / OPTIMIZER))
        if self.args.should_save:
            torch.save(self.lr_scheduler.state_dict(), Path(output_dir) / "scheduler.pt")

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        """Reads each rank's share of the optimizer, whatever number of ranks wrote it."""
        of_trainer: Any = super()
        if checkpoint is None or not (Path(checkpoint) / OPTIMIZER).is_dir():
            of_trainer._load_optimizer_and_scheduler(checkpoint)
            return
        from transformers.distributed.checkpoint import load_optimizer_distributed  # from 5.20 on

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # torch says so where one process reads them
            load_optimizer_distributed(self.model, self.optimizer.optimizer, str(Path(checkpoint) / OPTIMIZER))
        self.lr_scheduler.load_state_dict(torch.load(Path(checkpoint) / "scheduler.pt", weights_only=True))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Sharded weights were read from the checkpoint already, each rank its share."""
        of_trainer: Any = super()
        if not is_sharded(self.model):
            of_trainer._load_from_checkpoint(resume_from_checkpoint, model)

    def _defer_fsdp_gradient_reduction(self) -> Any:
        """Gradients are summed over the ranks after each micro-batch: kept whole until the last one, they would take 4 bytes a parameter
        on every rank."""
        return nullcontext()
