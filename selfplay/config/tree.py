"""The whole configuration as one tree. Defaults live here and in `sections.py`, and nowhere else."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from selfplay.config.judging import Audit, Judge
from selfplay.config.leaks import Decontaminate
from selfplay.config.quotas import TagQuota
from selfplay.config.registry import ENGINES, TRAINING_METHODS, PartOf
from selfplay.config.sections import Count, Sampler, Section, Share, Student, Tasks, operation
from selfplay.config.synthesis import RoundSynthesis, round_faults
from selfplay.config.training import Train

# ---- the phases ----


class Curriculum(Section):
    """Tasks of the difficulty that the student is about to master (after Lee et al. 2025).

    The level is the hardest difficulty that is mastered; it rises while the next one is solved often enough. Measured on
    training tasks alone. Tasks without a `difficulty` get one from the pass rate of earlier rounds (docs/loop.md).
    """

    start: Count = 2
    """The level in round 1."""
    end: Count = 6
    """Hardest difficulty asked for. Tasks without a difficulty are sorted into so many levels."""
    advance_at: Share = 0.5
    """The next difficulty is mastered when this share of the attempts at it was right."""
    next_share: Share = 0.5
    """Share of the tasks one difficulty above the level."""
    after_share: Share = 0.15
    """Share of the tasks two difficulties above it; the others lie at the level and below."""
    levels: tuple[Count, ...] = ()
    """A fixed schedule: the level of round 1, 2, ..., the last for all later ones. Empty: by what is mastered."""

    def level_in(self, round: int, reached: int | None) -> int:
        """The level of a round (from 1): by the fixed schedule where there is one, else what the rounds before reached.

        `reached` None: nothing yet, so the level to start with.
        """
        if self.levels:
            return self.levels[min(round, len(self.levels)) - 1]
        return self.start if reached is None else reached

    @model_validator(mode="after")
    def _shares_fit(self) -> "Curriculum":
        if self.start > self.end:
            raise ValueError(f"start is {self.start}, above end = {self.end}; lower it")
        if self.next_share + self.after_share > 1:
            raise ValueError(
                f"next_share + after_share is {self.next_share + self.after_share}, over 1; lower one of them"
            )
        return self


class Propose(Section):
    """Which tasks a round works on."""

    tasks_per_round: Count | None = None
    """Training tasks drawn each round. None: every one of the source (not for endless sources, nor with a curriculum)."""
    curriculum: Curriculum | None = None
    """Draws tasks by their difficulty; None: evenly."""
    synthesize: RoundSynthesis | None = None
    """Tasks that are synthesized beside the proposed ones; None: none."""


class Generate(Section):
    """How the student's attempts are drawn."""

    backend: Sampler = Field(default_factory=lambda: ENGINES.default_settings("student"))
    samples_per_task: Count = 4
    """Attempts at each task."""
    samples_mastered: Count | None = None
    """Attempts at a task up to the curriculum's level; None: as many."""
    temperature: float = Field(1.0, ge=0)
    """Sampling temperature. 0: greedy."""
    top_p: float = Field(1.0, gt=0, le=1)
    """Samples from the most likely tokens that together have this probability. 1: from all."""
    top_k: int = Field(0, ge=0)
    """Samples from this many most likely tokens. 0: from all."""
    max_new_tokens: Count = 256
    """Most tokens of an attempt; a longer one is cut off, and never trained on."""
    stop: tuple[str, ...] = ()
    """Texts that end an attempt; they are cut from its text."""
    chunk_tasks: Count = 64
    """Tasks a chunk: what one rank takes at once, and the most that a crash costs."""


class Sandbox(Section):
    """Where untrusted code runs."""

    require_tier: Literal[0, 1, 2, 3, "best"] = 2
    """Below this tier the run refuses to start; `best` takes what there is, and says so."""
    cpu_seconds: float = Field(2.0, gt=0)
    """CPU seconds that a program may use; a task may have its own."""
    memory_bytes: int = Field(512 * 2**20, ge=2**24)
    """Memory that a program may use, in bytes."""
    workers: Count | None = operation(None)
    """None: the cores of this machine shared among its ranks."""


class Verify(Section):
    """How attempts are judged."""

    sandbox: Sandbox = Sandbox()
    max_error_share: Share = 0.05
    """Above this share of `error` verdicts in a chunk the phase stops (exit 3) instead of scoring an outage."""
    check: dict[str, Any] | None = None
    """How training tasks are judged instead of by their own verifier, such as {type: judge}, or a combination in which
    `{type: task}` stands for it. Dev set and test set keep their own. Where the task's own is left out, the audit uses it."""
    custom_seconds: float = operation(10.0, gt=0, le=86_400)
    """Wall clock that a `python:` function has for one attempt, import not counted; beyond it the attempt is `error`."""


class Correct(Section):
    """A second try at failed attempts, with the evidence of why they failed. Off unless `attempts` is 1."""

    attempts: Literal[0, 1] = 0
    """1: each attempt that failed or had no answer is tried once more, and the new one verified afresh."""
    format: Literal["final", "whole"] = "final"
    """What an accepted correction teaches: the task's own prompt with the corrected solution, or the correction prompt
    (failed attempt and evidence in it, without loss on them) with the corrected solution."""
    temperature: float | None = Field(None, ge=0)
    """None: as in generate."""
    max_new_tokens: Count | None = None
    """None: as in generate."""
    per_task: Count | None = None
    """Most failed attempts of one task that are tried again, in their order; None: all."""
    evidence_chars: Annotated[int, Field(ge=20, le=4000)] = 240
    """Bound on the evidence in the prompt."""

    @model_validator(mode="after")
    def _settings_act(self) -> "Correct":
        set_ = [name for name, f in type(self).model_fields.items() if getattr(self, name) != f.default]
        if not self.attempts and set_:
            raise ValueError(f"{', '.join(set_)} has no effect while attempts is 0; set attempts to 1 or remove it")
        return self


class Curate(Section):
    """Which attempts are trained on, and with what beside them."""

    verified_only: bool = True
    """False is the control arm: every complete attempt counts as accepted, unread."""
    regime: Literal["accumulate", "replace", "accumulate_subsample"] = "accumulate"
    """Rows of this round and all earlier ones; of this round alone, no anchor either; or a number drawn from all."""
    drop_bottom_share: Share = 0.5
    """Bottom share of each task's ranked attempts that is dropped; never the last accepted one."""
    max_per_task: Count | None = 8
    """Most accepted attempts a task and round, after dedup."""
    emphasis_floor: Annotated[float, Field(gt=0, le=1)] | None = None
    """The cap of a task that is always solved, as a share of `max_per_task`, which the hardest solved task has; None: equal caps."""
    dedup: tuple[Literal["exact", "signature", "near"], ...] = ("exact", "signature")
    """Which duplicates of a task are dropped: equal texts, equal solutions, near-duplicates."""
    across_rounds: bool = False
    """Also drop what repeats an accepted attempt of an earlier round."""
    anchor_share: Annotated[float, Field(ge=0, lt=1)] | None = 0.2
    """Share of the training rows that is anchor, replayed every round; None: the whole anchor, once. Not in `replace`."""
    newest_share: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share that this round's accepted rows make up among the new and older ones, by repetition; None: as they come."""
    above_level_share: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share of the training rows above the curriculum's level, by repetition; None: as they come. Needs train.steps; in
    `replace` rows stay as they come."""
    max_rows: Count | None = None
    """accumulate_subsample: how many rows are drawn from the pool."""
    quotas: tuple[TagQuota, ...] = ()
    """Shares by tag that the round's accepted attempts are to have; what cannot be met is named and counted."""
    decontaminate: Decontaminate = Decontaminate()
    """Drop attempts and tasks that repeat an evaluation task; true, false, or which rules count."""
    privacy: Literal["off", "drop"] = "drop"
    """What is done about personal identifiers in attempts: `drop` the attempt, or `off`."""

    @model_validator(mode="after")
    def _settings_act(self) -> "Curate":
        if (self.max_rows is None) == (self.regime == "accumulate_subsample"):
            need = "needs max_rows" if self.max_rows is None else f"does not use max_rows (it is {self.max_rows})"
            raise ValueError(f"regime {self.regime} {need}; max_rows goes with accumulate_subsample, and only with it")
        if self.regime == "replace" and self.newest_share is not None:
            raise ValueError(
                f"newest_share is {self.newest_share}, but regime replace has only the newest rows; remove it"
            )
        if self.emphasis_floor is not None and self.max_per_task is None:
            raise ValueError(
                f"emphasis_floor is {self.emphasis_floor}, without effect while max_per_task is null; set max_per_task, or remove it"
            )
        if self.quotas and not self.verified_only:
            raise ValueError("quotas has no effect while verified_only is false, which keeps everything; remove one")
        both = (self.above_level_share or 0.0) + (self.anchor_share or 0.0)
        if self.above_level_share is not None and both > 1:
            raise ValueError(f"above_level_share + anchor_share is {both:g}, over 1; lower one of them")
        return self


class Evaluate(Section):
    """The dev set that rounds are compared on, and the test set that is only reported."""

    seed: int = Field(1, ge=0)
    """Draws the held-out tasks and the evaluation's samples."""
    samples: Annotated[int, Field(ge=0)] = 8
    """Samples a dev task at temperature 1, top-p 1, for pass@k and diversity; 0: greedy alone."""
    sample_tasks: Count | None = 100
    """Dev tasks that are sampled, spread over the strata; None: all."""
    max_new_tokens: Count | None = None
    """None: as in generate."""
    bootstrap: Count = 1000
    """Resamples over tasks for an interval."""
    test: bool = True
    """Whether the test set is evaluated."""
    chunk_tasks: Count = 128
    """Tasks in a chunk: what one rank takes at once, and the most that a crash costs."""


class RollBack(Section):
    """What changes when a round is abandoned and the next starts from an earlier parent."""

    temperature_add: float = Field(0.1, ge=0)
    """Added to the sampling temperature of all later rounds, at each roll-back."""
    anchor_add: Share = 0.1
    """Added to `curate.anchor_share` of all later rounds, at each roll-back."""
    cap_scale: float = Field(1.0, gt=0, le=1)
    """Multiplies `curate.max_per_task` of all later rounds, at each roll-back."""


class Gate(Section):
    """What is done about collapse."""

    action: Literal["observe", "roll_back", "stop"] = "roll_back"
    """At alarm level 2; level 3 stops unless this is `observe`."""
    roll_back: RollBack = RollBack()
    kl_budget: float | None = Field(None, gt=0)
    """Alarm at once where the forward KL to round 0 is above so many nats a sequence; None: no budget. A student that learns
    from little moves far, so that no number fits all."""
    plateau_rounds: Count | None = None
    """Stop after this many rounds without a better dev accuracy; None: never."""


class Tracking(Section):
    """Weights & Biases. `WANDB_MODE` in the environment wins."""

    mode: Literal["auto", "online", "offline", "disabled"] = operation("auto")
    """auto: online with a key, else offline; never a prompt."""
    project: str = operation("selfplay")
    """Project at W&B."""
    group: str | None = operation(None)
    """Group of runs at W&B. None: the run's name."""
    metrics: Literal["headline", "all"] = operation("headline")
    """Which figures of a round go to W&B: about 30 headline figures, or all; metrics.jsonl always has all."""
    traces: int = operation(50, ge=0, le=200)
    """Sampled traces in each round's table."""
    privacy: Literal["scrub", "none"] = operation("scrub")
    """`scrub` replaces personal identifiers in all text before it is sent. `none` sends it as it is."""


class Keep(Section):
    """Whose weights stay on disk; data and metrics always do."""

    last: Count = operation(2)
    """How many of the latest rounds keep their weights."""
    best: bool = operation(True)
    """Whether the best round keeps its weights."""
    first: bool = operation(True)
    """Whether round 0 keeps its weights."""


class Launch(Section):
    """How many processes, on what."""

    ranks: Count | None = operation(None)
    """What the launcher must have started; None: whatever it started."""
    device: Literal["auto", "cpu", "cuda"] = operation("auto")
    """`auto`: a GPU where there is one."""
    threads: Count | None = operation(None)
    """CPU threads a rank; None: cores / ranks."""


class Config(Section):
    """One run."""

    name: str = operation("run", pattern=r"^[\w][\w.\-]{0,99}$")
    """Name of the run, and of its folder."""
    runs_dir: str = operation("runs")
    """Folder that holds the runs. A relative path counts from the working directory."""
    seed: int = Field(0, ge=0)
    """Seed of all that is drawn for training: tasks, attempts, order of rows. The evaluation has its own."""
    rounds: int = operation(4, ge=0)
    """Rounds after round 0; raise it to go on."""
    tasks: Tasks
    student: Student
    propose: Propose = Propose()
    generate: Generate = Field(default_factory=Generate)  # its engine is imported when a configuration is read
    verify: Verify = Verify()
    judge: Judge | None = None
    audit: Audit = Audit()
    correct: Correct = Correct()
    curate: Curate = Curate()
    train: Annotated[Train, PartOf(TRAINING_METHODS)]
    eval: Evaluate = Evaluate()
    gate: Gate = Gate()
    tracking: Tracking = Tracking()
    keep: Keep = Keep()
    launch: Launch = Launch()
    phase_subprocess: bool = operation(False)
    """Runs each phase in a process of its own (plain `selfplay run` only)."""

    @model_validator(mode="after")
    def _parts_fit(self) -> "Config":
        if faults := list(_misfits(self)):
            raise ValueError("\n".join(faults))
        return self


def _misfits(config: Config) -> Iterator[str]:
    """Settings that have no effect, or cannot work, in one another's company."""
    source = config.tasks.source
    if config.propose.tasks_per_round is None and config.tasks.endless:
        yield f"propose.tasks_per_round is not set, and {source} has no end; give a number such as 400"
    elif config.propose.tasks_per_round is None and config.propose.curriculum:
        yield "propose.curriculum is set, but propose.tasks_per_round is not: no number to share among levels; give one such as 400"
    if config.propose.curriculum is None:
        for key, value in (
            ("generate.samples_mastered", config.generate.samples_mastered),
            ("curate.above_level_share", config.curate.above_level_share),
        ):
            if value is not None:
                yield f"{key} is {value}, but there is no propose.curriculum whose level it goes by; add one or remove it"
    if config.curate.above_level_share is not None and config.train.steps is None:
        yield f"curate.above_level_share is {config.curate.above_level_share}, but train.steps is not set: no number of rows to share; set it"
    if config.student.kind == "scripted" and not config.tasks.scripted_student:
        yield f"student.kind is scripted, which can only do arithmetic, but tasks.source is {source}; use kind: tiny"
    if config.student.kind == "scripted" and config.train.lora:
        yield "train.lora is set, but a scripted student has no weights; remove it"
    if config.student.kind == "tiny" and config.train.warmup is None and config.train.start == "from_base":
        yield (
            "train.start is from_base without train.warmup, so a tiny student would start each round from random "
            "weights; add train.warmup or use continue"
        )
    if config.propose.synthesize is not None:
        yield from round_faults(config.propose.synthesize, config.tasks, config.judge is not None)
    yield from _teacher_misfits(config)
    yield from config.train.faults(config)
    if config.correct.attempts and not config.generate.backend.answers_corrections:
        yield (
            f"correct.attempts is 1, but generate.backend is {config.generate.backend.kind}, which has no second attempts; "
            "set it to 0"
        )
    if config.correct.attempts and not config.curate.verified_only:
        yield (
            "correct.attempts is 1, but curate.verified_only is false, and that arm reads no verdict; a correction needs "
            "to know what failed: set correct.attempts to 0"
        )


def _teacher_misfits(config: Config) -> Iterator[str]:
    """The same, of teacher and judge."""
    yield from config.generate.backend.misfits(config.student)
    if config.judge is None and config.audit.judge is not None:
        yield "audit.judge is set, but there is no judge whose verdicts it could check; add judge or remove it"
