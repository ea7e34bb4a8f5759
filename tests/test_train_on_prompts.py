"""A training method that needs prompts: it samples and judges while it trains."""

import json
from pathlib import Path

from selfplay.store.traces import read_parquet
from tests.support.extending import Part, extended, played

METHOD = '''
"""Trains on what the student answers now: right samples with full weight, others with a small one."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from selfplay.records import Attempt, Outcome, Request, Row, Sampling, Task
from selfplay.runtime.context import read_tasks
from selfplay.training.methods.base import Needs, TrainRun
from selfplay.training.methods.sft import Sft
from selfplay.training.schedule import TrainSchedule, order_in_steps


@dataclass(frozen=True)
class PromptSchedule(TrainSchedule):
    tasks: tuple[Task, ...]


class OnPrompts(Sft):
    method: Literal["on_prompts"] = "on_prompts"  # type: ignore[assignment]
    needs: ClassVar[Needs] = "prompts"

    def read(self, folder: Path) -> list[Task]:
        return read_tasks(folder / "propose")

    def shortage(self, data: Any, accepted: int) -> str:
        return ""

    def schedule(self, data: Any, *, seed: int) -> PromptSchedule:
        lengths = [len(task.text) for task in data]
        order = order_in_steps(self, lengths, seed=seed)
        return PromptSchedule(order, len(data), 0, sum(lengths), tuple(data))

    def train(self, schedule: Any, run: TrainRun) -> tuple[Any, float]:
        sampling, tasks = Sampling(max_new_tokens=4), schedule.tasks
        rows = run.rollouts(Path(run.start), [Request.of(task) for task in tasks], 1, sampling, run.seed)
        drawn = [row[0] for row in rows]
        attempts = [
            Attempt(task_id=task.id, attempt=0, round=run.round, text=one.text, origin="rollout")
            for task, one in zip(tasks, drawn, strict=True)
        ]
        judged = run.verify(tasks, attempts)
        seen = [
            {"task": task.id, "text": one.text, "verdicts": [verdict.verifier for verdict in said.verdicts]}
            for task, one, said in zip(tasks, drawn, judged, strict=True)
        ]
        (run.out / "sampled.json").write_text(json.dumps(seen))
        learned = [
            Row(
                input_ids=(*one.prompt_ids, *one.completion_ids),
                labels=(*[-100] * len(one.prompt_ids), *one.completion_ids),
                weight=1.0 if said.outcome is Outcome.PASS else 0.1,
            )
            for one, said in zip(drawn, judged, strict=True)
        ]
        return super().train(super().schedule(learned, seed=run.seed), run)
'''
CONFIG = """\
name: extended
rounds: 1
tasks: {source: arithmetic, anchor: 20, held_out: 4, max_operations: 1}
student: {kind: tiny, hidden_size: 32, layers: 1, vocab_size: 300, intermediate_size: 64}
propose: {tasks_per_round: 8}
generate: {samples_per_task: 1, max_new_tokens: 4}
verify: {check: {type: all, of: [{type: task}, {type: heuristic, format: 0.0}]}}
audit: {canaries: 0, share: 0}
train: {method: on_prompts, start: continue, steps: 2, batch_size: 4}
eval: {samples: 0}
gate: {action: observe}
launch: {device: cpu, threads: 1}
tracking: {mode: disabled}
"""
PART = Part(
    "A method on prompts",
    "selfplay/training/methods/on_prompts.py",
    METHOD.lstrip(),
    "TRAINING_METHODS",
    '        "on_prompts": "selfplay.training.methods.on_prompts:OnPrompts",\n',
    CONFIG,
)


def test_method_that_needs_prompts_samples_the_student_and_asks_the_verifiers_of_the_round(tmp_path: Path) -> None:
    run = played(extended(tmp_path, PART), PART.config)
    assert run.metrics()[-1]["train/steps"] == 2
    folder = tmp_path / "runs" / "extended" / "rounds" / "001"
    sampled = json.loads(next(folder.rglob("sampled.json")).read_text())
    proposed = {row["task_id"] for row in read_parquet(folder / "traces.parquet", ["task_id"])}
    assert {one["task"] for one in sampled} == proposed and len(sampled) == 8
    asked = {tuple(one["verdicts"]) for one in sampled if one["text"].strip()}
    assert asked <= {("math/1", "heuristic/1"), ("finish/1", "finish/1")}, (
        "by verify.check, not by the task's own alone"
    )
    weights = [commit.outputs["model"] for commit in run.rounds]
    assert weights[0] != weights[1], "it was trained"
