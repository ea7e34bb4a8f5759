"""Floor 4: the train phase: rows in, weights out, through TRL. Durable: killed anywhere, the same call goes on.

`out` is the phase's folder: `checkpoints/` while it runs, `curve.jsonl` (one line an optimizer step), `report.json`, and at the end
`model/` with a manifest of hashes. Torch and TRL are loaded when `train` is called.
"""

import json
import logging
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field

from selfplay.config.training import Train
from selfplay.errors import ConfigError, OutageError
from selfplay.records import Preference, Record, Row
from selfplay.runtime.distributed import Ranks
from selfplay.store.files import write_whole
from selfplay.training import checkpoints
from selfplay.training.pair_schedule import PairPlan, pair_plan
from selfplay.training.schedule import TAKEN, Plan, halved, least_micro, micro_rows, plan

__all__ = ["TAKEN", "Plan", "TrainReport", "plan", "train"]

LOG = logging.getLogger("selfplay")


class TrainReport(Record):
    """What a training run did."""

    steps: int
    tokens: int
    """Input tokens of all steps, over all ranks."""
    rows: int
    """Different rows, or pairs, that took part."""
    left_out: int = 0
    """Rows or pairs longer than `train.max_length`, or without a label."""
    loss_first: float
    """In the first and (below) the last optimizer step: nats a loss token; dpo and kto: their own loss, a row."""
    loss_last: float
    rewards: dict[str, float] = Field(default_factory=dict)
    """dpo and kto: rewards_margin_first, ..._last, rewards_accuracy_first, ..._last, each the mean over the first or last
    tenth of the steps."""
    micro_batch_rows: int
    """Rows of one forward pass on one rank, after any back-off."""
    oom_backoffs: int = 0
    """How often the micro-batch was halved because memory ran out."""
    seconds_in_train: float
    """Wall time inside TRL's `train` of the process that finished."""


def train(
    settings: Train,
    rows: Sequence[Row] | Sequence[Preference],
    *,
    start: str | Path,
    out: Path,
    seed: int,
    round: int,
    step_offset: int,
    ranks: Ranks,
    device: str = "auto",
    threads: int | None = None,
    on_step: Callable[[int, int], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> TrainReport:
    """Fine-tunes `start` (a model folder, an adapter's, or a hub name) on the rows, for dpo and kto on pairs, and leaves the
    weights in `out/model`.

    All ranks call it. Called again it goes on from the newest whole checkpoint, or returns the report of what is done.
    On a CPU the weights are bit for bit those of an uninterrupted run with as many ranks. `step_offset`: optimizer
    steps of earlier rounds, so that `train/step` in the curve never restarts. An out-of-memory error halves the
    micro-batch at equal `batch_rows`. `on_step` hears the number of each optimizer step done, and of all. Once
    `stop` says so (on any rank), a checkpoint is written within three steps, and Interrupted raised.

    Raises ConfigError, DataError, Interrupted, and OutageError where several ranks must start anew.
    """
    found = ranks.broadcast("train: what is there", _look(out, step_offset) if ranks.is_main else None)
    if found["done"] is not None:
        return TrainReport(**found["done"])
    from selfplay.models.transformers.library import out_of_memory, quiet_cpu
    from selfplay.training import trl_run

    quiet_cpu(threads)
    where = trl_run.train_device(device)
    made = _planned(settings, rows, seed)
    micro = micro_rows(settings, made, world_size=ranks.world_size, on_cpu=where.type == "cpu")
    backoffs = int(found["backoffs"])
    for _ in range(backoffs):
        micro = halved(micro)
    stepped = partial(_tell, on_step, made.steps)
    while True:
        resume = _resume(found, ranks)
        setup = trl_run.Setup(start, out, seed, round, step_offset, micro, resume, where, ranks, stepped, stop)
        try:
            model, seconds = _to_the_end(settings, made, setup, found)
            break
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error) or halved(micro) in (micro, *range(least_micro(settings))):
                raise
            said = str(error).splitlines()[0][:200]
        backoffs, micro = backoffs + 1, halved(micro)
        _back_off(out, backoffs, micro, said, ranks)
        trl_run.free()
        found = ranks.broadcast("train: what is left", _look(out, step_offset) if ranks.is_main else None)
    if ranks.is_main:
        report = _report(made, out, micro=micro, backoffs=backoffs, seconds=seconds, first=step_offset + 1)
        write_whole(out / "report.json", report.model_dump_json() + "\n")
        checkpoints.export(out, partial(trl_run.save, model, start))
        shutil.rmtree(out / "checkpoints", ignore_errors=True)  # the weights are safe, the optimizer is of no more use
    del model
    trl_run.free()
    ranks.barrier("train: exported")
    return TrainReport(
        **ranks.broadcast("train: report", json.loads((out / "report.json").read_text()) if ranks.is_main else None)
    )


def _planned(settings: Train, rows: Sequence[Any], seed: int) -> Plan | PairPlan:
    return plan(settings, rows, seed=seed) if settings.method == "sft" else pair_plan(settings, rows, seed=seed)


def _tell(on_step: Callable[[int, int], None] | None, steps: int, step: int) -> None:
    if on_step is not None:
        on_step(step, steps)


def _look(out: Path, step_offset: int) -> dict[str, Any]:
    """What the folder holds, read by rank 0: the report of a finished run, or the checkpoint to go on from."""
    out.mkdir(parents=True, exist_ok=True)
    if (out / "report.json").is_file() and checkpoints.is_exported(out):
        return {"done": json.loads((out / "report.json").read_text(encoding="utf-8"))}
    folder = out / "checkpoints"
    folder.mkdir(exist_ok=True)
    checkpoints.sweep(folder)
    path, step = checkpoints.good_checkpoint(folder) or (None, 0)
    checkpoints.truncate_curve(out / "curve.jsonl", step_offset + step)
    backoff = out / "backoff.json"
    times = json.loads(backoff.read_text(encoding="utf-8"))["times"] if backoff.is_file() else 0
    return {"done": None, "checkpoint": None if path is None else str(path), "step": step, "backoffs": times}


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


def _to_the_end(settings: Train, made: Plan | PairPlan, setup: Any, found: dict[str, Any]) -> tuple[Any, float]:
    """The trained model. A run whose last step is in a checkpoint already is not trained for one step more."""
    from selfplay.training import trl_run
    from selfplay.training.methods import preference, sft

    trl_run.settle_heap()  # once all that training needs is loaded, and before there is a model
    if found["step"] >= made.steps:
        return trl_run.trainable(setup.resume, settings.lora, device=setup.device, bf16=False, seed=setup.seed), 0.0
    return preference.run(settings, made, setup) if isinstance(made, PairPlan) else sft.run(settings, made, setup)


def _back_off(out: Path, backoffs: int, micro: int, said: str, ranks: Ranks) -> None:
    """Records the smaller micro-batch, so that it holds for the next start too, and says so once."""
    write_whole(out / "backoff.json", json.dumps({"times": backoffs, "micro_batch_rows": micro}))
    LOG.warning("training ran out of memory (%s); it goes on with micro-batches of %d rows", said, micro)
    if ranks.world_size > 1:  # the others wait in a collective that this rank has left
        raise OutageError(
            f"train: rank {ranks.rank} ran out of memory; run the same command again: "
            f"it goes on with micro-batches of {micro} rows at equal batch_rows"
        )


def _report(made: Plan | PairPlan, out: Path, *, micro: int, backoffs: int, seconds: float, first: int) -> TrainReport:
    curve = [row for row in checkpoints.read_curve(out / "curve.jsonl") if row["train/step"] >= first]
    if not curve:
        raise ConfigError(f"{out / 'curve.jsonl'}: no step of this training is there; remove {out} to train again")
    return TrainReport(
        steps=made.steps,
        tokens=made.tokens,
        rows=len(made.pairs if isinstance(made, PairPlan) else made.rows),
        left_out=made.left_out,
        loss_first=curve[0]["train/loss"],
        loss_last=curve[-1]["train/loss"],
        rewards=_rewards(curve) if isinstance(made, PairPlan) else {},
        micro_batch_rows=micro,
        oom_backoffs=backoffs,
        seconds_in_train=seconds,
    )


def _rewards(curve: list[dict[str, Any]]) -> dict[str, float]:
    """Margin and accuracy at either end of the curve; a step whose batch had one kind of side alone has no margin."""
    tenth, found = max(1, len(curve) // 10), {}
    for name in ("rewards_margin", "rewards_accuracy"):
        for end, rows in (("first", curve[:tenth]), ("last", curve[-tenth:])):
            known = [row[f"train/{name}"] for row in rows if f"train/{name}" in row]
            if known:
                found[f"{name}_{end}"] = round(sum(known) / len(known), 6)
    return found
