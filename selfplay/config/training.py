"""The section `train`: the keys that every training method has. Each method adds its own keys in its file."""

import importlib.util
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from selfplay.config.sections import Count, Section, Share, operation

if TYPE_CHECKING:
    from selfplay.config.tree import Config


class Lora(Section):
    """Low-rank adapters (Hu et al. 2021) instead of full fine-tuning."""

    rank: Count = 32
    """Rank of the adapter."""
    alpha: Count = 64
    """Scale of the adapter: its output is multiplied by alpha / rank, or alpha / sqrt(rank) with rslora."""
    dropout: Share = 0.0
    """Dropout on the adapter's input during training."""
    target_modules: str | tuple[str, ...] = "all-linear"
    """Names of the layers that get an adapter; all-linear: all linear layers but the output layer."""
    rslora: bool = True
    """Whether alpha is divided by the square root of the rank instead of the rank (Kalajdzievski 2023)."""
    load_in_4bit: bool = False
    """Holds the frozen base in 4 bits while training (QLoRA: Dettmers et al. 2023); needs `selfplay[qlora]`. Attempts are sampled from the
    base in its own precision with the adapter."""


class Warmup(Section):
    """Round 0: supervised training on the anchor, for a student that starts from random weights or does not know the form of answers.

    With `lora` a pretrained student warms up as an adapter, with which later rounds go on; a tiny student warms up in full."""

    steps: Count = 150
    """Optimizer steps on the anchor."""
    learning_rate: float = Field(2e-3, gt=0)
    """Peak learning rate of the warm-up."""


class Train(Section):
    """Fine-tuning with TRL on the exact token ids that were sampled."""

    shards: ClassVar[bool] = False
    """Whether the method trains a model that is sharded over the ranks (FSDP2)."""

    method: str = "sft"
    """sft trains on accepted attempts; dpo and kto train on pairs of an accepted and a wrong attempt; grpo samples while it trains,
    and its reward is the verifiers' verdict. The warm-up is always sft."""
    start: Literal["from_base", "continue"] = "from_base"
    """Weights from which each round trains. from_base: the base model (with LoRA a new adapter). continue: the parent round's."""
    warmup: Warmup | None = None
    """Training of round 0 on the anchor. None: round 0 keeps the base model."""
    steps: Count | None = None
    """Optimizer steps per round. Exactly one of steps and epochs must be set."""
    epochs: float | None = Field(None, gt=0)
    """Passes over the round's data. Exactly one of steps and epochs must be set."""
    batch_size: Count = 64
    """Examples per optimizer step, over all ranks; gradient accumulation follows from it. An example is a row under sft, a pair under
    dpo, one side of a pair under kto, and a roll-out under grpo."""
    micro_batch_size: Count | None = operation(None)
    """Examples per forward pass on one rank. None: the rank's whole share of a batch on a GPU, about 2,048 tokens on a CPU."""
    learning_rate: float = Field(1e-4, gt=0)
    """Peak learning rate."""
    scheduler: str = "cosine"
    """Learning-rate schedule, by its name in transformers: cosine, linear, constant_with_warmup, ..."""
    warmup_steps: int = Field(0, ge=0)
    """Steps over which the learning rate rises from 0 to its peak."""
    weight_decay: float = Field(0.0, ge=0)
    """Weight decay of AdamW."""
    max_length: Count | None = None
    """Limit in tokens. Longer rows, and pairs with a longer side, are left out and counted; under grpo longer prompts, and roll-outs end
    there. None: no limit."""
    lora: Lora | None = None
    """Trains a low-rank adapter. None: full fine-tuning."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Precision of training. auto: bf16 if the hardware supports it natively, otherwise fp32."""
    save_steps: Count | None = operation(None)
    """Steps between two checkpoints within a round's training. None: no checkpoints."""
    args: dict[str, Any] = Field(default_factory=dict)
    """Further arguments of the method's TRL config (SFTConfig, DPOConfig, KTOConfig, GRPOConfig), by their names in TRL."""

    @model_validator(mode="after")
    def _one_length(self) -> "Train":
        if (self.steps is None) == (self.epochs is None):
            raise ValueError(f"steps is {self.steps} and epochs is {self.epochs}; give exactly one of them")
        return self

    def launch_faults(self, *, sharded: bool) -> Iterator[str]:
        """What this machine or this launch lacks for the training: `key is value, problem; remedy`. `sharded`: it is one of FSDP2."""
        four_bit = self.lora is not None and self.lora.load_in_4bit
        if four_bit and importlib.util.find_spec("bitsandbytes") is None:
            yield "train.lora.load_in_4bit is true, but bitsandbytes is not installed; pip install 'selfplay[qlora]', or set it to false"
        if sharded and four_bit:
            yield (
                "train.lora.load_in_4bit is true under FSDP2, which shards no 4-bit weights here; "
                "launch with accelerate_config.yaml, or set it to false"
            )
        if sharded and not self.shards:
            yield f"train.method is {self.method} under FSDP2, under which only sft trains; launch with accelerate_config.yaml"

    def faults(self, config: "Config") -> Iterator[str]:
        """Faults of this method with the rest of the configuration, each as `problem; remedy`."""
        yield from ()
