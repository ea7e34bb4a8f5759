"""Floor 0: the configuration of `selfplay make`: seed tasks, a teacher (or none), and which makers make what from them."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field, model_validator

from selfplay.config.judging import Judge
from selfplay.config.leaks import Decontaminate
from selfplay.config.sections import Count, Share, Tasks, operation
from selfplay.config.synthesis import MakerSettings, Scenarios
from selfplay.config.tree import Sandbox

Maker = Literal["procedural", "evolve", "rare", "textbook", "variants", "backtranslate", "instruct", "traces"]
OFFLINE = ("procedural",)
"""Makers that need no teacher."""


class RareScenarios(Scenarios):
    """Tasks to order, from a taxonomy."""

    count: Count = 100
    boost: float = Field(4.0, ge=0)
    """A value that is not covered at all weighs 1 + boost."""


class Make(MakerSettings):
    """A dataset, without any training."""

    name: str = operation("dataset", pattern=r"^[\w][\w.\-]{0,99}$")
    seed: int = Field(0, ge=0)
    eval_seed: int = Field(1, ge=0)
    """Draws the held-out tasks that nothing made may repeat; as `eval.seed` of the runs that will train on it."""
    tasks: Tasks
    """The seed pool."""
    seeds: Count = 100
    """Seed tasks that are drawn from it."""
    makers: tuple[Maker, ...]
    rare: RareScenarios | None = None
    judge: Judge | None = None
    """Decides on what `instruct` makes, which nothing can run."""
    sandbox: Sandbox = Sandbox()
    decontaminate: Decontaminate = Decontaminate()
    privacy: Literal["off", "drop"] = "drop"
    max_error_share: Share = 0.05
    """Above this share of outages among the replies nothing is written (exit 3); the same command goes on from the cache."""

    @model_validator(mode="after")
    def _parts_fit(self) -> "Make":
        if faults := list(_misfits(self)):
            raise ValueError("\n".join(faults))
        return self


def _misfits(make: Make) -> Iterator[str]:
    if not make.makers or len(set(make.makers)) != len(make.makers):
        yield f"makers is {list(make.makers)}; name at least one, each once"
    asking = [maker for maker in make.makers if maker not in OFFLINE]
    if asking and make.teacher is None:
        yield f"makers has {', '.join(asking)}, which ask a teacher, and there is none; add teacher, or leave them out"
    if make.teacher is not None and not asking:
        yield "teacher is set, but no maker asks it; add one such as evolve, or remove it"
    if "procedural" in make.makers and not make.tasks.axes:
        yield f"makers has procedural, which evolves list programs, but tasks.source is {make.tasks.source}; leave it out"
    parts = (("rare", "rare"), ("textbook", "textbook"), ("instruct", "texts"), ("instruct", "judge"))
    for maker, key in parts:
        there = getattr(make, key) is not None
        if maker in make.makers and not there:
            yield f"makers has {maker}, and {key} is missing; add {key}, or leave {maker} out"
        if maker not in make.makers and there:
            yield f"{key} is set, but makers lacks {maker}, which alone reads it; add {maker}, or remove {key}"
