"""What is taken from transformers and PEFT to find, load, adapt and save models. Cache and attention are in `attention.py`.

A model folder is full weights, a PEFT adapter beside `adapter_base.json` (its base's name and hash), or a pointer. Importing this
file costs seconds: callers import it when they open a model.
"""

import hashlib
import json
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, cast

import torch
from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers import PrinterCallback as PrinterCallback
from transformers import TrainerCallback as TrainerCallback
from transformers.utils import logging

from selfplay.errors import ConfigError, DataError

logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # the progress display is ours
constants.HF_HUB_DISABLE_TELEMETRY = True  # TRL would report each trainer

BASE_FILE = "adapter_base.json"
"""In an adapter's folder: {"base": id or path, "revision", "identity": hash of the base's weights}."""

POINTER_FILE = "base.json"
"""Alone in a folder: {"base": id or path, "revision"}; the folder stands for that model."""

WEIGHTS = ("*.safetensors", "pytorch_model*.bin")


# ---- what a folder holds ----


def is_adapter(path: str | Path) -> bool:
    """Whether the folder holds a PEFT adapter instead of full weights."""
    return (Path(path) / "adapter_config.json").is_file()


def base_of(adapter: str | Path) -> tuple[str, str | None]:
    """(id or path, revision) of the base model that an adapter folder goes with. Raises DataError where it is unknown."""
    folder = Path(adapter)
    ours = folder / BASE_FILE
    if ours.is_file():
        data = json.loads(ours.read_text(encoding="utf-8"))
        return data["base"], data.get("revision")
    theirs = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    if not theirs.get("base_model_name_or_path"):
        raise DataError(
            f"{folder}: the adapter names no base model; add {BASE_FILE} with {{'base': <model id or path>}}"
        )
    return theirs["base_model_name_or_path"], theirs.get("revision")


def _check_base(adapter: Path, name: str, revision: str | None) -> None:
    """Raises DataError where the base is no longer the one that the adapter was trained on."""
    ours = adapter / BASE_FILE
    wanted = json.loads(ours.read_text(encoding="utf-8")).get("identity") if ours.is_file() else None
    if wanted is not None and (found := identity_of(name, revision)) != wanted:
        raise DataError(
            f"{adapter}: the adapter was trained on base weights {wanted}, but {name} now holds {found}; "
            f"give back the old base, or correct {BASE_FILE}"
        )


def resolve(path: str | Path, revision: str | None = None) -> Path:
    """The local folder of a model: itself, or the hub snapshot in the cache (downloaded unless offline)."""
    folder = Path(path)
    if (folder / POINTER_FILE).is_file() and not (folder / "config.json").is_file() and not is_adapter(folder):
        pointer = json.loads((folder / POINTER_FILE).read_text(encoding="utf-8"))
        return resolve(pointer["base"], pointer.get("revision"))
    if folder.is_dir():
        return folder
    wanted = ["*.safetensors", "*.json", "*.model", "*.txt", "*.jinja", "README.md", "LICENSE*"]
    try:
        return Path(snapshot_download(str(path), revision=revision, allow_patterns=wanted))
    except (HFValidationError, LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise ConfigError(
            f"model {path}: neither a folder here nor a model that the hub gives ({type(error).__name__}); "
            "check the name, or give the path of a local copy"
        ) from error


def identity_of(path: str | Path, revision: str | None = None) -> str:
    """16 hex digits of sha256 over the weight files, for an adapter over its base's as well. Cached per file state."""
    folder = resolve(path, revision)
    files = sorted({f for pattern in WEIGHTS for f in folder.glob(pattern)})
    if not files:
        raise DataError(f"{folder}: no weights there (*.safetensors); give the folder that from_pretrained loads")
    whole = hashlib.sha256()
    if is_adapter(folder):
        whole.update(identity_of(*base_of(folder)).encode())
    for file in files:
        whole.update(f"{file.name}:{sha256_of(file)}\n".encode())
    return whole.hexdigest()[:16]


def sha256_of(file: Path) -> str:
    """Hex sha256 of a file, read again only when its size or time has changed."""
    name = file.resolve().name
    if file.is_symlink() and len(name) == 64 and not set(name) - set("0123456789abcdef"):
        return name  # the hub's cache keeps large files under their sha256
    state = file.stat()
    return _hash_file(file.resolve(), state.st_size, state.st_mtime_ns, state.st_ino)


@cache
def _hash_file(file: Path, size: int, time_ns: int, inode: int) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


# ---- loading ----


def pick_device(device: str = "auto") -> torch.device:
    """`auto`: this rank's GPU where there is one, else the CPU."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(device, int(os.environ.get("LOCAL_RANK", "0"))) if device == "cuda" else torch.device(device)


def unused_gpus(device: str, world_size: int) -> str:
    """A note where one process leaves GPUs of this machine idle; "" where it does not."""
    if world_size > 1 or pick_device(device).type != "cuda" or (count := torch.cuda.device_count()) < 2:
        return ""
    return (
        f"1 of {count} GPUs is used; `accelerate launch --config_file accelerate_config.yaml --num_processes {count} "
        "scripts/run.py CONFIG` uses all"
    )


def has_fast_bf16(device: torch.device) -> bool:
    """Whether bf16 products are native there: a GPU since Ampere, a CPU with avx512_bf16 or AMX."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())


def pick_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """`auto`: bf16 where products in it are native, else fp32."""
    if dtype == "auto":
        return torch.bfloat16 if has_fast_bf16(device) else torch.float32
    known = {"fp32": torch.float32, "float32": torch.float32, "bf16": torch.bfloat16, "bfloat16": torch.bfloat16}
    if dtype not in known:
        raise ConfigError(f"dtype is {dtype}, not one of auto, fp32, bf16; use auto")
    return known[dtype]


def quiet_cpu(threads: int | None = None) -> None:
    """Flush denormals, or training slows severalfold as gradients shrink; and set torch's threads where given.

    The flag is a thread's own and inherited by threads started later, so it is set before the first product.
    """
    torch.set_flush_denormal(True)
    if threads is not None:
        torch.set_num_threads(threads)


def load_tokenizer(path: str | Path, revision: str | None = None) -> PreTrainedTokenizerBase:
    """The tokenizer of a model folder; of its base where an adapter brings none."""
    folder = resolve(path, revision)
    if not (folder / "tokenizer_config.json").is_file() and is_adapter(folder):
        return load_tokenizer(*base_of(folder))
    return cast(PreTrainedTokenizerBase, AutoTokenizer.from_pretrained(folder))


def load_model(
    path: str | Path,
    *,
    device: torch.device,
    dtype: torch.dtype,
    revision: str | None = None,
    trainable: bool = False,
    attention: str | None = None,
    how: Mapping[str, Any] | None = None,
) -> PreTrainedModel:
    """Weights in memory on `device`: a full model, or base plus adapter as a PeftModel, frozen unless `trainable`.

    `how`: further arguments of `from_pretrained` for full weights, by which they are sharded or quantized as they are read.
    """
    folder = resolve(path, revision)
    if is_adapter(folder):
        from peft import PeftModel

        name, base_revision = base_of(folder)
        _check_base(folder, name, base_revision)
        base = load_model(name, device=device, dtype=dtype, revision=base_revision, attention=attention, how=how)
        with old_names_quiet():
            adapted = PeftModel.from_pretrained(base, folder, is_trainable=trainable, torch_device=str(device))
        return cast(PreTrainedModel, adapted)
    kept: dict[str, Any] = {} if attention is None else {"attn_implementation": attention}
    if device.type != "cpu" and not how:
        kept["device_map"] = {"": device}  # each weight goes there as it is read
    return cast(PreTrainedModel, AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, **kept, **(how or {})))


def merged(model: Any) -> Any:
    """The model with its adapter merged into the weights in memory; itself where it has none, or one that cannot be merged.

    Each sum is rounded once to the data type of the weights, as in an export of that type: in bf16 what a merged model says differs from
    the adapter beside its base by that rounding. An adapter of a head that shares its weight with the embedding stays unmerged, since
    merging would change the embedding as well.
    """
    if not hasattr(model, "peft_config") or not hasattr(model, "merge_and_unload"):
        return model
    base = model.get_base_model()
    ends = (base.get_input_embeddings(), base.get_output_embeddings())
    if getattr(base.config, "tie_word_embeddings", False) and any(hasattr(end, "base_layer") for end in ends):
        return model
    with old_names_quiet():
        return model.merge_and_unload()


def new_adapter(
    base: PreTrainedModel, *, rank: int, alpha: int, dropout: float, targets: str | Sequence[str], rslora: bool
) -> Any:
    """The base with a fresh, trainable LoRA adapter (Hu et al. 2021); `rslora` scales by the root of the rank."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        use_rslora=rslora,
        task_type="CAUSAL_LM",
    )
    with old_names_quiet():
        return get_peft_model(base, config)


@contextmanager
def old_names_quiet() -> Iterator[None]:
    """PEFT 0.21 and TRL 1.16 ask transformers 5.24 by names that warn since then: not a user's concern."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


def save_model(model: Any, folder: Path, *, base: str | Path, state: Mapping[str, torch.Tensor] | None = None) -> None:
    """Writes the weights; for an adapter also `adapter_base.json`. `base`: what the model was opened from.

    `state`: the whole weights, of a model that holds a shard of them. None: those of the model.
    """
    if not hasattr(model, "peft_config"):
        model.config.use_cache = True  # checkpointed training turns it off
        model.save_pretrained(folder, state_dict=state)
        return
    if is_adapter(resolve(base)):
        name, revision = base_of(resolve(base))
    else:
        name, revision = _pointed(base)
    for config in model.peft_config.values():
        config.base_model_name_or_path = name
        if isinstance(config.target_modules, set):  # saved in hash order: two identical runs would differ
            config.target_modules = sorted(config.target_modules)
    model.save_pretrained(folder, save_embedding_layers=False, state_dict=state)
    (folder / "README.md").unlink(missing_ok=True)  # PEFT's template of a card, which says nothing of this model
    about = {"base": name, "revision": revision, "identity": identity_of(name, revision)}
    (folder / BASE_FILE).write_text(json.dumps(about) + "\n", encoding="utf-8")


def stored_dtype(path: str | Path) -> torch.dtype:
    """The data type in which a model folder, or the base of an adapter, holds its weights; float32 where its config names none."""
    folder = resolve(path)
    return (
        AutoConfig.from_pretrained(resolve(*base_of(folder)) if is_adapter(folder) else folder).dtype or torch.float32
    )


def _pointed(path: str | Path) -> tuple[str, str | None]:
    """(id or path, revision) that a pointer folder stands for, or the path itself."""
    file = Path(path) / POINTER_FILE
    if not file.is_file():
        return str(path), None
    pointer = json.loads(file.read_text(encoding="utf-8"))
    return pointer["base"], pointer.get("revision")


def out_of_memory(error: BaseException) -> bool:
    """Whether the error says that memory ran out, on a GPU or (torch's RuntimeError) on the CPU."""
    return (
        type(error).__name__ == "OutOfMemoryError"
        or isinstance(error, MemoryError)
        or any(words in str(error) for words in ("can't allocate memory", "not enough memory", "out of memory"))
    )
