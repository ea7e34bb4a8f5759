"""Floor 2: the model that is trained: how its first weights are made, how it is opened, how text becomes its rows.

A model folder is what `from_pretrained` loads, a `base.json` that points to a base model, or a scripted student's
`scripted.json`.
"""

import json
import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from selfplay.config.sections import PretrainedStudent, ScriptedStudent, Student, TinyStudent
from selfplay.errors import StoreError
from selfplay.models import Backend
from selfplay.prompts.correction import WRONG
from selfplay.records import Request, Task

KEPT_TEXTS = 1024
"""Texts whose ids an encoder keeps, the last ones asked for: every round scores the same human texts."""


class Encoder(Protocol):
    """Text to the student's token ids, with the template that it is sampled with."""

    def prompt(self, request: Request) -> list[int]:
        """Ids of a prompt."""
        ...

    def completion(self, text: str) -> list[int]:
        """Ids of a completion, the end token appended."""
        ...


def make_initial(student: Student, texts: Sequence[Task], out: Path, seed: int) -> None:
    """Writes the weights that round 0 starts from. `texts`: the anchor, which a tiny student's tokenizer learns from."""
    out.mkdir(parents=True, exist_ok=True)
    if isinstance(student, ScriptedStudent):
        write_scripted(out, student.skill)
    elif isinstance(student, PretrainedStudent):
        (out / "base.json").write_text(json.dumps({"base": student.model, "revision": student.revision}) + "\n")
    else:
        _build_tiny(student, texts, out, seed)


def _build_tiny(student: TinyStudent, texts: Sequence[Task], out: Path, seed: int) -> None:
    from selfplay.models.build import build_student

    shape: dict[str, Any] = {
        "hidden_size": student.hidden_size,
        "layers": student.layers,
        "heads": student.heads,
        "intermediate_size": student.intermediate_size,
        "max_positions": student.max_positions,
        "rope_theta": student.rope_theta,
    }
    corpus = [text for task in texts for text in (task.text, task.reference or "")]  # apart: no token spans the border
    build_student(out, texts=corpus, vocab_size=student.vocab_size, shape=shape, seed=seed)


def weights_of(folder: Path) -> Path:
    """The model folder itself, which loading resolves where it points to a base. Raises StoreError where it is gone."""
    if not folder.is_dir():
        raise StoreError(
            f"{folder}: the round's weights are gone (keep removed them?); restore them, or start a new run"
        )
    return folder


def served_name(folder: Path) -> str:
    """What a server is to be asked for: the folder's path, or the base model that it points to."""
    pointer = folder / "base.json"
    return str(json.loads(pointer.read_text())["base"]) if pointer.is_file() else str(weights_of(folder).resolve())


def open_student(student: Student, folder: Path, device: str, threads: int | None) -> AbstractContextManager[Backend]:
    """Opens the weights of a model folder for sampling and scoring."""
    if isinstance(student, ScriptedStudent):
        return scripted_backend(folder)
    from selfplay.models.embedded import Embedded

    dtype = student.dtype if isinstance(student, PretrainedStudent) else "auto"
    return Embedded(weights_of(folder), template=student.template, device=device, dtype=dtype, threads=threads)


def open_encoder(student: Student, folder: Path) -> Encoder:
    """The encoder that goes with a model folder."""
    if isinstance(student, ScriptedStudent):
        return _Bytes()
    return _Tokens(student, weights_of(folder))


class _Bytes:
    """The scripted student's tokens: the bytes of the text, 256 as the end."""

    def prompt(self, request: Request) -> list[int]:
        return list((request.prompt or "").encode())

    def completion(self, text: str) -> list[int]:
        return [*text.encode("utf-8", "replace"), 256]


class _Tokens:
    """A transformers tokenizer with the student's template."""

    def __init__(self, student: TinyStudent | PretrainedStudent, path: Path) -> None:
        from selfplay.models.encode import encode_completion, encode_prompt
        from selfplay.models.transformer import load_tokenizer

        tokenizer, template = load_tokenizer(path), student.template
        self._prompt = lru_cache(KEPT_TEXTS)(lambda request: tuple(encode_prompt(tokenizer, request, template)))
        self._completion = lru_cache(KEPT_TEXTS)(lambda text: tuple(encode_completion(tokenizer, text, template)))

    def prompt(self, request: Request) -> list[int]:
        return [*self._prompt(request)]

    def completion(self, text: str) -> list[int]:
        return [*self._completion(text)]


def export_model(folder: Path, out: Path) -> None:
    """Writes what `from_pretrained` loads with nothing else: full weights with tokenizer, an adapter merged in fp32.

    Raises StoreError for a scripted student, which has no model.
    """
    import shutil

    if (folder / "scripted.json").is_file():
        raise StoreError(
            f"{folder}: is a scripted student, which has no weights to export; run with student.kind tiny or pretrained"
        )
    if (folder / "adapter_config.json").is_file() or (folder / "base.json").is_file():
        from selfplay.models.transformer import export_merged

        base = (
            folder
            if (folder / "adapter_config.json").is_file()
            else str(json.loads((folder / "base.json").read_text())["base"])
        )
        export_merged(base, out)
        return
    shutil.copytree(folder, out)


# ---- the scripted student: no weights but one number ----


def write_scripted(folder: Path, skill: float) -> None:
    """Writes a scripted student's only weight."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scripted.json").write_text(json.dumps({"skill": round(skill, 6)}) + "\n")


def read_scripted(folder: Path) -> float:
    """A scripted student's skill."""
    return float(json.loads((folder / "scripted.json").read_text())["skill"])


def scripted_backend(folder: Path) -> AbstractContextManager[Backend]:
    """Adds up the signed numbers of a prompt's first line with probability `skill`, in one of two ways; else it is one off,
    or says nothing.

    Asked to correct, it does so with the same skill, and else it says again what it said before.
    """
    from selfplay.models.scripted import Scripted

    skill = read_scripted(folder)
    return Scripted(_arithmetic(skill), identity=f"scripted-{skill}")


_TERM = re.compile(r"([+-]?) ?(\d+)")


def terms_of(question: str) -> list[str]:
    """The signed numbers of a sum, whatever words stand around it: all that a scripted student reads."""
    return [f"{sign}{digits}" for sign, digits in _TERM.findall(question)]


def _arithmetic(skill: float) -> Callable[[Request, int, int], str]:
    def reply(request: Request, sample: int, seed: int) -> str:
        question, _, tried = (request.prompt or "").partition("\n")
        terms = terms_of(question)
        value, luck = sum(int(term) for term in terms), (seed % 10_000) / 10_000
        if tried and luck >= (1 + skill) / 2:
            return tried.partition(f"\n{WRONG}")[0]
        if luck < skill:
            return f"A: {value}" if seed % 2 else f"{'+'.join(terms)} = {value}\nA: {value}"
        return f"A: {value + 1}" if luck < 0.95 else "A:"

    return reply
