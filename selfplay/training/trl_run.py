"""What every run of a TRL trainer shares: its arguments, the weights it starts from, its curve and its checkpoints.

Importing this file loads torch, transformers and TRL.
"""

import dataclasses
import gc
import json
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch

from selfplay.config.training import Lora, Train
from selfplay.errors import ConfigError, Interrupted
from selfplay.models.transformers import library as transformer
from selfplay.runtime.distributed import Ranks
from selfplay.store.files import sync
from selfplay.training.checkpoints import commit_checkpoint
from selfplay.training.schedule import TrainSchedule, taken

CHECKPOINTING_PARAMETERS = 1_000_000_000
"""Gradient checkpointing is on from this size where `train.args` does not say: below, it costs more than it saves."""

LEFT_OUT = ("epoch", "num_tokens")
"""Logged figures that are not in the curve: the second restarts at 0 on a resume."""

NAMES = {"rewards/margins": "rewards_margin", "rewards/accuracies": "rewards_accuracy"}
"""Figures with another name in the curve."""


class TrainLogger(transformer.TrainerCallback):
    """Writes the curve as training goes, and the marker of each checkpoint once all ranks have written their part."""

    def __init__(self, setup: "Setup") -> None:
        self._curve, self._round, self._offset = setup.out / "curve.jsonl", setup.round, setup.step_offset
        self._ranks, self._stepped, self._stop, self._stopping = setup.ranks, setup.stepped, setup.stop, False
        self._name = f"stop/{setup.round}/{setup.micro}"

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Progress; and a checkpoint out of turn where somebody has asked for a stop."""
        step = state.global_step
        self._stepped(step)
        if self._ranks.any_rank_requests(self._name, self._stop(), step) and step < state.max_steps:
            control.should_save = self._stopping = True

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """One line a step, on rank 0."""
        if not self._ranks.is_main or "loss" not in (logs or {}):
            return
        row = {_named(key): value for key, value in (logs or {}).items() if key not in LEFT_OUT}
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
        if self._stopping:
            self._ranks.barrier(f"stopped {step}")
            raise Interrupted(
                f"interrupted: training is saved at step {step} of {state.max_steps}; run the same command to go on"
            )


def _named(key: str) -> str:
    """The curve's name of a figure that TRL logs: one slash each."""
    return f"train/{NAMES.get(key, key.replace('/', '_'))}"


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
    stepped: Callable[[int], None]
    """Told of each optimizer step, by its number from 1."""
    stop: Callable[[], bool]
    """Asked after each step whether to save and stop."""


def check_args(settings: Train, kind: Any) -> None:
    """Raises ConfigError for keys of `train.args` that the TRL config class does not have, or that are set elsewhere."""
    args, elsewhere = settings.args, taken(settings.method)
    known = {f.name for f in dataclasses.fields(kind) if f.init}
    for key in args:
        if key in elsewhere:
            raise ConfigError(f"train.args.{key} is {args[key]!r}, but it is not free here; {elsewhere[key]}")
        if key not in known:
            raise ConfigError(
                f"train.args.{key}: TRL's {kind.__name__} has no such argument; look up its name, or remove it"
            )


def arguments(
    kind: Any, settings: Train, made: TrainSchedule, setup: Setup, *, model: Any, bf16: bool, ours: dict[str, Any]
) -> Any:
    """Arguments for a TRL config class: what all trainers share, `ours`, the user's `train.args`, and no reporting."""
    check_args(settings, kind)
    known = {f.name for f in dataclasses.fields(kind)}
    new = "activation_checkpointing" in known  # since transformers 5.24; the old name warns there
    given = {key.replace("gradient_check", "activation_check") if new else key: v for key, v in settings.args.items()}
    cpu = setup.device.type == "cpu"
    shared: dict[str, Any] = {
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
        "train_sampling_strategy": "sequential",
        "average_tokens_across_devices": False,
        "ddp_find_unused_parameters": False,
        "dataloader_pin_memory": not cpu,
        f"{'activation' if new else 'gradient'}_checkpointing": sum(p.numel() for p in model.parameters())
        >= CHECKPOINTING_PARAMETERS,
    }
    try:
        return kind(**(shared | given | ours))
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"train: TRL refuses its arguments ({error}); correct train.args, scheduler or precision"
        ) from error


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


def uses_bf16(settings: Train, setup: Setup) -> bool:
    """Whether products run in bf16."""
    return settings.precision == "bf16" or (settings.precision == "auto" and transformer.has_fast_bf16(setup.device))


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
