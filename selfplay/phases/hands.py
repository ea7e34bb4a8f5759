"""Floor 4: opens what phases work with, as the configuration names it: source, student, sampler, verifiers, screen."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from selfplay.config.sections import HttpBackend, PretrainedStudent, RecordedBackend, StudentBackend
from selfplay.config.tree import Config
from selfplay.errors import ConfigError
from selfplay.models import Backend
from selfplay.models.student import Encoder, open_encoder, open_student
from selfplay.ranks import Ranks
from selfplay.records import Request, Trace, digest
from selfplay.tasks import Source, open_source
from selfplay.verify import Verifier, check_types

PROCEDURAL = ("list_programs", "arithmetic")


class Hands:
    """What a run needs from outside, opened when first asked for. `folder` is where relative paths count from."""

    def __init__(self, config: Config, folder: Path, ranks: Ranks, run: Path) -> None:
        self.config, self.folder, self.ranks, self.run = config, folder, ranks, run

    @cached_property
    def source(self) -> Source:
        """The task source."""
        return open_source(
            self.config.tasks, seed=self.config.seed, eval_seed=self.config.eval.seed, folder=self.folder
        )

    @property
    def threads(self) -> int | None:
        """CPU threads of this rank."""
        if self.config.launch.threads is not None:
            return self.config.launch.threads
        return max(1, cores() // self.ranks.local_world_size) if self.ranks.world_size > 1 else None

    def student(self, model: Path) -> AbstractContextManager[Backend]:
        """The student with the weights of a model folder."""
        return open_student(self.config.student, model, self.config.launch.device, self.threads)

    def encoder(self, model: Path) -> Encoder:
        """Text to the student's token ids."""
        return open_encoder(self.config.student, model)

    def sampler(self, model: Path) -> AbstractContextManager[Backend]:
        """Who writes the training attempts: the student itself, or what generate.backend names."""
        section = self.config.generate.backend
        if isinstance(section, StudentBackend):
            return self.student(model)
        if isinstance(section, RecordedBackend):
            return _recorded(section, self.folder)
        return _http(section, self.run)

    def check_set_up(self) -> None:
        """Raises before any model is loaded where a task needs a verifier that cannot be had."""
        if self.config.tasks.source == "humaneval":
            raise ConfigError("tasks.source is humaneval, an evaluation set: it is for `selfplay check`, never trained on; use mbpp")
        fixed = self.source.fixed
        kinds = check_types([*fixed.anchor, *fixed.panel, *fixed.test])
        known = {"code_tests", "math"}
        for kind in sorted(kinds - known):
            if not kind.startswith("python:"):
                raise ConfigError(
                    f"tasks: a verifier has type {kind!r}; known: code_tests, math, python:package.module:function, all, any, first"
                )
            from selfplay.verify.custom import load_function

            load_function(kind)
        if "code_tests" in kinds:
            with self.verifiers():
                pass

    @contextmanager
    def verifiers(self) -> Iterator[Mapping[str, Verifier]]:
        """All verifiers by type; the sandbox is started only where a task of the source runs code."""
        from selfplay.verify.answer import MathAnswer
        from selfplay.verify.custom import PythonFunction

        found: dict[str, Verifier] = {"math": MathAnswer(), "python": PythonFunction()}
        fixed = self.source.fixed
        if "code_tests" not in check_types([*fixed.anchor, *fixed.panel, *fixed.test]):
            yield found
            return
        from selfplay.sandbox import Executor, Limits
        from selfplay.verify.code import CodeTests

        section = self.config.verify.sandbox
        workers = section.workers or max(1, cores() // self.ranks.local_world_size)
        limits = Limits(cpu_seconds=section.cpu_seconds, memory_bytes=section.memory_bytes)
        with Executor(workers=workers, require_tier=section.require_tier) as executor:
            yield {**found, "code_tests": CodeTests(executor, limits)}

    def screen(self) -> Callable[[Sequence[Trace]], Mapping[str, str]] | None:
        """Flags attempts that repeat an evaluation task or hold personal data; None where there is nothing to look for.

        Procedural sources keep their held-out sequences apart themselves: their prompts share every phrase.
        """
        section, procedural = self.config.curate, self.config.tasks.source in PROCEDURAL
        searched = section.decontaminate and not procedural
        private = section.privacy != "off" and not procedural
        if not searched and not private:
            return None
        from selfplay.curate.protected import Protected
        from selfplay.curate.screening import PRIVATE_RULES, screen

        fixed = self.source.fixed
        rows = [{"prompt": task.text, "answer": task.reference or ""} for task in (*fixed.panel, *fixed.test)]
        benchmarks = {"held_out": Protected.of(rows)} if searched else {}
        return lambda traces: screen(traces, benchmarks, PRIVATE_RULES if private else ()).flags

    def fingerprint_files(self) -> dict[str, str]:
        """Content hashes of every file that the run's results depend on."""
        files = dict(self.source.fixed.files)
        backend = self.config.generate.backend
        if isinstance(backend, RecordedBackend):
            files |= _recorded_table(backend, self.folder).files
        student = self.config.student
        if isinstance(student, PretrainedStudent) and Path(student.model).is_dir():
            from selfplay.store import sha256_of

            files["student.model"] = sha256_of(Path(student.model))
        return files


def cores() -> int:
    """CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _recorded_table(section: RecordedBackend, folder: Path) -> Any:
    from selfplay.tasks.reading import read_table

    return read_table(section.path, folder)


def _recorded(section: RecordedBackend, folder: Path) -> AbstractContextManager[Backend]:
    if section.layout == "rows":
        from selfplay.models.recorded import Recorded

        return Recorded(_recorded_table(section, folder).name, section.id_field, section.text_field)
    from selfplay.models.scripted import Scripted
    from selfplay.tasks.tables import recorded_gsm8k

    graded = recorded_gsm8k(_recorded_table(section, folder))

    def play(request: Request, sample: int, seed: int) -> str:
        if request.task_id not in graded or sample >= len(graded[request.task_id]):
            raise ConfigError(
                f"generate.backend: {section.path} has no attempt {sample} of task {request.task_id}; use generate.samples: 4"
            )
        return graded[request.task_id][sample][0]

    return Scripted(play, identity=f"recorded-{digest(sorted(graded))}")


def _http(section: HttpBackend, run: Path) -> AbstractContextManager[Backend]:
    raise ConfigError(
        f"generate.backend.kind is http ({section.url}), which is not wired yet; use kind: student or recorded"
    )
