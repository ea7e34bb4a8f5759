"""Training with the model sharded over the ranks (FSDP2), as transformers does it while it reads the weights. Loads torch.

Each rank holds its share of weights, gradients and optimizer; a block's weights are gathered for its forward and its backward pass. An
adapter is small and whole on every rank. Checkpoints hold whole weights and an optimizer of torch's distributed format, so that
another number of ranks goes on from them.
"""

import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from transformers.distributed import DistributedConfig
from transformers.distributed.checkpoint import load_optimizer_distributed, save_optimizer_distributed

from selfplay.runtime.distributed import Ranks

OPTIMIZER = "optimizer_shards"
"""Folder of the optimizer in a checkpoint of sharded weights."""


def placement(ranks: Ranks, *, bf16: bool) -> dict[str, Any]:
    """What `from_pretrained` is given to read this rank's shards alone; {} where the model is not sharded.

    `bf16`: blocks are gathered in bf16 for their products, and gradients are summed in fp32.
    """
    if not ranks.sharded:
        return {}
    offload = os.environ.get("FSDP_OFFLOAD_PARAMS", "false").lower() in ("1", "true")
    return {
        "distributed_config": DistributedConfig(
            fsdp_size=ranks.world_size, fsdp_mixed_precision=bf16, fsdp_cpu_offload=offload
        )
    }


def is_sharded(model: Any) -> bool:
    """Whether the trained weights are sharded: those of a full model; an adapter on sharded weights is whole."""
    return not hasattr(model, "peft_config") and bool(getattr(model, "_is_fsdp_managed_module", False))


def gathered(model: Any) -> dict[str, torch.Tensor] | None:
    """The whole weights of a sharded model, on the CPU of rank 0, {} on the others; None where each rank has the trained weights.

    All ranks call it.
    """
    if not is_sharded(model):
        return None
    found = get_model_state_dict(model, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    del model.config.distributed_config  # what is saved is a plain model
    return found


class Sharded:
    """Mixed into TRL's trainers: checkpoints of sharded weights, which transformers refuses to write and to go on from."""

    model: Any
    optimizer: Any
    lr_scheduler: Any
    args: Any

    def __init__(self, *, args: Any, **given: Any) -> None:
        kept, args.save_only_model = args.save_only_model, True  # or transformers refuses; what it lacks is below
        super().__init__(args=args, **given)
        self.args.save_only_model = kept

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        """Writes the shards of the optimizer, each rank its own."""
        of_trainer: Any = super()
        if not is_sharded(self.model):
            of_trainer._save_optimizer_and_scheduler(output_dir)
            return
        save_optimizer_distributed(self.model, self.optimizer.optimizer, str(Path(output_dir) / OPTIMIZER))
        if self.args.should_save:
            torch.save(self.lr_scheduler.state_dict(), Path(output_dir) / "scheduler.pt")

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        """Reads each rank's share of the optimizer, whatever number of ranks wrote it."""
        of_trainer: Any = super()
        if checkpoint is None or not (Path(checkpoint) / OPTIMIZER).is_dir():
            of_trainer._load_optimizer_and_scheduler(checkpoint)
            return
        load_optimizer_distributed(self.model, self.optimizer.optimizer, str(Path(checkpoint) / OPTIMIZER))
        self.lr_scheduler.load_state_dict(torch.load(Path(checkpoint) / "scheduler.pt", weights_only=True))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Sharded weights were read from the checkpoint already, each rank its share."""
        of_trainer: Any = super()
        if not is_sharded(self.model):
            of_trainer._load_from_checkpoint(resume_from_checkpoint, model)

    def _defer_fsdp_gradient_reduction(self) -> AbstractContextManager[None]:
        """Gradients are summed over the ranks after each micro-batch: kept whole until the last one, they would take 4 bytes a parameter
        on every rank."""
        return nullcontext()
