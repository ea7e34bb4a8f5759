"""What a verifier is, and how the verifiers that a set of tasks needs are opened.

Write a new verifier as a subclass of `RegisteredVerifier`, and name it in `VERIFIERS` of `config/registry.py`.
An attempt that is empty, was cut off or was lost to an outage never reaches a verifier (see `routing.verify`).
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

from selfplay.config.judging import Audit, Sandbox
from selfplay.config.judging import Judge as JudgeSection
from selfplay.config.registry import VERIFIERS
from selfplay.config.sections import EngineSettings
from selfplay.errors import ConfigError
from selfplay.models import Backend
from selfplay.records import Attempt, Outcome, Task, Verdict

if TYPE_CHECKING:
    from selfplay.sandbox import Executor, Limits
from collections.abc import Iterator, Set
from contextlib import contextmanager
from dataclasses import field
from typing import TYPE_CHECKING

Check = Mapping[str, Any]
"""How one task is verified: `type`, and that type's own keys."""
PYTHON = "python"
"""The registered name of all types `python:package.module:function`."""
COMBINERS = ("all", "any", "first")
"""Types of checks that combine others: see `selfplay.verify.routing`."""


class Verifier(Protocol):
    """Judges attempts at tasks whose check has its type."""

    @abstractmethod
    def verify(self, checks: Sequence[Check], tasks: Sequence[Task], attempts: Sequence[Attempt]) -> list[Verdict]:
        """One verdict per attempt, in order. A failure of ours is an `error` verdict, never an exception for one item.

        `Verdict.verifier` is the type and a version, such as `math/1`; raise the version when verdicts change. `Verdict.evidence`
        of a fail may be shown to the student that tries again, so it never holds the answer.
        """
        ...


class Judged(NamedTuple):
    """The verdicts on one attempt, and what they come to."""

    verdicts: tuple[Verdict, ...]
    outcome: Outcome

    @property
    def disagree(self) -> bool:
        """Whether one verifier said pass and another fail: worth a look, since one of them is wrong."""
        if len(self.verdicts) < 2:
            return False
        words = {verdict.outcome for verdict in self.verdicts}
        return Outcome.PASS in words and Outcome.FAIL in words


@dataclass(frozen=True)
class VerifierOptions:
    """What verifiers are opened with."""

    sandbox: Sandbox
    judge: JudgeSection | None
    """The section of the judge; None where the configuration has none."""
    workers: int
    """Processes of the sandbox."""
    student_family: Sequence[str]
    """Model families of everything that writes attempts; a judge of one of them is refused."""
    seed: int
    """Of the judge's samples."""
    open_backend: Callable[[EngineSettings], Backend]
    """Opens a judge's model from its `EngineSettings`."""
    open_executor: "Callable[[], AbstractContextManager[Executor]] | None" = None
    """Gives a sandbox that is already running; None: a new one is started."""
    open_functions: Callable[[], AbstractContextManager[Verifier]] | None = None
    """Gives the process in which `python:` functions run; None: a new one, which imports installed modules alone."""
    audit: Audit | None = None
    """The section of the audit; None: the verifiers for the audit are the primary ones."""
    student_key: str = "student"
    """The block of the configuration that `student_family` is of, for messages."""


class VerifierResources:
    """What a verifier's `open` works with. All that a verifier enters into `stack` is closed with the set of verifiers."""

    def __init__(self, options: VerifierOptions, stack: ExitStack) -> None:
        self.options, self.stack = options, stack
        self.started: Executor | None = None
        """The sandbox, once a verifier asked for it."""

    @property
    def deadline_factor(self) -> float:
        """What CPU seconds are multiplied by in the audit."""
        return self.options.audit.deadline_factor if self.options.audit else 1.0

    def executor(self) -> "Executor":
        """The sandbox that all verifiers of the set share. Raises SandboxUnavailable below the configured tier."""
        if self.started is None:
            if self.options.open_executor is not None:
                opened = self.options.open_executor()
            else:
                from selfplay.sandbox import Executor

                opened = Executor(self.options.workers, require_tier=self.options.sandbox.require_tier)
            self.started = self.stack.enter_context(opened)
        return self.started

    def limits(self, factor: float = 1.0) -> "Limits":
        """The limits of one program, its CPU seconds multiplied by `factor`."""
        from selfplay.sandbox import Limits

        section = self.options.sandbox
        return Limits(cpu_seconds=section.cpu_seconds * factor, memory_bytes=section.memory_bytes)


class RegisteredVerifier(Verifier):
    """Base of the verifiers that a task can name.

    Three places outside the class know the built-in types, and treat all others alike. A correction is shown `reason: evidence`
    (`prompts.correction.evidence_of`). Two solutions are the same where their words are (`curate.solution_key`). Near misses
    are those that the check or its `stronger` check gives (`tasks.near_misses`).
    """

    keys: ClassVar[frozenset[str] | None] = frozenset()
    """Keys that a check of this type may have, beside `type`, `stronger` and `near_misses`; None: any."""
    needs_sandbox: ClassVar[bool] = False
    """Whether it runs programs: it is opened only where a task names it, and before a model is loaded."""
    needs_judge: ClassVar[bool] = False
    """Whether it asks a model: it is opened only where a task names it, and `selfplay check` leaves its tasks out."""

    @classmethod
    def fault(cls, check: Check) -> str:
        """What is wrong with the values of a check: key, value and remedy in one sentence; "" where nothing is."""
        return ""

    @classmethod
    def golds(cls, check: Check) -> list[str]:
        """The mathematical answers that a sound check compares with, to be parsed before a run starts."""
        return []

    @classmethod
    def right_replies(cls, check: Check) -> list[str]:
        """Replies that a sound check must pass, as far as the check itself gives any; `selfplay check` tries them."""
        return []

    @classmethod
    def takes_cases(cls, check: Check) -> bool:
        """Whether the audit can make the check stronger with further cases (see `strengthen.strengthened`).

        Where it cannot, a second verdict comes from the task's `stronger` check, or from the second judge for `needs_judge`;
        tasks with neither are not rechecked.
        """
        return False

    @classmethod
    def check_options(cls, options: VerifierOptions) -> None:
        """Raises ConfigError where it could not be opened with these options. Loads and asks nothing."""

    @classmethod
    def open(cls, resources: VerifierResources) -> Verifier:
        """The verifier, ready to work."""
        return cls()

    @classmethod
    def open_for_audit(cls, resources: VerifierResources, primary: Verifier) -> Verifier:
        """The verifier that judges a sample again; by default the primary one."""
        return primary


def registered_name(kind: str) -> str:
    """The name under which the verifier of a check's type is registered."""
    return PYTHON if kind.startswith(f"{PYTHON}:") else kind


def verifier_class(kind: str) -> type[RegisteredVerifier]:
    """The class behind a check's type. Raises ConfigError where there is no such type."""
    name = registered_name(kind)
    if name not in VERIFIERS.places:
        raise ConfigError(f"verifier: there is no type {kind!r}; known: {', '.join(known_types())}")
    found: type[RegisteredVerifier] = VERIFIERS.part(name)
    return found


def known_types() -> list[str]:
    """The types that a check may have, as a message shows them."""
    names = [name for name in VERIFIERS.places if name != PYTHON]
    return [*names, *COMBINERS, f"{PYTHON}:package.module:function"]


def shown(value: Any) -> str:
    """A value as a message shows it: its `repr`, at most 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def number_fault(check: Check, key: str, low: float, high: float, *, above: bool = False) -> str:
    """What is wrong with a number from `low` to `high`; "" where nothing is, or the key is absent. `above`: `low` itself is out."""
    value = check.get(key, high)
    good = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
    if good and not (above and value == low):
        return ""
    return f"{key} is {shown(value)}, must be a number {'above' if above else 'from'} {low:g}, up to {high:g}"


@dataclass(frozen=True)
class VerifierSet:
    """Open verifiers, by the name under which they are registered."""

    primary: Mapping[str, Verifier]
    """They judge the attempts of a round."""
    audit: Mapping[str, Verifier] = field(default_factory=dict)
    """They judge a sample of these again: with longer deadlines, and with the second judge where there is one."""
    executor: "Executor | None" = None
    """The sandbox that they share; None where none of them runs programs."""
    limits: "Limits | None" = None
    """Of a program in the audit; None where there is no sandbox."""


@contextmanager
def open_verifiers(kinds: Set[str], options: VerifierOptions) -> Iterator[VerifierSet]:
    """The verifiers of these types, and all that need neither sandbox nor judge, until the `with` ends.

    Raises ConfigError on a type that does not exist, and where a judge is needed and missing, or related to the student.
    """
    check_verifiers(kinds, options)
    named = {registered_name(kind) for kind in kinds}
    primary: dict[str, Verifier] = {}
    audit: dict[str, Verifier] = {}
    with ExitStack() as stack:
        resources = VerifierResources(options, stack)
        for name in VERIFIERS.places:
            part = verifier_class(name)
            if name in named or not (part.needs_sandbox or part.needs_judge):
                primary[name] = part.open(resources)
                audit[name] = part.open_for_audit(resources, primary[name])
        limits = resources.limits(resources.deadline_factor) if resources.started else None
        yield VerifierSet(primary, audit, resources.started, limits)


def check_verifiers(kinds: Set[str], options: VerifierOptions) -> None:
    """Raises ConfigError where verifiers of these types could not be opened. Loads no model and starts no sandbox."""
    for kind in sorted(kinds):
        verifier_class(kind).check_options(options)
