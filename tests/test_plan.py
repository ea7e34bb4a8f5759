"""`selfplay plan`: its counts and bounds against real runs, and what it says where something is unknown."""

import json
from pathlib import Path
from typing import Any

import pytest

from selfplay.cli.plan import plan_command
from selfplay.config import load_config
from selfplay.errors import ConfigError
from selfplay.loop import run
from selfplay.loop.run_view import open_run
from selfplay.plan.estimate import Plan, plan_run
from selfplay.plan.shape import Shape
from selfplay.plan.space import Memory, memory_of
from selfplay.plan.work import Lengths
from tests.support import ROOT

ARITHMETIC = """
rounds: 2
tasks: {source: arithmetic, anchor: 20, held_out: 10}
student: {kind: scripted}
propose: {tasks_per_round: 12}
generate: {samples_per_task: 3, max_new_tokens: 40}
train: {epochs: 1, start: continue}
eval: {samples: 2, sample_tasks: 5}
tracking: {mode: disabled}
"""


def plan_of(folder: Path, text: str, *overrides: str, **options: object) -> Plan:
    path = folder / "c.yaml"
    path.write_text(text)
    return plan_run(load_config(path, list(overrides)).config, folder, **options)  # type: ignore[arg-type]


def rows_of(run: Path, phase: str) -> list[dict[str, Any]]:
    """The rows of round 1, without the first and the last line of each chunk file, which describe it."""
    files = sorted((run / "rounds/001" / phase).glob("chunk-*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()[1:-1]]


@pytest.mark.parametrize("more", [(), ("correct.attempts=1",), ("correct.attempts=1", "correct.per_task=1")])
def test_requests_are_those_of_the_run_and_no_bound_is_passed(tmp_path: Path, more: tuple[str, ...]) -> None:
    plan = plan_of(tmp_path, ARITHMETIC, *more)
    run(load_config(tmp_path / "c.yaml", [f"runs_dir={tmp_path}/runs", "name=r", *more]))
    work = {(p.work.phase, p.work.by): p.work for p in plan.later}
    assert work["generate", "student"].requests == len(rows_of(tmp_path / "runs/r", "generate")) == 36
    evaluated = [row for row in rows_of(tmp_path / "runs/r", "evaluate") if "outcome" in row]
    certain = [row for row in evaluated if row["part"] != "seen"]
    assert len(certain) <= work["evaluate", "student"].requests
    assert len(evaluated) <= work["evaluate", "student"].most_requests == len(certain) + 12
    if more:
        corrected = rows_of(tmp_path / "runs/r", "correct")
        assert 0 < len(corrected) <= work["correct", "student"].most_requests <= 36


def test_bounds_on_tokens_hold_for_a_student_with_a_tokenizer(tmp_path: Path) -> None:
    overrides = [
        "rounds=1", "launch.threads=1", "train.warmup.steps=4", "train.steps=2", "tasks.per_length=2",
        f"runs_dir={tmp_path}", "tracking.mode=disabled", "curate.verified_only=false",
    ]  # fmt: skip
    loaded = load_config(ROOT / "configs/smoke.yaml", overrides)
    plan = plan_run(loaded.config, ROOT / "configs")
    run(loaded)
    attempts = rows_of(tmp_path / "smoke", "generate")
    work = next(p.work for p in plan.later if p.work.phase == "generate")
    assert 0.8 * work.requests < len(attempts) <= work.most_requests  # a few drawn tasks are held out, and left out
    assert sum(len(row["completion_ids"]) for row in attempts) <= work.most_completion_tokens
    prompts = sum(len(row["prompt_ids"]) for row in attempts)
    assert 0.7 * prompts < work.prompt_tokens < 1.4 * prompts
    trained = open_run(tmp_path / "smoke").metrics()[1]["train/tokens"]
    planned = next(p.work for p in plan.later if p.work.phase == "train")
    assert planned.steps == 2 and 0.6 * trained < planned.trained_tokens < 1.7 * trained


def test_a_student_that_is_not_here_leaves_time_and_memory_unknown_and_says_so(tmp_path: Path) -> None:
    text = ARITHMETIC.replace("{kind: scripted}", "{kind: pretrained, model: ./nowhere}").replace(
        "continue", "from_base"
    )
    plan = plan_of(tmp_path, text)
    assert plan.seconds is None and plan.memory_bytes is None and plan.disk_bytes is None
    assert plan.total("requests") > 0
    assert any("config.json is not on this machine" in note for note in plan.notes)
    with pytest.raises(ConfigError, match=r"--measure: the student \(pretrained\) is not on this machine"):
        plan_of(tmp_path, text, measure=True)


def test_an_unknown_device_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--device abacus: is not in the table; give cpu or one of h200, h100"):
        plan_of(tmp_path, ARITHMETIC, device="abacus")


JUDGED = (
    ARITHMETIC
    + """
verify: {check: {type: judge}}
judge:
  samples: 3
  max_new_tokens: 100
  backend: {kind: http, url: "http://127.0.0.1:9/v1", model: m, model_family: [other]%s}
"""
)


def test_a_judge_costs_what_its_prices_say_and_an_unknown_price_is_no_zero(tmp_path: Path) -> None:
    assert plan_of(tmp_path, JUDGED % "").money is None
    plan = plan_of(tmp_path, JUDGED % ", prompt_price: 10, completion_price: 20")
    judge = next(p.work for p in plan.later if p.work.by == "judge")
    assert judge.requests == judge.most_requests == 36 * 3
    assert judge.most_completion_tokens == 36 * 3 * 100
    assert plan.money == pytest.approx(2 * (judge.prompt_tokens * 10 + judge.completion_tokens * 20) / 1e6)
    assert plan_of(tmp_path, ARITHMETIC).money == 0


def test_more_ranks_share_the_work_and_a_longer_run_takes_longer(tmp_path: Path) -> None:
    tiny = ARITHMETIC.replace("{kind: scripted}", "{kind: tiny}")
    one = plan_of(tmp_path, tiny)
    four = plan_of(tmp_path, tiny, ranks=4)
    longer = plan_of(tmp_path, tiny, "rounds=20")
    assert one.seconds is not None and four.seconds is not None and longer.seconds is not None
    assert four.seconds < one.seconds < longer.seconds
    assert one.memory_bytes is not None and longer.memory_bytes == one.memory_bytes
    assert one.disk_bytes is not None and longer.disk_bytes is not None and longer.disk_bytes > one.disk_bytes


@pytest.mark.parametrize(("rounds", "told"), [(0, "0 later rounds:"), (1, "1 later round:"), (2, "2 later rounds:")])
def test_rounds_are_counted_in_english(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rounds: int, told: str
) -> None:
    (tmp_path / "c.yaml").write_text(ARITHMETIC)
    given = {"device": "cpu", "ranks": 1, "hourly": 0.0, "measure": False, "fsdp2": False, "as_json": False}
    plan_command(tmp_path / "c.yaml", [f"rounds={rounds}"], **given)  # type: ignore[arg-type]
    assert f"The run, round 0 and {told}" in capsys.readouterr().out


def test_memory_is_that_of_full_weights_adapters_4_bits_and_shards() -> None:
    """A model of 7 B parameters on GPUs, by what each way of training keeps."""
    config = load_config(ROOT / "configs/gsm8k.yaml", []).config
    shape = Shape(parameters=7_000_000_000, layers=28, hidden=3584, vocabulary=152_064, cache_values=28_672)
    lengths = Lengths(prompt=100, completion=200, measured=False, from_references=False)

    def memory(lora: dict[str, Any] | None, shards: int = 1) -> Memory:
        train = type(config.train)(steps=1, lora=lora, micro_batch_size=1)
        return memory_of(config.model_copy(update={"train": train}), shape, lengths, [], "h100", shards)

    full, sharded = memory(None), memory(None, 8)
    assert full.weights + full.gradients + full.optimizer == 16 * shape.parameters
    assert sharded.weights + sharded.gradients + sharded.optimizer == 2 * shape.parameters
    adapter, quantized, both = memory({}), memory({"load_in_4bit": True}), memory({}, 8)
    assert 0 < adapter.optimizer < 0.02 * full.optimizer
    assert adapter.weights == pytest.approx(2 * shape.parameters, rel=0.05)
    assert 0.25 < quantized.weights / adapter.weights < 0.4
    assert both.weights < adapter.weights / 4 and both.optimizer == adapter.optimizer
    for one in (full, sharded, adapter, quantized):
        assert one.peak >= one.process + max(one.sampling, one.weights)


def test_training_recomputes_activations_from_the_size_that_the_plan_assumes() -> None:
    from selfplay.plan import space
    from selfplay.training.trl import trainer

    assert space.CHECKPOINTING_PARAMETERS == trainer.CHECKPOINTING_PARAMETERS
