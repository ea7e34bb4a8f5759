"""Opens the resources that the configuration names: task source, student, sampler, teacher, verifiers, screen."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from selfplay.config.judging import Audit
from selfplay.config.registry import ENGINES
from selfplay.config.sections import EngineSettings, StudentSettings
from selfplay.config.tree import Config
from selfplay.cores import usable_cores
from selfplay.curate.screening import Screen, screen_of
from selfplay.models.base import Backend, Encoder, OnTokens, Opening, Owned, Weights
from selfplay.records import Completion, Request, Sampling, Task, digest
from selfplay.runtime.distributed import Ranks
from selfplay.seeds import seed_of
from selfplay.tasks import Source
from selfplay.verify import Verifier, check_types, routed
from selfplay.verify.base import VerifierOptions, VerifierSet, open_verifiers, verifier_class

if TYPE_CHECKING:
    from selfplay.sandbox import Executor
    from selfplay.tasks.table_files import Table
    from selfplay.verify.python_function import PythonFunction

LOG = logging.getLogger("selfplay")


class RunResources:
    """The resources of a run; each is opened at its first use. Relative paths count from `folder`, the configuration's.

    `run`: the run folder. `note`: called with lines for the user, such as an exception that their own verifier raised. `on_tokens`: hears
    of the work of every engine.
    """

    def __init__(
        self,
        config: Config,
        folder: Path,
        ranks: Ranks,
        run: Path,
        note: Callable[[str], None] = LOG.warning,
        on_tokens: OnTokens | None = None,
    ) -> None:
        self.config, self.folder, self.ranks, self.run = config, folder, ranks, run
        self.note, self._on_tokens = note, on_tokens
        self._executor: Executor | None = None
        self._kept: tuple[str, Backend, ExitStack] | None = None
        self.owned = Owned()
        """Servers of engines, which live as long as the run."""
        self.fault_of: Callable[[Mapping[str, Any]], str] | None = None
        """What the rows of the task files are checked by when the source is opened; None: they are not checked."""

    @cached_property
    def source(self) -> Source:
        """The task source."""
        config = self.config
        source: Source = config.tasks.open(
            seed=config.seed, eval_seed=config.eval.seed, folder=self.folder, fault_of=self.fault_of
        )
        return source

    @cached_property
    def student_section(self) -> StudentSettings:
        """The settings of the student, with relative paths made absolute."""
        return self.config.student.located(self.folder)

    @property
    def student_engine(self) -> EngineSettings:
        """The engine that samples the student: `student.engine`, a `generate.backend` that serves the student, or else this process."""
        writer, own = self.config.generate.backend, self.config.student.served_by
        engine: EngineSettings = own or (writer if writer.is_student else ENGINES.default_settings("student"))
        return engine

    @property
    def threads(self) -> int | None:
        """CPU threads of this rank; None leaves the choice to torch."""
        if self.config.launch.threads is not None:
            return self.config.launch.threads
        return self._cores if self.ranks.world_size > 1 else None

    @property
    def _cores(self) -> int:
        """This rank's share of the machine's cores; at least 1."""
        return max(1, usable_cores() // self.ranks.local_world_size)

    @property
    def _workers(self) -> int:
        """Workers of this rank's sandbox."""
        return self.config.verify.sandbox.workers or self._cores

    @contextmanager
    def student(self, model: Path, identity: str, *, keep: bool = False) -> Iterator[Backend]:
        """Opens the student with the weights of a model folder, whose hash is `identity`, in the engine that samples it.

        With `keep`, an engine that holds the weights in memory stays open until `release`, and the next call for the same weights
        gets it.
        """
        known, self._kept = self._kept, None
        if known is not None and known[0] == identity:
            _, backend, stack = known
        else:
            if known is not None:
                known[2].close()
            stack = ExitStack()
            lora = self.config.train.lora
            weights = Weights(self.student_section, model, identity, None if lora is None else lora.rank)
            backend = stack.enter_context(self._open(self.student_engine, weights))
        with stack:
            yield backend
            if keep and backend.capabilities.holds_weights:
                self._kept = identity, backend, stack.pop_all()

    def release(self) -> None:
        """Closes a student that was kept in memory; may be called twice."""
        known, self._kept = self._kept, None
        if known is not None:
            known[2].close()

    def encoder(self, model: Path) -> Encoder:
        """Encodes text with the tokenizer of a model folder."""
        encoder: Encoder = self.student_section.encoder(model)
        return encoder

    def sampler(self, model: Path, identity: str) -> AbstractContextManager[Backend]:
        """Opens the engine that writes the training attempts: the student with these weights, or what `generate.backend` names."""
        writer = self.config.generate.backend
        return self.student(model, identity) if writer.is_student else WithoutTokens(self._open(writer))

    @property
    def origin(self) -> Literal["student", "teacher"]:
        """Whether the student or a teacher writes the training attempts."""
        return self.config.generate.backend.origin

    def _open(self, engine: EngineSettings, student: Weights | None = None) -> Backend:
        """Opens an engine of this run; `student`: the weights to sample, None for a teacher or judge."""
        backend: Backend = engine.open(self.opening(student))
        if self._on_tokens is not None:
            backend.on_tokens = self._on_tokens
        return backend

    def opening(self, student: Weights | None = None) -> Opening:
        """What an engine is opened with; `student`: the weights to sample, None for a teacher or judge."""
        launch = self.config.launch
        return Opening(self.folder, self.run / "replies.db", launch.device, self.threads, student, self.owned)

    def spent(self) -> dict[str, float]:
        """Tokens, money and requests that this run has spent on servers so far, as `cost/` keys; {} if it has used none."""
        place = self.run / "replies.db"
        if not place.is_file():
            return {}
        from selfplay.models.openai.cache import ReplyCache

        cache = ReplyCache(place)
        total = cache.spent_in_all()
        cache.close()
        return {
            "cost/prompt_tokens": float(total.prompt_tokens),
            "cost/completion_tokens": float(total.completion_tokens),
            "cost/money": round(total.money, 6),
            "cost/requests": float(total.requests),
        }

    def routed(self, task: Task) -> Task:
        """A training task with the check that judges it: its own, or `verify.check` if it is set."""
        return routed(task, self.config.verify.check)

    @cached_property
    def kinds(self) -> set[str]:
        """The types of verifiers that the run's tasks name."""
        fixed = self.source.fixed
        own, synthesis = [*fixed.anchor, *self.source.pool], self.config.propose.synthesize
        kinds = check_types([*map(self.routed, own), *fixed.dev, *fixed.test])
        return kinds if synthesis is None else kinds | synthesis.check_types(check_types([*own, *fixed.dev]))

    def engines(self) -> Iterator[tuple[tuple[str, ...], EngineSettings]]:
        """The engines that the configuration names, each with its key."""
        config, synthesis = self.config, self.config.propose.synthesize
        if config.student.served_by is not None:
            yield ("student", "engine"), config.student.served_by
        yield ("generate", "backend"), config.generate.backend
        if config.judge is not None:
            yield ("judge", "backend"), config.judge.backend
        if config.audit.judge is not None:
            yield ("audit", "judge", "backend"), config.audit.judge.backend
        if synthesis is not None and synthesis.teacher is not None:
            yield ("propose", "synthesize", "teacher", "backend"), synthesis.teacher.backend

    @contextmanager
    def verifiers(self) -> Iterator[Mapping[str, Verifier]]:
        """Opens all verifiers, by type; the sandbox is started only if a task runs code."""
        with self._opened(None) as opened:
            yield opened.primary

    @cached_property
    def texts(self) -> list[tuple[str, str]]:
        """(id, text) of the texts from which `instruct` writes tasks; empty if none are configured."""
        rows = self.text_table.rows if self.text_table is not None else ()
        return [(str(row.get("id", where)), str(row.get("text", ""))) for where, row in rows]

    @cached_property
    def text_table(self) -> "Table | None":
        """The table of the texts for `instruct`; None if none is configured. Raises DataError if it cannot be read."""
        from selfplay.tasks.table_files import read_table

        synthesis = self.config.propose.synthesize
        return None if synthesis is None or synthesis.texts is None else read_table(synthesis.texts, self.folder)

    def teacher(self) -> AbstractContextManager[Backend | None]:
        """Opens the teacher of `propose.synthesize`; gives None if none is configured."""
        synthesis = self.config.propose.synthesize
        if synthesis is None or synthesis.teacher is None:
            return nullcontext()
        return self._open(synthesis.teacher.backend)

    def checkers(self) -> AbstractContextManager[VerifierSet]:
        """Opens all verifiers but the judge: no model is loaded, and no server is asked."""
        kinds = {kind for kind in self.kinds if not verifier_class(kind).needs_judge}
        return open_verifiers(kinds, self.options(self.config.audit))

    def auditors(self) -> AbstractContextManager[VerifierSet]:
        """Opens the verifiers, and the stronger ones with which the audit checks them."""
        return self._opened(self.config.audit)

    def _opened(self, audit: Audit | None) -> AbstractContextManager[VerifierSet]:
        return open_verifiers(self.kinds, self.options(audit))

    def options(self, audit: Audit | None) -> VerifierOptions:
        """What verifiers are opened with; `audit`: its section, if the verifiers of the audit are opened too."""
        config = self.config
        return VerifierOptions(
            sandbox=config.verify.sandbox,
            judge=config.judge,
            audit=audit,
            workers=self._workers,
            student_family=(*config.student.model_family, *config.generate.backend.model_family),
            seed=seed_of(config.seed, "judge"),
            open_backend=self._open,
            open_executor=self._sandbox,
            open_functions=lambda: nullcontext(self.functions),
        )

    @cached_property
    def functions(self) -> "PythonFunction":
        """The process of this rank in which the user's functions judge; it lives as long as the run, and so does their state."""
        from selfplay.verify.python_function import PythonFunction

        return PythonFunction(self.folder, self.config.verify.custom_seconds, self._note_once)

    def _note_once(self, kind: str, text: str) -> None:
        """Notes an exception that a function of the user's raised: each kind once per launch, by the first rank that meets it."""
        if self.ranks.next_ticket(f"raised/{digest(kind)}") == 0:
            self.note(text)

    def _sandbox(self) -> "AbstractContextManager[Executor]":
        """The sandbox of this process. It is shared, since starting one costs more than a small phase uses it."""
        from selfplay.sandbox import Executor

        if self._executor is None:
            tier = self.config.verify.sandbox.require_tier
            self._executor = Executor(workers=self._workers, require_tier=tier).__enter__()
        return nullcontext(self._executor)

    def close(self) -> None:
        """Closes the sandbox, the process of the user's functions, the student and owned servers; may be called twice."""
        self.release()
        self.owned.close()
        self.functions.close()
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.close()

    @cached_property
    def screen(self) -> Screen | None:
        """Flags attempts that repeat an evaluation task or contain personal data; None if neither is searched for."""
        section, fixed = self.config.curate, self.source.fixed
        held_out, training = (*fixed.dev, *fixed.test), (*fixed.anchor, *self.source.pool)
        return screen_of(self.config.tasks.templated, section.decontaminate, section.privacy, held_out, training)

    def fingerprint_files(self) -> dict[str, str]:
        """The sha256 of every file that the run's results depend on, by its name in the fingerprint."""
        from selfplay.store import sha256_of

        files = dict(self.source.fixed.files)
        writer, student = self.config.generate.backend, self.config.student
        places = {**writer.files(self.folder), **student.files(self.folder)}
        files |= {name: sha256_of(place) for name, place in places.items()}
        if self.text_table is not None:
            files |= self.text_table.files
        return files


class WithoutTokens(Backend):
    """Another backend without its token ids and log-probabilities: those of a teacher mean nothing to the student."""

    def __init__(self, backend: Backend) -> None:
        self.identity = backend.identity
        self._backend = backend

    def complete(self, requests: Sequence[Request], *, n: int, sampling: Sampling, seed: int) -> list[list[Completion]]:
        """See `Backend`."""
        found = self._backend.complete(requests, n=n, sampling=sampling, seed=seed)
        bare = {"prompt_ids": None, "completion_ids": None, "logprobs": None}
        return [[completion.model_copy(update=bare) for completion in row] for row in found]

    def close(self) -> None:
        """Closes the other backend."""
        self._backend.close()
