"""What a training run will do, worked out before a model is loaded: rows, their order, micro-batches. No torch.

The order is a list of rows for every optimizer step, drawn here from the seed and nothing else, so that ranks,
micro-batches, resumption and library versions cannot change it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from selfplay.config.training import Train
from selfplay.errors import ConfigError, DataError
from selfplay.records import Row
from selfplay.seeds import rng_of

CPU_MICRO_TOKENS = 2048
"""On a CPU a forward pass of about this many tokens stays in the caches (benchmarks/training.py)."""

TAKEN = {
    "output_dir": "the run folder holds it",
    "max_steps": "use train.steps",
    "num_train_epochs": "use train.epochs",
    "per_device_train_batch_size": "use train.micro_batch_rows",
    "gradient_accumulation_steps": "it follows from train.batch_rows",
    "auto_find_batch_size": "an out-of-memory error halves the micro-batch already",
    "learning_rate": "use train.learning_rate",
    "lr_scheduler_type": "use train.scheduler",
    "warmup_steps": "use train.warmup_steps",
    "warmup_ratio": "use train.warmup_steps",
    "weight_decay": "use train.weight_decay",
    "max_length": "use train.max_length",
    "packing": "use train.packing",
    "padding_free": "use train.packing",
    "packing_strategy": "use train.packing, which joins the rows of one forward pass, exactly",
    "bf16": "use train.precision",
    "fp16": "use train.precision",
    "use_cpu": "use launch.device",
    "seed": "use seed",
    "data_seed": "use seed",
    "full_determinism": "set torch's own switches in the environment",
    "save_strategy": "use train.save_steps",
    "save_steps": "use train.save_steps",
    "save_total_limit": "the last two checkpoints are kept",
    "save_only_model": "a resume needs the optimizer",
    "load_best_model_at_end": "the gate compares rounds on the dev set",
    "resume_from_checkpoint": "the same command resumes",
    "report_to": "use tracking",
    "run_name": "use name",
    "disable_tqdm": "the progress display is ours",
    "push_to_hub": "use selfplay export",
    "hub_token": "no key goes through the configuration",
    "eval_strategy": "the evaluate phase measures each round",
    "do_eval": "the evaluate phase measures each round",
    "dataset_kwargs": "rows are token ids already",
    "remove_unused_columns": "rows are token ids already",
    "shuffle_dataset": "the order of rows follows from seed",
    "train_sampling_strategy": "the order of rows follows from seed",
    "completion_only_loss": "loss is on completions alone, always",
    "assistant_only_loss": "loss is on completions alone, always",
    "average_tokens_across_devices": "the loss is a mean over all tokens of the batch, always",
    "label_smoothing_factor": "the loss is each row's weighted likelihood",
    "loss_type": "the loss is each row's weighted likelihood",
    "chat_template_path": "use student.template",
    "eos_token": "the student's tokenizer has it",
    "pad_token": "the student's tokenizer has it",
    "ddp_find_unused_parameters": "every parameter is used",
    "model_init_kwargs": "the student is read from its folder",
    "deepspeed": "training is DDP alone for now; use train.lora",
    "fsdp": "training is DDP alone for now; use train.lora",
}
"""Arguments of TRL's configs that `train.args` may not set, and what to do instead."""

TAKEN_BY_PAIRS = {
    "beta": "use train.beta",
    "precompute_ref_log_probs": "the reference is computed once, before the first step, always",
    "precompute_ref_batch_size": "the reference is computed in the micro-batches of training",
    "sync_ref_model": "the reference is the weights that the round starts from; the next round has a new one",
    "ref_model_mixup_alpha": "the reference stays as it is within a round",
    "ref_model_sync_steps": "the reference stays as it is within a round",
    "truncation_mode": "longer pairs are left out; use train.max_length",
    "pad_to_multiple_of": "micro-batches are padded to their longest row",
    "dataset_num_proc": "pairs are token ids already",
}
"""Further ones of DPOConfig and KTOConfig."""

OPEN_TO_PAIRS = ("loss_type", "label_smoothing")
"""Names in TAKEN that DPO and KTO leave open, being about another loss."""

ONLY_FOR_PAIRS = (
    *("loss_type", "loss_weights", "label_smoothing", "ld_alpha", "f_divergence_type", "f_alpha_divergence_coef"),
    *("use_weighting", "discopop_tau", "disable_dropout", "desirable_weight", "undesirable_weight"),
)
"""Names that SFTConfig has not, or means otherwise: a warm-up before DPO or KTO is given the others."""


def taken(method: str) -> dict[str, str]:
    """What `train.args` may not set under this method, and what to do instead."""
    if method == "sft":
        return TAKEN
    return {key: word for key, word in TAKEN.items() if key not in OPEN_TO_PAIRS} | TAKEN_BY_PAIRS


@dataclass(frozen=True)
class TrainSchedule:
    """The order of one training run, fixed."""

    order: tuple[tuple[int, ...], ...]
    """For every optimizer step the indices of its rows, shortest first, so that a micro-batch has little padding."""
    left_out: int
    """Rows longer than `max_length`, or without a label."""
    tokens: int
    """Input tokens of all steps, over all ranks."""

    @property
    def steps(self) -> int:
        """Optimizer steps."""
        return len(self.order)


@dataclass(frozen=True)
class Plan(TrainSchedule):
    """One training run on rows."""

    rows: tuple[Row, ...]
    """The rows that take part."""
    labels: tuple[int, ...]
    """For every optimizer step how many tokens carry a loss."""


def plan(settings: Train, rows: Sequence[Row], *, seed: int) -> Plan:
    """Rows and their order: seeded passes over all rows, cut into steps of exactly `batch_rows`.

    A batch may span two passes. Raises DataError where no row is left.
    """
    kept, longest = [row for row in rows if fits(settings, row)], settings.max_length
    if not kept:
        why = f"none of {len(rows)} rows has a label" + (f" and at most {longest} tokens" if longest else "")
        raise DataError(f"train: nothing to train on: {why}; raise train.max_length, or look at why curate dropped all")
    batches, labels = in_steps(settings, [len(row.input_ids) for row in kept], seed=seed), [_labels(r) for r in kept]
    return Plan(
        rows=tuple(kept),
        order=batches,
        left_out=len(rows) - len(kept),
        tokens=sum(len(kept[r].input_ids) for batch in batches for r in batch),
        labels=tuple(sum(labels[r] for r in batch) for batch in batches),
    )


def fits(settings: Train, row: Row) -> bool:
    """Whether a row can be trained on: it is no longer than `max_length`, and some token of it carries a loss."""
    return (settings.max_length is None or len(row.input_ids) <= settings.max_length) and _labels(row) > 0


def in_steps(settings: Train, lengths: Sequence[int], *, seed: int) -> tuple[tuple[int, ...], ...]:
    """The order of rows of these lengths: seeded passes over all, cut into steps."""
    steps = settings.steps or max(1, ceil((settings.epochs or 1) * len(lengths) / settings.batch_rows))
    stream: list[int] = []
    while len(stream) < steps * settings.batch_rows:
        order = list(range(len(lengths)))
        rng_of("train order", seed, len(stream) // len(lengths)).shuffle(order)
        stream += order
    size = settings.batch_rows
    return tuple(tuple(sorted(stream[i * size : (i + 1) * size], key=lambda r: (lengths[r], r))) for i in range(steps))


def _labels(row: Row) -> int:
    """Tokens with a loss: the first one is never predicted."""
    carried = len(row.labels) - row.labels.count(-100)
    return carried - (row.labels[:1] not in ((), (-100,)))


def micro_rows(settings: Train, made: TrainSchedule, *, world_size: int, on_cpu: bool) -> int:
    """Rows of one forward pass on one rank. Raises ConfigError where `batch_rows` cannot be shared out evenly."""
    least = least_micro(settings)
    share, rest = divmod(settings.batch_rows, world_size)
    if rest or not share:
        near = max(1, round(settings.batch_rows / world_size)) * world_size
        raise ConfigError(
            f"train.batch_rows is {settings.batch_rows}, which {world_size} ranks cannot share evenly; "
            f"use {near}, or another number of ranks"
        )
    if least > min(share, settings.micro_batch_rows or share):
        raise ConfigError(
            f"train: kto compares the rows of one forward pass, but there is 1 (batch_rows {settings.batch_rows} over "
            f"{world_size} ranks, micro_batch_rows {settings.micro_batch_rows}); give at least {least}"
        )
    if settings.micro_batch_rows is not None:
        if share % settings.micro_batch_rows:
            fits = [d for d in divisors(share) if d <= settings.micro_batch_rows]
            raise ConfigError(
                f"train.micro_batch_rows is {settings.micro_batch_rows}, which does not divide a rank's share of "
                f"{share} rows (train.batch_rows {settings.batch_rows} over {world_size} ranks); use {fits[-1]}"
            )
        return settings.micro_batch_rows
    if not on_cpu:
        return share
    mean = max(1, made.tokens // (made.steps * settings.batch_rows))
    fits = [d for d in divisors(share) if d >= least]
    return [d for d in fits if d == fits[0] or d * mean <= CPU_MICRO_TOKENS][-1]


def least_micro(settings: Train) -> int:
    """Fewest rows of one forward pass."""
    return 2 if settings.method == "kto" else 1


def halved(micro: int) -> int:
    """The next smaller micro-batch that still divides what `micro` divides."""
    return [d for d in divisors(micro) if d <= max(1, micro // 2)][-1]


def divisors(number: int) -> list[int]:
    """All divisors, rising."""
    return [d for d in range(1, number + 1) if number % d == 0]
