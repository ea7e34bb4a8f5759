"""How fast a device works: a table of measured and assumed rates, and a trial that measures this machine with the run's own student.

A sampling step costs a fixed time per layer (the launch of its kernels) beside its arithmetic; small models are all the former,
large ones all the latter. A rate in FLOP/s is what the whole stage reaches, not the peak of the device.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from selfplay.config.sections import StudentSettings
from selfplay.config.tree import Config
from selfplay.errors import ConfigError
from selfplay.models.base import Backend, Encoder, Opening, Weights, scorer_of
from selfplay.models.encode import anchor_row
from selfplay.plan.shape import Shape
from selfplay.records import Request, Row, Sampling, Task
from selfplay.runtime.distributed import Ranks
from selfplay.training.methods.base import TrainRun
from selfplay.training.methods.sft import Sft


@dataclass(frozen=True)
class Rates:
    """How fast one rank works."""

    source: Literal["measured", "table", "assumed"]
    """measured: by the trial, with this student on this machine. table: on such a device. assumed: from its published peak."""
    sample_flops: float
    """FLOP/s of sampling, at 2 FLOP per parameter and token."""
    step_seconds: float
    """Seconds per layer and sampling step, whatever the number of rows."""
    score_flops: float
    """FLOP/s of scoring, at 2 FLOP per parameter and token."""
    train_flops: float
    """FLOP/s of training, at 6 FLOP per parameter and token."""
    train_step_seconds: float
    """Seconds per optimizer step beside its arithmetic."""
    rows: int
    """Sequences that are sampled at once."""
    program_seconds: float
    """CPU seconds of one program in the sandbox."""
    load_seconds: float
    """Seconds per phase to open the student, and to start and end training."""


CPU = Rates("table", 2.4e10, 3.0e-3, 6.0e10, 6.0e10, 4.0e-2, 256, 1.6e-3, 0.5)
"""Two cores of a server CPU without bf16 products, fitted to the phases of one quick start; `benchmarks/plan.py` compares it with runs."""
MFU = 0.3
"""Share of a GPU's published peak that training is assumed to reach; sampling is bound by memory and assumed to reach a tenth of it."""
PEAK = {"h200": 989e12, "h100": 989e12, "a100": 312e12, "l40s": 362e12, "l4": 121e12, "a10": 125e12, "4090": 165e12}
"""Dense bf16 FLOP/s by what the name of a device contains, from the makers' data sheets."""


def rates_of(device: str) -> Rates:
    """The rates of `cpu`, or of a GPU by its name; those of a GPU are assumed. Raises ConfigError for an unknown name."""
    if device == "cpu":
        return CPU
    peak = next((peak for name, peak in PEAK.items() if name in device.lower()), None)
    if peak is None:
        raise ConfigError(f"--device {device}: is not in the table; give cpu or one of {', '.join(PEAK)}")
    return Rates("assumed", MFU / 10 * peak, 1.0e-4, MFU * peak, MFU * peak, 2.0e-2, 512, 1.6e-3, 3.0)


TRIAL_TASKS, TRIAL_TOKENS, TRIAL_STEPS = 64, 32, 4


def measured(config: Config, folder: Path, shape: Shape, tasks: Sequence[Task], encoder: Encoder) -> Rates:
    """The rates of this machine: the student samples, is scored and is trained for some seconds each.

    `folder`: its model folder; `tasks`: tasks with references. The sandbox is not tried; its rate is the table's.
    """
    student, shown = config.student, tasks[:TRIAL_TASKS]
    with _opened(student, folder, config) as backend:
        flops = 2 * shape.parameters
        short, done_short = _sampled(backend, shown[:2])
        long, done_long = _sampled(backend, shown)
        step = short / TRIAL_TOKENS / shape.layers
        arithmetic = max(long - short, 0.1 * long)
        found = replace(
            CPU,
            source="measured",
            step_seconds=step,
            sample_flops=flops * (done_long - done_short) / arithmetic,
        )
        rows = [anchor_row(encoder, task) for task in shown]
        scorer = scorer_of(backend)
        if scorer is not None:
            seconds = _timed(lambda: scorer.likelihood(rows))
            found = replace(found, score_flops=flops * sum(len(row.input_ids) for row in rows) / seconds)
    return _trained(config, folder, shape, rows, found)


def _opened(student: StudentSettings, folder: Path, config: Config) -> Backend:
    weights = Weights(student, folder, "trial")
    opening = Opening(folder, folder / "replies.db", config.launch.device, config.launch.threads, weights)
    backend: Backend = student.open(opening)
    return backend


def _sampled(backend: Backend, tasks: Sequence[Task]) -> tuple[float, int]:
    """Seconds for completions of TRIAL_TOKENS tokens, and the tokens that went through the model."""
    sampling, requests = Sampling(max_new_tokens=TRIAL_TOKENS), [Request.of(task) for task in tasks]
    began = time.perf_counter()
    rows = backend.complete(requests, n=1, sampling=sampling, seed=0)
    seconds = time.perf_counter() - began
    return seconds, sum(len(row[0].completion_ids or ()) + len(row[0].prompt_ids or ()) for row in rows)


def _trained(config: Config, folder: Path, shape: Shape, rows: Sequence[Row], found: Rates) -> Rates:
    """Trains for TRIAL_STEPS steps twice, with few and with many rows a step: the difference is the arithmetic."""
    from selfplay.training.run import train

    def seconds(batch: int) -> float:
        method = Sft(method="sft", steps=TRIAL_STEPS, batch_size=batch, learning_rate=config.train.learning_rate)
        with tempfile.TemporaryDirectory() as out:
            run = TrainRun(folder, Path(out), 0, Ranks(), config.launch.device, config.launch.threads)
            return train(method, rows, run).seconds_in_train

    few, many = seconds(1), seconds(config.train.batch_size)
    tokens = TRIAL_STEPS * config.train.batch_size * sum(len(row.input_ids) for row in rows) / len(rows)
    step = few / TRIAL_STEPS
    return replace(
        found, train_step_seconds=step, train_flops=6 * shape.parameters * tokens / max(many - few, 0.1 * many)
    )


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
