"""Writes the model of a round as a folder that `from_pretrained` loads, with nothing of the run in it."""

import json
import re
import shutil
from pathlib import Path
from typing import Any, cast

import torch

from selfplay.models.transformers import library

_KEPT = re.compile(
    r"generation_config\.json|chat_template\.(jinja|json)|tokenizer.*|special_tokens_map\.json|added_tokens\.json|vocab\..*"
    r"|merges\.txt|.*\.model|(LICEN[CS]E|NOTICE|USE_POLICY).*"
)
"""Files of a base model that training does not change."""


def export_weights(path: str | Path, out: Path, *, base: str | Path, dtype: str | None = None) -> str:
    """Writes full weights and tokenizer to `out`; an adapter is merged into its base in float32. Returns the data type written.

    `base`: the model that the run began with, whose generation config, chat template, tokenizer files and licence are kept as they are.
    `dtype`: float32, bfloat16 or float16; None: that of the base.
    """
    wanted = library.stored_dtype(base) if dtype is None else getattr(torch, dtype)
    folder = library.resolve(path)
    if library.is_adapter(folder) or library.stored_dtype(folder) != wanted:
        model: Any = library.load_model(path, device=torch.device("cpu"), dtype=torch.float32)
        if library.is_adapter(folder):
            model = model.merge_and_unload(safe_merge=True)
        model.to(wanted).save_pretrained(out)
    else:
        out.mkdir(parents=True)
        for pattern in (*library.WEIGHTS, "*.index.json", "config.json", "generation_config.json"):
            for file in folder.glob(pattern):
                shutil.copyfile(file, out / file.name)
    cast(Any, library.load_tokenizer(path)).save_pretrained(out)
    for file in sorted(library.resolve(base).iterdir()):
        if file.is_file() and _KEPT.fullmatch(file.name):
            shutil.copyfile(file, out / file.name)
    _forget_place(out / "config.json")
    return str(wanted).removeprefix("torch.")


def _forget_place(file: Path) -> None:
    """Removes the name under which the base was loaded, which may be a path of this machine."""
    config = json.loads(file.read_text(encoding="utf-8"))
    if config.pop("_name_or_path", None) is not None:
        file.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
