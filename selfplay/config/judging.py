"""The sections `judge` and `audit`."""

from pydantic import Field

from selfplay.config.sections import Count, Section, Share, TeacherEngine


class Judge(Section):
    """A language model that grades attempts by a rubric: the verifier of type `judge`."""

    backend: TeacherEngine
    rubric: str = ""
    """What earns the full score; the rubric of a task replaces it."""
    samples: Count = 3
    """Grades per attempt; half of them are given with the solution placed first."""
    threshold: float = Field(0.7, gt=0, le=1)
    """Mean score (of 1) that passes."""
    agreement: float = Field(0.75, gt=0.5, le=1)
    """Share of the samples that must be sure and on one side of the threshold; below, the judge abstains."""
    margin: float = Field(0.05, ge=0, lt=1)
    """Where the mean is closer to the threshold than this, the judge abstains."""
    temperature: float | None = Field(None, ge=0)
    """None: 0.7, or greedy for one sample."""
    max_new_tokens: Count = 512
    """Most tokens of a reply of the judge."""
    max_chars: Count = 20_000
    """Longer solutions are not judged."""


class Audit(Section):
    """Measures the error rates of the verifiers every round. Nothing of it is trained on."""

    canaries: int = Field(8, ge=0)
    """Known right and known wrong solutions, this many of each, judged beside the student's attempts; 0: none."""
    share: Share = 0.05
    """Share of the accepted and of the rejected attempts that are judged again by a stronger check, where there is one; 0: none."""
    min_rechecked: Count = 8
    """Fewest accepted and fewest rejected attempts that are judged again, if there are so many."""
    max_rechecked: Count = 200
    """Most of either kind; it wins over `min_rechecked`."""
    hidden_cases: int = Field(6, ge=0)
    """Test cases generated for a re-checked program, from changed inputs and a right solution where one is known."""
    deadline_factor: float = Field(4.0, ge=1)
    """Multiplies the sandbox's CPU seconds for a program that is judged again."""
    judge: Judge | None = None
    """A second judge, for attempts that a judge decided; None: these are judged again only where their task names a
    `stronger` check."""
