"""Floor 3: opens the verifiers that a set of tasks needs, as the configuration names them; a sandbox only where code is run.

`Opened.stronger` is what the audit judges with: longer deadlines, and the second judge where there is one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from selfplay.config.judging import Audit
from selfplay.config.judging import Judge as JudgeSection
from selfplay.config.tree import Sandbox
from selfplay.errors import ConfigError
from selfplay.models import Backend
from selfplay.records import Sampling
from selfplay.verify.routing import Verifier

if TYPE_CHECKING:
    from selfplay.sandbox import Executor, Limits

KINDS = ("code_tests", "heuristic", "judge", "math", "reasoning_gym", "steps")
"""Types of verifiers there are, beside `python:package.module:function` and the combinations."""


@dataclass(frozen=True)
class Setting:
    """What verifiers need beside their sections."""

    workers: int
    """Of the sandbox."""
    student_family: Sequence[str]
    """Of all that writes attempts."""
    seed: int
    open_backend: Callable[..., Backend]
    """Opens a judge's model from its `EngineSettings`."""
    open_executor: "Callable[[], AbstractContextManager[Executor]] | None" = None
    """Gives a sandbox that is at work already; None: a new one each time."""
    open_functions: Callable[[], AbstractContextManager[Verifier]] | None = None
    """Gives the process in which `python:` functions judge; None: a new one each time, which looks beside no config."""


@dataclass(frozen=True)
class Opened:
    """Verifiers at work."""

    plain: Mapping[str, Verifier]
    stronger: Mapping[str, Verifier] = field(default_factory=dict)
    executor: "Executor | None" = None
    limits: "Limits | None" = None
    """Of a program that is judged again."""


@contextmanager
def open_verifiers(
    kinds: set[str], sandbox: Sandbox, judge: JudgeSection | None, setting: Setting, audit: Audit | None = None
) -> Iterator[Opened]:
    """All verifiers by type. `audit`: also those of the audit, in the same sandbox.

    Raises ConfigError where `judge` is needed and not configured, or is kin to the student.
    """
    from selfplay.verify.answer import MathAnswer
    from selfplay.verify.custom import PythonFunction
    from selfplay.verify.leaves import Heuristic, Steps

    plain: dict[str, Verifier] = {
        "math": MathAnswer(),
        "steps": Steps(),
        "heuristic": Heuristic(),
    }
    check_judges(kinds, judge, setting, audit)
    with ExitStack() as stack:
        plain["python"] = stack.enter_context((setting.open_functions or PythonFunction)())
        executor, limits = None, None
        stronger: dict[str, Verifier] = dict(plain)
        if "code_tests" in kinds:
            from selfplay.sandbox import Executor, Limits
            from selfplay.verify.code import CodeTests

            fresh = partial(Executor, workers=setting.workers, require_tier=sandbox.require_tier)
            executor = stack.enter_context((setting.open_executor or fresh)())
            usual = Limits(cpu_seconds=sandbox.cpu_seconds, memory_bytes=sandbox.memory_bytes)
            factor = audit.deadline_factor if audit else 1.0
            limits = Limits(cpu_seconds=sandbox.cpu_seconds * factor, memory_bytes=sandbox.memory_bytes)
            plain["code_tests"] = CodeTests(executor, usual)
            stronger["code_tests"] = CodeTests(executor, limits, factor)
        if "reasoning_gym" in kinds:
            from selfplay.verify.gym import Gym

            plain["reasoning_gym"] = stronger["reasoning_gym"] = stack.enter_context(Gym(sandbox.require_tier))
        if "judge" in kinds and judge is not None:
            plain["judge"] = stronger["judge"] = _judge(judge, setting, stack)
            if audit is not None and audit.judge is not None:
                stronger["judge"] = _judge(audit.judge, setting, stack)
        yield Opened(plain, stronger, executor, limits)


def check_judges(kinds: set[str], judge: JudgeSection | None, setting: Setting, audit: Audit | None) -> None:
    """Raises ConfigError where a judge is needed and there is none, or one is kin to the student; loads nothing."""
    from selfplay.verify.judge import require_unrelated_judge

    if "judge" not in kinds:
        return
    if judge is None:
        raise ConfigError(
            "judge: a task is judged by a model, and no judge is configured; add judge: {backend: ..., rubric: ...}"
        )
    for section in (judge, audit.judge if audit else None):
        if section is not None:
            require_unrelated_judge(section.backend.name, section.backend.model_family, setting.student_family)


def _judge(section: JudgeSection, setting: Setting, stack: ExitStack) -> Verifier:
    from selfplay.verify.judge import Judge

    greedy = 0.7 if section.samples > 1 else 0.0
    return Judge(
        stack.enter_context(setting.open_backend(section.backend)),
        section.rubric,
        model_family=section.backend.model_family,
        student_family=setting.student_family,
        samples=section.samples,
        threshold=section.threshold,
        agreement=section.agreement,
        margin=section.margin,
        sampling=Sampling(
            temperature=greedy if section.temperature is None else section.temperature,
            max_new_tokens=section.max_new_tokens,
        ),
        max_chars=section.max_chars,
        seed=setting.seed,
    )
