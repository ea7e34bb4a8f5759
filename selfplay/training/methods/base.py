"""The interface of a training method, and what one training run is given. Imports without torch."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from selfplay.config.training import Train
from selfplay.records import Attempt, Completion, Request, Sampling, Task
from selfplay.runtime.distributed import Ranks
from selfplay.training.schedule import TrainSchedule
from selfplay.training.trl_arguments import RESERVED_TRL_ARGS
from selfplay.verify import Judged

if TYPE_CHECKING:
    from selfplay.config.tree import Config
    from selfplay.training.rollouts import Rollout

Curve = Sequence[Mapping[str, Any]]
"""One mapping of figures (`train/loss`, ...) for each optimizer step."""
Needs = Literal["rows", "pairs", "prompts"]
"""The data of a method: accepted attempts; pairs of a right and a wrong attempt; or prompts, whose completions are sampled and
verified during training."""
Rollouts = Callable[[Path, Sequence[Request], int, Sampling, int], list[list[Completion]]]
"""(model folder, requests, n, sampling, seed) -> n completions of each request, as `Backend.complete` gives them, sampled by the
student's engine from these weights: `TrainRun.start`, or a folder that the method saved. Each rank samples for itself."""
Verify = Callable[[Sequence[Task], Sequence[Attempt]], list[Judged]]
"""(task of each attempt, attempts) -> verdicts and outcome of each attempt, as the phase verify judges them (`verify.check`
included). An outage is `error`, and never a wrong answer."""


@dataclass(frozen=True)
class TrainRun:
    """What one training run works with, beside its settings and its data."""

    start: str | Path
    """Weights to start from: a model folder, an adapter's folder, or a hub name."""
    out: Path
    """The run's folder: checkpoints, curve, report, and at the end `model/`."""
    seed: int
    ranks: Ranks
    device: str = "auto"
    """`auto`, `cpu` or `cuda`."""
    threads: int | None = None
    """CPU threads of this rank. None: torch's own choice."""
    round: int = 0
    step_offset: int = 0
    """Optimizer steps of earlier rounds, so that `train/step` in the curve never restarts."""
    on_step: Callable[[int, int], None] = lambda step, steps: None
    """Called after each optimizer step with its number from 1, and with the number of all steps."""
    stop: Callable[[], bool] = lambda: False
    """Asked after each step; once True on any rank, a checkpoint is written within three steps and Interrupted is raised."""
    rollouts: Rollouts | None = None
    """Samples during training. None unless the method's `needs` is `prompts`."""
    verify: Verify | None = None
    """Judges these samples. None unless the method's `needs` is `prompts`."""
    sampling: Sampling = field(default_factory=Sampling)
    """How the round's attempts are sampled."""
    max_error_share: float = 0.0
    """Largest share of samples without an outcome because of an outage, beyond which training stops."""
    verifiers: frozenset[str] = frozenset()
    """Types of verifiers that the run's tasks name; empty unless the method's `needs` is `prompts`."""
    micro_batch_size: int = 1
    """Examples of one forward pass on one rank. `selfplay.training.run.train` sets it."""
    resume: Path | None = None
    """The checkpoint to go on from. None: from the first step. `selfplay.training.run.train` sets it."""


class TrainingMethod(Train):
    """Base of the settings of a training method.

    A method reads its data from the round's folder, fixes their order before a model is loaded (`schedule`), and trains
    (`train`). Types of data and schedule are the method's own, so they are `Any` here.
    """

    needs: ClassVar[Needs]
    """The data. With `prompts`, `TrainRun.rollouts` and `TrainRun.verify` are given."""
    trl_config: ClassVar[str]
    """TRL's config class, whose arguments may stand in `args`, such as `SFTConfig`."""
    reserved_args: ClassVar[Mapping[str, str]] = RESERVED_TRL_ARGS
    """Arguments that may not stand in `args`, and what to do instead."""
    smallest_micro_batch: ClassVar[int] = 1
    """Fewest examples of one forward pass."""

    @abstractmethod
    def read(self, folder: Path) -> Sequence[Any]:
        """The training data of a round, from the round's folder."""

    @abstractmethod
    def shortage(self, data: Sequence[Any], accepted: int) -> str:
        """Why the data are too few to train on, as a clause for a notice; "" where they are enough.

        `accepted`: accepted attempts of this round. Rows of older rounds and of the anchor teach nothing new.
        """

    @abstractmethod
    def schedule(self, data: Sequence[Any], *, seed: int) -> TrainSchedule:
        """The examples that take part and their order. Raises DataError where none is left."""

    @abstractmethod
    def train(self, schedule: Any, run: TrainRun) -> tuple[Any, float]:
        """Trains to the last step of the schedule, with checkpoints and the curve in `run.out`.

        Returns the model, still in memory, and the seconds inside TRL's `train`.
        """

    def figures(self, schedule: Any, curve: Curve) -> dict[str, float]:
        """Figures of a finished training beyond those of every method; they get the prefix `train/`."""
        return {}

    def untrained_figures(self, data: Sequence[Any]) -> dict[str, float]:
        """The same of a round that had too little to train on."""
        return {}

    def rollout_figures(self, batches: Sequence[Sequence["Rollout"]]) -> dict[str, float]:
        """Figures of what a training sampled, by their whole keys. `batches`: in the order of the steps, without token ids."""
        return {}

    def faults(self, config: "Config") -> Iterator[str]:
        """What of the configuration the method cannot work with: `key is value, problem; remedy`.

        By default a scripted student, unless the method trains on rows.
        """
        if self.needs != "rows" and config.student.kind == "scripted":
            yield f"train.method is {self.method}, but a scripted student has no weights; use sft"


def method_of(settings: Train) -> TrainingMethod:
    """The settings of a loaded configuration as the method that they name. Raises TypeError for a bare `Train`."""
    if not isinstance(settings, TrainingMethod):
        raise TypeError(f"{type(settings).__name__} is no training method; use a class of selfplay.training.methods")
    return settings
