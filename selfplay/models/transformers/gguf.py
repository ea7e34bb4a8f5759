"""A gguf file as a student: transformers reads it once, and the run keeps a plain copy, which everything else opens.

Only `write_plain` imports torch and transformers.
"""

import importlib.util
import shutil
from pathlib import Path

from selfplay.errors import ConfigError

MAGIC = b"GGUF"


def file_fault(place: Path, gguf_file: str) -> str:
    """Why `gguf_file` of a folder is no gguf file, as `is 'folder', ...; remedy`; "" if it is one. Reads four bytes."""
    file = place / gguf_file
    if not file.is_file():
        there = ", ".join(sorted(path.name for path in place.glob("*.gguf"))) or "none"
        return f"is {str(place)!r}, and that folder has no {gguf_file!r} (its gguf files: {there}); correct gguf_file"
    with file.open("rb") as stream:
        if stream.read(len(MAGIC)) != MAGIC:
            return f"is {str(place)!r}, and its {gguf_file!r} is no gguf file, which begins with GGUF; get the file again"
    return ""


def package_fault() -> str:
    """Why no gguf file can be read here, as a sentence with its remedy; "" if one can."""
    if importlib.util.find_spec("gguf") is not None:
        return ""
    return "is to be read from a gguf file, for which transformers needs the package gguf; pip install 'selfplay[gguf]'"


def write_plain(model: str, gguf_file: str, out: Path, revision: str | None = None) -> None:
    """Writes a gguf file as a plain model with its tokenizer, in bfloat16; does nothing where `out` is there already.

    `model`: the folder of the file, or a name at the hub. A quantized file is dequantized: the copy has its values, not its size.
    The folder appears whole or not at all. Raises ConfigError where transformers cannot read the file.
    """
    if out.is_dir():
        return
    if fault := package_fault():
        raise ConfigError(f"student.model {fault}")
    from selfplay.models.transformers.library import load_gguf

    loaded, tokenizer = load_gguf(model, gguf_file, revision)
    unfinished = out.with_name(f".{out.name}.tmp")
    shutil.rmtree(unfinished, ignore_errors=True)
    loaded.save_pretrained(unfinished)
    tokenizer.save_pretrained(unfinished)
    unfinished.rename(out)
