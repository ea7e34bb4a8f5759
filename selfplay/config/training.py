"""Floor 0: the section that says how the student is trained: on accepted rows, or on pairs of a right and a wrong attempt."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from selfplay.config.sections import Count, Section, Share, operation


class Lora(Section):
    """Low-rank adapters (Hu et al. 2021) instead of full fine-tuning."""

    rank: Count = 32
    alpha: Count = 64
    dropout: Share = 0.0
    target_modules: str | tuple[str, ...] = "all-linear"
    rslora: bool = True


class Warmup(Section):
    """Round 0: training on the anchor alone, for a student that starts from random weights."""

    steps: Count = 150
    learning_rate: float = Field(2e-3, gt=0)


class Train(Section):
    """Fine-tuning with TRL on the exact token ids that were sampled."""

    method: Literal["sft", "dpo", "kto"] = "sft"
    """sft: on accepted rows. On pairs of an accepted and a wrong attempt: dpo (Rafailov et al. 2023), or kto, which reads
    each side alone (Ethayarajh et al. 2024). The warm-up is always sft."""
    beta: float = Field(0.1, gt=0)
    """dpo and kto: how dear it is to leave the reference, which is the weights that the round starts from."""
    sft_weight: float = Field(0.0, ge=0)
    """dpo: weight of the chosen sides' own likelihood beside the preference (RPO: Pang et al. 2024); 0: none."""
    min_accepted: Annotated[int, Field(ge=0)] = 4
    """A round with fewer accepted attempts keeps the weights it began with, and says so: a handful of rows is memorised, not
    learned. 0: it trains on whatever there is, the anchor alone included."""
    start: Literal["from_base", "continue"] = "from_base"
    """Base weights (or a fresh LoRA) on all data so far, or the last round's weights."""
    warmup: Warmup | None = None
    """None: round 0 keeps the base model."""
    steps: Count | None = None
    """Optimizer steps a round; exactly one of steps and epochs is given."""
    epochs: float | None = Field(None, gt=0)
    batch_rows: Count = 64
    """Rows of one optimizer step over all ranks; accumulation follows from it. dpo: pairs; kto: sides."""
    micro_batch_rows: Count | None = operation(None)
    """Rows of one forward pass on one rank; None: all of the rank's share on a GPU, about 2,048 tokens on a CPU."""
    learning_rate: float = Field(1e-4, gt=0)
    scheduler: str = "cosine"
    """A transformers scheduler name: cosine, linear, constant_with_warmup, ..."""
    warmup_steps: int = Field(0, ge=0)
    """Steps over which the learning rate rises to its value."""
    weight_decay: float = Field(0.0, ge=0)
    max_length: Count | None = None
    """Longer rows, or pairs with a longer side, are left out, and counted; None: no limit."""
    packing: bool = False
    lora: Lora | None = None
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    save_steps: Count | None = operation(None)
    """Steps between two training checkpoints; None: none within a round."""
    args: dict[str, Any] = Field(default_factory=dict)
    """Further arguments of TRL's SFTConfig, DPOConfig or KTOConfig, by its names."""

    @model_validator(mode="after")
    def _one_length(self) -> "Train":
        if (self.steps is None) == (self.epochs is None):
            raise ValueError(f"steps is {self.steps} and epochs is {self.epochs}; give exactly one of them")
        return self

    @model_validator(mode="after")
    def _settings_act(self) -> "Train":
        if faults := list(self._idle()):
            raise ValueError("\n".join(faults))
        return self

    def _idle(self) -> Iterator[str]:
        """Settings without effect under this method."""
        method = self.method
        if method == "sft" and self.beta != type(self).model_fields["beta"].default:
            yield f"beta is {self.beta}, but method is sft, which has no reference; remove it, or use dpo or kto"
        if method != "dpo" and self.sft_weight:
            yield f"sft_weight is {self.sft_weight}, but method is {method}; it goes with dpo"
        if method != "sft" and self.packing:
            yield f"packing is true, but method is {method}, whose batches are padded; remove it"
        if method != "sft" and self.lora and self.lora.dropout and self.args.get("disable_dropout", True):
            yield (
                f"lora.dropout is {self.lora.dropout}, but {method} trains without dropout; "
                "remove it, or set args.disable_dropout to false"
            )
