"""Weights in training: where and in which precision they are loaded, and how they are saved and freed."""

import gc
import os
from pathlib import Path
from typing import Any

import torch

from selfplay.config.training import Lora, Train
from selfplay.errors import ConfigError
from selfplay.models.transformers import library
from selfplay.runtime.distributed import Ranks
from selfplay.training.trl.four_bit import four_bit
from selfplay.training.trl.sharding import placement


def train_device(device: str) -> torch.device:
    """Where this rank trains. CPU ranks say so in the environment, since TRL asks accelerate on its own."""
    if os.environ.get("ACCELERATE_USE_CPU", "").lower() == "true":
        device = "cpu"
    return library.pick_device(device)


def uses_bf16(settings: Train, device: torch.device) -> bool:
    """Whether products run in bf16."""
    return settings.precision == "bf16" or (settings.precision == "auto" and library.has_fast_bf16(device))


def load_trainable(
    start: str | Path, lora: Lora | None, *, device: torch.device, bf16: bool, seed: int, ranks: Ranks | None = None
) -> Any:
    """The weights to train: all in fp32, or an adapter (continued, or fresh on a base that is held in bf16 or in 4 bits).

    `ranks`: those of an FSDP2 launch get a share of the weights each.
    """
    folder = library.resolve(start)
    dtype = torch.float32 if lora is None or not bf16 else torch.bfloat16
    how = placement(ranks or Ranks(), bf16=bf16)
    if lora is not None and lora.load_in_4bit:
        how |= four_bit(device, bf16=bf16)
    if library.is_adapter(folder):
        if lora is None:
            raise ConfigError(f"{start}: training starts from an adapter, but train.lora is not set; set train.lora")
        return library.load_model(folder, device=device, dtype=dtype, trainable=True, how=how)
    model = library.load_model(folder, device=device, dtype=dtype, how=how)
    if lora is None:
        return model
    torch.manual_seed(seed % 2**31)  # the adapter's first weights
    return library.new_adapter(
        model, rank=lora.rank, alpha=lora.alpha, dropout=lora.dropout, targets=lora.target_modules, rslora=lora.rslora
    )


def save(model: Any, start: str | Path, folder: Path, state: dict[str, torch.Tensor] | None = None) -> None:
    """Weights and tokenizer into a folder that `from_pretrained` loads; an adapter stays one, with its base's name.

    `state`: the weights, where the model has shards of them alone.
    """
    library.save_model(model, folder, base=start, state=state)
    library.load_tokenizer(start).save_pretrained(folder)


def free_memory() -> None:
    """Returns the memory of dropped models, so that sampling finds it."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
