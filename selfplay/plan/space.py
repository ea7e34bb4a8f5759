"""The memory and the disk that a run takes, from the shape of its student."""

from collections.abc import Sequence
from dataclasses import dataclass

from selfplay.config.training import Lora
from selfplay.config.tree import Config
from selfplay.cores import usable_cores
from selfplay.plan.shape import Shape
from selfplay.plan.work import STUDENT, Lengths, Work
from selfplay.training.schedule import CPU_MICRO_TOKENS

MIB = 2**20
CONTEXT_BYTES = 600 * MIB
"""Memory of a GPU that CUDA's context and libraries take."""
FOUR_BIT_BYTES = 4.127 / 8
"""Bytes of a 4-bit NormalFloat with its share of the doubly quantized scales (Dettmers et al. 2305.14314, section 3)."""
CHECKPOINTING_PARAMETERS = 1_000_000_000
"""Parameters from which training recomputes activations: a block keeps its input alone."""
BASE_BYTES = 620 * MIB
"""Memory of the process with torch, transformers, TRL, the loop and its files, before a model."""
WORKER_BYTES = 26 * MIB
"""Memory of one sandbox worker."""
ACTIVATION_VALUES = 34
"""Values per token, layer and hidden unit that a backward pass keeps, without recomputation (Korthikanti et al. 2205.05198)."""
TRACE_BYTES = 1.1
"""Bytes on disk per character of an attempt and its prompt, in chunks and traces together, beside FIXED_TRACE_BYTES."""
FIXED_TRACE_BYTES = 450


@dataclass(frozen=True)
class Memory:
    """Bytes of one rank by what they hold; the peak is the larger of training and sampling, beside what the process takes."""

    weights: int
    gradients: int
    optimizer: int
    """The two moments of AdamW, in fp32."""
    activations: int
    """What the backward pass keeps, logits of the labelled tokens and gathered shards included."""
    sampling: int
    """Weights and cache of the engine, which is closed before training."""
    process: int
    """Interpreter and libraries; on a CPU the sandbox too; on a GPU the CUDA context."""

    @property
    def peak(self) -> int:
        """Bytes at the peak of a round."""
        training = self.weights + self.gradients + self.optimizer + self.activations
        return max(training, self.sampling) + self.process


def memory_of(
    config: Config, shape: Shape, lengths: Lengths, works: Sequence[Work], device: str, shards: int = 1
) -> Memory:
    """The memory of a round on one rank. `shards`: ranks that share the weights in training (FSDP2); 1: each holds them all.

    Full weights are trained in fp32 with gradients and AdamW's two moments: 16 bytes a parameter (Rajbhandari et al. 2020), over the
    shards. A frozen base takes 2 bytes a parameter on a GPU, or 4.127 bits in 4 bits (Dettmers et al. 2023), embeddings excepted.
    """
    on_cpu, lora = device == "cpu", config.train.lora
    size = 4 if on_cpu else 2
    trained = shape.parameters if lora is None else _adapter(lora, shape)
    spread = shards if lora is None else 1  # an adapter is whole on every rank
    base = 0.0 if lora is None else _frozen(lora, shape, size) / shards
    length = lengths.prompt + lengths.completion
    micro = config.train.micro_batch_size or (
        max(1, int(CPU_MICRO_TOKENS // length)) if on_cpu else config.train.batch_size
    )
    tokens = min(micro, config.train.batch_size) * length
    kept = (
        ACTIVATION_VALUES * shape.layers
        if shape.parameters < CHECKPOINTING_PARAMETERS
        else ACTIVATION_VALUES + 2 * shape.layers
    )
    activations = tokens * kept * shape.hidden * size / 2
    activations += tokens * lengths.completion / length * 3 * 4 * shape.vocabulary
    gathered = 0.0 if shards == 1 else size * (2 * shape.parameters / shape.layers + shape.vocabulary * shape.hidden)
    longest = max((work.longest for work in works), default=0)
    requests = max((work.requests for work in works if work.by == STUDENT), default=0)
    cached = min(256, requests) * longest * shape.cache_values * size
    workers = config.verify.sandbox.workers or usable_cores()
    return Memory(
        weights=int(base + 4 * trained / spread),
        gradients=int(4 * trained / spread),
        optimizer=int(8 * trained / spread),
        activations=int(activations + gathered),
        sampling=int(shape.parameters * size + min(cached, 2 * 2**30 if on_cpu else 2**40)),
        process=BASE_BYTES + workers * WORKER_BYTES if on_cpu else CONTEXT_BYTES,
    )


def _frozen(lora: Lora, shape: Shape, size: int) -> float:
    """Bytes of the base of an adapter."""
    if not lora.load_in_4bit:
        return size * shape.parameters
    embeddings = min(shape.parameters, shape.vocabulary * shape.hidden)
    return size * embeddings + FOUR_BIT_BYTES * (shape.parameters - embeddings)


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
