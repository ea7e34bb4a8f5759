"""Models that transformers runs in this process: two kinds of student, and a teacher or judge without a server.

Only settings stand here. Torch and transformers are imported when a model is made or opened.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from selfplay.config.sections import Count, EngineSettings, StudentsEngine, StudentSettings
from selfplay.models.base import Backend, Encoder, Opening
from selfplay.models.student import weights_of
from selfplay.models.transformers.lengths import context_of, least_tokens
from selfplay.records import Task

_HUB_NAME = re.compile(r"(?:[\w.-]+/)?[\w.-]+")
Template = Literal["chat", "plain"]
Dtype = Literal["auto", "float32", "bfloat16"]


def _template_arguments(given: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a chat template; refuses those that are set elsewhere."""
    taken = {
        "messages",
        "conversation",
        "tools",
        "documents",
        "chat_template",
        "add_generation_prompt",
        "continue_final_message",
    }
    taken |= {"tokenize", "padding", "truncation", "max_length", "return_tensors", "return_dict", "tokenizer_kwargs"}
    wrong = sorted(taken & {*given})
    if wrong:
        raise ValueError(
            f"sets {', '.join(wrong)}, which selfplay sets itself; give variables of the chat template alone, such as enable_thinking"
        )
    return given


ChatArguments = Annotated[dict[str, bool | int | float | str], AfterValidator(_template_arguments)]


def _check_effect(template: Template, arguments: dict[str, Any]) -> None:
    """Refuses arguments of a chat template where none is used."""
    if template == "plain" and arguments:
        raise ValueError(
            f"chat_template_kwargs is {arguments}, but template is plain, which reads no chat template; remove one of them"
        )


def model_fault(model: str, revision: str | None, folder: Path, *, ask_hub: bool, gguf_file: str | None = None) -> str:
    """See `StudentSettings.model_fault`."""
    place = next((p for p in (folder / model, Path(model)) if p.is_dir()), None)
    if gguf_file is not None:
        from selfplay.models.transformers.hub import gguf_fault

        if fault := gguf_fault(place, gguf_file):
            return f"is {model!r}, whose gguf_file {fault}"
    elif place is not None:
        there = any((place / name).is_file() for name in ("config.json", "adapter_config.json", "base.json"))
        packed = next((path.name for path in sorted(place.glob("*.gguf"))), None)
        remedy = f"set student.gguf_file, such as {packed}" if packed else "give the folder of a model"
        return "" if there else f"is {model!r}, and that folder has no config.json; {remedy}"
    if place is not None:
        return ""
    if not _HUB_NAME.fullmatch(model) or model.startswith("."):
        return f"is {model!r}, and there is no such folder beside the configuration or in the working directory; correct the path"
    if not ask_hub:
        return ""
    from selfplay.models.transformers.hub import hub_fault

    return hub_fault(model, revision, gguf_file or "config.json")


class _TransformersStudent(StudentSettings):
    """A student that is a transformers model."""

    template: Template
    """How a prompt becomes tokens, in sampling and in training alike."""
    engine: StudentsEngine | None = None
    """The engine that samples it, such as a vLLM server. None: this process."""

    @property
    def served_by(self) -> EngineSettings | None:
        """See `StudentSettings.served_by`."""
        return self.engine

    @property
    def prompt_form(self) -> Template:
        """The template."""
        return self.template

    @property
    def _dtype(self) -> Dtype:
        return "auto"

    @property
    def _refills(self) -> bool | None:
        return None

    def open(self, opening: Opening) -> Backend:
        """Loads the weights in this process, for sampling and scoring. Raises StoreError where they are gone."""
        from selfplay.models.transformers.backend import Embedded

        return Embedded(
            weights_of(opening.weights.folder),
            template=self.template,
            device=opening.device,
            dtype=self._dtype,
            threads=opening.threads,
            refill_across=self._refills,
            chat=self.chat_arguments,
        )

    def encoder(self, folder: Path) -> Encoder:
        """The tokenizer of a model folder with the student's template."""
        from selfplay.models.encode import TokenEncoder
        from selfplay.models.transformers.library import load_tokenizer

        return TokenEncoder(load_tokenizer(weights_of(folder)), self.template, self.chat_arguments)


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
    gguf_file: str | None = None
    """Name of a gguf file in the model's folder or at the hub. Round 0 reads it once (extra `gguf`) and writes it as a plain
    bfloat16 model into the run's folder; a quantized file is dequantized. None: the model is in safetensors."""
    template: Template = "chat"
    chat_template_kwargs: ChatArguments = Field(default_factory=dict)
    """Variables of the chat template, such as `{enable_thinking: false}`, in sampling and in training alike; one that the template does
    not read is refused."""
    dtype: Dtype = "auto"
    """Data type of the weights for sampling and scoring; `auto` is bfloat16 where the hardware computes in it, else float32."""
    refill_across_chunks: bool | None = None
    """Whether rows that finish are replaced by those of the next chunk, which keeps a GPU busy to the end of a chunk. The samples draw
    the same numbers, but whoever shares their batch changes their rounding: a chunk that is made again after a crash may differ in a few
    texts in fp32, in most in bf16. `false` makes it again to the byte. None: on a GPU alone."""
    model_family: tuple[str, ...] = ()
    """Words for the family of its base model, such as [qwen3]; needed where a judge grades it. Rounds inherit it."""

    @model_validator(mode="after")
    def _check_arguments(self) -> Self:
        _check_effect(self.template, self.chat_template_kwargs)
        return self

    @property
    def _dtype(self) -> Dtype:
        return self.dtype

    @property
    def _refills(self) -> bool | None:
        return self.refill_across_chunks

    @property
    def chat_arguments(self) -> dict[str, Any]:
        """The arguments of the chat template."""
        return dict(self.chat_template_kwargs)

    def located(self, folder: Path) -> Self:
        """With the absolute path of a model folder that stands beside the configuration."""
        beside = folder / self.model
        return self.model_copy(update={"model": str(beside.resolve())}) if beside.is_dir() else self

    def model_fault(self, folder: Path, *, ask_hub: bool) -> str:
        """See `StudentSettings.model_fault`."""
        return model_fault(self.model, self.revision, folder, ask_hub=ask_hub, gguf_file=self.gguf_file)

    def files(self, folder: Path) -> dict[str, Path]:
        """The model folder, where the model is one, or its gguf file."""
        model = Path(self.located(folder).model)
        return {"student.model": model / (self.gguf_file or "")} if model.is_dir() else {}

    def context(self, folder: Path | None = None) -> int | None:
        """See `StudentSettings.context`."""
        return context_of(self.model, self.revision) if folder is None else context_of(folder)

    def least_tokens(self, texts: Sequence[str]) -> list[int]:
        """See `StudentSettings.least_tokens`."""
        return least_tokens(self.model, self.revision, texts)

    def make_initial(self, anchor: Sequence[Task], out: Path, seed: int) -> None:
        """Writes a pointer to the base model, for a gguf file to the plain copy `base` beside it, which is written first."""
        base = {"base": self.model, "revision": self.revision}
        if self.gguf_file is not None:
            from selfplay.models.transformers.gguf import write_plain

            plain = out.resolve().parent / "base"
            plain.parent.mkdir(parents=True, exist_ok=True)
            write_plain(self.model, self.gguf_file, plain, self.revision)
            base = {"base": str(plain), "revision": None}
        out.mkdir(parents=True, exist_ok=True)
        (out / "base.json").write_text(json.dumps(base) + "\n")


class PretrainedEngine(EngineSettings):
    """Another causal language model, by hub name or path, in this process: a teacher or judge without a server."""

    kind: Literal["pretrained"]
    model: str
    """Hub name or path of the model."""
    revision: str | None = None
    """Revision of the model at the hub. None: its main branch."""
    template: Template = "chat"
    """`chat`: the tokenizer's chat template. `plain`: the prompt as it stands."""
    chat_template_kwargs: ChatArguments = Field(default_factory=dict)
    """Variables of the chat template, such as `{enable_thinking: false}`; one that the template does not read is refused."""
    dtype: Dtype = "auto"
    """Type of the weights while sampling. `auto`: bfloat16 where the hardware multiplies in it, else float32."""

    @model_validator(mode="after")
    def _check_arguments(self) -> Self:
        _check_effect(self.template, self.chat_template_kwargs)
        return self

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model

    def prompt_form(self, student: StudentSettings) -> Template:
        """The template."""
        return self.template

    def model_fault(self, folder: Path, *, ask_hub: bool) -> str:
        """See `StudentSettings.model_fault`."""
        return model_fault(self.model, self.revision, folder, ask_hub=ask_hub)

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
            chat=self.chat_template_kwargs,
        )
