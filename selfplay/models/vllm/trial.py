"""Tries a student's vLLM server for a minute: start, samples, ids, likelihood, other weights and back, sleep, end."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from selfplay.errors import ConfigError
from selfplay.models.base import Opening
from selfplay.models.encode import row_of
from selfplay.models.vllm import VllmStudentEngine
from selfplay.models.vllm.backend import VllmStudent
from selfplay.records import Completion, Request, Sampling

NEW_TOKENS = 24
ADAPTED = ("q_proj.weight", "v_proj.weight", "o_proj.weight")
"""Layers that the random adapter of a trial changes."""


@dataclass(frozen=True)
class Step:
    """One step of a trial that went well; a step that does not raises."""

    name: str
    seconds: float
    found: str


class Trial:
    """A trial of the engine of `opening.student`, with prompts of the run's tasks. `scratch`: an empty folder."""

    def __init__(
        self, settings: VllmStudentEngine, opening: Opening, requests: Sequence[Request], scratch: Path
    ) -> None:
        self._settings, self._opening, self._requests, self._scratch = settings, opening, requests, scratch
        self._student = VllmStudent(settings, opening)
        self._first: list[Completion] = []

    def steps(self) -> Iterator[Step]:
        """The steps, one after another. Raises ConfigError or OutageError with what went wrong and what to do."""
        adapters, asleep = self._opening.weights.lora_rank is not None, self._settings.during_training == "sleep"
        steps: list[tuple[str, Callable[[], str]]] = [
            ("start", self._start),
            ("samples", self._sample),
            ("likelihood", self._score),
            ("adapter", self._swap) if adapters else ("reload", self._reload),
            *([("sleep", self._sleep)] if asleep else []),
            ("stop", self._stop),
        ]
        for name, step in steps:
            began = time.perf_counter()
            found = step()
            yield Step(name, time.perf_counter() - began, found)

    def _greedy(self, student: VllmStudent, n: int = 1, temperature: float = 0.0) -> list[Completion]:
        sampling = Sampling(temperature=temperature, max_new_tokens=NEW_TOKENS)
        rows = student.complete(self._requests, n=n, sampling=sampling, seed=1)
        lost = [one for row in rows for one in row if one.finish_reason == "error"]
        if lost:
            raise ConfigError(f"student.engine: {len(lost)} requests failed ({lost[0].error}); read the server's log")
        return [one for row in rows for one in row]

    def _start(self) -> str:
        replica = self._student.replica
        replica.holding(self._student.weights)
        return f"{replica.url} serves {self._student.weights.base}, at most {replica.most_tokens()} tokens"

    def _sample(self) -> str:
        self._first = self._greedy(self._student)
        drawn = self._greedy(self._student, n=4, temperature=1.0)
        without = sum(one.completion_ids is None or one.logprobs is None for one in [*self._first, *drawn])
        if without:
            raise ConfigError(
                f"student.engine: {without} completions came without token ids or log-probabilities; install a newer vLLM"
            )
        tokens = sum(len(one.completion_ids or ()) for one in drawn)
        return f"{len(drawn)} samples, {tokens} tokens with their ids and log-probabilities"

    def _score(self) -> str:
        """The likelihood of the greedy texts, against the log-probabilities that came with samples at temperature 1."""
        drawn = self._greedy(self._student, temperature=1.0)
        rows = [row_of(one.prompt_ids or (), one.completion_ids or ()) for one in drawn]
        scored = self._student.likelihood(rows)
        apart = [
            abs(a - b)
            for one, found in zip(drawn, scored, strict=True)
            for a, b in zip(one.logprobs or (), found, strict=True)
        ]
        worst = max(apart, default=0.0)
        if worst > 0.5:
            raise ConfigError(
                f"student.engine: sampled and scored log-probabilities differ by {worst:.3f} nats; set dtype: float32"
            )
        return f"sampled and scored log-probabilities differ by at most {worst:.4f} nats"

    def _swap(self) -> str:
        rank = self._opening.weights.lora_rank or 1
        folder = random_adapter(self._student.weights.base, self._scratch / "adapter", rank)
        if folder is None:
            return "not tried: the model has no layers named q_proj, v_proj or o_proj"
        weights = replace(self._opening.weights, folder=folder, identity="0123456789abcdef")
        other = VllmStudent(self._settings, replace(self._opening, student=weights))
        if [one.text for one in self._greedy(other)] == [one.text for one in self._first]:
            raise ConfigError(
                "student.engine: a random adapter changed no text, so adapters are not applied; install another vLLM"
            )
        return f"a random adapter of rank {rank} changes the texts; {self._as_before()}"

    def _reload(self) -> str:
        self._student.replica.forget()
        return self._as_before()

    def _sleep(self) -> str:
        self._student.replica.make_room()
        return f"slept and woke; {self._as_before()}"

    def _as_before(self) -> str:
        """Greedy texts with the first weights again, which should be the first ones."""
        again = self._greedy(self._student)
        same = sum(a.text == b.text for a, b in zip(again, self._first, strict=True))
        if same * 2 < len(again):
            raise ConfigError(
                f"student.engine: with the same weights again only {same} of {len(again)} greedy texts are the same"
            )
        return f"the first weights again give {same} of {len(again)} greedy texts as before"

    def _stop(self) -> str:
        self._student.replica.close()
        return "the server has ended" if not self._settings.url else "the server goes on, since the run does not own it"


def random_adapter(base: Path, out: Path, rank: int) -> Path | None:
    """Writes a LoRA adapter with random weights for a model folder; None where the model has no layer that it knows."""
    rng, tensors = np.random.default_rng(0), dict[str, Any]()
    for name, (rows, columns) in _shapes(base):
        place = f"base_model.model.{name.removesuffix('.weight')}"
        tensors[f"{place}.lora_A.weight"] = rng.normal(0, 0.1, (rank, columns)).astype(np.float32)
        tensors[f"{place}.lora_B.weight"] = rng.normal(0, 0.1, (rows, rank)).astype(np.float32)
    if not tensors:
        return None
    out.mkdir(parents=True)
    save_file(tensors, out / "adapter_model.safetensors")
    targets = [name.removesuffix(".weight") for name in ADAPTED]
    about = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": rank,
        "lora_alpha": 2 * rank,
        "target_modules": targets,
    }
    (out / "adapter_config.json").write_text(
        json.dumps({**about, "bias": "none", "base_model_name_or_path": str(base)})
    )
    return out


def _shapes(base: Path) -> Iterator[tuple[str, Sequence[int]]]:
    """Name and shape of the layers that a random adapter changes."""
    for file in sorted(base.glob("*.safetensors")):
        with safe_open(file, "numpy") as weights:
            names = [name for name in weights.keys() if name.endswith(ADAPTED)]  # noqa: SIM118 (no mapping)
            yield from ((name, weights.get_slice(name).get_shape()) for name in names)
