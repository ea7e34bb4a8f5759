"""What every TRL trainer here shares: its arguments, and the steps around TRL's `train`. The only file that imports TRL."""

import dataclasses
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from datasets import Dataset as Dataset
from trl.trainer.dpo_config import DPOConfig as DPOConfig
from trl.trainer.dpo_trainer import DataCollatorForPreference as DataCollatorForPreference
from trl.trainer.dpo_trainer import DPOTrainer as DPOTrainer
from trl.trainer.grpo_config import GRPOConfig as GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer as GRPOTrainer
from trl.trainer.kto_config import KTOConfig as KTOConfig
from trl.trainer.kto_trainer import DataCollatorForUnpairedPreference as DataCollatorForUnpairedPreference
from trl.trainer.kto_trainer import KTOTrainer as KTOTrainer
from trl.trainer.sft_config import SFTConfig as SFTConfig
from trl.trainer.sft_trainer import SFTTrainer as SFTTrainer

from selfplay.errors import ConfigError
from selfplay.models.transformers.library import PrinterCallback
from selfplay.training.methods.base import TrainingMethod, TrainRun
from selfplay.training.schedule import TrainSchedule
from selfplay.training.trl_arguments import argument_faults

CHECKPOINTING_PARAMETERS = 1_000_000_000
"""Gradient checkpointing is on from this size where `train.args` does not say: below, it costs more than it saves."""


def trainer_arguments(
    kind: Any,
    method: TrainingMethod,
    schedule: TrainSchedule,
    run: TrainRun,
    *,
    model: Any,
    device: torch.device,
    bf16: bool,
    ours: dict[str, Any],
) -> Any:
    """The arguments object of a TRL config class: what all trainers share, the user's `train.args`, and `ours` on top.

    Raises ConfigError for arguments that TRL does not know or refuses, and for those that are set elsewhere.
    """
    if faults := [fault for _, fault in argument_faults(method.args, kind.__name__, method.reserved_args)]:
        raise ConfigError("\n".join(faults))
    known = {field.name for field in dataclasses.fields(kind)}
    new = "activation_checkpointing" in known  # since transformers 5.24; the old name warns there
    given = {key.replace("gradient_check", "activation_check") if new else key: v for key, v in method.args.items()}
    large = sum(parameter.numel() for parameter in model.parameters()) >= CHECKPOINTING_PARAMETERS
    shared = _shared(method, schedule, run, on_cpu=device.type == "cpu")
    shared |= {"bf16": bf16, f"{'activation' if new else 'gradient'}_checkpointing": large}
    try:
        made = kind(**({key: value for key, value in shared.items() if key in known} | given | ours))
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"train: TRL refuses its arguments ({error}); correct train.args, scheduler or precision"
        ) from error
    made._n_gpu = min(
        made.n_gpu, 1
    )  # or transformers would put the model under nn.DataParallel on a machine with several GPUs
    return made


@contextmanager
def adapter_in_fp32(model: Any) -> Iterator[None]:
    """Keeps an adapter in its precision while a trainer is made: on a 4-bit base TRL would cast it to bf16, and small steps are lost there."""
    kept = [(parameter, parameter.data) for parameter in model.parameters() if parameter.requires_grad]
    yield
    for parameter, data in kept:
        parameter.data = data


def _shared(method: TrainingMethod, schedule: TrainSchedule, run: TrainRun, *, on_cpu: bool) -> dict[str, Any]:
    return {
        "output_dir": str(run.out / "checkpoints"),
        "max_steps": schedule.steps,
        "per_device_train_batch_size": run.micro_batch_size,
        "gradient_accumulation_steps": method.batch_size // (run.micro_batch_size * run.ranks.world_size),
        "learning_rate": method.learning_rate,
        "lr_scheduler_type": method.scheduler,
        "warmup_steps": method.warmup_steps,
        "weight_decay": method.weight_decay,
        "max_length": None,
        "use_cpu": on_cpu,
        "seed": run.seed % 2**31,
        "data_seed": run.seed % 2**31,
        "save_strategy": "no" if method.save_steps is None else "steps",
        "save_steps": method.save_steps or 500,
        "save_total_limit": 2,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "report_to": "none",
        "disable_tqdm": True,
        "remove_unused_columns": False,
        "train_sampling_strategy": "sequential",
        "average_tokens_across_devices": False,
        "ddp_find_unused_parameters": False,
        "dataloader_pin_memory": not on_cpu,
    }


def run_trainer(trainer: Any, run: TrainRun) -> float:
    """Trains to the last step, from the checkpoint where there is one. Returns the wall seconds inside TRL's `train`."""
    trainer.remove_callback(PrinterCallback)
    began = time.perf_counter()
    trainer.train(resume_from_checkpoint=None if run.resume is None else str(run.resume))
    return time.perf_counter() - began
