"""The settings of `selfplay synthesize`, which builds a data set of tasks and solutions from seed tasks, without training."""

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
    """Number of tasks to request."""


class DatasetSynthesis(SynthesisSettings):
    """A data set: where its seed tasks come from, and which methods work on them."""

    name: str = operation("dataset", pattern=r"^[\w][\w.\-]{0,99}$")
    """Name of the data set."""
    seed: int = Field(0, ge=0)
    """Seed of all random draws except those of held-out tasks."""
    eval_seed: int = Field(1, ge=0)
    """Seed of the held-out tasks, which no synthesized task may repeat. Set it to `eval.seed` of the runs that train on the data set."""
    tasks: Tasks
    """The source of the seed tasks."""
    seed_tasks: Count = 100
    """Number of the source's anchor tasks on which the methods work."""
    methods: tuple[DatasetMethod, ...]
    """Names of the methods, each once, in the order in which they run. Each works on the seed tasks, never on tasks of another method."""
    rare: CountedScenarios | None = None
    boost: float = Field(4.0, ge=0)
    """Preference of `rare` for values with little coverage: a value has weight 1 + boost (1 - c), c its coverage from 0 to 1."""
    judge: Judge | None = None
    """Grades the tasks of `instruct`, which neither tests nor an answer can verify. None: no `instruct`."""
    sandbox: Sandbox = Sandbox()
    decontaminate: Decontaminate = Decontaminate()
    privacy: Literal["off", "drop"] = "drop"
    """Personal identifiers in tasks and solutions: `drop` drops a row that contains any, `off` does not search for them."""
    max_error_share: Share = 0.05
    """Limit on the share of replies that fail through an outage. Above it nothing is written (exit 3); the same command resumes."""

    @model_validator(mode="after")
    def _parts_fit(self) -> "DatasetSynthesis":
        asking = [method for method in self.methods if method != "procedural"]
        if faults := [*method_faults(self, self.methods, asking), *_misfits(self)]:
            raise ValueError("\n".join(faults))
        return self


def _misfits(settings: DatasetSynthesis) -> Iterator[str]:
    methods = settings.methods
    if "procedural" in methods and not settings.tasks.evolves:
        yield f"methods has procedural, but tasks of {settings.tasks.source} cannot be evolved by a program; leave it out"
    for method, key in (("rare", "rare"), ("instruct", "judge")):
        if method in methods and getattr(settings, key) is None:
            yield f"methods has {method}, but {key} is missing; add {key}, or leave {method} out"
    if settings.judge is not None and "instruct" not in methods:
        yield "judge is set, but instruct, which reads it, is not in methods; add instruct, or remove judge"
