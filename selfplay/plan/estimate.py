"""From the work of a run and the rates of a device to seconds, memory, disk and money, with what each figure rests on."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from selfplay.collapse import sight
from selfplay.config.sections import EngineSettings
from selfplay.config.tree import Config
from selfplay.cores import usable_cores
from selfplay.errors import ConfigError
from selfplay.models.base import Encoder
from selfplay.models.openai import HttpEngine
from selfplay.plan.rates import Rates, measured, rates_of
from selfplay.plan.shape import Shape, encoder_of, shape_of
from selfplay.plan.space import Memory, disk_space, memory_of
from selfplay.plan.work import (
    CHARS_PER_TOKEN,
    JUDGE,
    RIGHT,
    SANDBOX,
    TEACHER,
    Lengths,
    Work,
    lengths_of,
    round_work,
)
from selfplay.tasks import Source

SERVER_SECONDS = 4.0
"""Seconds of one request to a judge or teacher, where several run at once. A guess: servers differ by a hundredfold."""
SERVER_PARALLEL = 8


@dataclass(frozen=True)
class PhasePlan:
    """One phase of a round."""

    work: Work
    seconds: float | None
    """None where the shape of the student is unknown."""


@dataclass(frozen=True)
class Plan:
    """What a run will take. Sums over all rounds where not said otherwise."""

    rounds: int
    first: tuple[PhasePlan, ...]
    """Round 0."""
    later: tuple[PhasePlan, ...]
    """Each later round."""
    shape: Shape | None
    lengths: Lengths
    rates: Rates
    memory_bytes: int | None
    """Peak of one rank: of the process on a CPU, of the device on a GPU."""
    memory: Memory | None
    """The same by what it holds."""
    disk_bytes: int | None
    money: float | None
    """What servers are paid by the prices in the configuration; None where an engine has no prices."""
    notes: tuple[str, ...]
    """What the figures rest on, and how sure they are."""

    def seconds_of(self, phases: Sequence[PhasePlan]) -> float | None:
        """Seconds of a round; None where a phase has none."""
        known = [phase.seconds for phase in phases]
        return None if None in known else sum(x for x in known if x is not None)

    @property
    def seconds(self) -> float | None:
        """Seconds of the whole run."""
        first, later = self.seconds_of(self.first), self.seconds_of(self.later)
        return None if first is None or later is None else first + self.rounds * later

    def total(self, field: str) -> int:
        """A field of `Work` over the run."""
        first, later = (sum(getattr(p.work, field) for p in phases) for phases in (self.first, self.later))
        return int(first + self.rounds * later)

    def to_dict(self) -> dict[str, Any]:
        """The plan as JSON types."""
        return {**asdict(self), "seconds": self.seconds}


def plan_run(
    config: Config,
    folder: Path,
    *,
    device: str = "cpu",
    ranks: int = 1,
    measure: bool = False,
    fsdp2: bool = False,
) -> Plan:
    """The plan of a run. Relative paths count from `folder`; no weights are loaded unless `measure` is set.

    `device`: `cpu`, or the name of a GPU such as h100. `measure`: tries this machine with the student for up to a minute.
    `fsdp2`: the ranks share the weights in training, as under accelerate_fsdp2.yaml.
    Raises DataError for faulty tasks, ConfigError for an unknown device, or where `measure` finds no weights.
    """
    source: Source = config.tasks.open(seed=config.seed, eval_seed=config.eval.seed, folder=folder)
    with _student(config, folder, source) as (model, shape, encoder):
        lengths = lengths_of(config, source, encoder)
        if measure:
            if shape is None or encoder is None:
                raise ConfigError(
                    f"--measure: the student ({config.student.kind}) is not on this machine; plan without it"
                )
            with_references = [task for task in (*source.fixed.anchor, *source.fixed.dev) if task.reference]
            rates = measured(config, model, shape, with_references or list(source.fixed.dev), encoder)
        else:
            rates = rates_of(device)
    phases = [tuple(_planned(config, round_work(config, source, lengths, n), shape, rates, ranks)) for n in (0, 1)]
    works = [phase.work for phase in phases[1]]
    shards = ranks if fsdp2 else 1
    memory = None if shape is None else memory_of(config, shape, lengths, works, device, shards)
    disk = None if shape is None else disk_space(config, shape, works)
    notes = [*_notes(config, lengths, shape, rates, works), *filter(None, [sight(len(source.fixed.dev))])]
    return Plan(
        config.rounds,
        phases[0],
        phases[1],
        shape,
        lengths,
        rates,
        None if memory is None else memory.peak,
        memory,
        disk,
        _money(config, phases),
        tuple(notes),
    )


@contextmanager
def _student(config: Config, folder: Path, source: Source) -> Iterator[tuple[Path, Shape | None, Encoder | None]]:
    """The folder that round 0 starts from, with the student's shape and tokenizer; None where they are not to be had."""
    student = config.student.located(folder)
    with tempfile.TemporaryDirectory() as temporary:
        model = Path(temporary) / "initial"
        try:
            student.make_initial(source.fixed.anchor, model, config.seed)
            shape = None if student.kind == "scripted" else shape_of(model)
        except ConfigError:
            shape = None
        encoder = None if shape is None else encoder_of(model, student.prompt_form, student.chat_arguments)
        yield model, shape, encoder


def _planned(
    config: Config, works: Sequence[Work], shape: Shape | None, rates: Rates, ranks: int
) -> Iterator[PhasePlan]:
    workers = config.verify.sandbox.workers or usable_cores()
    for work in works:
        if work.by == SANDBOX:
            yield PhasePlan(work, work.programs * rates.program_seconds / (workers * ranks))
        elif work.by in (JUDGE, TEACHER):
            engine = _engines(config)[work.by]
            known = {"http": work.requests * SERVER_SECONDS / SERVER_PARALLEL, "recorded": 0.0}
            yield PhasePlan(work, known.get(engine.kind) if engine else None)
        else:
            yield PhasePlan(work, None if shape is None else student_seconds(work, shape, rates, ranks))


def _engines(config: Config) -> dict[str, EngineSettings | None]:
    """The engines that serve a judge and a teacher; a teacher of synthesis comes before one that writes the attempts."""
    synthesis = config.propose.synthesize
    asked = synthesis.teacher.backend if synthesis and synthesis.teacher else config.generate.backend
    return {JUDGE: config.judge.backend if config.judge else None, TEACHER: asked}


def student_seconds(work: Work, shape: Shape, rates: Rates, ranks: int = 1) -> float:
    """Seconds of the student's part in a phase, the same on every rank."""
    flops = 2 * shape.parameters
    sampled = work.prompt_tokens + work.completion_tokens
    steps = (
        work.completion_tokens / rates.rows
        if work.requests >= rates.rows
        else work.completion_tokens / max(1, work.requests)
    )
    seconds = (flops * sampled / rates.sample_flops + steps * shape.layers * rates.step_seconds) / ranks
    seconds += flops * work.scored_tokens / rates.score_flops / ranks
    seconds += 3 * flops * work.trained_tokens / rates.train_flops / ranks + work.steps * rates.train_step_seconds
    return seconds + rates.load_seconds


def _money(config: Config, phases: Sequence[Sequence[PhasePlan]]) -> float | None:
    """By the prices of the engines, for the expected tokens; 0 where no server is asked."""
    engines = _engines(config)
    money = 0.0
    for times, one in zip((1, config.rounds), phases, strict=True):
        for work in (phase.work for phase in one if phase.work.by in engines and phase.work.requests):
            prices = _prices(engines[work.by])
            if prices is None:
                return None
            money += times * (work.prompt_tokens * prices[0] + work.completion_tokens * prices[1]) / 1e6
    return money


def _prices(engine: Any) -> tuple[float, float] | None:
    """Money per million prompt and completion tokens; None where an engine on a server has no prices."""
    if not isinstance(engine, HttpEngine):
        return 0.0, 0.0
    given = engine.prompt_price, engine.completion_price
    return None if given[0] is None or given[1] is None else (given[0], given[1])


def _notes(config: Config, lengths: Lengths, shape: Shape | None, rates: Rates, works: Sequence[Work]) -> Iterator[str]:
    if shape is None and config.student.kind != "scripted":
        yield "The student's config.json is not on this machine, so seconds, memory and disk are unknown."
    if not lengths.measured:
        yield f"Tokens are counted at {CHARS_PER_TOKEN} characters each, since the student's tokenizer is not at hand."
    if not lengths.from_references:
        yield "The tasks have no references: a completion is taken as half of generate.max_new_tokens."
    if config.train.epochs is not None or config.correct.attempts:
        yield f"Half of the attempts are taken as right ({RIGHT:.0%}): training and corrections follow from that."
    yield {
        "measured": "Seconds: measured on this machine with this student; expect them within a factor of 2.",
        "table": "Seconds: from a table for two idle CPU cores, fitted to one quick start; an order of magnitude. --measure tries this machine.",
        "assumed": "Seconds: assumed from the published peak of the device, nothing was measured on one; expect a factor of 3.",
    }[rates.source]
    if rates.source != "assumed":
        yield "Memory on a CPU is at least this: kernels that torch caches for each new shape add up to 1 GiB (the quick start reached 1.6 GiB)."
    if any(engine is not None and engine.kind == "http" for engine in _engines(config).values()):
        yield f"Judge and teacher: {SERVER_SECONDS:g} s a request, {SERVER_PARALLEL} at a time, is a guess; their prompts are one too."
    if any(work.phase == "synthesize" for work in works):
        yield "Synthesis: some methods ask a teacher more than once per item; its requests have no upper bound here."
