"""The frozen base of an adapter in 4 bits (QLoRA: Dettmers et al. 2023), through bitsandbytes. Loads torch."""

from typing import Any

import torch
from transformers import BitsAndBytesConfig


def four_bit(device: torch.device, *, bf16: bool) -> dict[str, Any]:
    """What `from_pretrained` is given to hold linear layers as 4-bit NormalFloats with quantized scales on `device`.

    Embeddings, norms and the head keep their precision. `bf16`: the precision of products.
    """
    config = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16 if bf16 else torch.float32,
    )
    return {"quantization_config": config, "device_map": {"": device}}
