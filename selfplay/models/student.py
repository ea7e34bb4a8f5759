"""The model that is trained: its folders, and the engine that samples it in this process.

A model folder is what `from_pretrained` loads, an adapter beside the name of its base, a `base.json` that points to a base model,
or a scripted student's `scripted.json`.
"""

import json
from pathlib import Path
from typing import Literal

from selfplay.config.sections import EngineSettings, StudentSettings
from selfplay.errors import StoreError
from selfplay.models.base import Backend, Opening


class StudentEngine(EngineSettings):
    """The student itself, in this process."""

    kind: Literal["student"]

    @property
    def is_student(self) -> bool:
        """True."""
        return True

    def prompt_form(self, student: StudentSettings) -> Literal["chat", "plain"]:
        """The student's own."""
        return student.prompt_form

    def open(self, opening: Opening) -> Backend:
        """Opens the weights as the student's settings say."""
        backend: Backend = opening.weights.settings.open(opening)
        return backend


def weights_of(folder: Path) -> Path:
    """The model folder itself, which loading resolves where it points to a base. Raises StoreError where it is gone."""
    if not folder.is_dir():
        raise StoreError(
            f"{folder}: the round's weights are gone (keep removed them?); restore them, or start a new run"
        )
    return folder


def served_name(folder: Path) -> str:
    """The name by which a server knows the weights: the folder's path, or the base model that it points to."""
    pointer = folder / "base.json"
    return str(json.loads(pointer.read_text())["base"]) if pointer.is_file() else str(weights_of(folder).resolve())


def export_model(folder: Path, out: Path, *, base: Path, dtype: str | None = None) -> str:
    """Writes what `from_pretrained` loads with nothing else: full weights with tokenizer, an adapter merged. Returns their data type.

    `base`: the folder of the model that the run began with; its data type is kept unless `dtype` names another. Raises StoreError for a
    scripted student, which has no model.
    """
    if (folder / "scripted.json").is_file():
        raise StoreError(
            f"{folder}: is a scripted student, which has no weights to export; run with student.kind tiny or pretrained"
        )
    from selfplay.models.transformers.export import export_weights

    return export_weights(folder, out, base=base, dtype=dtype)
