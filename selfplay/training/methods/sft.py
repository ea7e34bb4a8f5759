"""SFT: supervised fine-tuning on the round's rows, with loss on completions only. Imports without torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from selfplay.errors import DataError
from selfplay.records import Row
from selfplay.store.traces import ROWS_FILE, read_rows
from selfplay.training.methods.base import Needs, TrainingMethod, TrainRun
from selfplay.training.schedule import TrainSchedule, order_in_steps
from selfplay.training.trl_arguments import argument_names


@dataclass(frozen=True)
class RowSchedule(TrainSchedule):
    """One training run on rows."""

    rows: tuple[Row, ...]
    """The rows that take part."""
    labels: tuple[int, ...]
    """For every optimizer step how many tokens carry a loss."""


class Sft(TrainingMethod):
    """Supervised fine-tuning on accepted attempts, and on what curation mixes with them."""

    method: Literal["sft"] = "sft"
    min_accepted: Annotated[int, Field(ge=0)] = 4
    """A round with fewer accepted attempts keeps its starting weights and says so, since a handful of rows is memorised and
    not learned. 0: the round trains on whatever there is, the anchor alone included."""
    packing: bool = False
    """True: the rows of one forward pass are joined into one sequence without padding, kept apart by their positions."""

    needs: ClassVar[Needs] = "rows"
    trl_config: ClassVar[str] = "SFTConfig"
    shards: ClassVar[bool] = True

    def read(self, folder: Path) -> list[Row]:
        """The rows that curation mixed for the round."""
        return read_rows(folder / ROWS_FILE)

    def shortage(self, data: Sequence[Row], accepted: int) -> str:
        """Fewer accepted attempts than `min_accepted`, or no row that can be trained on."""
        if accepted < self.min_accepted:
            return (
                f"{accepted} of its attempts were accepted, and train.min_accepted is {self.min_accepted}; "
                "`selfplay traces` shows why the others were dropped"
            )
        if not data:
            return "none of its attempts was accepted, and there is no anchor"
        if not any(self.fits(row) for row in data):
            return f"all {len(data)} training rows are longer than train.max_length = {self.max_length}; raise it"
        return ""

    def fits(self, row: Row) -> bool:
        """Whether a row is no longer than `max_length` and has a token that carries a loss."""
        return (self.max_length is None or len(row.input_ids) <= self.max_length) and loss_tokens(row) > 0

    def schedule(self, data: Sequence[Row], *, seed: int) -> RowSchedule:
        """See `TrainingMethod.schedule`."""
        rows = tuple(row for row in data if self.fits(row))
        if not rows:
            limit = f" and at most {self.max_length} tokens" if self.max_length else ""
            raise DataError(
                f"train: nothing to train on: none of {len(data)} rows has a label{limit}; "
                "raise train.max_length, or look at why curate dropped all"
            )
        lengths, labels = [len(row.input_ids) for row in rows], [loss_tokens(row) for row in rows]
        order = order_in_steps(self, lengths, seed=seed)
        return RowSchedule(
            rows=rows,
            order=order,
            examples=len(rows),
            left_out=len(data) - len(rows),
            tokens=sum(lengths[r] for step in order for r in step),
            labels=tuple(sum(labels[r] for r in step) for step in order),
        )

    def train(self, schedule: RowSchedule, run: TrainRun) -> tuple[Any, float]:
        """See `TrainingMethod.train`."""
        from selfplay.training.trl.sft_trainer import train

        return train(self, schedule, run)


def loss_tokens(row: Row) -> int:
    """Tokens of a row that carry a loss. The first token never does, since nothing predicts it."""
    carried = len(row.labels) - row.labels.count(-100)
    return carried - (row.labels[:1] not in ((), (-100,)))


def warmup_of(method: TrainingMethod, *, full: bool = True) -> Sft | None:
    """The settings of round 0: SFT, whatever the method of later rounds. None: it keeps the base model.

    `full`: trains all weights even where later rounds train an adapter, since random weights (a tiny student's) need it. `args` that
    mean nothing to SFT are left out.
    """
    if method.warmup is None:
        return None
    shared = {name: getattr(method, name) for name in Sft.model_fields if name in type(method).model_fields}
    foreign = set(method.args) & (
        (set(argument_names(method.trl_config)) - set(argument_names(Sft.trl_config)))
        | (Sft.reserved_args.keys() - method.reserved_args.keys())
    )
    changed = {
        "method": "sft",
        "steps": method.warmup.steps,
        "epochs": None,
        "learning_rate": method.warmup.learning_rate,
        "lora": None if full else method.lora,
        "warmup": None,
        "args": {key: value for key, value in method.args.items() if key not in foreign},
    }
    return Sft(**shared | changed)
