"""The sections `sandbox`, `judge` and `audit`, which configure how attempts are verified."""

from typing import Literal

from pydantic import Field

from selfplay.config.sections import Count, Section, Share, TeacherEngine, operation


class Sandbox(Section):
    """The sandbox in which programs of the student and tests run."""

    require_tier: Literal[0, 1, 2, 3, "best"] = 2
    """Lowest isolation tier (docs/sandbox.md) with which a run starts. best: the highest tier that this machine reaches, with a note."""
    cpu_seconds: float = Field(2.0, gt=0)
    """Limit on the CPU seconds of a program; a task may set its own."""
    memory_bytes: int = Field(512 * 2**20, ge=2**24)
    """Limit on the memory of a program, in bytes."""
    workers: Count | None = operation(None)
    """Worker processes per rank. None: the CPU cores of this machine divided by its ranks."""


class Judge(Section):
    """A language model that grades attempts by a rubric: the verifier of type `judge`."""

    backend: TeacherEngine
    rubric: str = ""
    """Describes what earns the full score; the rubric of a task replaces it."""
    samples: Count = 3
    """Number of grades per attempt. In half of the prompts the solution comes first."""
    threshold: float = Field(0.7, gt=0, le=1)
    """Lowest mean score, from 0 to 1, with which an attempt passes."""
    agreement: float = Field(0.75, gt=0.5, le=1)
    """Share of the grades that must be definite and on the same side of the threshold; otherwise the judge abstains."""
    margin: float = Field(0.05, ge=0, lt=1)
    """The judge abstains if the mean score is closer to the threshold than this."""
    temperature: float | None = Field(None, ge=0)
    """Sampling temperature of the judge. None: 0.7, or 0 (greedy) if `samples` is 1."""
    max_new_tokens: Count = 512
    """Limit on the tokens of one reply of the judge."""
    max_chars: Count = 20_000
    """Limit on the characters of a solution; the judge abstains on longer ones."""


class Audit(Section):
    """Measures the error rates of the verifiers in every round (Youden's J). Its data is never trained on."""

    canaries: int = Field(8, ge=0)
    """Number of known right solutions, and of known wrong ones, that are judged in each round to test the verifiers. 0: none."""
    share: Share = 0.05
    """Share of the accepted, and of the rejected, attempts that a second check judges again, for tasks that have one. Where it only adds
    to the first check, rejected attempts are not judged again. 0: none."""
    min_rechecked: Count = 64
    """Lower bound on the number of accepted, and of rejected, attempts that are judged again, if the round has that many. With 64 of each
    a verifier that passes .6 of the wrong and .3 of the right attempts is seen in three rounds of four, with 8 in one of ten."""
    max_rechecked: Count = 200
    """Upper bound on the same numbers; it takes precedence over `min_rechecked`."""
    hidden_cases: int = Field(6, ge=0)
    """Number of test cases generated for a program that is judged again, from changed inputs and a known right solution. 0: none."""
    deadline_factor: float = Field(4.0, ge=1)
    """Factor on `verify.sandbox.cpu_seconds` for a program that is judged again."""
    judge: Judge | None = None
    """A second judge, which judges again what the judge decided. None: such attempts are judged again only if their task names a
    `stronger` check."""
