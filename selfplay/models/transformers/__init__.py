"""Models that transformers runs in this process: two kinds of student, and a teacher or judge without a server.

Only settings stand here. Torch and transformers are imported when a model is made or opened.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field

from selfplay.config.sections import Count, EngineSettings, StudentSettings
from selfplay.models.base import Backend, Encoder, Opening
from selfplay.models.student import weights_of
from selfplay.models.transformers.lengths import context_of, least_tokens
from selfplay.records import Task

_HUB_NAME = re.compile(r"(?:[\w.-]+/)?[\w.-]+")
Template = Literal["chat", "plain"]
Dtype = Literal["auto", "float32", "bfloat16"]


def _model_fault(model: str, revision: str | None, folder: Path, *, ask_hub: bool) -> str:
    """See `StudentSettings.model_fault`."""
    place = next((p for p in (folder / model, Path(model)) if p.is_dir()), None)
    if place is not None:
        there = any((place / name).is_file() for name in ("config.json", "adapter_config.json", "base.json"))
        return "" if there else f"is {model!r}, and that folder has no config.json; give the folder of a model"
    if not _HUB_NAME.fullmatch(model) or model.startswith("."):
        return f"is {model!r}, and there is no such folder beside the configuration or in the working directory; correct the path"
    if not ask_hub:
        return ""
    from selfplay.models.transformers.hub import hub_fault

    return hub_fault(model, revision)


class _TransformersStudent(StudentSettings):
    """A student that is a transformers model."""

    template: Template
    """How a prompt becomes tokens, in sampling and in training alike."""

    @property
    def prompt_form(self) -> Template:
        """The template."""
        return self.template

    @property
    def _dtype(self) -> Dtype:
        return "auto"

    def open(self, opening: Opening) -> Backend:
        """Loads the weights in this process, for sampling and scoring. Raises StoreError where they are gone."""
        from selfplay.models.transformers.backend import Embedded

        return Embedded(
            weights_of(opening.weights.folder),
            template=self.template,
            device=opening.device,
            dtype=self._dtype,
            threads=opening.threads,
        )

    def encoder(self, folder: Path) -> Encoder:
        """The tokenizer of a model folder with the student's template."""
        from selfplay.models.encode import TokenEncoder
        from selfplay.models.transformers.library import load_tokenizer

        return TokenEncoder(load_tokenizer(weights_of(folder)), self.template)


class TinyStudent(_TransformersStudent):
    """A decoder from random weights, with a tokenizer trained on the anchor: the run makes both and downloads nothing."""

    kind: Literal["tiny"]
    template: Literal["plain"] = "plain"
    model_family: tuple[str, ...] = ("tiny",)
    vocab_size: Annotated[int, Field(ge=280, le=100_000)] = 430
    """Most tokens of its vocabulary."""
    hidden_size: Count = 128
    """Width of the model."""
    layers: Count = 4
    """Number of layers."""
    heads: Count = 4
    """Attention heads per layer."""
    intermediate_size: Count = 384
    """Width of the feed-forward layers."""
    max_positions: Count = 512
    """Longest sequence, in tokens."""
    rope_theta: float = Field(10_000.0, ge=1)
    """Base of the rotary positions. A very large one (1e12) keeps near order and blurs far positions, and generalises better
    in length on the quick start's tasks (docs/dev/quickstart-recipe.md)."""

    def context(self, folder: Path | None = None) -> int | None:
        """See `StudentSettings.context`."""
        return self.max_positions

    def make_initial(self, anchor: Sequence[Task], out: Path, seed: int) -> None:
        """Writes random weights and a tokenizer that is trained on the anchor's prompts and references."""
        from selfplay.models.transformers.build import build_student

        # prompts and references are separate texts, so that no token spans the border between them
        texts = [text for task in anchor for text in (task.text, task.reference or "")]
        shape = self.model_dump(
            include={"hidden_size", "layers", "heads", "intermediate_size", "max_positions", "rope_theta"}
        )
        build_student(out, texts=texts, vocab_size=self.vocab_size, shape=shape, seed=seed)


class PretrainedStudent(_TransformersStudent):
    """A causal language model by hub name or path."""

    kind: Literal["pretrained"]
    model: str
    """Hub name or path of the model."""
    revision: str | None = None
    """Revision of the model at the hub. None: its main branch."""
    template: Template = "chat"
    dtype: Dtype = "auto"
    """Data type of the weights for sampling and scoring; `auto` is bfloat16 where the hardware computes in it, else float32."""
    model_family: tuple[str, ...] = ()
    """Words for the family of its base model, such as [qwen3]; needed where a judge grades it. Rounds inherit it."""

    @property
    def _dtype(self) -> Dtype:
        return self.dtype

    def located(self, folder: Path) -> Self:
        """With the absolute path of a model folder that stands beside the configuration."""
        beside = folder / self.model
        return self.model_copy(update={"model": str(beside.resolve())}) if beside.is_dir() else self

    def model_fault(self, folder: Path, *, ask_hub: bool) -> str:
        """See `StudentSettings.model_fault`."""
        return _model_fault(self.model, self.revision, folder, ask_hub=ask_hub)

    def files(self, folder: Path) -> dict[str, Path]:
        """The model folder, where the model is one."""
        model = Path(self.located(folder).model)
        return {"student.model": model} if model.is_dir() else {}

    def context(self, folder: Path | None = None) -> int | None:
        """See `StudentSettings.context`."""
        return context_of(self.model, self.revision) if folder is None else context_of(folder)

    def least_tokens(self, texts: Sequence[str]) -> list[int]:
        """See `StudentSettings.least_tokens`."""
        return least_tokens(self.model, self.revision, texts)

    def make_initial(self, anchor: Sequence[Task], out: Path, seed: int) -> None:
        """Writes a pointer to the base model."""
        out.mkdir(parents=True, exist_ok=True)
        (out / "base.json").write_text(json.dumps({"base": self.model, "revision": self.revision}) + "\n")


class PretrainedEngine(EngineSettings):
    """Another causal language model, by hub name or path, in this process: a teacher or judge without a server."""

    kind: Literal["pretrained"]
    model: str
    """Hub name or path of the model."""
    revision: str | None = None
    """Revision of the model at the hub. None: its main branch."""
    template: Template = "chat"
    """`chat`: the tokenizer's chat template. `plain`: the prompt as it stands."""
    dtype: Dtype = "auto"
    """Type of the weights while sampling. `auto`: bfloat16 where the hardware multiplies in it, else float32."""

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model

    def prompt_form(self, student: StudentSettings) -> Template:
        """The template."""
        return self.template

    def model_fault(self, folder: Path, *, ask_hub: bool) -> str:
        """See `StudentSettings.model_fault`."""
        return _model_fault(self.model, self.revision, folder, ask_hub=ask_hub)

    def open(self, opening: Opening) -> Backend:
        """Loads the model."""
        from selfplay.models.transformers.backend import Embedded

        return Embedded(
            self.model,
            template=self.template,
            device=opening.device,
            dtype=self.dtype,
            revision=self.revision,
            threads=opening.threads,
        )
