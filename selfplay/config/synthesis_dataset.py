"""The settings of `selfplay synthesize`: a data set of tasks and traces from seed tasks, without any training."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field, model_validator

from selfplay.config.judging import Judge
from selfplay.config.leaks import Decontaminate
from selfplay.config.sections import Count, Share, Tasks, operation
from selfplay.config.synthesis import RareScenarios, SynthesisSettings, method_faults
from selfplay.config.tree import Sandbox

DatasetMethod = Literal["procedural", "evolve", "rare", "textbook", "variants", "backtranslate", "instruct", "traces"]


class CountedScenarios(RareScenarios):
    """The taxonomy, and how many tasks are drawn from it."""

    count: Count = 100
    """How many tasks are asked for."""


class DatasetSynthesis(SynthesisSettings):
    """A data set: where its seed tasks come from, and which methods work on them."""

    name: str = operation("dataset", pattern=r"^[\w][\w.\-]{0,99}$")
    """Name of the data set."""
    seed: int = Field(0, ge=0)
    """Seed of all that is drawn."""
    eval_seed: int = Field(1, ge=0)
    """Draws the held-out tasks, which no synthesized task may repeat; equal to `eval.seed` of the runs that will train on it."""
    tasks: Tasks
    """The source of the seed tasks."""
    seed_tasks: Count = 100
    """How many of its anchor tasks the methods work on."""
    methods: tuple[DatasetMethod, ...]
    """The methods, each once, in their order; each works on all seed tasks, and none on what another one wrote."""
    rare: CountedScenarios | None = None
    boost: float = Field(4.0, ge=0)
    """A value that is covered to a share c of what is wanted is drawn with weight 1 + boost (1 - c)."""
    judge: Judge | None = None
    """Verifies the tasks of `instruct`, which cannot be run."""
    sandbox: Sandbox = Sandbox()
    decontaminate: Decontaminate = Decontaminate()
    privacy: Literal["off", "drop"] = "drop"
    """What is done about personal identifiers in tasks and traces: `drop` those that have any, or `off`."""
    max_error_share: Share = 0.05
    """Above this share of replies lost to outages nothing is written (exit 3); the same command goes on from the cache."""

    @model_validator(mode="after")
    def _parts_fit(self) -> "DatasetSynthesis":
        asking = [method for method in self.methods if method != "procedural"]
        if faults := [*method_faults(self, self.methods, asking), *_misfits(self)]:
            raise ValueError("\n".join(faults))
        return self


def _misfits(settings: DatasetSynthesis) -> Iterator[str]:
    methods = settings.methods
    if "procedural" in methods and not settings.tasks.evolves:
        yield f"methods has procedural, but tasks of {settings.tasks.source} cannot be evolved by program; leave it out"
    for method, key in (("rare", "rare"), ("instruct", "judge")):
        if method in methods and getattr(settings, key) is None:
            yield f"methods has {method}, and {key} is missing; add {key}, or leave {method} out"
    if settings.judge is not None and "instruct" not in methods:
        yield "judge is set, but methods lacks instruct, which alone reads it; add instruct, or remove judge"
