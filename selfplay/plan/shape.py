"""The shape of a student: parameters and cache per token, without its weights in memory. Imports torch and transformers."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from selfplay.errors import ConfigError
from selfplay.models.base import Encoder
from selfplay.models.encode import Arguments, Template, TokenEncoder
from selfplay.models.transformers.library import POINTER_FILE


@dataclass(frozen=True)
class Shape:
    """What time, memory and disk depend on."""

    parameters: int
    layers: int
    hidden: int
    vocabulary: int
    cache_values: int
    """Numbers of keys and values that one token of a sequence keeps in the cache."""


def shape_of(folder: Path) -> Shape:
    """The shape of a model folder, or of the model that it points to, of which only the configuration is read.

    Raises ConfigError where it is neither on this machine nor given by the hub.
    """
    name, revision = place_of(folder)
    try:
        config = AutoConfig.from_pretrained(name, revision=revision)
    except (OSError, ValueError) as error:
        raise ConfigError(f"model {name}: {str(error).splitlines()[0]}; the plan needs its config.json") from None
    with torch.device("meta"):
        model: Any = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    text = config.get_text_config(decoder=True)
    heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    size = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return Shape(
        parameters=sum(p.numel() for p in model.parameters()),
        layers=text.num_hidden_layers,
        hidden=text.hidden_size,
        vocabulary=text.vocab_size,
        cache_values=2 * text.num_hidden_layers * heads * size,
    )


def encoder_of(folder: Path, template: Template, chat: Arguments) -> Encoder | None:
    """The tokenizer of a model folder, or of the model that it points to, with its template and the arguments of that; None where there is none."""
    name, revision = place_of(folder)
    try:
        return TokenEncoder(AutoTokenizer.from_pretrained(name, revision=revision), template, chat)
    except (OSError, ValueError):
        return None


def place_of(folder: Path) -> tuple[str, str | None]:
    """The name or path and the revision of the model that a folder holds or points to."""
    pointer = folder / POINTER_FILE
    if not pointer.is_file():
        return str(folder), None
    base = json.loads(pointer.read_text(encoding="utf-8"))
    return base["base"], base.get("revision")
