"""Which arguments of TRL's trainers `train.args` may set. Their names are read from TRL's source: importing it would load torch."""

import ast
import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from selfplay.config.near_words import nearest

RESERVED_TRL_ARGS = {
    "output_dir": "remove it: checkpoints are in the run folder",
    "max_steps": "use train.steps",
    "num_train_epochs": "use train.epochs",
    "per_device_train_batch_size": "use train.micro_batch_size",
    "gradient_accumulation_steps": "it follows from train.batch_size",
    "auto_find_batch_size": "an out-of-memory error halves the micro-batch already",
    "learning_rate": "use train.learning_rate",
    "lr_scheduler_type": "use train.scheduler",
    "warmup_steps": "use train.warmup_steps",
    "warmup_ratio": "use train.warmup_steps",
    "weight_decay": "use train.weight_decay",
    "max_length": "use train.max_length",
    "packing": "use train.packing",
    "padding_free": "use train.packing",
    "packing_strategy": "use train.packing, which joins the rows of one forward pass",
    "bf16": "use train.precision",
    "fp16": "use train.precision",
    "use_cpu": "use launch.device",
    "seed": "use seed",
    "data_seed": "use seed",
    "full_determinism": "set torch's own switches in the environment instead",
    "save_strategy": "use train.save_steps",
    "save_steps": "use train.save_steps",
    "save_total_limit": "the last two checkpoints are always kept",
    "save_only_model": "a resume needs the optimizer",
    "load_best_model_at_end": "the gate compares rounds on the dev set",
    "resume_from_checkpoint": "the same command resumes",
    "report_to": "use tracking",
    "run_name": "use name",
    "disable_tqdm": "selfplay shows the progress itself",
    "push_to_hub": "use selfplay export",
    "hub_token": "put keys into the environment, never into a configuration",
    "eval_strategy": "the evaluate phase measures each round",
    "do_eval": "the evaluate phase measures each round",
    "dataset_kwargs": "rows are token ids already",
    "remove_unused_columns": "rows are token ids already",
    "shuffle_dataset": "the order of rows follows from seed",
    "train_sampling_strategy": "the order of rows follows from seed",
    "completion_only_loss": "the loss is always on completions alone",
    "assistant_only_loss": "the loss is always on completions alone",
    "average_tokens_across_devices": "the loss is always a mean over all tokens of the batch",
    "label_smoothing_factor": "the loss is each row's weighted likelihood",
    "loss_type": "the loss is each row's weighted likelihood",
    "chat_template_path": "use student.template",
    "eos_token": "the student's tokenizer has it",
    "pad_token": "the student's tokenizer has it",
    "ddp_find_unused_parameters": "every parameter is used",
    "model_init_kwargs": "the student is read from its folder",
    "deepspeed": "training runs under DDP alone so far; use train.lora for large models",
    "fsdp": "training runs under DDP alone so far; use train.lora for large models",
}
"""Arguments of SFTConfig that `train.args` may not set, and what to do instead; most hold for every TRL config."""


def argument_faults(args: Mapping[str, Any], trl_config: str, reserved: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """(key, what is wrong with it and what to do) for each argument that is reserved or that TRL does not know.

    `trl_config`: TRL's config class. Where its source is not found, only the reserved names are refused.
    """
    known = set(argument_names(trl_config)) if args else set()
    for key, value in args.items():
        if key in reserved:
            yield key, f"train.args.{key} is {value!r}, but selfplay sets this argument; {reserved[key]}"
        elif known and key not in known:
            near = nearest(key, known)
            advice = f"did you mean {near!r}?" if near else "remove it"
            yield key, f"train.args.{key} is {value!r}, but TRL's {trl_config} has no such argument; {advice}"


def argument_names(trl_config: str) -> Iterator[str]:
    """Names of the arguments of a TRL config class such as `SFTConfig`, inherited ones included."""
    for package, part in (
        ("trl", f"trainer/{trl_config.removesuffix('Config').lower()}_config.py"),
        ("trl", "trainer/base_config.py"),
        ("transformers", "training_args.py"),
    ):
        spec = importlib.util.find_spec(package)
        path = Path(spec.submodule_search_locations[0], part) if spec and spec.submodule_search_locations else None
        if path is None or not path.is_file():
            continue
        classes = (node for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.ClassDef))
        for field in (item for node in classes for item in node.body):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                yield field.target.id
