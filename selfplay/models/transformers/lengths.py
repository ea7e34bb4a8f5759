"""How many tokens a model holds, and at least how many a text has, from a model's files alone: neither torch nor transformers is imported."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_KEYS = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length")
"""Names of the longest sequence in the config.json of models."""


def folder_of(model: str | Path, revision: str | None = None) -> Path | None:
    """The folder of a model on this machine: itself, the base that an adapter or a pointer names, or the hub's cache; None if there is none."""
    folder = Path(model)
    for name in ("base.json", "adapter_base.json"):
        if (folder / name).is_file() and not (folder / "config.json").is_file():
            pointer = _read(folder / name)
            return folder_of(pointer["base"], pointer.get("revision")) if "base" in pointer else None
    if folder.is_dir():
        return folder
    return None if folder.is_absolute() else _cached(str(model), revision)


def _cached(name: str, revision: str | None) -> Path | None:
    """The folder of a model in the hub's cache; None if it is not there, or if the hub has no such names (`./model`)."""
    from huggingface_hub import try_to_load_from_cache  # heavy, and not needed to read a configuration

    try:
        found = try_to_load_from_cache(name, "config.json", revision=revision)
    except ValueError:
        return None
    return Path(found).parent if isinstance(found, str) else None


def context_of(model: str | Path, revision: str | None = None) -> int | None:
    """How many tokens a model holds, prompt and reply together; None where its files are not here or do not say."""
    folder = folder_of(model, revision)
    config = _read(folder / "config.json") if folder is not None else {}
    text = config.get("text_config")
    known = [part.get(key) for part in (config, text if isinstance(text, dict) else {}) for key in _KEYS]
    return next((value for value in known if isinstance(value, int) and value > 0), None)


def least_tokens(model: str | Path, revision: str | None, texts: Sequence[str]) -> list[int]:
    """The tokens of each text, without those of a chat template; [] where the model has no tokenizer.json here."""
    from tokenizers import Tokenizer

    folder = folder_of(model, revision)
    if folder is None or not (folder / "tokenizer.json").is_file():
        return []
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    return [len(found) for found in tokenizer.encode_batch(list(texts), add_special_tokens=False)]


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
