"""The configuration of a run as one tree of sections. Each default is defined here or in the file of the part, and nowhere else."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from selfplay.config.curation import Decontaminate, TagQuota
from selfplay.config.judging import Audit, Judge, Sandbox
from selfplay.config.registry import ENGINES, TRAINING_METHODS, PartOf
from selfplay.config.sections import Count, Sampler, Section, Share, Student, Tasks, operation
from selfplay.config.synthesis import RoundSynthesis, round_faults
from selfplay.config.training import Train

# ---- the phases ----


class Curriculum(Section):
    """Tasks of the difficulty that the student is about to master (after Lee et al. 2025).

    The level is the hardest difficulty that is mastered. It rises when the next one is solved often enough, measured on training
    tasks only. A task without a tag `difficulty:n` gets a difficulty from its pass rate in earlier rounds (docs/loop.md).
    """

    start: Count = 2
    """Level in round 1."""
    end: Count = 6
    """Highest level. Tasks without a difficulty of their own are sorted into this many levels."""
    advance_at: Share = 0.5
    """Share of right attempts at the next difficulty from which it counts as mastered, so that the level rises."""
    next_share: Share = 0.5
    """Share of a round's tasks that are one difficulty above the level."""
    after_share: Share = 0.15
    """Share of a round's tasks that are two difficulties above the level. All others are at the level or below."""
    levels: tuple[Count, ...] = ()
    """Fixed schedule: the levels of rounds 1, 2, ...; the last one holds for all later rounds. Empty: the level follows the results."""

    def level_in(self, round: int, reached: int | None) -> int:
        """The level of a round, counted from 1: that of the fixed schedule, or else `reached`, the level after the previous round.

        `reached`: None before round 1; the level is then `start`.
        """
        if self.levels:
            return self.levels[min(round, len(self.levels)) - 1]
        return self.start if reached is None else reached

    @model_validator(mode="after")
    def _shares_fit(self) -> "Curriculum":
        if self.start > self.end:
            raise ValueError(f"start is {self.start}, above end = {self.end}; lower start")
        if self.next_share + self.after_share > 1:
            raise ValueError(
                f"next_share + after_share is {self.next_share + self.after_share}, over 1; lower one of them"
            )
        return self


class Propose(Section):
    """The tasks of a round."""

    tasks_per_round: Count | None = None
    """Training tasks drawn per round. None: all tasks of the source; not for endless sources, nor with a curriculum."""
    curriculum: Curriculum | None = None
    """Draws tasks by difficulty. None: draws them evenly."""
    synthesize: RoundSynthesis | None = None
    """Adds synthesized tasks to the drawn ones. None: adds none."""


class Generate(Section):
    """How attempts are sampled."""

    backend: Sampler = Field(default_factory=lambda: ENGINES.default_settings("student"))
    samples_per_task: Count = 4
    """Attempts per task."""
    samples_mastered: Count | None = None
    """Attempts per task up to the curriculum's level. None: as `samples_per_task`."""
    temperature: float = Field(1.0, ge=0)
    """Sampling temperature. 0: greedy."""
    top_p: float = Field(1.0, gt=0, le=1)
    """Nucleus sampling: samples from the most likely tokens that together have this probability. 1: from all tokens."""
    top_k: int = Field(0, ge=0)
    """Samples from this number of most likely tokens. 0: from all tokens."""
    max_new_tokens: Count = 256
    """Limit on the tokens of an attempt. An attempt that reaches it is cut off and not trained on."""
    stop: tuple[str, ...] = ()
    """Texts at which an attempt ends; they are not part of it."""
    chunk_tasks: Count = 64
    """Tasks per chunk. A chunk is the unit of work of a rank; a crash loses those in hand: one per rank, and a few where an engine begins
    a chunk before the last is done (`student.refill_across_chunks`)."""


class Verify(Section):
    """How attempts are judged."""

    sandbox: Sandbox = Sandbox()
    max_error_share: Share = 0.05
    """Limit on the share of attempts in a chunk that fail through an outage. Above it the phase stops (exit 3); the same command resumes."""
    check: dict[str, Any] | None = None
    """Check that judges all training tasks in place of their own, such as {type: judge}; in a combination `{type: task}` stands for the
    task's own. Dev and test tasks keep their own. If the own check is not part of it, the audit uses that. None: own checks."""
    custom_seconds: float = operation(10.0, gt=0, le=86_400)
    """Seconds of wall time that a `python:` function has per attempt, without its import. Beyond it the outcome is `error`."""


class Correct(Section):
    """A second try for failed attempts, with the evidence of their failure in the prompt. Off unless `attempts` is 1."""

    attempts: Literal[0, 1] = 0
    """1: each attempt that failed or had no answer gets one correction, which is verified like any attempt. 0: off."""
    format: Literal["final", "whole"] = "final"
    """Prompt of the training row of an accepted correction. final: the task's own prompt. whole: the correction prompt, with the failed
    attempt and the evidence. Loss is taken on the corrected solution only."""
    temperature: float | None = Field(None, ge=0)
    """Sampling temperature of corrections. None: as in generate."""
    max_new_tokens: Count | None = None
    """Limit on the tokens of a correction. None: as in generate."""
    per_task: Count | None = None
    """Limit on the corrections per task, in the order of its attempts. None: all failed attempts."""
    evidence_chars: Annotated[int, Field(ge=20, le=4000)] = 240
    """Limit on the characters of evidence in the prompt."""

    @model_validator(mode="after")
    def _settings_act(self) -> "Correct":
        set_ = [name for name, f in type(self).model_fields.items() if getattr(self, name) != f.default]
        if not self.attempts and set_:
            raise ValueError(f"{', '.join(set_)} has no effect while attempts is 0; set attempts to 1 or remove it")
        return self


class Curate(Section):
    """Which attempts are accepted, and the mix of rows that a round trains on."""

    verified_only: bool = True
    """Whether only verified attempts are accepted. false: a control experiment that accepts every complete attempt without verdict."""
    regime: Literal["accumulate", "replace", "accumulate_subsample"] = "accumulate"
    """Rows to train on. accumulate: of all rounds; replace: of this round, no anchor; accumulate_subsample: `max_rows` drawn from all."""
    drop_bottom_share: Share = 0.5
    """Share of each task's ranked attempts that is dropped, lowest rank first; one accepted attempt always stays."""
    max_per_task: Count | None = 8
    """Limit on accepted attempts per task and round, after deduplication. None: no limit."""
    emphasis_floor: Annotated[float, Field(gt=0, le=1)] | None = None
    """Limit of a task that is always solved, as a share of `max_per_task`; harder tasks keep more. None: the same limit for all tasks."""
    dedup: tuple[Literal["exact", "signature", "near"], ...] = ("exact", "signature")
    """Which duplicates among a task's attempts are dropped. exact: equal texts; signature: equal solutions; near: near-duplicates."""
    across_rounds: bool = False
    """Whether attempts that duplicate an accepted attempt of an earlier round are dropped too."""
    anchor_share: Annotated[float, Field(ge=0, lt=1)] | None = 0.2
    """Share of the training rows that come from the anchor. None: the whole anchor, once. No effect under regime `replace`."""
    anchor_repeats: Count | None = 4
    """Times that a row of the anchor may stand among a round's rows; where the anchor is too small for its share, the share is smaller, and
    the round says so. Four repeats teach nearly as well as new rows (Muennighoff et al. 2023). No effect with above_level_share, whose
    number of rows is fixed. None: no limit."""
    newest_share: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share of this round's rows among new and older ones, reached by repeating rows. None: each row once."""
    above_level_share: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share of the training rows above the curriculum's level, reached by repeating rows. None: each row once. Needs train.steps; no
    effect under regime `replace`."""
    max_rows: Count | None = None
    """Number of rows drawn under accumulate_subsample, which requires it. None: for the other regimes."""
    quotas: tuple[TagQuota, ...] = ()
    """Shares by tag for the round's accepted attempts. Quotas that cannot be met are noted and counted. Empty: none."""
    decontaminate: Decontaminate = Decontaminate()
    """Drops attempts that repeat an evaluation task. true, false, or a block with the rules."""
    privacy: Literal["off", "drop"] = "drop"
    """Personal identifiers in attempts: `drop` drops an attempt that contains any, `off` does not search for them."""

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
    """The evaluation: the dev set, on which rounds are compared, and the test set, which is only reported."""

    seed: int = Field(1, ge=0)
    """Seed of the held-out tasks and of the evaluation's samples."""
    samples: Annotated[int, Field(ge=0)] = 8
    """Samples per dev task at temperature 1 and top-p 1, for pass@k and diversity. 0: greedy attempts only."""
    sample_tasks: Count | None = 100
    """Number of dev tasks that are sampled, spread over the strata. None: all."""
    max_new_tokens: Count | None = None
    """Limit on the tokens of an evaluated attempt. None: as in generate."""
    test: bool = True
    """Whether the test set is evaluated."""
    seen_tasks: Annotated[int, Field(ge=0)] = 100
    """Number of tasks, of those that the round was trained on, that are answered greedily, for the memorisation gap. 0: none."""
    round_0_rows: Annotated[int, Field(ge=0)] = 64
    """Number of the round's accepted attempts that are scored under the weights of round 0, which are loaded for it. 0: none."""
    chunk_tasks: Count = 128
    """Tasks per chunk. A chunk is the unit of work of a rank; a crash loses at most one per rank."""


class RollBack(Section):
    """What a roll-back changes. It abandons a round, and the next one starts from the incumbent."""

    temperature_add: float = Field(0.1, ge=0)
    """Added to the sampling temperature of all later rounds at each roll-back."""
    anchor_add: Share = 0.1
    """Added to `curate.anchor_share` of all later rounds at each roll-back."""
    cap_scale: float = Field(1.0, gt=0, le=1)
    """Factor on `curate.max_per_task` of all later rounds at each roll-back."""


class Gate(Section):
    """How the run reacts to alarms of collapse."""

    action: Literal["observe", "roll_back", "stop"] = "roll_back"
    """Reaction to alarm level 2. observe: none but a warning. roll_back: abandons the round; the next one starts from the incumbent, the last
    round that was clearly better than the one before it and raised no alarm. Level 3 stops the run unless this is `observe`."""
    roll_back: RollBack = RollBack()
    kl_budget: float | None = Field(None, gt=0)
    """Limit on the forward KL to round 0 in nats per sequence; above it alarm level 2 is raised at once. None: no limit. It must be chosen
    per setting, since a student that learns from little data moves far."""
    plateau_rounds: Count | None = None
    """Stops the run after this many rounds of which none is significantly better on the dev set than the best round. A round counts if it was
    not rolled back and changed the weights. None: never."""


class Tracking(Section):
    """Weights & Biases. The environment variable `WANDB_MODE` takes precedence."""

    mode: Literal["auto", "online", "offline", "disabled"] = operation("auto")
    """Mode of W&B. auto: online with an API key, otherwise offline. It never prompts."""
    project: str = operation("selfplay")
    """Name of the project in W&B."""
    group: str | None = operation(None)
    """Group of runs in W&B. None: one group for all seeds of a setting, the name of the configuration file with a digest of the keys that count."""
    metrics: Literal["headline", "all"] = operation("headline")
    """Metrics of a round that are sent to W&B: about 30 headline metrics, or all. metrics.jsonl always has all."""
    traces: int = operation(50, ge=0, le=200)
    """Number of sampled traces in the table of each round. 0: none."""
    artifacts: Literal["off", "references", "data", "all"] = operation("references")
    """Artifacts of each round: model, data set, traces. references: hashes, lineage and addresses, nothing is uploaded; data: also uploads data
    and traces up to 64 MiB a file, through the privacy filter; all: also the weights."""
    privacy: Literal["scrub", "none"] = operation("scrub")
    """scrub: replaces personal identifiers in all text before it is sent. none: sends text unchanged."""


class Keep(Section):
    """Rounds whose weights stay on disk. Data and metrics of all rounds stay."""

    last: Count = operation(2)
    """Number of latest rounds that keep their weights."""
    best: bool = operation(True)
    """Whether the best round keeps its weights."""
    first: bool = operation(True)
    """Whether round 0 keeps its weights."""


class Launch(Section):
    """Processes and devices."""

    ranks: Count | None = operation(None)
    """Number of processes that the launcher must have started. None: any number."""
    device: Literal["auto", "cpu", "cuda"] = operation("auto")
    """Device of the models. auto: a GPU if there is one, otherwise the CPU."""
    threads: Count | None = operation(None)
    """CPU threads per rank. None: the cores divided by the ranks."""


class Config(Section):
    """The configuration of a run."""

    name: str = operation("run", pattern=r"^[\w][\w.\-]{0,99}$")
    """Name of the run and of its folder. Without it a configuration file gives its own name, such as `quickstart` of quickstart.yaml."""
    runs_dir: str = operation("runs")
    """Folder of all runs. A relative path counts from the working directory."""
    seed: int = Field(0, ge=0)
    """Seed of all random draws for training: tasks, attempts, order of rows. The evaluation has its own."""
    rounds: int = operation(4, ge=0)
    """Number of rounds after round 0. Raise it to continue a finished run."""
    tasks: Tasks
    student: Student
    propose: Propose = Propose()
    generate: Generate = Field(
        default_factory=Generate
    )  # a factory, so that the engine is not imported before a configuration is read
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
    """Whether each phase runs in its own process. Not possible under a launcher."""

    @model_validator(mode="after")
    def _parts_fit(self) -> "Config":
        if faults := list(_misfits(self)):
            raise ValueError("\n".join(faults))
        return self


def _misfits(config: Config) -> Iterator[str]:
    """Faults: settings that have no effect, or cannot work, together with others."""
    source = config.tasks.source
    if config.propose.tasks_per_round is None and config.tasks.endless:
        yield f"propose.tasks_per_round is not set, but {source} generates tasks without end; set it to a number such as 400"
    elif config.propose.tasks_per_round is None and config.propose.curriculum:
        yield "propose.curriculum is set, but propose.tasks_per_round is not; a curriculum divides a number of tasks; give one such as 400"
    if config.propose.curriculum is None:
        for key, value in (
            ("generate.samples_mastered", config.generate.samples_mastered),
            ("curate.above_level_share", config.curate.above_level_share),
        ):
            if value is not None:
                yield f"{key} is {value}, but it needs the level of a propose.curriculum, which is not set; add one or remove it"
    if config.curate.above_level_share is not None and config.train.steps is None:
        yield f"curate.above_level_share is {config.curate.above_level_share}, but train.steps is not set, so the number of rows is unknown; set it"
    if config.student.kind == "scripted" and not config.tasks.scripted_student:
        yield f"student.kind is scripted, which can only add numbers, but tasks.source is {source}; use kind: tiny"
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
            f"correct.attempts is 1, but generate.backend is {config.generate.backend.kind}, which cannot give second attempts; "
            "set it to 0"
        )
    if config.correct.attempts and not config.curate.verified_only:
        yield (
            "correct.attempts is 1, but curate.verified_only is false, so failed attempts are not known; "
            "set correct.attempts to 0"
        )


def _teacher_misfits(config: Config) -> Iterator[str]:
    """Faults of the writer of attempts and of the judge."""
    yield from config.generate.backend.misfits(config.student)
    engine = config.student.served_by
    if engine is not None and config.generate.backend.is_student and config.generate.backend.kind != "student":
        yield "generate.backend serves the student, and so does student.engine; remove one of them"
    if engine is not None and (fault := engine.training_fault(config.train)):
        yield fault
    if config.judge is None and config.audit.judge is not None:
        yield "audit.judge is set, but there is no judge whose verdicts it could check; add judge or remove it"
