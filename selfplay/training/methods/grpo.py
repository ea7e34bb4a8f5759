"""GRPO: online reinforcement learning whose rewards are the verdicts of the round's verifiers (Shao et al. 2024). Imports without torch."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from selfplay.config.sections import Count
from selfplay.errors import DataError
from selfplay.runtime.metrics.base import interval
from selfplay.runtime.metrics.rollouts import RISE
from selfplay.training.methods.base import Curve, Needs, TrainingMethod, TrainRun
from selfplay.training.prompts import PROMPTS_FILE, Prompt, read_prompts
from selfplay.training.rollouts import OUTCOME, Rollout, reward_rise
from selfplay.training.schedule import TrainSchedule, order_in_steps
from selfplay.training.trl_arguments import RESERVED_TRL_ARGS

if TYPE_CHECKING:
    from selfplay.config.tree import Config

_ROLLOUTS = "roll-outs are drawn by selfplay's own sampler"
_TRUNCATED = "a truncated distribution biases the importance ratios; roll-outs are drawn from the whole one"
_REFERENCE = "the reference is the round's starting weights; the next round has a new one"
ENDS = ("reward", "entropy", "rollout_length", "dead_group_share", "kl")
"""Figures of the curve whose first and last tenth are figures of the round."""


@dataclass(frozen=True)
class PromptSchedule(TrainSchedule):
    """One training run on prompts. `order` has the numbers of the prompts of each step; a step's roll-outs are sampled before it."""

    prompts: tuple[Prompt, ...]
    """The prompts that take part."""
    updates: int
    """Steps that learn from one batch of roll-outs; `order` repeats its prompts as often."""


class Grpo(TrainingMethod):
    """Group relative policy optimization: an example is a roll-out, and `group_size` roll-outs share a prompt."""

    method: Literal["grpo"] = "grpo"
    group_size: Annotated[int, Field(ge=2)] = 8
    """Roll-outs of one prompt in a batch. Each is compared with the mean of its group, so `batch_size` is a multiple of it."""
    max_new_tokens: Count | None = None
    """Most tokens of a roll-out. None: `generate.max_new_tokens`."""
    beta: float = Field(0.0, ge=0)
    """KL penalty strength; the reference is the round's starting weights. 0: no penalty, and no reference in memory."""
    reward_weights: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default_factory=lambda: {OUTCOME: 1.0}, min_length=1
    )
    """What a roll-out is rewarded by: `outcome`, or types of verifiers (`code_tests`, `heuristic`), each with its weight."""
    min_prompts: Count = 4
    """A round with fewer prompts that are solved sometimes keeps its starting weights and says so."""
    learning_rate: float = Field(1e-6, gt=0)
    """Peak learning rate. With an adapter, 1e-5 is usual."""

    needs: ClassVar[Needs] = "prompts"
    trl_config: ClassVar[str] = "GRPOConfig"
    reserved_args: ClassVar[Mapping[str, str]] = {
        **{key: advice for key, advice in RESERVED_TRL_ARGS.items() if key != "loss_type"},
        "beta": "use train.beta",
        "num_generations": "use train.group_size",
        "max_completion_length": "use train.max_new_tokens",
        "reward_weights": "use train.reward_weights",
        "steps_per_generation": "a batch of roll-outs is one of train.batch_size; num_iterations uses it more than once",
        "generation_batch_size": "a batch of roll-outs is one of train.batch_size; num_iterations uses it more than once",
        **dict.fromkeys(("top_p", "top_k", "min_p", "repetition_penalty"), _TRUNCATED),
        **dict.fromkeys(("generation_kwargs", "chat_template_kwargs", "cache_implementation"), _ROLLOUTS),
        **dict.fromkeys(("use_vllm", "use_transformers_paged", "use_transformers_continuous_batching"), _ROLLOUTS),
        **dict.fromkeys(("sync_ref_model", "ref_model_mixup_alpha", "ref_model_sync_steps"), _REFERENCE),
        "log_completions": "roll-outs are in traces.parquet",
        "mask_truncated_completions": "a roll-out that was cut off is a wrong one; raise train.max_new_tokens",
    }

    @model_validator(mode="after")
    def _fits_together(self) -> "Grpo":
        size, group = self.batch_size, self.group_size
        if size % group:
            near = max(1, round(size / group)) * group
            raise ValueError(f"batch_size is {size}, which groups of {group} roll-outs do not divide; use {near}")
        if self.lora and self.lora.dropout:
            raise ValueError(f"lora.dropout is {self.lora.dropout}, but grpo trains without dropout; remove it")
        if not self.temperature > 0:
            raise ValueError(f"args.temperature is {self.temperature}, but roll-outs have to differ; remove it")
        if self.updates < 1:
            raise ValueError(f"args.num_iterations is {self.updates}; give 1 or more")
        return self

    @property
    def temperature(self) -> float:
        """Temperature of roll-outs, and of the log-probabilities in the loss."""
        return float(self.args.get("temperature", 1.0))

    @property
    def updates(self) -> int:
        """Optimizer steps that learn from one batch of roll-outs; TRL's `num_iterations`."""
        return int(self.args.get("num_iterations", 1))

    def read(self, folder: Path) -> list[Prompt]:
        """The prompts that curation chose."""
        return read_prompts(folder / PROMPTS_FILE)

    def shortage(self, data: Sequence[Prompt], accepted: int) -> str:
        """Fewer prompts than `min_prompts`."""
        if len(data) < self.min_prompts:
            return (
                f"{len(data)} of its tasks were solved by some of their attempts and not by all, and train.min_prompts is "
                f"{self.min_prompts}; draw easier or harder tasks, or raise generate.samples_per_task"
            )
        if not any(self.fits(prompt) for prompt in data):
            return f"all {len(data)} prompts are longer than train.max_length = {self.max_length}; raise it"
        return ""

    def fits(self, prompt: Prompt) -> bool:
        """Whether `max_length` leaves room for a completion."""
        return self.max_length is None or len(prompt.prompt_ids) < self.max_length

    def schedule(self, data: Sequence[Prompt], *, seed: int) -> PromptSchedule:
        """See `TrainingMethod.schedule`: seeded passes over the prompts, `batch_size` / `group_size` of them in a batch."""
        prompts = tuple(prompt for prompt in data if self.fits(prompt))
        if not prompts:
            raise DataError(
                f"train: nothing to train on: none of {len(data)} prompts is shorter than train.max_length = {self.max_length}; raise it"
            )
        in_batch, updates = self.batch_size // self.group_size, self.updates
        steps = self.steps or updates * max(1, ceil((self.epochs or 1) * len(prompts) / in_batch))
        one_each = self.model_copy(update={"batch_size": in_batch, "steps": ceil(steps / updates), "epochs": None})
        lengths = [len(prompt.prompt_ids) for prompt in prompts]
        batches = order_in_steps(one_each, lengths, seed=seed)
        order = tuple(batches[step // updates] for step in range(steps))
        expected = [length + prompt.completion_tokens for length, prompt in zip(lengths, prompts, strict=True)]
        return PromptSchedule(
            prompts=prompts,
            order=order,
            examples=len(prompts),
            left_out=len(data) - len(prompts),
            tokens=round(self.group_size * sum(expected[n] for step in order for n in step)),
            updates=updates,
        )

    def train(self, schedule: PromptSchedule, run: TrainRun) -> tuple[Any, float]:
        """See `TrainingMethod.train`."""
        from selfplay.training.trl.grpo_trainer import train

        return train(self, schedule, run)

    def figures(self, schedule: PromptSchedule, curve: Curve) -> dict[str, float]:
        """Prompts, tokens, and figures of the curve at either end, each the mean over a tenth of the steps."""
        tokens = sum(row.get("train/rollout_tokens", 0) for row in curve)
        found: dict[str, float] = {"prompts": schedule.examples, "tokens": round(tokens)}
        tenth = max(1, len(curve) // 10)
        for name in ENDS:
            for end, rows in (("first", curve[:tenth]), ("last", curve[-tenth:])):
                known = [row[f"train/{name}"] for row in rows if f"train/{name}" in row]
                if known:
                    found[f"{name}_{end}"] = round(sum(known) / len(known), 6)
        return found

    def untrained_figures(self, data: Sequence[Any]) -> dict[str, float]:
        """No prompt took part."""
        return {"prompts": 0}

    def rollout_figures(self, batches: Sequence[Sequence[Rollout]]) -> dict[str, float]:
        """The rise of the reward over the training."""
        rise = reward_rise(batches, self.reward_weights, self.group_size)
        return {} if rise is None else interval(RISE, rise)

    def faults(self, config: "Config") -> Iterator[str]:
        """Roll-outs are drawn from the weights in training, so nothing but the student writes attempts; no rows are mixed in."""
        yield from super().faults(config)
        writer, curate = config.generate.backend, config.curate
        if not writer.is_student or writer.kind == "http":
            yield (
                f"train.method is grpo, but generate.backend is {writer.kind}: prompts are chosen by how often the student solves them, "
                "and roll-outs are drawn from its weights in this process; remove generate.backend"
            )
        if config.generate.samples_per_task == 1:
            yield (
                "train.method is grpo, but generate.samples_per_task is 1: whether a task is solved sometimes takes two attempts; raise it"
            )
        for key, given in (
            ("anchor_share", curate.anchor_share != type(curate).model_fields["anchor_share"].default),
            ("above_level_share", curate.above_level_share is not None),
        ):
            if given:
                yield f"curate.{key} is {getattr(curate, key)}, but train.method is grpo, which trains on roll-outs alone; remove it"
