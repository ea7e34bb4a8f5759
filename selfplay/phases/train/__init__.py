"""The phase `train`: trains the student on the round's training data.

All ranks train together. Reads `train.parquet`, `pairs.parquet` or `prompts.jsonl` in the round's folder and the starting weights
(those of the parent, or with `train.start: from_base` the base model). Writes `train/model`, `train/curve.jsonl` and `train/DONE`; what
a method samples while it trains is added to the round's `traces.parquet`.
"""

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selfplay.config.training import Train
from selfplay.errors import ConfigError
from selfplay.models.scripted import ScriptedStudent, read_scripted, terms_of, write_scripted
from selfplay.models.student import weights_of
from selfplay.phases.train.rollouts import keep_rollouts
from selfplay.records import Attempt, Completion, Request, Row, Sampling, Task
from selfplay.runtime.attempts import complete_all, verify_with_retry
from selfplay.runtime.context import RoundContext
from selfplay.runtime.distributed import Ranks
from selfplay.store import read_json, sha256_of, write_json
from selfplay.training.methods.base import Rollouts, TrainingMethod, TrainRun, Verify, method_of
from selfplay.training.methods.sft import warmup_of
from selfplay.training.rollouts import FOLDER
from selfplay.verify import Judged


def train(ctx: RoundContext) -> None:
    """Writes the round's weights to `train/model`, and DONE with its `train/` metrics. All ranks call it.

    Round 0 trains on the anchor; without `train.warmup` it keeps the base model. A later round that has too little data keeps its
    parent's weights and notes it.
    """
    done = ctx.at("train") / "DONE"
    if ctx.ranks.broadcast("train/done", done.is_file()):
        return
    ctx.progress.phase("train", 1)
    figures, remarks = _weights_and_figures(ctx)
    if ctx.ranks.is_main:
        weights = sha256_of(ctx.at("train") / "model")
        write_json(done, {"metrics": figures, "weights": weights, "remarks": remarks})
        shutil.rmtree(ctx.at("train") / FOLDER, ignore_errors=True)  # they are in traces.parquet now
    ctx.ranks.barrier("train")
    ctx.progress.end("train")


def _weights_and_figures(ctx: RoundContext) -> tuple[dict[str, Any], list[str]]:
    """Writes the weights; returns the round's `train/` metrics, and why the weights were kept if they were."""
    out, ranks, start = ctx.at("train"), ctx.ranks, start_weights(ctx)
    method: TrainingMethod | None = method_of(ctx.config.train)
    if ctx.number == 0:
        method = warmup_of(method_of(ctx.config.train), full=ctx.config.student.kind == "tiny")
    full = (method or ctx.config.train).lora is None
    if ranks.sharded and full and ctx.config.student.kind != "scripted":
        _check_shards(start, ranks)
    if method is None:
        return copy_parent_weights(start, out, ranks), []
    data = method.read(ctx.run.round(ctx.number))
    if ctx.number and (shortage := method.shortage(data, _accepted(ctx))):
        kept = f"the weights do not change: {shortage}"
        ctx.note(kept)
        figures = {f"train/{name}": value for name, value in method.untrained_figures(data).items()}
        return {**copy_parent_weights(ctx.student, out, ranks), "train/weights_kept": 1, **figures}, [kept]
    student = ctx.config.student
    if isinstance(student, ScriptedStudent):
        return train_scripted(student, data, start=start, out=out, ranks=ranks), []
    figures = _train_model(ctx, method, data, start)
    remarks = (
        [hasty] if ctx.number and (hasty := few_steps(ctx.config.train, len(data), int(figures["train/steps"]))) else []
    )
    for remark in remarks:
        ctx.note(remark)
    return figures, remarks


FEW_STEPS = 8
"""Optimizer steps below which a round trained by `epochs` says so: a model of 135 M learned half as much in two as in eight."""


def few_steps(settings: Train, examples: int, steps: int) -> str:
    """What a round says that took few optimizer steps because its epochs hold few batches; "" for others, or where `steps` is set."""
    if settings.epochs is None or steps >= FEW_STEPS:
        return ""
    return (
        f"training took only {steps} optimizer step{'s' * (steps != 1)}: {examples} examples, batch_size {settings.batch_size}, epochs "
        f"{settings.epochs:g}; lower train.batch_size or raise train.epochs, unless so little is wanted"
    )


def _check_shards(start: Path, ranks: Ranks) -> None:
    """Raises ConfigError where FSDP2 cannot train these weights; in round 0 too, before anything is sampled."""
    from selfplay.training.trl.sharding import sharding_fault  # torch and transformers are loaded here

    if fault := sharding_fault(start, ranks):
        raise ConfigError(f"launch: {fault}")


def start_weights(ctx: RoundContext) -> Path:
    """The model folder that training starts from: that of the parent, or with `from_base` that of the base model.

    With a warm-up, the base of later rounds is the model of round 0.
    """
    initial = ctx.run.round(0) / "initial"
    if ctx.number == 0:
        return initial
    if ctx.config.train.start == "continue":
        return ctx.student
    return ctx.run.model(0) if ctx.config.train.warmup else initial


def copy_parent_weights(source: Path, out: Path, ranks: Ranks) -> dict[str, Any]:
    """Copies weights as those of a round that is not trained, atomically; returns the round's `train/` metrics."""
    if ranks.is_main:
        whole = out / ".model.tmp"
        shutil.rmtree(whole, ignore_errors=True)
        shutil.copytree(source, whole)
        shutil.rmtree(out / "model", ignore_errors=True)
        whole.rename(out / "model")
    ranks.barrier("weights copied")
    return {"train/steps": 0}


def _accepted(ctx: RoundContext) -> int:
    """The number of accepted attempts of this round."""
    return int(read_json(ctx.at("curate") / "DONE")["metrics"].get("data/accepted", 0))


def _train_model(ctx: RoundContext, method: TrainingMethod, data: Sequence[Any], start: Path) -> dict[str, Any]:
    from selfplay.models.transformers.library import unused_gpus
    from selfplay.training.run import train as run_training  # torch, transformers and TRL are loaded here

    if idle := unused_gpus(ctx.config.launch.device, ctx.ranks.world_size):
        ctx.note(idle)
    progress = ctx.progress

    def stepped(step: int, steps: int) -> None:
        progress.total(steps, step - 1)  # a resumed training begins at any step, and a memory back-off begins again
        progress.advance(1)

    began = time.perf_counter()
    with _sampling_in_training(ctx, method) as (rollouts, verify):
        run = TrainRun(
            start=weights_of(start),
            out=ctx.at("train"),
            seed=ctx.seed("train"),
            ranks=ctx.ranks,
            device=ctx.config.launch.device,
            threads=ctx.resources.threads,
            round=ctx.number,
            step_offset=ctx.commits[-1].train_steps if ctx.commits else 0,
            on_step=stepped,
            stop=lambda: progress.stop_requested,
            rollouts=rollouts,
            verify=verify,
            sampling=ctx.sampling,
            max_error_share=ctx.config.verify.max_error_share,
            verifiers=frozenset(ctx.resources.kinds) if method.needs == "prompts" else frozenset(),
        )
        report = run_training(method, data, run)
    progress.count("train", min(report.seconds_in_train, time.perf_counter() - began))  # not loading, not saving
    return report.metrics() | (keep_rollouts(ctx, method) if ctx.ranks.is_main else {})


@contextmanager
def _sampling_in_training(ctx: RoundContext, method: TrainingMethod) -> Iterator[tuple[Rollouts | None, Verify | None]]:
    """`TrainRun.rollouts` and `TrainRun.verify` for a method that needs prompts; the verifiers stay open while it trains."""
    if method.needs != "prompts":
        yield None, None
        return

    def rollouts(
        folder: Path, requests: Sequence[Request], n: int, sampling: Sampling, seed: int
    ) -> list[list[Completion]]:
        with ctx.resources.student(folder, sha256_of(folder)) as backend:
            return complete_all(backend, requests, n, sampling, seed)

    with ctx.resources.verifiers() as verifiers:

        def verify(tasks: Sequence[Task], attempts: Sequence[Attempt]) -> list[Judged]:
            return verify_with_retry([ctx.resources.routed(task) for task in tasks], attempts, verifiers)

        yield rollouts, verify


def train_scripted(
    student: ScriptedStudent, rows: Sequence[Row], *, start: Path, out: Path, ranks: Ranks
) -> dict[str, Any]:
    """Moves the skill toward the share of the new rows that are right, and leaves the weights in `out/model`.

    Returns the `train/` figures. Without new rows the skill stays.
    """
    new = [row for row in rows if row.kind == "new"]
    before = after = read_scripted(start)
    if new:
        right = sum(_is_right(row) for row in new) / len(new)
        after = before + student.gain * (right - before)
    if ranks.is_main:
        write_scripted(out / "model", after)
    ranks.barrier("scripted student trained")
    return {"train/steps": len(rows), "train/loss_last": round(1 - after, 6)}


def _is_right(row: Row) -> bool:
    """Whether a row of bytes answers its own sum: `1 + 2` with `A: 3`."""
    prompt = bytes(token for token, label in zip(row.input_ids, row.labels, strict=True) if label == -100).decode()
    prompt = prompt.partition("\n")[0]  # a correction's prompt goes on with what was tried
    answer = bytes(label for label in row.labels if 0 <= label < 256).decode().rpartition("A:")[2].strip()
    return answer == str(sum(int(term) for term in terms_of(prompt)))
