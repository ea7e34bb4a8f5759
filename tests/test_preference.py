"""Preference pairs: from decided traces to the ids that the model sees; DPO and KTO, durable as SFT is."""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfplay.cli.validate import trainer_faults
from selfplay.config.load import examine, load_config
from selfplay.config.registry import TRAINING_METHODS
from selfplay.config.training import Lora
from selfplay.config.tree import Curate
from selfplay.curate import Archive
from selfplay.errors import ConfigError, DataError
from selfplay.models.encode import anchor_row
from selfplay.phases.curate.pairs import mix_pairs
from selfplay.phases.curate.select import Curation, Group
from selfplay.phases.train import train as train_phase
from selfplay.records import Attempt, Outcome, Preference, Request, Task, Verdict
from selfplay.runtime.context import RoundContext
from selfplay.runtime.distributed import Ranks
from selfplay.runtime.progress import Progress
from selfplay.runtime.resources import RunResources
from selfplay.store import RunFolder, read_json, write_json
from selfplay.store.traces import read_pairs, write_rows, writing_pairs
from selfplay.training.checkpoints import good_checkpoint, read_curve
from selfplay.training.methods.base import TrainRun
from selfplay.training.methods.dpo import Dpo
from selfplay.training.methods.kto import Kto
from selfplay.training.methods.sft import warmup_of
from selfplay.training.pairs import lengths_of
from selfplay.training.run import TrainReport, train
from selfplay.training.schedule import micro_batch_size
from selfplay.verify import Judged
from tests.support.runs import WORKER, train_on_ranks
from tests.support.tiny_models import make_tiny, random_pairs, random_rows

BASIC: dict[str, Any] = {"steps": 4, "batch_size": 8, "learning_rate": 2e-3, "precision": "fp32", "method": "dpo"}
PAD = 2
"""The tiny model's padding token, which stands in no pair."""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny(tmp_path_factory.mktemp("tiny"))


def go(start: Path, out: Path, pairs: list[Preference] | None = None, **changes: Any) -> TrainReport:
    given = BASIC | changes
    method: Any = TRAINING_METHODS.settings(given["method"])(**given)
    run = TrainRun(start=start, out=out, seed=7, round=2, step_offset=100, ranks=Ranks(), device="cpu")
    return train(method, random_pairs(20) if pairs is None else pairs, run)


def curve_of(out: Path, name: str = "loss") -> list[float]:
    return [row[f"train/{name}"] for row in read_curve(out / "curve.jsonl")]


def weights(folder: Path) -> str:
    return hashlib.sha256(next(folder.glob("*.safetensors")).read_bytes()).hexdigest()


def bare_logps(start: Path, prompt: Sequence[int], completion: Sequence[int]) -> float:
    """Log-probability of a completion, by itself."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(start, dtype=torch.float32).eval()
    with torch.no_grad():
        scores = model(torch.tensor([[*prompt, *completion]])).logits[0].log_softmax(-1)
    return sum(float(scores[len(prompt) - 1 + i, token]) for i, token in enumerate(completion))


# ---- from traces to pairs ----


class Words:
    """An encoder: one number a character."""

    def prompt(self, request: Request) -> list[int]:
        """The prompt's ids."""
        return [ord(c) for c in request.prompt or ""]

    def completion(self, text: str) -> list[int]:
        """The completion's ids, with an end."""
        return [*(ord(c) for c in text), 1]


def attempt(task: str, number: int, text: str, **more: Any) -> Attempt:
    ids = tuple(1000 + number * 100 + i for i in range(len(text)))
    return Attempt(task_id=task, attempt=number, round=1, text=text, prompt_ids=(7, 8), completion_ids=ids, **more)


def judged(word: str) -> Judged:
    outcome = Outcome(word)
    return Judged(
        (Verdict(verifier="t/1", outcome=outcome, reason="right" if word == "pass" else "wrong_answer"),), outcome
    )


def curated(
    out: Path,
    made: Sequence[tuple[Attempt, str]],
    older: Sequence[Path] = (),
    archive: Archive | None = None,
    **section: Any,
) -> Mapping[str, Any]:
    """Curates one round of these attempts, a chunk a task, and gives its figures."""
    by_task: dict[str, list[tuple[Attempt, str]]] = {}
    for one, word in made:
        by_task.setdefault(one.task_id, []).append((one, word))
    task = {name: Task(id=name, prompt=f"do {name}", check={"type": "x"}, reference="ref") for name in by_task}
    groups = [
        Group([task[name]] * len(group), [one for one, _ in group], [judged(word) for _, word in group])
        for name, group in by_task.items()
    ]
    anchor = out.parent / "anchor.parquet"
    out.mkdir(parents=True)
    write_rows(anchor, [anchor_row(Words(), next(iter(task.values())))])
    Curation(
        Curate(drop_bottom_share=0, **section),
        encoder=Words,
        archive=archive,
        screen=None,
        older=older,
        anchor=anchor,
        seed=3,
        out=out,
    ).run(groups)
    return dict(read_json(out / "DONE")["metrics"])


def flat(file: Path) -> list[Preference]:
    return [pair for group in read_pairs(file) for pair in group]


TWO_TASKS = [
    (attempt("a", 0, "right one"), "pass"),
    (attempt("a", 1, "wrong one"), "fail"),
    (attempt("a", 2, "cut off..", finish_reason="length"), "fail"),
    (attempt("b", 0, "none here"), "invalid"),
    (attempt("b", 1, "good here"), "pass"),
    (attempt("c", 0, "only good"), "pass"),
]


def test_an_archive_is_written_only_where_rounds_are_held_against_one_another(tmp_path: Path) -> None:
    curated(tmp_path / "one" / "curate", TWO_TASKS)
    curated(tmp_path / "two" / "curate", TWO_TASKS, archive=Archive())
    assert not (tmp_path / "one" / "curate" / "archive.jsonl").exists()
    lines = (tmp_path / "two" / "curate" / "archive.jsonl").read_text().splitlines()
    assert len(Archive.from_lines(lines)) == 3


def test_curate_writes_pairs_on_the_ids_that_were_sampled(tmp_path: Path) -> None:
    figures = curated(tmp_path / "one" / "curate", TWO_TASKS)
    found = flat(tmp_path / "one" / "pairs.parquet")
    assert [(p.task_id, p.chosen, p.rejected, p.reason) for p in found] == [
        ("a", "r1/a/0", "r1/a/1", "fail: wrong_answer"),
        ("b", "r1/b/1", "r1/b/0", "invalid: wrong_answer"),
    ]
    by_id = {one.id: one for one, _ in TWO_TASKS}
    for pair in found:
        assert pair.prompt_ids == (7, 8) and pair.round == 1 and pair.kind == "new"
        assert (pair.chosen_ids, pair.rejected_ids) == (
            by_id[pair.chosen].completion_ids,
            by_id[pair.rejected].completion_ids,
        )
    assert {
        k: figures[k] for k in ("data/pairs", "data/pairs_tasks", "data/pairs_one_sided_tasks", "data/train_pairs")
    } == {
        "data/pairs": 2,
        "data/pairs_tasks": 2,
        "data/pairs_one_sided_tasks": 1,
        "data/train_pairs": 2,
    }


def test_accepted_correction_is_preferred_under_the_tasks_own_prompt(tmp_path: Path) -> None:
    second = attempt("a", 1, "mended it", turn=1, parent=0).model_copy(update={"prompt_ids": (9, 9, 9)})
    third = attempt("a", 2, "not so...", turn=1, parent=0).model_copy(update={"prompt_ids": (9, 9, 9)})
    curated(tmp_path / "one" / "curate", [(attempt("a", 0, "wrong one"), "fail"), (second, "pass"), (third, "fail")])
    (pair,) = flat(tmp_path / "one" / "pairs.parquet")
    assert (pair.chosen, pair.rejected, pair.prompt_ids) == ("r1/a/1", "r1/a/0", (7, 8))


def test_pairs_are_kept_over_rounds_by_the_regime(tmp_path: Path) -> None:
    curated(tmp_path / "one" / "curate", TWO_TASKS)
    older = [tmp_path / "one" / "curate" / "new.parquet"]
    sizes = {}
    for regime, more in (("accumulate", {}), ("replace", {}), ("accumulate_subsample", {"max_rows": 3})):
        folder = tmp_path / regime
        figures = curated(folder / "curate", TWO_TASKS, older, regime=regime, **more)
        found = flat(folder / "pairs.parquet")
        sizes[regime] = [sum(p.kind == kind for p in found) for kind in ("new", "older")]
        assert figures["data/train_pairs"] == len(found) and figures["data/pairs"] == 2
    assert sizes["accumulate"] == [2, 2] and sizes["replace"] == [2, 0] and sum(sizes["accumulate_subsample"]) == 3


def test_newest_share_is_met_by_repetition_and_follows_the_seed(tmp_path: Path) -> None:
    files = [tmp_path / "new.parquet", tmp_path / "old.parquet"]
    for file, count in zip(files, (2, 9), strict=True):
        with writing_pairs(file) as write:
            write(random_pairs(count))
    section = Curate(newest_share=0.4)
    assert [mix_pairs(section, files[0], files[1:], tmp_path / f"{n}.parquet", seed=n) for n in (1, 1)] == [15, 15]
    again = [flat(tmp_path / "1.parquet")]
    mix_pairs(section, files[0], files[1:], tmp_path / "again.parquet", seed=1)
    assert again == [flat(tmp_path / "again.parquet")]
    assert sum(p.kind == "new" for p in again[0]) == 6
    assert mix_pairs(section, tmp_path / "absent.parquet", [], tmp_path / "none.parquet", seed=1) == 0


# ---- the schedule ----


@given(st.integers(1, 12), st.integers(2, 9), st.integers(0, 50))
@settings(derandomize=True, deadline=None, max_examples=50)
def test_kto_has_as_many_chosen_as_rejected_sides_and_kl_completions_from_its_own_step(
    count: int, batch: int, seed: int
) -> None:
    made = Kto(steps=6, batch_size=batch).schedule(random_pairs(count), seed=seed)
    drawn = [row for step in made.order for row in step]
    times = [drawn.count(n) for n in range(2 * count)]
    assert max(times) - min(times) <= 1
    assert [made.example(n).good for n in range(2 * count)] == [True, False] * count
    for step, others in zip(made.order, made.kl_completions, strict=True):
        assert sorted(step) == sorted(others)


def test_kl_completions_come_from_another_prompt() -> None:
    made = Kto(steps=5, batch_size=8).schedule(random_pairs(20), seed=1)
    for step, others in zip(made.order, made.kl_completions, strict=True):
        assert all(made.example(a).prompt != made.example(b).prompt for a, b in zip(step, others, strict=True))


def test_pairs_too_long_on_either_side_or_empty_are_left_out_and_counted() -> None:
    pairs = [*random_pairs(10), random_pairs(1)[0].model_copy(update={"rejected_ids": ()})]
    limit = sorted(max(len(p.chosen_ids), len(p.rejected_ids)) + len(p.prompt_ids) for p in pairs)[5]
    made = Dpo(steps=1, batch_size=4, max_length=limit).schedule(pairs, seed=1)
    assert all(max(lengths_of(pair)) <= limit for pair in made.pairs)
    assert made.left_out == len(pairs) - len(made.pairs) > 1
    with pytest.raises(DataError, match="nothing to train on: none of 11 pairs"):
        Dpo(steps=1, max_length=1).schedule(pairs, seed=1)


def test_kto_never_compares_a_row_with_itself() -> None:
    method = Kto(steps=1, batch_size=2)
    made = method.schedule(random_pairs(4), seed=1)
    with pytest.raises(
        ConfigError, match=r"kto compares the examples of one forward pass, but there is 1 .* at least 2"
    ):
        micro_batch_size(method, made, least=method.smallest_micro_batch, world_size=2, on_cpu=True)
    assert micro_batch_size(method, made, least=method.smallest_micro_batch, world_size=1, on_cpu=True) == 2


# ---- training ----


@contextmanager
def seen_ids() -> Iterator[set[tuple[int, ...]]]:
    """Every sequence of ids that any embedding is given, without its padding."""
    import torch

    found: set[tuple[int, ...]] = set()

    def look(module: torch.nn.Module, given_: tuple[Any, ...]) -> None:
        if isinstance(module, torch.nn.Embedding):
            found.update(tuple(i for i in row if i != PAD) for row in given_[0].tolist())

    handle = torch.nn.modules.module.register_module_forward_pre_hook(look)
    try:
        yield found
    finally:
        handle.remove()


@pytest.mark.parametrize("method", ["dpo", "kto"])
def test_model_sees_exactly_the_ids_that_were_sampled(tiny: Path, tmp_path: Path, method: str) -> None:
    pairs = random_pairs(12)
    with seen_ids() as found:
        go(tiny, tmp_path, pairs, method=method, steps=3)
    whole = {p.prompt_ids + ids for p in pairs for ids in (p.chosen_ids, p.rejected_ids)}
    crossed = {p.prompt_ids + ids for p in pairs for q in pairs for ids in (q.chosen_ids, q.rejected_ids)}
    assert whole <= found and (found == whole if method == "dpo" else found <= crossed)


@pytest.mark.parametrize("method", ["dpo", "kto"])
def test_training_on_pairs_widens_the_margin_from_nothing(tiny: Path, tmp_path: Path, method: str) -> None:
    report = go(tiny, tmp_path, method=method, steps=20)
    first, last = (read_curve(tmp_path / "curve.jsonl")[i] for i in (0, -1))
    assert first["train/rewards_margin"] == pytest.approx(0, abs=1e-4) and first["train/step"] == 101
    assert first["train/loss"] == pytest.approx(0.693147 if method == "dpo" else 0.5, abs=1e-4)
    assert last["train/rewards_margin"] > 1 and last["train/rewards_accuracy"] > 0.9
    assert report.figures["rewards_margin_last"] > 1 > report.figures["rewards_margin_first"]
    assert report.figures["rewards_accuracy_last"] > 0.9 and report.examples == report.figures["pairs"] == 20
    assert all(key.count("/") <= 1 for key in last)


def test_reference_is_what_a_bare_pass_over_the_start_weights_gives(tiny: Path, tmp_path: Path) -> None:
    pairs = random_pairs(4)
    go(tiny, tmp_path, pairs, steps=1, batch_size=4)
    for name in ("chosen", "rejected"):
        wanted = [bare_logps(tiny, p.prompt_ids, getattr(p, f"{name}_ids")) for p in pairs]
        assert curve_of(tmp_path, f"logps_{name}") == pytest.approx([sum(wanted) / 4], abs=1e-3)
    assert curve_of(tmp_path, "rewards_margin") == pytest.approx([0.0], abs=1e-5)


@pytest.mark.parametrize("method", ["dpo", "kto"])
def test_fresh_adapter_refers_to_its_base_and_one_that_goes_on_to_itself(
    tiny: Path, tmp_path: Path, method: str
) -> None:
    lora = Lora(rank=4, alpha=8)
    go(tiny, tmp_path / "one", method=method, lora=lora, steps=8, learning_rate=1e-2)
    first = tmp_path / "one" / "model"
    go(first, tmp_path / "two", method=method, lora=lora, steps=2)
    for out in (tmp_path / "one", tmp_path / "two"):
        assert curve_of(out, "rewards_margin")[0] == pytest.approx(0, abs=1e-4)
    assert curve_of(tmp_path / "one", "rewards_margin")[-1] > 0.1
    assert {f.name for f in first.iterdir() if f.is_dir()} == set()
    assert json.loads((tmp_path / "two" / "model" / "adapter_base.json").read_text())["base"] == str(tiny)


def test_sft_weight_adds_the_likelihood_of_the_chosen_side(tiny: Path, tmp_path: Path) -> None:
    pairs = random_pairs(4)
    go(tiny, tmp_path, pairs, steps=1, batch_size=4, sft_weight=0.5)
    total = sum(bare_logps(tiny, p.prompt_ids, p.chosen_ids) for p in pairs)
    mean = -total / sum(len(p.chosen_ids) for p in pairs)
    assert curve_of(tmp_path) == pytest.approx([0.693147 + 0.5 * mean], abs=1e-4)


@pytest.mark.parametrize("method", ["dpo", "kto"])
def test_micro_batches_change_neither_losses_nor_margins(tiny: Path, tmp_path: Path, method: str) -> None:
    for micro in (8, 2):
        go(tiny, tmp_path / str(micro), method=method, micro_batch_size=micro)
    for name in ("loss", "rewards_margin", "rewards_accuracy"):
        assert curve_of(tmp_path / "2", name) == pytest.approx(curve_of(tmp_path / "8", name), abs=1e-4)


def test_trl_arguments_of_the_method_pass_through(tiny: Path, tmp_path: Path) -> None:
    go(tiny, tmp_path / "a", steps=1, args={"loss_type": "ipo", "adam_beta2": 0.9})
    assert curve_of(tmp_path / "a")[0] == pytest.approx((1 / (2 * 0.1)) ** 2, rel=1e-3)
    with pytest.raises(ConfigError, match=r"train\.args\.desirable_weight is 2\.0, but TRL's DPOConfig"):
        go(tiny, tmp_path / "b", args={"desirable_weight": 2.0})
    with pytest.raises(ConfigError, match=r"train\.args\.sync_ref_model is True, .*; the reference is the round"):
        go(tiny, tmp_path / "c", method="kto", args={"sync_ref_model": True})


# ---- durable ----


def worker(start: Path, out: Path, harm: dict[str, Any], **changes: Any) -> subprocess.CompletedProcess[str]:
    """One training run in a process of its own."""
    command = [sys.executable, str(WORKER), str(start), str(out), json.dumps(BASIC | changes), json.dumps(harm)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def killed_and_resumed(tiny: Path, tmp_path: Path, **changes: Any) -> None:
    long: dict[str, Any] = {"steps": 12, "save_steps": 4} | changes
    go(tiny, tmp_path / "whole", **long)
    cut = tmp_path / "cut"
    assert worker(tiny, cut, {"kill_at": 6}, **long).returncode == -9
    assert good_checkpoint(cut / "checkpoints") is not None
    go(tiny, cut, **long)
    assert weights(cut / "model") == weights(tmp_path / "whole" / "model")
    assert (cut / "curve.jsonl").read_bytes() == (tmp_path / "whole" / "curve.jsonl").read_bytes()
    assert not (cut / "checkpoints").exists()


def test_killed_kto_run_goes_on_from_its_checkpoint_to_the_same_bytes(tiny: Path, tmp_path: Path) -> None:
    killed_and_resumed(tiny, tmp_path, method="kto", micro_batch_size=4)


@pytest.mark.prove
@pytest.mark.parametrize(
    "changes",
    [{}, {"lora": {"rank": 4, "alpha": 8}}, {"sft_weight": 1.0, "precision": "bf16"}],
    ids=["full", "lora", "rpo"],
)
def test_killed_dpo_run_goes_on_from_its_checkpoint_to_the_same_bytes(
    tiny: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    killed_and_resumed(tiny, tmp_path, **changes)


@pytest.mark.prove
@pytest.mark.parametrize("method", ["dpo", "kto"])
def test_two_ranks_train_on_pairs_as_one(tiny: Path, tmp_path: Path, method: str) -> None:
    long: dict[str, Any] = {"steps": 8, "save_steps": 4, "method": method, "micro_batch_size": 2}
    go(tiny, tmp_path / "one", **long)
    done = train_on_ranks(tiny, tmp_path / "two", 2, {}, **(BASIC | long))
    assert done.returncode == 0, done.stderr[-3000:]
    for name in ("loss", "rewards_margin", "rewards_accuracy"):
        assert curve_of(tmp_path / "two", name) == pytest.approx(curve_of(tmp_path / "one", name), abs=1e-4)
    assert train_on_ranks(tiny, tmp_path / "cut", 2, {"kill_at": 6}, **(BASIC | long)).returncode != 0
    assert train_on_ranks(tiny, tmp_path / "cut", 2, {}, **(BASIC | long)).returncode == 0
    assert weights(tmp_path / "cut" / "model") == weights(tmp_path / "two" / "model")


# ---- in the loop ----

RUN = """
name: t
tasks: {source: jsonl, train: tasks.jsonl}
student: {kind: pretrained, model: tiny, template: plain}
train: {method: dpo, epochs: 1}
"""


def test_round_without_pairs_keeps_the_students_weights_and_says_so(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(RUN.replace("epochs: 1", "epochs: 1, max_length: 200"))
    config = load_config(tmp_path / "run.yaml").config
    long = random_pairs(1)[0].model_copy(update={"chosen_ids": (5,) * 300})
    for name, pairs in (("none", []), ("too long", [long])):
        run, said = RunFolder(tmp_path / name), list[str]()
        shutil.copytree(tiny, run.model(2))
        with writing_pairs(run.round(3) / "pairs.parquet") as write:
            write(pairs)
        write_json(run.phase(3, "curate") / "DONE", {"metrics": {"data/accepted": 9}})
        heard = Progress(lambda event, figures, said=said: said.append(figures["text"]) if event == "note" else None)
        resources = RunResources(config, tmp_path, Ranks(), tmp_path)
        ctx = RoundContext(3, 2, config, run, resources, Ranks(), heard, [])
        train_phase(ctx)
        counts = {"train/pairs": 0, "train/rows_left_out": len(pairs)}
        figures = read_json(ctx.at("train") / "DONE")["metrics"]
        assert figures == {"train/steps": 0, "train/weights_kept": 1, **counts}
        assert said == [f"round 3: the weights do not change: {len(pairs)} pairs, and none can be trained on"]
        assert weights(ctx.at("train") / "model") == weights(tiny)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("train.beta=0.3 train.method=sft", "beta is 0.3, but sft has no such key; it goes with dpo and kto"),
        ("train.sft_weight=1 train.method=kto", "sft_weight is 1, but kto has no such key; it goes with dpo"),
        ("train.packing=true", "packing is True, but dpo has no such key; it goes with sft"),
        ("train.lora={dropout:\\ 0.1}", "lora.dropout is 0.1, but dpo trains without dropout"),
        ("curate.verified_only=false", "without a verdict no attempt is rejected"),
        ("generate.samples_per_task=1", "generate.samples_per_task is 1: a pair needs two attempts"),
        ("curate.anchor_share=0.5", "curate.anchor_share is 0.5, but train.method is dpo, which trains on pairs alone"),
        ("correct.attempts=1 correct.format=whole", "correct.format is whole"),
        ("train.beta=0", "train.beta is 0"),
    ],
)
def test_settings_without_effect_under_a_method_are_refused(tmp_path: Path, change: str, said: str) -> None:
    (tmp_path / "run.yaml").write_text(RUN)
    load_config(tmp_path / "run.yaml")
    with pytest.raises(ConfigError) as error:
        load_config(
            tmp_path / "run.yaml",
            [part.replace("\\ ", " ") for part in change.replace("\\ ", "\0").split(" ")]
            if "\\ " not in change
            else [change.replace("\\ ", " ")],
        )
    assert said in str(error.value)


def test_validate_reads_the_argument_names_of_the_method(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(RUN)
    wrong = ["train.args={discopop_tou: 1}"]
    assert trainer_faults(examine(tmp_path / "run.yaml", ["train.args={loss_type: ipo, label_smoothing: 0.1}"])) == []
    [fault] = trainer_faults(examine(tmp_path / "run.yaml", wrong))
    assert "TRL's DPOConfig has no such argument; did you mean 'discopop_tau'" in fault


def test_warm_up_before_dpo_is_sft_without_its_arguments(tiny: Path, tmp_path: Path) -> None:
    args = {"loss_type": "ipo", "adam_beta2": 0.9, "desirable_wait": 1}
    method = Dpo(steps=3, batch_size=4, warmup={"steps": 1}, sft_weight=1.0, beta=0.2, args=args)
    warm = warmup_of(method)
    assert warm is not None and warm.method == "sft" and warm.args == {"adam_beta2": 0.9, "desirable_wait": 1}
    run = TrainRun(start=tiny, out=tmp_path, seed=1, ranks=Ranks(), device="cpu")
    with pytest.raises(ConfigError, match="desirable_wait"):
        train(warm, random_rows(8), run)
    done = train(warm.model_copy(update={"args": {"adam_beta2": 0.9}}), random_rows(8), run)
    assert done.steps == 1 and not done.figures
