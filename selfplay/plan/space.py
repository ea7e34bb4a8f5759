"""The memory and the disk that a run takes, from the shape of its student."""

from collections.abc import Sequence

from selfplay.config.training import Lora
from selfplay.config.tree import Config
from selfplay.cores import usable_cores
from selfplay.plan.shape import Shape
from selfplay.plan.work import STUDENT, Lengths, Work
from selfplay.training.schedule import CPU_MICRO_TOKENS

MIB = 2**20
BASE_BYTES = 620 * MIB
"""Memory of the process with torch, transformers, TRL, the loop and its files, before a model."""
WORKER_BYTES = 26 * MIB
"""Memory of one sandbox worker."""
ACTIVATION_VALUES = 34
"""Values per token, layer and hidden unit that a backward pass keeps, without recomputation (Korthikanti et al. 2205.05198)."""
TRACE_BYTES = 1.1
"""Bytes on disk per character of an attempt and its prompt, in chunks and traces together, beside FIXED_TRACE_BYTES."""
FIXED_TRACE_BYTES = 450


def peak_memory(config: Config, shape: Shape, lengths: Lengths, works: Sequence[Work], device: str) -> int:
    """Bytes at the peak of a round, on one rank: the larger of training and sampling, beside what a process takes anyway.

    On a CPU the sandbox's workers are part of it; on a GPU it is the device's memory.
    """
    on_cpu = device == "cpu"
    size = 4 if on_cpu else 2
    lora = config.train.lora
    trained = shape.parameters if lora is None else _adapter(lora, shape)
    length = lengths.prompt + lengths.completion
    micro = config.train.micro_batch_size or (
        max(1, int(CPU_MICRO_TOKENS // length)) if on_cpu else config.train.batch_size
    )
    tokens = min(micro, config.train.batch_size) * length
    kept = tokens * (ACTIVATION_VALUES * shape.layers * shape.hidden * size / 2 + 3 * 4 * shape.vocabulary)
    training = shape.parameters * size + trained * 12 + kept  # gradients, and the two moments of AdamW
    longest = max((work.longest for work in works), default=0)
    requests = max((work.requests for work in works if work.by == STUDENT), default=0)
    cached = min(256, requests) * longest * shape.cache_values * size
    sampling = shape.parameters * size + min(cached, 2 * 2**30 if on_cpu else 2**40)
    workers = config.verify.sandbox.workers or usable_cores()
    beside = BASE_BYTES + workers * WORKER_BYTES if on_cpu else 600 * MIB
    return int(max(training, sampling) + beside)


def disk_space(config: Config, shape: Shape, works: Sequence[Work]) -> int:
    """Bytes of the run folder at its end: weights of the rounds that are kept, a checkpoint, and the traces of all rounds."""
    kept = min(config.rounds + 1, config.keep.last + config.keep.best + config.keep.first)
    lora = config.train.lora
    one = 4 * (shape.parameters if lora is None else _adapter(lora, shape))
    weights = (2 * kept + 1) * one  # a round has its weights under train/ and model/
    checkpoint = 3 * one if config.train.save_steps else 0
    traces = 0.0
    for work in works:
        if work.phase in ("generate", "correct", "evaluate") and work.requests:
            characters = 3.5 * (work.prompt_tokens + work.completion_tokens)
            traces += work.requests * FIXED_TRACE_BYTES + TRACE_BYTES * characters
    return int(weights + checkpoint + config.rounds * traces)


def _adapter(lora: Lora, shape: Shape) -> int:
    """Parameters of an adapter on all seven linear layers of a block, the feed-forward ones about three times as wide."""
    widths = 4 * (shape.hidden + shape.hidden) + 3 * (shape.hidden + 3 * shape.hidden)
    return lora.rank * shape.layers * widths
