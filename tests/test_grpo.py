"""GRPO: roll-outs of the live weights on exact ids, verdicts as rewards, durable as SFT is."""

import hashlib
import json
import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from selfplay.errors import ConfigError, DataError, OutageError
from selfplay.records import Attempt, Outcome, Task
from selfplay.training.checkpoints import good_checkpoint, read_curve
from selfplay.training.methods.grpo import Grpo
from selfplay.training.rollouts import Rollout, figures_of, read_rollouts, rewards_of, total_of
from selfplay.training.run import train
from selfplay.verify import Judged
from tests.support.rollouts import BASIC, even, go, prompts, run_of, verdict
from tests.support.runs import WORKER, train_on_ranks
from tests.support.tiny_models import make_tiny


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny(tmp_path_factory.mktemp("tiny"))


def curve_of(out: Path, name: str) -> list[float]:
    return [row[f"train/{name}"] for row in read_curve(out / "curve.jsonl")]


def weights(folder: Path) -> str:
    return hashlib.sha256(next(folder.glob("*.safetensors")).read_bytes()).hexdigest()


def test_reward_rises_and_every_rollout_is_kept_with_the_ids_that_were_trained_on(tiny: Path, tmp_path: Path) -> None:
    report = go(tiny, tmp_path, steps=20, learning_rate=1e-2)
    assert report.steps == 20 and report.figures["prompts"] == 12
    assert report.figures["reward_last"] > report.figures["reward_first"] + 0.2
    batches = list(read_rollouts(tmp_path))
    asked = {prompt.task.id: prompt.prompt_ids for prompt in prompts()}
    assert [len(batch) for batch in batches] == [16] * 20
    for step, batch in enumerate(batches):
        for place, row in enumerate(batch):
            one = row.attempt
            assert one.prompt_ids == asked[one.task_id] and 1 <= len(one.completion_ids or ()) <= 6
            assert (one.chunk, one.attempt, one.origin, one.round) == (step, place, "rollout", 2)
        assert all(len({row.attempt.task_id for row in batch[first : first + 4]}) == 1 for first in range(0, 16, 4))
    tokens = sum(
        len(row.attempt.prompt_ids or ()) + len(row.attempt.completion_ids or ()) for b in batches for row in b
    )
    assert report.metrics()["train/tokens"] == tokens


def test_rollouts_follow_the_live_weights(tiny: Path, tmp_path: Path) -> None:
    """The log-probabilities that were drawn with are those of the model at that step, which the loss sees as ratio 1."""
    go(tiny, tmp_path, steps=3, learning_rate=1e-2, args={"num_iterations": 1})
    first, *_, last = list(read_rollouts(tmp_path))
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32).eval()

    def gap(row: Rollout) -> float:
        prompt, completion = list(row.attempt.prompt_ids or ()), list(row.attempt.completion_ids or ())
        with torch.no_grad():
            scores = model(torch.tensor([prompt + completion])).logits[0].log_softmax(-1)
        own = [float(scores[len(prompt) - 1 + i, token]) for i, token in enumerate(completion)]
        return max(abs(a - b) for a, b in zip(own, row.attempt.logprobs or (), strict=True))

    assert max(map(gap, first)) < 1e-4 and max(map(gap, last)) > 1e-2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"group_size": 1}, "greater than or equal to 2"),
        ({"batch_size": 18}, "batch_size is 18, which groups of 4 roll-outs do not divide; use 16"),
        ({"args": {"temperature": 0}}, "roll-outs have to differ"),
        ({"args": {"num_iterations": 0}}, "num_iterations is 0"),
        ({"lora": {"dropout": 0.1}}, "grpo trains without dropout"),
        ({"reward_weights": {}}, "at least 1 item"),
        ({"reward_weights": {"outcome": -1.0}}, "greater than 0"),
    ],
)
def test_settings_that_do_not_fit_are_refused_in_a_sentence(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Grpo(**(BASIC | changes))


@pytest.mark.parametrize("name", ["top_p", "steps_per_generation", "num_generations", "use_vllm", "sync_ref_model"])
def test_arguments_that_break_exactness_are_refused(tiny: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=f"train.args.{name} is 1, but selfplay sets this argument"):
        go(tiny, tmp_path, args={name: 1})


def always(outcome: Outcome, **more: Any) -> Any:
    return lambda tasks, attempts: [verdict(outcome, **more) for _ in attempts]


@pytest.mark.parametrize(
    ("judge", "reward"),
    [(always(Outcome.PASS), 1.0), (always(Outcome.FAIL), 0.0), (always(Outcome.ABSTAIN), None)],
    ids=["all right", "all wrong", "no opinion"],
)
def test_equal_or_missing_rewards_train_nothing_and_are_counted(
    tiny: Path, tmp_path: Path, judge: Any, reward: float | None
) -> None:
    go(tiny, tmp_path, judge, steps=2)
    rows = read_curve(tmp_path / "curve.jsonl")
    assert [row["train/dead_group_share"] for row in rows] == [1.0, 1.0]
    assert [row["train/grad_norm"] for row in rows] == [0.0, 0.0]
    assert [row.get("train/reward") for row in rows] == [reward, reward]
    assert weights(tmp_path / "model") == weights(tiny)


def test_score_that_is_not_a_number_is_no_reward_and_poisons_nothing(tiny: Path, tmp_path: Path) -> None:
    def judge(tasks: Sequence[Task], attempts: Sequence[Attempt]) -> list[Judged]:
        plain = even(tasks, attempts)
        return [verdict(one.outcome, score=math.nan if n % 3 == 0 else 0.5 * n) for n, one in enumerate(plain)]

    go(tiny, tmp_path, judge, steps=2, reward_weights={"even": 1.0})
    rows = read_curve(tmp_path / "curve.jsonl")
    assert all(math.isfinite(row["train/loss"]) and row["train/grad_norm"] > 0 for row in rows)
    assert rows[0]["train/rollout_without_reward"] == 6


def test_outage_leaves_rows_out_or_stops_and_goes_on_to_the_same_weights(tiny: Path, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    go(tiny, whole, steps=5)
    calls: list[int] = []

    def down(tasks: Sequence[Task], attempts: Sequence[Attempt]) -> list[Judged]:
        calls.append(len(attempts))
        return (
            [verdict(Outcome.ERROR, reason="refused") for _ in attempts] if len(calls) == 4 else even(tasks, attempts)
        )

    with pytest.raises(OutageError, match=r"train, step 4: 16 of 16 roll-outs have no verdict .*refused"):
        go(tiny, cut, down, steps=5)
    found = good_checkpoint(cut / "checkpoints")
    assert found is not None and found[1] == 3, "what was trained is not lost"
    go(tiny, cut, steps=5)
    assert weights(cut / "model") == weights(whole / "model")
    assert (cut / "curve.jsonl").read_bytes() == (whole / "curve.jsonl").read_bytes()

    def flaky(tasks: Sequence[Task], attempts: Sequence[Attempt]) -> list[Judged]:
        return [verdict(Outcome.ERROR) if n == 2 else one for n, one in enumerate(even(tasks, attempts))]

    method = Grpo(**(BASIC | {"steps": 2}))
    train(method, prompts(), run_of(tiny, tmp_path / "some", flaky, max_error_share=0.1))
    kept = next(read_rollouts(tmp_path / "some"))
    assert kept[2].reward is None and all(row.reward is not None for n, row in enumerate(kept) if n != 2)
    assert curve_of(tmp_path / "some", "rollout_without_reward") == [1, 1]


def test_prompt_that_fills_the_model_is_refused_and_one_beyond_max_length_is_left_out(
    tiny: Path, tmp_path: Path
) -> None:
    long = prompts()[0].model_copy(update={"prompt_ids": (5,) * 256})
    with pytest.raises(DataError, match="task-0 has 256 tokens, and the model holds 256"):
        train(Grpo(**BASIC), [long], run_of(tiny, tmp_path / "a"))
    method = Grpo(**(BASIC | {"max_length": 255}))
    report = train(method, [long, *prompts()[1:]], run_of(tiny, tmp_path / "b"))
    assert (report.examples, report.left_out) == (11, 1)
    assert "all 1 prompts are longer" in method.shortage([long] * 1, 0) or method.min_prompts > 1
    assert "longer than train.max_length = 255" in method.shortage([long] * 4, 0)
    with pytest.raises(DataError, match="nothing to train on"):
        method.schedule([long], seed=1)


def test_weight_of_a_verifier_that_no_task_names_is_refused(tiny: Path, tmp_path: Path) -> None:
    run = run_of(tiny, tmp_path, verifiers=frozenset({"code_tests", "heuristic"}))
    with pytest.raises(ConfigError, match=r"reward_weights.code_test: .* did you mean code_tests"):
        train(Grpo(**(BASIC | {"reward_weights": {"code_test": 1.0}})), prompts(), run)


def test_reward_is_that_of_the_outcome_or_of_weighted_verifiers_and_an_outage_leaves_none() -> None:
    right, wrong = verdict(Outcome.PASS, "tests").verdicts, verdict(Outcome.FAIL, "form", score=0.25).verdicts
    both = Judged((*right, *wrong), Outcome.FAIL)
    assert rewards_of(both, {"outcome": 1.0}) == (0.0,)
    shares = {"tests": 2.0, "form": 1.0, "absent": 1.0}
    assert rewards_of(both, shares) == (1.0, 0.25, None)
    assert total_of(rewards_of(both, shares), shares) == 2.25
    down = Judged((*right, *verdict(Outcome.ERROR, "form").verdicts), Outcome.ERROR)
    assert rewards_of(down, shares) == (None, None, None) and total_of((None, None, None), shares) is None
    cut = verdict(Outcome.INVALID, "finish")
    assert rewards_of(cut, shares) == (0.0, 0.0, 0.0), "an empty reply is a wrong one, whoever would have judged it"
    assert rewards_of(verdict(Outcome.ABSTAIN), {"outcome": 1.0}) == (None,)


def test_group_is_dead_where_its_rewards_are_equal_or_fewer_than_two() -> None:
    def rollout(reward: float | None) -> Rollout:
        one = Attempt(task_id="t", attempt=0, round=1, text="x", prompt_ids=(1,), completion_ids=(2, 3))
        return Rollout(attempt=one, verdicts=(), outcome=Outcome.FAIL, rewards=(reward,), reward=reward)

    rows = [rollout(value) for value in (1.0, 0.0, 1.0, 1.0, None, 1.0, None, None)]
    assert figures_of(rows, 2)["dead_group_share"] == 0.75


def killed_and_resumed(tiny: Path, tmp_path: Path, **changes: Any) -> None:
    """The bytes of a training that was killed after six steps are those of one that was not."""
    long: dict[str, Any] = {"steps": 9, "save_steps": 2, **changes}
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    go(tiny, whole, **long)
    command = [sys.executable, str(WORKER), str(tiny), str(cut), json.dumps(BASIC | long), json.dumps({"kill_at": 6})]
    assert subprocess.run(command, capture_output=True, check=False).returncode == -9
    assert good_checkpoint(cut / "checkpoints") is not None
    go(tiny, cut, **long)
    assert weights(cut / "model") == weights(whole / "model")
    assert (cut / "curve.jsonl").read_bytes() == (whole / "curve.jsonl").read_bytes()
    for mine, theirs in zip(read_rollouts(cut), read_rollouts(whole), strict=True):
        assert mine == theirs


@pytest.mark.prove
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"lora": {"rank": 4, "alpha": 8}, "beta": 0.05},
        {"beta": 0.05, "args": {"num_iterations": 2, "loss_type": "grpo", "importance_sampling_level": "sequence"}},
    ],
    ids=["full", "lora with a reference", "gspo, two updates a batch, with a reference"],
)
def test_killed_training_goes_on_to_the_same_bytes(tiny: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    killed_and_resumed(tiny, tmp_path, **changes)


@pytest.mark.prove
@pytest.mark.parametrize("changes", [{}, {"group_size": 16, "lora": {"rank": 4, "alpha": 8}}], ids=["full", "lora"])
def test_two_ranks_sample_and_train_as_one(tiny: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    """With one group of 16, a group's roll-outs are drawn on both ranks."""
    long: dict[str, Any] = {"steps": 6, "save_steps": 3, "micro_batch_size": 4, **changes}
    go(tiny, tmp_path / "one", **long)
    done = train_on_ranks(tiny, tmp_path / "two", 2, {}, **(BASIC | long))
    assert done.returncode == 0, done.stderr[-3000:]
    for name in ("reward", "entropy", "rollout_length", "dead_group_share", "reward_even", "grad_norm"):
        assert curve_of(tmp_path / "two", name) == pytest.approx(curve_of(tmp_path / "one", name), abs=1e-4)
    for mine, theirs in zip(read_rollouts(tmp_path / "two"), read_rollouts(tmp_path / "one"), strict=True):
        assert [row.attempt.completion_ids for row in mine] == [row.attempt.completion_ids for row in theirs]
    assert train_on_ranks(tiny, tmp_path / "cut", 2, {"kill_at": 5}, **(BASIC | long)).returncode != 0
    assert train_on_ranks(tiny, tmp_path / "cut", 2, {}, **(BASIC | long)).returncode == 0
    assert weights(tmp_path / "cut" / "model") == weights(tmp_path / "two" / "model")
