"""The train phase: rows in a planned order through TRL, durable weights and curve, adapters that stay adapters."""

import gc
import hashlib
import json
import logging
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfplay.config.registry import TRAINING_METHODS
from selfplay.config.training import Lora, Train
from selfplay.errors import ConfigError, DataError, Interrupted, StoreError
from selfplay.records import Row
from selfplay.runtime.distributed import Ranks
from selfplay.training.checkpoints import good_checkpoint, read_curve, truncate_curve
from selfplay.training.methods.base import TrainRun, method_of
from selfplay.training.methods.sft import RowSchedule, Sft, warmup_of
from selfplay.training.run import TrainReport, train
from selfplay.training.schedule import halved, micro_batch_size
from selfplay.training.trl_arguments import argument_names
from tests.support.runs import WORKER, train_on_ranks
from tests.support.tiny_models import make_tiny, random_rows

BASIC: dict[str, Any] = {"steps": 5, "batch_size": 8, "learning_rate": 2e-3, "precision": "fp32"}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny(tmp_path_factory.mktemp("tiny"))


def go(
    start: Path, out: Path, rows: list[Row] | None = None, heard: dict[str, Any] | None = None, **changes: Any
) -> TrainReport:
    """`heard`: what `train` is to call as it goes."""
    given: dict[str, Any] = {"seed": 7, "round": 2, "step_offset": 100, "ranks": Ranks(), "device": "cpu"}
    run = TrainRun(start=start, out=out, **given, **(heard or {}))
    return train(Sft(**(BASIC | changes)), random_rows(30) if rows is None else rows, run)


def schedule(rows: list[Row], seed: int = 1, **changes: Any) -> RowSchedule:
    return Sft(**changes).schedule(rows, seed=seed)


def micro(made: RowSchedule, world_size: int, *, on_cpu: bool = False, **changes: Any) -> int:
    return micro_batch_size(Sft(**changes), made, least=1, world_size=world_size, on_cpu=on_cpu)


def losses(out: Path) -> list[float]:
    return [row["train/loss"] for row in read_curve(out / "curve.jsonl")]


def weights(folder: Path) -> str:
    return hashlib.sha256(next(folder.glob("*.safetensors")).read_bytes()).hexdigest()


# ---- the methods ----


def test_settings_of_every_method_and_the_phase_import_without_torch() -> None:
    names = [*(place.partition(":")[0] for place in TRAINING_METHODS.places.values()), "selfplay.phases.train"]
    code = f"import sys, {', '.join(names)}; print(sorted({{'torch', 'transformers', 'trl', 'datasets'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_method_says_what_it_needs_and_what_trl_knows_of_it() -> None:
    for word in TRAINING_METHODS.places:
        method: Any = TRAINING_METHODS.settings(word)
        names = set(argument_names(method.trl_config))
        assert method.needs in ("rows", "pairs", "prompts") and "max_steps" in names
        assert "max_length" in names or method.needs == "prompts"
        assert not {"loss_type"} & set(method.reserved_args) or method.needs == "rows"
    with pytest.raises(TypeError, match=r"Train is no training method"):
        method_of(Train(steps=1))


# ---- the schedule ----


@given(st.integers(1, 40), st.integers(1, 16), st.integers(1, 12), st.integers(0, 99))
@settings(derandomize=True, deadline=None, max_examples=50)
def test_every_step_has_its_rows_and_every_row_its_turn(count: int, batch: int, steps: int, seed: int) -> None:
    rows = random_rows(count)
    made = schedule(rows, seed=seed, steps=steps, batch_size=batch)
    assert [len(step) for step in made.order] == [batch] * steps
    drawn = [r for step in made.order for r in step]
    times = [drawn.count(r) for r in range(count)]
    assert max(times) - min(times) <= 1
    assert made.tokens == sum(len(rows[r].input_ids) for r in drawn)
    assert schedule(rows, seed=seed, steps=steps, batch_size=batch) == made


def test_order_of_rows_follows_the_seed() -> None:
    made = [schedule(random_rows(30), seed=s, steps=4, batch_size=8).order for s in (1, 1, 2)]
    assert made[0] == made[1] != made[2]


def test_epochs_are_turned_into_steps() -> None:
    assert schedule(random_rows(30), epochs=2.5, batch_size=8).steps == 10


def test_rows_too_long_or_without_a_label_are_left_out_and_counted() -> None:
    rows = [*random_rows(20), Row(input_ids=(1, 2, 3), labels=(-100, -100, -100))]
    limit = sorted(len(r.input_ids) for r in rows)[10]
    made = schedule(rows, steps=1, batch_size=4, max_length=limit)
    assert all(len(r.input_ids) <= limit for r in made.rows)
    assert made.left_out == sum(len(r.input_ids) > limit for r in rows) + 1
    with pytest.raises(DataError, match="nothing to train on"):
        schedule(rows, steps=1, max_length=1)


def test_batch_that_ranks_cannot_share_is_refused_with_the_next_number() -> None:
    made = schedule(random_rows(30), steps=1, batch_size=10)
    with pytest.raises(ConfigError, match=r"train\.batch_size is 10, which 3 ranks .*; use 9"):
        micro(made, 3, steps=1, batch_size=10)
    with pytest.raises(ConfigError, match=r"micro_batch_size is 4, which does not divide .* 5 .*; use 1"):
        micro(made, 2, steps=1, batch_size=10, micro_batch_size=4)
    assert micro(made, 2, steps=1, batch_size=10) == 5
    assert [halved(n) for n in (64, 6, 5, 9)] == [32, 3, 1, 3]


# ---- training ----


def test_training_learns_and_writes_model_curve_and_report(tiny: Path, tmp_path: Path) -> None:
    report = go(tiny, tmp_path, steps=30, save_steps=10)
    assert report.steps == 30 and report.examples == 30
    assert report.loss_last < report.loss_first / 2
    curve = read_curve(tmp_path / "curve.jsonl")
    assert [row["train/step"] for row in curve] == list(range(101, 131))
    assert {row["round"] for row in curve} == {2}
    assert curve[0].keys() >= {"train/loss", "train/learning_rate", "train/grad_norm"}
    manifest = json.loads((tmp_path / "model" / "manifest.json").read_text())
    assert manifest["model.safetensors"] == weights(tmp_path / "model")
    assert {"config.json", "tokenizer.json"} <= manifest.keys()
    assert not (tmp_path / "checkpoints").exists()


def test_every_step_is_told_as_it_is_done(tiny: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    go(tiny, tmp_path, heard={"on_step": lambda step, steps: told.append((step, steps))}, steps=3)
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_trained_weights_load_elsewhere_and_differ_from_the_start(tiny: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    go(tiny, tmp_path)
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "model").config.use_cache
    assert AutoTokenizer.from_pretrained(tmp_path / "model").eos_token == "</s>"
    assert weights(tmp_path / "model") != weights(tiny)


def test_micro_batches_and_joined_rows_give_the_same_losses(tiny: Path, tmp_path: Path) -> None:
    ways: list[dict[str, Any]] = [
        {},
        {"micro_batch_size": 2},
        {"packing": True},
        {"packing": True, "micro_batch_size": 4},
    ]
    for i, way in enumerate(ways):
        go(tiny, tmp_path / str(i), **way)
        assert losses(tmp_path / str(i)) == pytest.approx(losses(tmp_path / "0"), abs=1e-5)


def test_losses_are_those_of_a_bare_loop_on_each_row_alone(tiny: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    go(tiny, tmp_path, steps=1)
    rows = random_rows(30)
    (batch,) = schedule(rows, seed=7, **(BASIC | {"steps": 1})).order
    model = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32).eval()
    total, count = 0.0, 0
    for row in (rows[r] for r in batch):
        logits = model(torch.tensor([row.input_ids])).logits[0, :-1].detach()
        labels = torch.tensor(row.labels[1:])
        total += float(torch.nn.functional.cross_entropy(logits, labels, ignore_index=-100, reduction="sum"))
        count += int((labels != -100).sum())
    assert losses(tmp_path) == pytest.approx([total / count], abs=1e-5)


def test_row_weights_scale_the_loss(tiny: Path, tmp_path: Path) -> None:
    weighted = {w: [row.model_copy(update={"weight": w}) for row in random_rows(30)] for w in (1.0, 2.0, -1.0)}
    for weight, rows in weighted.items():
        go(tiny, tmp_path / str(weight), rows, steps=1)
    (one,) = losses(tmp_path / "1.0")
    assert losses(tmp_path / "2.0") == pytest.approx([2 * one], abs=1e-5)
    assert losses(tmp_path / "-1.0") == pytest.approx([-one], abs=1e-5)


def test_weight_zero_takes_a_row_out_joined_or_padded(tiny: Path, tmp_path: Path) -> None:
    rows = random_rows(8)
    silenced = [row.model_copy(update={"weight": 0.0}) if i < 4 else row for i, row in enumerate(rows)]
    go(tiny, tmp_path / "padded", silenced, steps=1)
    go(tiny, tmp_path / "joined", silenced, steps=1, packing=True)
    go(tiny, tmp_path / "alone", rows[4:], steps=1, batch_size=4)
    share = sum(x != -100 for r in rows[4:] for x in r.labels) / sum(x != -100 for r in rows for x in r.labels)
    for way in ("padded", "joined"):
        assert losses(tmp_path / way) == pytest.approx([losses(tmp_path / "alone")[0] * share], abs=1e-5)


def test_bf16_is_close_to_fp32_and_keeps_fp32_weights(tiny: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    go(tiny, tmp_path / "a")
    go(tiny, tmp_path / "b", precision="bf16")
    assert losses(tmp_path / "b") == pytest.approx(losses(tmp_path / "a"), rel=0.02)
    assert {str(t.dtype) for t in load_file(tmp_path / "b" / "model" / "model.safetensors").values()} == {
        "torch.float32"
    }


def test_adapter_starts_fresh_then_goes_on_and_stays_an_adapter(tiny: Path, tmp_path: Path) -> None:
    from selfplay.models.transformers.backend import Embedded
    from selfplay.models.transformers.library import identity_of
    from selfplay.records import Request, Sampling

    lora = Lora(rank=4, alpha=8, dropout=0.1)
    go(tiny, tmp_path / "one", lora=lora, steps=10)
    first = tmp_path / "one" / "model"
    about = json.loads((first / "adapter_base.json").read_text())
    assert about == {"base": str(tiny), "revision": None, "identity": identity_of(tiny)}
    assert not list(first.glob("model*.safetensors"))
    go(first, tmp_path / "two", lora=lora, steps=10)
    second = tmp_path / "two" / "model"
    assert json.loads((second / "adapter_base.json").read_text()) == about
    assert losses(tmp_path / "two")[-1] < losses(tmp_path / "one")[-1]
    with Embedded(second, template="plain", device="cpu") as student:
        assert student.identity not in {identity_of(tiny), identity_of(first)}
        asked = [Request(task_id="a", prompt="b")]
        assert student.complete(asked, n=1, sampling=Sampling(max_new_tokens=3), seed=1)[0][0].completion_ids
    with pytest.raises(ConfigError, match=r"starts from an adapter, but train\.lora is not set"):
        go(first, tmp_path / "three")


def test_adapter_of_another_base_is_refused(tiny: Path, tmp_path: Path) -> None:
    from selfplay.models.transformers.backend import Embedded

    base = shutil.copytree(tiny, tmp_path / "base")
    go(base, tmp_path / "out", lora=Lora(rank=4, alpha=8), steps=1)
    shutil.rmtree(base)
    make_tiny(base, seed=5)
    with pytest.raises(DataError, match=r"was trained on base weights \w+, but .* now holds"):
        Embedded(tmp_path / "out" / "model", template="plain", device="cpu")


def test_arguments_of_trl_pass_through_and_have_an_effect(tiny: Path, tmp_path: Path) -> None:
    go(tiny, tmp_path / "a")
    go(tiny, tmp_path / "b", args={"adam_beta2": 0.5, "max_grad_norm": 0.1, "gradient_checkpointing": True})
    assert losses(tmp_path / "a")[0] == pytest.approx(losses(tmp_path / "b")[0], abs=1e-5)
    assert losses(tmp_path / "a")[-1] != pytest.approx(losses(tmp_path / "b")[-1], abs=1e-3)


def test_one_process_trains_on_one_of_several_gpus_and_says_so(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from selfplay.models.transformers import library
    from selfplay.training.trl.trainer import SFTConfig, trainer_arguments

    class SeveralGPUs(SFTConfig):  # type: ignore[misc]
        """What transformers makes of a machine with 4 GPUs."""

        def __post_init__(self) -> None:
            super().__post_init__()
            self._n_gpu = 4

    SeveralGPUs.__name__ = "SFTConfig"
    run = TrainRun(start=tiny, out=tiny / "out", seed=7, ranks=Ranks(), device="cpu")
    method, cpu = Sft(**BASIC), torch.device("cpu")
    made = method.schedule(random_rows(8), seed=1)
    model = torch.nn.Linear(1, 1)
    found = trainer_arguments(SeveralGPUs, method, made, run, model=model, device=cpu, bf16=False, ours={})
    assert found.n_gpu == 1, "more would be nn.DataParallel"
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(library, "pick_device", lambda device: torch.device(device))
    assert library.unused_gpus("cuda", 1).startswith("1 of 4 GPUs is used; `accelerate launch ")
    assert library.unused_gpus("cuda", 4) == library.unused_gpus("cpu", 1) == ""


def test_a_warm_up_trains_an_adapter_where_later_rounds_do_unless_the_weights_are_random() -> None:
    method = Sft(epochs=1, warmup={"steps": 3}, lora={"rank": 4})
    adapted, full = warmup_of(method, full=False), warmup_of(method, full=True)
    assert adapted is not None and full is not None
    assert (adapted.lora, full.lora) == (method.lora, None)
    assert (adapted.steps, adapted.warmup) == (3, None)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ({"adam_bta2": 0.9}, r"train\.args\.adam_bta2 is 0\.9, but TRL's SFTConfig .*; did you mean 'adam_beta2'"),
        ({"learning_rate": 1e-3}, r"train\.args\.learning_rate is 0\.001, .*; use train\.learning_rate"),
        ({"report_to": "wandb"}, "use tracking"),
        ({"optim": "no_such_optimizer"}, "TRL refuses its arguments"),
    ],
)
def test_arguments_that_cannot_be_are_refused_with_what_to_do(
    tiny: Path, tmp_path: Path, args: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        go(tiny, tmp_path, args=args)


def test_trainer_and_model_are_freed(tiny: Path, tmp_path: Path) -> None:
    from transformers import PreTrainedModel

    from selfplay.training.trl.sft_trainer import RowTrainer

    go(tiny, tmp_path)
    kinds = (RowTrainer, PreTrainedModel)
    held = [type(thing).__name__ for thing in gc.get_objects() if issubclass(type(thing), kinds)]
    assert held == []


# ---- durable ----


def test_called_again_it_returns_the_report_and_touches_nothing(tiny: Path, tmp_path: Path) -> None:
    first = go(tiny, tmp_path)
    times = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()}
    assert go(tiny, tmp_path) == first
    assert times == {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()}


def test_finished_model_that_was_changed_is_refused(tiny: Path, tmp_path: Path) -> None:
    go(tiny, tmp_path)
    (tmp_path / "model" / "config.json").write_text("{}")
    with pytest.raises(StoreError, match=r"config\.json: missing, or not the file that training wrote; remove"):
        go(tiny, tmp_path)


def test_torn_curve_is_cut_back_to_the_checkpoint(tmp_path: Path) -> None:
    file = tmp_path / "curve.jsonl"
    file.write_text("".join(json.dumps({"train/step": i}) + "\n" for i in range(1, 6)) + '{"train/st')
    truncate_curve(file, 3)
    assert [row["train/step"] for row in read_curve(file)] == [1, 2, 3]


def worker(start: Path, out: Path, harm: dict[str, Any], **changes: Any) -> subprocess.CompletedProcess[str]:
    """One training run in a process of its own."""
    command = [sys.executable, str(WORKER), str(start), str(out), json.dumps(BASIC | changes), json.dumps(harm)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_killed_run_goes_on_from_its_checkpoint_to_the_same_bytes(tiny: Path, tmp_path: Path) -> None:
    long: dict[str, Any] = {"steps": 12, "save_steps": 4}
    go(tiny, tmp_path / "whole", **long)
    cut = tmp_path / "cut"
    assert worker(tiny, cut, {"kill_at": 6}, **long).returncode == -9
    found = good_checkpoint(cut / "checkpoints")
    assert found is not None and found[1] in (4, 8)
    half = cut / "checkpoints" / f"checkpoint-{found[1] + 4}"  # as if the next one had been cut short
    shutil.copytree(found[0], half, dirs_exist_ok=True)
    (half / "COMMITTED").unlink()
    (half / "optimizer.pt").unlink()
    go(tiny, cut, **long)
    assert weights(cut / "model") == weights(tmp_path / "whole" / "model")
    assert (cut / "curve.jsonl").read_bytes() == (tmp_path / "whole" / "curve.jsonl").read_bytes()


def test_training_that_is_asked_to_stop_saves_and_goes_on_to_the_same_bytes(tiny: Path, tmp_path: Path) -> None:
    long: dict[str, Any] = {"steps": 12}
    go(tiny, tmp_path / "whole", **long)
    cut, told = tmp_path / "cut", list[int]()
    heard = {"on_step": lambda step, steps: told.append(step), "stop": lambda: len(told) == 5}
    with pytest.raises(Interrupted, match="saved at step 5 of 12; run the same command to go on"):
        go(tiny, cut, heard=heard, **long)
    assert told == [1, 2, 3, 4, 5]
    found = good_checkpoint(cut / "checkpoints")
    assert found is not None and found[1] == 5
    go(tiny, cut, **long)
    assert weights(cut / "model") == weights(tmp_path / "whole" / "model")
    assert (cut / "curve.jsonl").read_bytes() == (tmp_path / "whole" / "curve.jsonl").read_bytes()


def test_a_stop_asked_for_in_the_last_step_ends_training_as_usual(tiny: Path, tmp_path: Path) -> None:
    told: list[int] = []
    heard = {"on_step": lambda step, steps: told.append(step), "stop": lambda: len(told) == 3}
    report = go(tiny, tmp_path, heard=heard, steps=3)
    assert report.steps == 3 and (tmp_path / "model").is_dir()


@pytest.mark.prove
def test_run_whose_last_step_is_saved_is_not_trained_further(tiny: Path, tmp_path: Path) -> None:
    go(tiny, tmp_path / "whole", save_steps=5)
    cut = tmp_path / "cut"
    assert worker(tiny, cut, {"kill_when": "checkpoints/checkpoint-5/COMMITTED"}, save_steps=5).returncode == -9
    assert good_checkpoint(cut / "checkpoints") is not None and not (cut / "model").exists()
    curve = (cut / "curve.jsonl").read_bytes()
    go(tiny, cut, save_steps=5)
    assert (cut / "curve.jsonl").read_bytes() == curve
    assert weights(cut / "model") == weights(tmp_path / "whole" / "model")


@pytest.mark.prove
@pytest.mark.parametrize(
    "changes", [{"lora": {"rank": 4, "alpha": 8, "dropout": 0.2}}, {"precision": "bf16"}, {"packing": True}]
)
def test_killed_run_of_any_kind_goes_on_to_the_same_bytes(tiny: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    long = {"steps": 12, "save_steps": 4} | changes
    assert worker(tiny, tmp_path / "whole", {}, **long).returncode == 0
    for lines in (2, 7, 11):
        cut = tmp_path / str(lines)
        assert worker(tiny, cut, {"kill_at": lines}, **long).returncode == -9
        done = worker(tiny, cut, {}, **long)
        assert done.returncode == 0, done.stderr[-2000:]
        assert weights(cut / "model") == weights(tmp_path / "whole" / "model")
        assert (cut / "curve.jsonl").read_bytes() == (tmp_path / "whole" / "curve.jsonl").read_bytes()


@pytest.mark.prove
def test_out_of_memory_halves_the_micro_batch_at_equal_batch_size(tiny: Path, tmp_path: Path) -> None:
    big: dict[str, Any] = {"steps": 6, "batch_size": 64, "micro_batch_size": 64, "save_steps": 2}
    size = {"rows": 64, "longest": 240}
    assert worker(tiny, tmp_path / "whole", size, **big).returncode == 0
    done = worker(tiny, tmp_path / "starved", size | {"spare_bytes": 64 * 2**20}, **big)
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["oom_backoffs"] >= 1 and report["micro_batch_size"] == 64 >> report["oom_backoffs"]
    assert done.stdout.count("training ran out of memory") == report["oom_backoffs"]
    assert losses(tmp_path / "starved") == pytest.approx(losses(tmp_path / "whole"), abs=1e-4)


# ---- ranks ----


@pytest.mark.prove
def test_two_ranks_train_as_one_and_go_on_after_a_kill(tiny: Path, tmp_path: Path) -> None:
    long: dict[str, Any] = {"steps": 10, "save_steps": 4}
    go(tiny, tmp_path / "one", **long)
    done = train_on_ranks(tiny, tmp_path / "two", 2, {}, **(BASIC | long))
    assert done.returncode == 0, done.stderr[-3000:]
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), abs=1e-5)
    assert train_on_ranks(tiny, tmp_path / "cut", 2, {"kill_at": 6}, **(BASIC | long)).returncode != 0
    assert train_on_ranks(tiny, tmp_path / "cut", 2, {}, **(BASIC | long)).returncode == 0
    assert weights(tmp_path / "cut" / "model") == weights(tmp_path / "two" / "model")
    assert (tmp_path / "cut" / "curve.jsonl").read_bytes() == (tmp_path / "two" / "curve.jsonl").read_bytes()


@pytest.mark.prove
def test_two_ranks_of_which_one_is_asked_to_stop_save_together_and_go_on(tiny: Path, tmp_path: Path) -> None:
    long: dict[str, Any] = {"steps": 10}
    assert train_on_ranks(tiny, tmp_path / "whole", 2, {}, **(BASIC | long)).returncode == 0
    stopped = train_on_ranks(tiny, tmp_path / "cut", 2, {"stop_at": 3}, **(BASIC | long))
    assert stopped.returncode != 0
    assert "training is saved at step 5 of 10" in stopped.stderr
    found = good_checkpoint(tmp_path / "cut" / "checkpoints")
    assert found is not None and found[1] == 5
    assert train_on_ranks(tiny, tmp_path / "cut", 2, {}, **(BASIC | long)).returncode == 0
    assert weights(tmp_path / "cut" / "model") == weights(tmp_path / "whole" / "model")


@pytest.mark.prove
def test_checkpoint_of_one_rank_goes_on_with_two(tiny: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    long: dict[str, Any] = {"steps": 10, "save_steps": 4}
    go(tiny, tmp_path / "one", **long)
    assert worker(tiny, tmp_path / "cut", {"kill_at": 6}, **long).returncode == -9
    done = train_on_ranks(tiny, tmp_path / "cut", 2, {}, **(BASIC | long))
    assert done.returncode == 0, done.stderr[-3000:]
    assert "goes on with 2 ranks from a checkpoint of 1" in done.stdout
    assert losses(tmp_path / "cut") == pytest.approx(losses(tmp_path / "one"), abs=1e-5)
