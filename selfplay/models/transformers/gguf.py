"""A gguf file as a student: transformers reads it once, and everything else opens a plain copy. Imports torch."""

import importlib.util
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any, cast

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
from transformers.utils import logging

from selfplay.errors import ConfigError

logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # the progress display is ours


def write_plain(model: str, gguf_file: str, out: Path, revision: str | None = None) -> None:
    """Writes a gguf file as a plain model with its tokenizer, in bfloat16; does nothing where `out` is there already.

    `model`: the folder of the file, or a name at the hub. A quantized file is dequantized: the copy has its values, not its size.
    The folder appears whole or not at all. Raises ConfigError where transformers cannot read the file.
    """
    if out.is_dir():
        return
    if importlib.util.find_spec("gguf") is None:
        raise ConfigError(
            f"{gguf_file}: transformers reads it with the package gguf, which is missing; pip install 'selfplay[gguf]'"
        )
    loaded, tokenizer = _read(model, gguf_file, revision)
    unfinished = out.with_name(f".{out.name}.tmp")
    shutil.rmtree(unfinished, ignore_errors=True)
    loaded.save_pretrained(unfinished)
    tokenizer.save_pretrained(unfinished)
    unfinished.rename(out)


def _read(model: str, gguf_file: str, revision: str | None) -> tuple[Any, Any]:
    """Model and tokenizer, with nothing left that says where they came from."""
    given: dict[str, Any] = {"gguf_file": gguf_file, "revision": revision}
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # it recommends keeping the weights packed, which could not be trained
    try:
        tokenizer = cast(Any, AutoTokenizer.from_pretrained(model, **given))
        whole = GgufConfig(dequantize=True)
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            model, **given, dtype=torch.float32, quantization_config=whole
        )
    except Exception as error:  # the boundary: a strange file fails in many ways, each of another library's class
        why = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise ConfigError(
            f"student.gguf_file is {gguf_file!r} of {model}, which transformers {metadata.version('transformers')} cannot read ({why}); "
            "name a file of an architecture that it knows, or give the model in safetensors"
        ) from error
    finally:
        logging.set_verbosity(verbosity)
    return loaded.to(torch.bfloat16), tokenizer
