"""What DPO and KTO share: batches of exact token ids in the order that the schedule fixed, and the reference.

TRL's own text preparation is passed over. The loss, its figures, optimizer, checkpoints and ranks are TRL's own.

The reference is the weights that the round starts from, in every case: those of a full model, the base under a fresh
adapter, base and adapter where an adapter goes on. Each rank computes the log-probabilities of what it will see once,
before the first step, by TRL's code, so no second model is held while training.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, ClassVar

import torch

from selfplay.models.transformers import library
from selfplay.store.files import write_whole
from selfplay.training.logger import TrainLogger
from selfplay.training.methods.base import TrainRun
from selfplay.training.pairs import PairMethod, PairSchedule
from selfplay.training.trl.trainer import Dataset, adapter_in_fp32, run_trainer, trainer_arguments
from selfplay.training.trl.weights import load_trainable, train_device, uses_bf16

Example = dict[str, Any]
Reference = dict[int, tuple[float, ...]]
"""Place in the stream of examples -> log-probabilities under the reference, as many as the trainer computes for an example."""


class ExampleStream(ABC):
    """The examples of all steps one after the other, by place, as this rank meets them."""

    repeats: ClassVar[bool]
    """Whether an example has the same reference wherever it stands."""

    def __init__(self, schedule: PairSchedule, method: PairMethod, run: TrainRun) -> None:
        self.numbers = [number for step in schedule.order for number in step]
        """Number of the example at each place."""
        self.size, self.micro, self.steps = method.batch_size, run.micro_batch_size, schedule.steps
        self.reference: Reference = {}
        self._rank, self._world_size = run.ranks.rank, run.ranks.world_size

    @abstractmethod
    def bare(self, place: int) -> Example:
        """The example as TRL's collators read it, without its reference."""

    @abstractmethod
    def with_reference(self, place: int) -> Example:
        """The example with its reference."""

    def of_step(self, step: int) -> dict[str, torch.Tensor]:
        """What every micro-batch of a step has beside its examples."""
        return {}

    def batches(self, step: int) -> Iterator[range]:
        """Places of this rank's micro-batches in a step: accelerate deals them out in turns."""
        for number in range(self._rank, self.size // self.micro, self._world_size):
            first = step * self.size + number * self.micro
            yield range(first, first + self.micro)

    def all_batches(self) -> Iterator[range]:
        """The same of all steps."""
        for step in range(self.steps):
            yield from self.batches(step)


class PlaceCollator:
    """Makes one padded micro-batch of the examples at the given places."""

    def __init__(self, stream: ExampleStream, lay: Callable[[list[Example]], dict[str, torch.Tensor]]) -> None:
        self._stream, self._lay = stream, lay

    def __call__(self, examples: Sequence[dict[str, int]]) -> dict[str, torch.Tensor]:
        """What TRL's trainer reads, with the reference."""
        places = [example["place"] for example in examples]
        batch = self._lay([self._stream.with_reference(place) for place in places])
        return batch | self._stream.of_step(places[0] // self._stream.size)

    def bare(self, places: Iterable[int]) -> dict[str, torch.Tensor]:
        """The batch without reference."""
        return self._lay([self._stream.bare(place) for place in places])


class OnTokenIds:
    """Mixed into TRL's trainers: leaves out what they do with texts."""

    stream: Any
    collator: PlaceCollator

    def _prepare_dataset(self, dataset: Any, *given: Any) -> Any:
        """Nothing is tokenised: the collator has the ids."""
        return dataset

    def _precompute_ref_logps(self, dataset: Any, *given: Any) -> Any:
        """The collator has the reference."""
        return dataset

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Not counted: transformers walks all parameters for it in each micro-batch."""
        return 0

    def create_model_card(self, *given: Any, **more: Any) -> None:
        """None: it would ask git and the hub at every checkpoint."""


def train_on_stream(
    method: PairMethod,
    schedule: PairSchedule,
    run: TrainRun,
    stream: ExampleStream,
    *,
    trainer_class: Any,
    config_class: Any,
    collator_class: Any,
    ours: dict[str, Any],
) -> tuple[Any, float]:
    """Trains to the last step: the model (in memory, to be saved and dropped) and the seconds inside `trainer.train`.

    `trainer_class`: a TRL trainer with `OnTokenIds`; `config_class` and `collator_class`: TRL's for it; `ours`: arguments that
    no user's setting changes.
    """
    device = train_device(run.device)
    bf16 = uses_bf16(method, device)
    model = load_trainable(run.start, method.lora, device=device, bf16=bf16, seed=run.seed)
    tokenizer: Any = library.load_tokenizer(run.start)
    collator = PlaceCollator(stream, collator_class(tokenizer.pad_token_id or 0))
    adapted = hasattr(model, "peft_config")
    ours = {"beta": method.beta, "precompute_ref_log_probs": not adapted, **ours}
    args = trainer_arguments(config_class, method, schedule, run, model=model, device=device, bf16=bf16, ours=ours)
    with adapter_in_fp32(model):
        trainer = trainer_class(
            model=model,
            args=args,
            processing_class=tokenizer,
            train_dataset=Dataset.from_dict({"place": list(range(len(stream.numbers)))}),
            data_collator=collator,
            callbacks=[TrainLogger(run)],
        )
    trainer.stream, trainer.collator = stream, collator
    stream.reference = _reference(trainer, run)
    trainer.precompute_ref_logps = True
    if adapted:
        model.delete_adapter("ref")  # TRL's copy of the adapter has done its work, and would be saved with the model
    return model, run_trainer(trainer, run)


def _reference(trainer: Any, run: TrainRun) -> Reference:
    """Log-probabilities under the weights the round starts from, which the model still has.

    Computed in the micro-batches of training, so that the student's first ones are the same to the bit, and kept beside
    the checkpoints. An example that comes again keeps what it had.
    """
    stream, ranks = trainer.stream, run.ranks
    name = f"reference-{ranks.rank}-of-{ranks.world_size}-micro-{run.micro_batch_size}.json"
    file = run.out / "checkpoints" / name
    if file.is_file():
        return {int(place): tuple(values) for place, values in json.loads(file.read_text(encoding="utf-8")).items()}
    found: Reference = {}
    of_number: dict[int, tuple[float, ...]] = {}
    for places in stream.all_batches():
        numbers = [stream.numbers[place] for place in places]
        if stream.repeats and all(number in of_number for number in numbers):
            found |= {place: of_number[number] for place, number in zip(places, numbers, strict=True)}
            continue
        batch = trainer._prepare_inputs(trainer.collator.bare(places))
        with library.old_names_quiet():
            one, other = trainer.compute_ref_log_probs(trainer.model, batch)
        values = zip(one.tolist(), one.tolist() if other is None else other.tolist(), strict=True)
        for place, number, value in zip(places, numbers, values, strict=True):
            found[place] = of_number.setdefault(number, value) if stream.repeats else value
    write_whole(file, json.dumps(found))
    return found
