"""GRPO through TRL's trainer: exact prompt ids, roll-outs by our sampler from the live weights, verdicts as rewards.

Advantages, loss, optimizer, checkpoints and ranks are TRL's own. A roll-out's noise is a function of the seed, the step and its
place in the whole batch, so that neither ranks nor a resumed training can change it.
"""

import difflib
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from accelerate.utils import gather, gather_object

from selfplay.errors import ConfigError, DataError, OutageError
from selfplay.models.transformers import library
from selfplay.models.transformers.backend import Embedded
from selfplay.models.transformers.decode import Draw
from selfplay.records import Attempt, Sampling
from selfplay.runtime.attempts import is_outage, outage_example
from selfplay.seeds import seed_of
from selfplay.training.logger import TrainLogger
from selfplay.training.methods.base import TrainRun
from selfplay.training.methods.grpo import Grpo, PromptSchedule
from selfplay.training.prompts import Prompt
from selfplay.training.rollouts import (
    OUTCOME,
    Rollout,
    figures_of,
    rewards_of,
    total_of,
    with_finite_score,
    write_rollouts,
)
from selfplay.training.trl.preference_trainer import OnTokenIds
from selfplay.training.trl.trainer import (
    Dataset,
    GRPOConfig,
    GRPOTrainer,
    adapter_in_fp32,
    run_trainer,
    trainer_arguments,
)
from selfplay.training.trl.weights import load_trainable, train_device, uses_bf16
from selfplay.verify import Judged

CURVE = {
    "reward": "reward",
    "reward_std": "reward_std",
    "entropy": "entropy",
    "kl": "kl",
    "clip_ratio/region_mean": "clip_share",
}
"""TRL's figures that the curve keeps, with their names there."""
PADDED = {
    "prompt_mask": ("prompt_ids", "prompt_mask"),
    "completion_mask": (
        "completion_ids",
        "completion_mask",
        "old_per_token_logps",
        "ref_per_token_logps",
        "sampling_per_token_logps",
    ),
}


class RolloutSource:
    """Samples, judges and keeps the roll-outs of each batch; TRL calls it on each rank with that rank's share of the batch."""

    def __init__(self, method: Grpo, schedule: PromptSchedule, run: TrainRun, model: Any) -> None:
        self._method, self._run, self._model = method, run, model
        self._prompts: dict[str, Prompt] = {prompt.task.id: prompt for prompt in schedule.prompts}
        self._student = Embedded(run.start, template="plain", model=model)
        given = method.max_new_tokens or run.sampling.max_new_tokens
        self._sampling = Sampling(temperature=method.temperature, max_new_tokens=given, stop=run.sampling.stop)
        self._limits = {name: self._limit(prompt) for name, prompt in self._prompts.items()}

    @property
    def longest(self) -> int:
        """Most tokens of a roll-out."""
        return self._sampling.max_new_tokens

    def _limit(self, prompt: Prompt) -> int:
        """Most new tokens behind a prompt. Raises DataError where the model has no room for any."""
        have, positions = len(prompt.prompt_ids), self._student.positions()
        if have >= positions:
            raise DataError(
                f"train: the prompt of task {prompt.task.id} has {have} tokens, and the model holds {positions}; leave the task out, or set "
                "train.max_length"
            )
        most = positions if self._method.max_length is None else min(positions, self._method.max_length)
        return max(1, min(self._sampling.max_new_tokens, most - have))

    def __call__(self, names: Sequence[str], trainer: Any) -> dict[str, Any]:
        """See TRL's `rollout_func`. `names`: the task id of each roll-out of this rank. Raises OutageError on all ranks together."""
        step, first = trainer.state.global_step, trainer.accelerator.process_index * len(names)
        with self._sampled_from(trainer):
            attempts = self._attempts(names, first, step)
        tasks = [self._prompts[name].task for name in names]
        assert self._run.verify is not None
        own = list(map(self._rollout, attempts, self._run.verify(tasks, attempts)))
        rows = gather_object(own)
        self._refuse_outage(rows, trainer)
        if trainer.accelerator.is_main_process:
            write_rollouts(self._run.out, step, rows)
        for name, value in figures_of(rows, self._method.group_size).items():
            trainer.told[name] = value
        return {
            "prompt_ids": [list(one.prompt_ids or ()) for one in attempts],
            "completion_ids": [list(one.completion_ids or ()) for one in attempts],
            "logprobs": [list(one.logprobs or ()) for one in attempts],
            "rewards": [list(row.rewards) for row in own],
        }

    @contextmanager
    def _sampled_from(self, trainer: Any) -> Iterator[None]:
        """The model without dropout, in the arithmetic of training."""
        self._model.eval()
        with trainer.accelerator.autocast():
            yield
        self._model.train()

    def _attempts(self, names: Sequence[str], first: int, step: int) -> list[Attempt]:
        """The roll-outs of this rank. `first`: place of its first one in the whole batch."""
        size = self._method.group_size
        groups = [(first + i) // size for i in range(len(names))]
        prompts = {group: self._prompts[name].prompt_ids for group, name in zip(groups, names, strict=True)}
        seed = seed_of(self._run.seed, "rollouts", step)
        draws = [
            Draw(prompts[group], self._limits[name], (seed, group, (first + i) % size))
            for i, (group, name) in enumerate(zip(groups, names, strict=True))
        ]
        made = self._student.sample(draws, self._sampling)
        sampler = self._sampling.model_dump(mode="json")
        return [
            Attempt(
                task_id=name,
                attempt=first + i,
                round=self._run.round,
                text=one.text,
                prompt_ids=one.prompt_ids,
                completion_ids=one.completion_ids,
                logprobs=one.logprobs,
                finish_reason=one.finish_reason,
                sampler=sampler,
                model=f"round {self._run.round}, step {step}",
                chunk=step,
                origin="rollout",
            )
            for i, (name, one) in enumerate(zip(names, made, strict=True))
        ]

    def _rollout(self, attempt: Attempt, judged: Judged) -> Rollout:
        weights = self._method.reward_weights
        rewards = rewards_of(judged, weights)
        return Rollout(
            attempt=attempt,
            verdicts=tuple(map(with_finite_score, judged.verdicts)),
            outcome=judged.outcome,
            rewards=rewards,
            reward=total_of(rewards, weights),
        )

    def _refuse_outage(self, rows: Sequence[Rollout], trainer: Any) -> None:
        """Stops training, saved as it stands, where too many roll-outs have no outcome. All ranks see the same rows."""
        failed = [one for one in (Judged(row.verdicts, row.outcome) for row in rows) if is_outage(one)]
        if len(failed) <= self._run.max_error_share * len(rows):
            return
        trainer.save_now()
        raise OutageError(
            f"train, step {trainer.state.global_step + 1}: {len(failed)} of {len(rows)} roll-outs have no verdict through an outage "
            f"({outage_example(failed)}), more than verify.max_error_share = {self._run.max_error_share}; fix this and rerun the same command"
        )


class RolloutTrainer(OnTokenIds, GRPOTrainer):
    """TRL's GRPO on the roll-outs of a `RolloutSource`."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.told: dict[str, float] = {}
        """Figures of the newest batch of roll-outs, for the curve."""
        self._tokens: list[float] = []
        """Completion tokens of each micro-batch since the last step, over all ranks."""

    def _calculate_rewards(self, inputs: Any, *given: Any) -> torch.Tensor:
        """The rewards [roll-out, key] of all ranks; NaN where there is none. TRL would print each roll-out that has none."""
        rewards, functions = [row["rewards"] for row in inputs], list[Any](self.reward_funcs)
        columns = [[math.nan if one is None else one for one in function(rewards)] for function in functions]
        own = torch.tensor(columns, dtype=torch.float32, device=self.accelerator.device).T.contiguous()
        everyone: torch.Tensor = gather(own)
        return everyone

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """TRL's loss without the columns that only pad this micro-batch: TRL pads it to the longest roll-out of the whole batch."""
        trimmed = dict(inputs)
        for mask, names in PADDED.items():
            columns = inputs[mask].any(0)
            kept = columns if columns.any() else torch.ones_like(columns)
            trimmed |= {name: inputs[name][:, kept] for name in names if name in inputs}
        count = inputs["completion_mask"].sum().float()
        self._tokens.append(float(self.accelerator.reduce(count, reduction="sum")))
        return super().compute_loss(model, trimmed, return_outputs, num_items_in_batch)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """The figures of `CURVE` and of the roll-outs, in place of all that TRL has; a figure that is not defined is left out.

        Those of micro-batches are weighted by their tokens, so that it does not matter which roll-outs stand together.
        """
        known = self._metrics["train"]
        found = {name: self._mean(known.get(key, ())) for key, name in CURVE.items()} | self.told
        known.clear()
        if "loss" in logs:
            known.update({name: [value] for name, value in found.items() if value is not None})
        self._tokens.clear()
        super().log(logs, start_time)

    def _mean(self, values: Sequence[float]) -> float | None:
        """The mean of the values that are numbers, weighted by tokens where there is one for each micro-batch; None without any."""
        tokens = self._tokens if len(values) == len(self._tokens) else [1.0] * len(values)
        pairs = [(value, weight) for value, weight in zip(values, tokens, strict=True) if not math.isnan(value)]
        total = sum(weight for _, weight in pairs)
        return sum(value * weight for value, weight in pairs) / total if total else None

    def save_now(self) -> None:
        """Writes a checkpoint of the steps so far, out of turn; nothing before the first step."""
        if self.state.global_step:
            write: Any = self._save_checkpoint
            write(self.model, trial=None)
            self.control = self.callback_handler.on_save(self.args, self.state, self.control)


class SaveBetweenBatches(library.TrainerCallback):
    """Puts a checkpoint off until the next step that samples: a training that goes on samples first."""

    def __init__(self, updates: int) -> None:
        self._updates, self._owed = updates, False

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Decides whether this step's checkpoint is written now."""
        self._owed = self._owed or control.should_save
        control.should_save = self._owed and (
            state.global_step % self._updates == 0 or state.global_step >= state.max_steps
        )
        self._owed = self._owed and not control.should_save


def train(method: Grpo, schedule: PromptSchedule, run: TrainRun) -> tuple[Any, float]:
    """Trains to the last step: the model (in memory, to be saved and dropped) and the seconds inside `trainer.train`."""
    _check_weights(method, run)
    device = train_device(run.device)
    bf16 = uses_bf16(method, device)
    model = load_trainable(run.start, method.lora, device=device, bf16=bf16, seed=run.seed)
    tokenizer: Any = library.load_tokenizer(run.start)
    source = RolloutSource(method, schedule, run, model)
    ours = {
        "beta": method.beta,
        "num_generations": method.group_size,
        "max_completion_length": source.longest,
        "reward_weights": list(method.reward_weights.values()),
        "shuffle_dataset": False,
        "disable_dropout": True,
    }
    names = [schedule.prompts[n].task.id for step in schedule.order[:: schedule.updates] for n in step]
    with _quiet():
        with adapter_in_fp32(model):
            trainer = RolloutTrainer(
                model=model,
                reward_funcs=[_reward_of(*item) for item in enumerate(method.reward_weights)],
                args=trainer_arguments(
                    GRPOConfig, method, schedule, run, model=model, device=device, bf16=bf16, ours=ours
                ),
                processing_class=tokenizer,
                train_dataset=Dataset.from_dict({"prompt": names}),
                rollout_func=source,
                callbacks=[TrainLogger(run), SaveBetweenBatches(schedule.updates)],
            )
        seconds = run_trainer(trainer, run)
    if "ref" in getattr(model, "peft_config", {}):
        model.delete_adapter(
            "ref"
        )  # TRL's copy of the starting adapter has done its work, and would be saved with the model
    return model, seconds


@contextmanager
def _quiet() -> Iterator[None]:
    """Without TRL's note that `rollout_func` may change, and without what it asks transformers by old names."""
    with warnings.catch_warnings(), library.old_names_quiet():
        warnings.filterwarnings("ignore", message=".*rollout_func.*experimental")
        yield


def _check_weights(method: Grpo, run: TrainRun) -> None:
    """Refuses a key of `reward_weights` that no task's check names."""
    known = {OUTCOME, *run.verifiers}
    for key in method.reward_weights if run.verifiers else ():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            advice = f"did you mean {near[0]}?" if near else f"give one of {', '.join(sorted(known))}"
            raise ConfigError(f"train.reward_weights.{key}: no task's check names such a verifier; {advice}")


def _reward_of(place: int, key: str) -> Callable[..., list[float | None]]:
    """The reward function of one key of `reward_weights`, by whose name TRL knows it; roll-outs come with their rewards."""

    def reward(rewards: Sequence[Sequence[float | None]], **more: Any) -> list[float | None]:
        return [row[place] for row in rewards]

    reward.__name__ = key
    return reward
