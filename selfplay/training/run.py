"""One training run: data in, weights out, through TRL. Durable: killed anywhere, the same call goes on. Loads torch and TRL.

The run's folder has `checkpoints/` while it trains, `curve.jsonl` (one line an optimizer step), `report.json`, and at the end
`model/` with a manifest of hashes.
"""

import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field

from selfplay.errors import ConfigError, OutageError
from selfplay.models.transformers.library import is_adapter, out_of_memory, quiet_cpu
from selfplay.records import Record
from selfplay.runtime.distributed import Ranks
from selfplay.store.files import write_whole
from selfplay.training import checkpoints
from selfplay.training.methods.base import TrainingMethod, TrainRun
from selfplay.training.schedule import TrainSchedule, halved, micro_batch_size
from selfplay.training.trl.sharding import OPTIMIZER, gathered
from selfplay.training.trl.weights import free_memory, load_trainable, save, train_device

LOG = logging.getLogger("selfplay")


class TrainReport(Record):
    """What a training run did."""

    steps: int
    tokens: int
    """Input tokens of all steps, over all ranks."""
    examples: int
    """Different rows, or pairs, that took part."""
    left_out: int = 0
    """Rows or pairs longer than `train.max_length`, or without a label."""
    loss_first: float
    """Loss of the first optimizer step: nats a loss token under sft, the method's own loss under others."""
    loss_last: float
    """The same of the last step."""
    figures: dict[str, int | float] = Field(default_factory=dict)
    """Further figures of the method; see `TrainingMethod.figures`."""
    micro_batch_size: int
    """Examples of one forward pass on one rank, after any back-off."""
    oom_backoffs: int = 0
    """How often the micro-batch was halved because memory ran out."""
    seconds_in_train: float
    """Wall time inside TRL's `train` of the process that finished."""

    def metrics(self) -> dict[str, Any]:
        """The figures of a round's row."""
        return {
            "train/steps": self.steps,
            "train/tokens": self.tokens,
            "train/rows_left_out": self.left_out,
            "train/loss_first": self.loss_first,
            "train/loss_last": self.loss_last,
            **{f"train/{name}": value for name, value in self.figures.items()},
            "train/micro_batch_size": self.micro_batch_size,
            "cost/train_oom_backoffs": self.oom_backoffs,
        }


def train(method: TrainingMethod, data: Sequence[Any], run: TrainRun) -> TrainReport:
    """Trains `run.start` on the data by the method, and leaves the weights in `run.out/model`.

    All ranks call it. Called again it goes on from the newest whole checkpoint, or returns the report of what is done.
    On a CPU the weights are bit for bit those of an uninterrupted run with as many ranks. An out-of-memory error halves
    the micro-batch at equal `batch_size`.

    Raises ConfigError, DataError, Interrupted, and OutageError where several ranks must start anew.
    """
    ranks, out = run.ranks, run.out
    found = ranks.broadcast("train: what is there", _look(run) if ranks.is_main else None)
    if found["done"] is not None:
        return TrainReport(**found["done"])
    quiet_cpu(run.threads)
    schedule = method.schedule(data, seed=run.seed)
    on_cpu, least = train_device(run.device).type == "cpu", method.smallest_micro_batch
    micro = micro_batch_size(method, schedule, least=least, world_size=ranks.world_size, on_cpu=on_cpu)
    backoffs = int(found["backoffs"])
    for _ in range(backoffs):
        micro = halved(micro)
    while True:
        try:
            given = replace(run, micro_batch_size=micro, resume=_resume(found, ranks))
            model, seconds = _to_the_end(method, schedule, given, int(found["step"]))
            break
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error) or halved(micro) in (micro, *range(least)):
                raise
            said = str(error).splitlines()[0][:200]
        backoffs, micro = backoffs + 1, halved(micro)
        _back_off(out, backoffs, micro, said, ranks)
        free_memory()
        found = ranks.broadcast("train: what is left", _look(run) if ranks.is_main else None)
    state = gathered(model)
    if ranks.is_main:
        report = _report(method, schedule, run, micro=micro, backoffs=backoffs, seconds=seconds)
        write_whole(out / "report.json", report.model_dump_json() + "\n")
        checkpoints.export(out, partial(save, model, run.start, state=state))
        shutil.rmtree(out / "checkpoints", ignore_errors=True)  # the weights are safe: the optimizer is of no more use
    del model, state
    free_memory()
    ranks.barrier("train: exported")
    done = json.loads((out / "report.json").read_text(encoding="utf-8")) if ranks.is_main else None
    return TrainReport(**ranks.broadcast("train: report", done))


def _look(run: TrainRun) -> dict[str, Any]:
    """What the folder holds, read by rank 0: the report of a finished run, or the checkpoint to go on from."""
    out = run.out
    out.mkdir(parents=True, exist_ok=True)
    if (out / "report.json").is_file() and checkpoints.is_exported(out):
        return {"done": json.loads((out / "report.json").read_text(encoding="utf-8"))}
    folder = out / "checkpoints"
    folder.mkdir(exist_ok=True)
    checkpoints.sweep(folder)
    path, step = checkpoints.good_checkpoint(folder) or (None, 0)
    if path is not None and run.ranks.sharded and _is_unsharded(path):
        LOG.warning(
            "%s: was written by ranks that were not sharded; under FSDP2 training starts again from its first step",
            path,
        )
        path, step = None, 0
    checkpoints.truncate_curve(out / "curve.jsonl", run.step_offset + step)
    backoff = out / "backoff.json"
    times = json.loads(backoff.read_text(encoding="utf-8"))["times"] if backoff.is_file() else 0
    return {"done": None, "checkpoint": None if path is None else str(path), "step": step, "backoffs": times}


def _is_unsharded(checkpoint: Path) -> bool:
    """Whether the optimizer of full weights was written whole. That of an adapter always is, and is read by any launch."""
    return not is_adapter(checkpoint) and not (checkpoint / OPTIMIZER).is_dir()


def _resume(found: dict[str, Any], ranks: Ranks) -> Path | None:
    if found["checkpoint"] is None:
        return None
    path = Path(found["checkpoint"])
    before = checkpoints.world_size_of(path)
    if ranks.is_main and before != ranks.world_size:
        LOG.warning(
            "training goes on with %d ranks from a checkpoint of %d: the batches stay the same, dropout is drawn anew",
            ranks.world_size,
            before,
        )
    return path


def _to_the_end(method: TrainingMethod, schedule: TrainSchedule, run: TrainRun, done: int) -> tuple[Any, float]:
    """The trained model. A run whose last step is in a checkpoint already is not trained for one step more."""
    if run.resume is not None and done >= schedule.steps:
        device = train_device(run.device)
        return load_trainable(run.resume, method.lora, device=device, bf16=False, seed=run.seed, ranks=run.ranks), 0.0
    return method.train(schedule, run)


def _back_off(out: Path, backoffs: int, micro: int, said: str, ranks: Ranks) -> None:
    """Records the smaller micro-batch, so that it holds for the next start too, and says so once."""
    write_whole(out / "backoff.json", json.dumps({"times": backoffs, "micro_batch_size": micro}))
    LOG.warning("training ran out of memory (%s); it goes on with a micro-batch size of %d", said, micro)
    if ranks.world_size > 1:  # the others wait in a collective that this rank has left
        raise OutageError(
            f"train: rank {ranks.rank} ran out of memory; run the same command again: "
            f"it goes on with a micro-batch size of {micro} at equal batch_size"
        )


def _report(
    method: TrainingMethod, schedule: TrainSchedule, run: TrainRun, *, micro: int, backoffs: int, seconds: float
) -> TrainReport:
    file = run.out / "curve.jsonl"
    curve = [row for row in checkpoints.read_curve(file) if row["train/step"] > run.step_offset]
    if not curve:
        raise ConfigError(f"{file}: has no step of this training; remove {run.out} to train again")
    return TrainReport(
        steps=schedule.steps,
        tokens=schedule.tokens,
        examples=schedule.examples,
        left_out=schedule.left_out,
        loss_first=curve[0]["train/loss"],
        loss_last=curve[-1]["train/loss"],
        figures=method.figures(schedule, curve),
        micro_batch_size=micro,
        oom_backoffs=backoffs,
        seconds_in_train=seconds,
    )
