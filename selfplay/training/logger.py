"""What a trainer reports while it trains: the curve, progress, and the markers of whole checkpoints. Loads torch."""

import json
from pathlib import Path
from typing import Any

from selfplay.errors import Interrupted
from selfplay.models.transformers import library
from selfplay.store.files import sync
from selfplay.training.checkpoints import commit_checkpoint
from selfplay.training.methods.base import TrainRun

LEFT_OUT = ("epoch", "num_tokens")
"""Logged figures that are not in the curve: the second restarts at 0 on a resume."""

NAMES = {"rewards/margins": "rewards_margin", "rewards/accuracies": "rewards_accuracy"}
"""Figures with another name in the curve."""


class TrainLogger(library.TrainerCallback):
    """Writes the curve as training goes, and the marker of each checkpoint once all ranks have written their part."""

    def __init__(self, run: TrainRun) -> None:
        self._run, self._curve, self._stopping = run, run.out / "curve.jsonl", False

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Reports progress, and asks for a checkpoint out of turn once a rank wants to stop."""
        run, step = self._run, state.global_step
        run.on_step(step, state.max_steps)
        name = f"stop/{run.round}/{run.micro_batch_size}"
        if run.ranks.any_rank_requests(name, run.stop(), step) and step < state.max_steps:
            control.should_save = self._stopping = True

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Writes one line for each step, on rank 0."""
        if not self._run.ranks.is_main or "loss" not in (logs or {}):
            return
        row = {_named(key): value for key, value in (logs or {}).items() if key not in LEFT_OUT}
        row |= {"train/step": self._run.step_offset + state.global_step, "round": self._run.round}
        with self._curve.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Marks the checkpoint as whole, and stops training where a rank wants to."""
        step, ranks = state.global_step, self._run.ranks
        ranks.barrier(f"checkpoint {step}")
        if ranks.is_main:
            sync(self._curve)
            folder = Path(args.output_dir) / f"checkpoint-{step}"
            commit_checkpoint(folder, step=step, world_size=ranks.world_size)
        if self._stopping:
            ranks.barrier(f"stopped {step}")
            raise Interrupted(
                f"interrupted: training is saved at step {step} of {state.max_steps}; run the same command to go on"
            )


def _named(key: str) -> str:
    """The curve's name of a figure that TRL logs: one slash each."""
    return f"train/{NAMES.get(key, key.replace('/', '_'))}"
