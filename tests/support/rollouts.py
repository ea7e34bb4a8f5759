"""Prompts for tiny models and a judge of their roll-outs, so that GRPO trains without a run around it."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from selfplay.records import Attempt, Outcome, Sampling, Task, Verdict
from selfplay.runtime.distributed import Ranks
from selfplay.training.methods.base import TrainRun
from selfplay.training.methods.grpo import Grpo
from selfplay.training.prompts import Prompt
from selfplay.training.run import TrainReport, train
from selfplay.verify import Judged

BASIC: dict[str, Any] = {
    "method": "grpo",
    "steps": 4,
    "batch_size": 16,
    "group_size": 4,
    "learning_rate": 2e-3,
    "precision": "fp32",
    "max_new_tokens": 6,
}


def prompts(count: int = 12, longest: int = 9) -> list[Prompt]:
    """Prompts of random bytes."""
    rng = random.Random(5)
    made = []
    for number in range(count):
        ids = (0, *(rng.randrange(3, 250) for _ in range(rng.randint(2, longest))))
        task = Task(id=f"task-{number}", prompt="p", check={"type": "even"})
        made.append(Prompt(task=task, prompt_ids=ids, right=1, tried=4, completion_tokens=5.0))
    return made


def verdict(outcome: Outcome, kind: str = "even", **more: Any) -> Judged:
    """One verdict, which is the outcome."""
    return Judged((Verdict(verifier=f"{kind}/1", outcome=outcome, **more),), outcome)


def even(tasks: Sequence[Task], attempts: Sequence[Attempt]) -> list[Judged]:
    """Passes an attempt whose first token is even."""
    return [verdict(Outcome.PASS if (one.completion_ids or (1,))[0] % 2 == 0 else Outcome.FAIL) for one in attempts]


def run_of(start: Path, out: Path, verify: Callable[..., list[Judged]] = even, **more: Any) -> TrainRun:
    """A training run on one rank."""
    given: dict[str, Any] = {"seed": 7, "round": 2, "step_offset": 100, "ranks": Ranks(), "device": "cpu"}
    return TrainRun(start=start, out=out, verify=verify, sampling=Sampling(max_new_tokens=20), **(given | more))


def go(start: Path, out: Path, verify: Callable[..., list[Judged]] = even, **changes: Any) -> TrainReport:
    """Trains with `BASIC` and these changes."""
    return train(Grpo(**(BASIC | changes)), prompts(), run_of(start, out, verify))
