"""Training with the model sharded over two ranks (FSDP2), through the shipped accelerate_fsdp2.yaml, against one rank."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from selfplay import open_run
from selfplay.config.registry import TRAINING_METHODS
from selfplay.errors import ConfigError
from selfplay.runtime.distributed import Ranks, join
from selfplay.training.checkpoints import good_checkpoint, read_curve
from selfplay.training.methods.base import TrainRun
from selfplay.training.methods.sft import Sft
from selfplay.training.run import train
from tests.support import ROOT
from tests.support.runs import launch
from tests.support.tiny_models import make_tiny, random_rows

WORKER = Path(__file__).parent / "support" / "sharded_worker.py"
FULL: dict[str, Any] = {"steps": 8, "batch_size": 8, "learning_rate": 2e-3, "precision": "fp32"}
LORA = {**FULL, "lora": {"rank": 4, "alpha": 8, "rslora": False}}
CASES: dict[str, tuple[dict[str, Any], int | None]] = {
    "full": (FULL, None),
    "in micro-batches": ({**FULL, "micro_batch_size": 2}, None),
    "stopped": (FULL, 3),
    "stopped, for one rank": (FULL, 3),
    "adapter": (LORA, None),
    "stopped adapter": (LORA, 3),
}


def go(start: Path, out: Path, settings: dict[str, Any]) -> None:
    """The same training on one rank, in this process."""
    train(
        Sft(**settings),
        random_rows(30),
        TrainRun(start=start, out=out, seed=7, ranks=Ranks(), device="cpu"),
    )


def losses(out: Path) -> list[float]:
    return [row["train/loss"] for row in read_curve(out / "curve.jsonl")]


def furthest(one: Path, other: Path) -> dict[str, float]:
    """The largest difference of each tensor of two model folders, which have the same tensors."""
    from safetensors.torch import load_file

    first, second = (load_file(next(folder.glob("*.safetensors"))) for folder in (one, other))
    assert first.keys() == second.keys()
    return {name: (first[name] - second[name]).abs().max().item() for name in first}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all trainings: `start`, `full` on two ranks and `one full` on one, and so on."""
    folder = tmp_path_factory.mktemp("fsdp2")
    make_tiny(folder / "start", tie_word_embeddings=True, vocab_size=260)  # a vocabulary that two ranks share
    again = [["stopped", FULL, None], ["stopped adapter", LORA, None]]
    told = json.dumps([*([name, *case] for name, case in CASES.items()), *again])
    done = launch(folder, 2, [str(WORKER)], str(folder / "start"), str(folder), told, file="accelerate_fsdp2.yaml")
    assert done.returncode == 0, done.stderr[-3000:]
    (folder / "said").write_text(done.stdout)
    for name, settings in (("one full", FULL), ("one adapter", LORA)):
        go(folder / "start", folder / name, settings)
    return folder


@pytest.mark.prove
@pytest.mark.parametrize(
    ("name", "one", "apart"),
    [("full", "one full", 1e-5), ("in micro-batches", "one full", 1e-4), ("adapter", "one adapter", 1e-5)],
)  # micro-batches add the same gradients in another order
def test_two_sharded_ranks_train_as_one(trained: Path, name: str, one: str, apart: float) -> None:
    assert losses(trained / name) == pytest.approx(losses(trained / one), abs=1e-5)
    assert max(furthest(trained / name / "model", trained / one / "model").values()) < apart


@pytest.mark.prove
def test_every_shard_moves_in_training(trained: Path) -> None:
    """Each rank holds one half of the rows of each tensor."""
    from safetensors.torch import load_file

    before = load_file(trained / "start" / "model.safetensors")
    after = load_file(trained / "full" / "model" / "model.safetensors")
    for name, old in before.items():
        for half in (old - after[name]).chunk(2):
            assert half.abs().max() > 1e-4, name


@pytest.mark.prove
def test_a_sharded_training_that_stopped_goes_on_to_the_same_weights(trained: Path) -> None:
    said = (trained / "said").read_text()
    assert "stopped interrupted: training is saved at step 5 of 8" in said
    assert len(read_curve(trained / "stopped" / "curve.jsonl")) == 8
    for name in ("full", "adapter"):
        stopped = "stopped" if name == "full" else f"stopped {name}"
        assert max(furthest(trained / name / "model", trained / stopped / "model").values()) < 1e-6


@pytest.mark.prove
def test_each_rank_writes_its_share_of_the_optimizer_and_one_rank_goes_on_from_it(
    trained: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    found = good_checkpoint(trained / "stopped, for one rank" / "checkpoints")
    assert found is not None and found[1] == 5
    shards = {file.name for file in (found[0] / "optimizer_shards").glob("*.distcp")}
    assert shards == {"__0_0.distcp", "__1_0.distcp"}
    go(trained / "start", trained / "stopped, for one rank", FULL)
    assert "goes on with 1 ranks from a checkpoint of 2" in caplog.text
    assert losses(trained / "stopped, for one rank") == pytest.approx(losses(trained / "one full"), abs=1e-5)
    assert max(furthest(trained / "stopped, for one rank" / "model", trained / "one full" / "model").values()) < 1e-5


CONFIG = """\
name: sharded
rounds: 1
tasks: {{source: arithmetic, anchor: 12, held_out: 4}}
student: {{kind: pretrained, model: {base}, template: plain}}
propose: {{tasks_per_round: 6}}
generate: {{samples_per_task: 2, max_new_tokens: 8}}
train: {{min_accepted: 0, steps: 4, batch_size: 8, learning_rate: 0.01, warmup: {{steps: 6, learning_rate: 0.01}}}}
eval: {{samples: 2, sample_tasks: 2}}
tracking: {{mode: disabled}}
launch: {{threads: 1}}
"""


@pytest.mark.prove
@pytest.mark.parametrize("more", [(), ("train.lora={rank: 4, alpha: 8, rslora: false}",)], ids=["full", "lora"])
def test_a_run_under_fsdp2_warms_up_samples_trains_and_evaluates(tmp_path: Path, more: tuple[str, ...]) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG.format(base=make_tiny(tmp_path / "base")))
    script = [str(ROOT / "scripts" / "run.py")]
    done = launch(tmp_path, 2, script, "c.yaml", *more, "--runs-dir", "runs", file="accelerate_fsdp2.yaml")
    assert done.returncode == 0, done.stderr[-3000:]
    folder = open_run(tmp_path / "runs" / "sharded").folder
    rounds = open_run(tmp_path / "runs" / "sharded").metrics()
    assert [row["train/steps"] for row in rounds] == [6, 4]
    assert rounds[1]["train/loss_last"] < rounds[0]["train/loss_first"]
    for number in (0, 1):
        assert (folder.model(number) / "adapter_config.json").is_file() == bool(more)


def test_tied_weights_that_two_ranks_cannot_share_are_refused_with_what_fits(tmp_path: Path) -> None:
    from selfplay.training.trl.sharding import sharding_fault

    ranks = Ranks()
    ranks.world_size = 6
    tied = make_tiny(tmp_path / "tied", tie_word_embeddings=True)  # a vocabulary of 259, which is 7 x 37
    fault = sharding_fault(tied, ranks)
    assert "its vocabulary of 259 does not divide by 6 ranks" in fault and "use accelerate_config.yaml" in fault
    ranks.world_size = 8
    assert "launch 7 ranks" in sharding_fault(tied, ranks)
    ranks.world_size = 7
    assert sharding_fault(tied, ranks) == ""
    ranks.world_size = 6
    assert sharding_fault(make_tiny(tmp_path / "untied"), ranks) == ""


@pytest.mark.parametrize(
    ("method", "lora", "said"),
    [
        ("dpo", None, "train.method is dpo under FSDP2, under which only sft trains"),
        ("kto", None, "train.method is kto under FSDP2"),
        ("sft", {"load_in_4bit": True}, "train.lora.load_in_4bit is true under FSDP2"),
    ],
)
def test_what_fsdp2_does_not_train_is_refused_before_sampling(
    method: str, lora: dict[str, Any] | None, said: str
) -> None:
    settings = TRAINING_METHODS.settings(method)(steps=1, lora=lora)
    assert any(said in fault for fault in settings.launch_faults(sharded=True))
    assert list(TRAINING_METHODS.settings(method)(steps=1).launch_faults(sharded=False)) == []


FSDP2 = {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2", "RANK": "0"}


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({**FSDP2, "WORLD_SIZE": "1"}, "FSDP2 is on with 1 process, .* --num_processes 2 or more"),
        ({**FSDP2, "WORLD_SIZE": "2", "FSDP_VERSION": "1"}, "FSDP is on with fsdp_version 1, .* accelerate_fsdp2.yaml"),
        ({"ACCELERATE_USE_FSDP": "true", "WORLD_SIZE": "2"}, "FSDP is on with fsdp_version 1"),
        ({"ACCELERATE_USE_DEEPSPEED": "true", "WORLD_SIZE": "2"}, "DeepSpeed is on, .* accelerate_fsdp2.yaml"),
    ],
)
def test_launches_that_the_loop_cannot_train_under_are_refused_with_what_to_use(
    environment: dict[str, str], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        join(None, "cpu", environment)
