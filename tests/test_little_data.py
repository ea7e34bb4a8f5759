"""Rounds with next to nothing to learn from run to their end: the weights stay, the round says so, and the gate knows it."""

import json
from pathlib import Path
from typing import Any

import pytest

from selfplay import load_config, open_run
from selfplay import run as start
from selfplay.phases.curate.tally import Tally, notices
from selfplay.phases.train import few_steps
from selfplay.records import Row
from selfplay.store import sha256_of
from selfplay.training.methods.sft import Sft
from tests.support.strangers import Ended, folder_of, played

HOPELESS = """\
rounds: 2
tasks: {source: arithmetic, anchor: 6, held_out: 6}
student: {kind: scripted, skill: 0.0}
propose: {tasks_per_round: 12}
generate: {samples_per_task: 2, chunk_tasks: 8}
train: {epochs: 1, start: START}
eval: {sample_tasks: 4, samples: 2}
tracking: {mode: disabled}
name: a
"""


def weights(run: Path) -> list[str]:
    return [sha256_of(path / "model") for path in sorted(run.glob("rounds/*")) if (path / "model").exists()]


def sums(count: int, **more: Any) -> list[dict[str, Any]]:
    return [
        {"id": f"t{n}", "prompt": f"{n} + {n + 1}\n", "verifier": {"type": "math", "answer": str(2 * n + 1)}, **more}
        for n in range(count)
    ]


@pytest.mark.parametrize("training", ["continue", "from_base"])
def test_run_in_which_nothing_is_right_ends_with_the_weights_it_began_with(tmp_path: Path, training: str) -> None:
    (tmp_path / "c.yaml").write_text(HOPELESS.replace("START", training))
    start(load_config(tmp_path / "c.yaml", [f"runs_dir={tmp_path / 'runs'}"]))
    run = tmp_path / "runs/a"
    assert len(weights(run)) == 3 and len(set(weights(run))) == 1
    assert [row.get("train/weights_kept") for row in open_run(run).metrics()] == [None, 1, 1]
    commit = json.loads((run / "rounds/001/COMMIT").read_text())
    assert commit["action"] == "warn" and "too little to train on" in commit["reason"]


def test_tasks_without_any_reference_and_no_right_answer_run_to_their_end(tmp_path: Path) -> None:
    ended = played(folder_of(tmp_path / "own", sums(12), {}))
    assert ended.code == 0, ended.said
    assert "round 1: the weights do not change: 0 of its attempts were accepted" in ended.said
    assert ended.rows()[1]["train/weights_kept"] == 1 and ended.rows()[1]["data/accepted"] == 0


@pytest.mark.parametrize("asked", [False, True])
def test_two_accepted_attempts_are_trained_on_only_where_asked_for(tmp_path: Path, asked: bool) -> None:
    folder = folder_of(tmp_path / "own", sums(12), {"t1": "A: 3", "t2": "A: 5"})
    ended = played(folder, "run", *(["train.min_accepted=1"] if asked else []))
    assert ended.code == 0, ended.said
    row = ended.rows()[1]
    assert row["data/accepted"] == 2
    assert (row.get("train/weights_kept"), row["train/steps"] > 0) == ((None, True) if asked else (1, False))


def test_rows_that_are_all_too_long_keep_the_weights_and_name_the_setting() -> None:
    rows = [Row(input_ids=(1,) * 40, labels=(-100, *(1,) * 39), source=f"a{n}") for n in range(9)]
    said = "all 9 training rows are longer than train.max_length = 20; raise it"
    assert Sft(epochs=1, max_length=20).shortage(rows, 9) == said
    assert Sft(epochs=1, max_length=40).shortage(rows, 9) == ""


def test_reason_that_drops_more_than_half_is_said_with_examples() -> None:
    tally = Tally(sampled=8)
    tally.reasons.update({"contaminated": 5, "failed": 3})
    tally.examples["contaminated"] = ["t1/0 (equal): 'A: 3'"]
    [said] = notices(tally)
    assert said.startswith("5 of 8 attempts were dropped as contaminated")
    assert said.endswith("\n    t1/0 (equal): 'A: 3'")
    tally.reasons["contaminated"] = 4
    assert notices(tally) == []


def remarks(ended: Ended, number: int) -> list[str]:
    """What a round remarked, as the report tells it; the first line of each stands below the round's line in the terminal."""
    found: list[str] = json.loads((ended.folder / "runs/own/report.json").read_text())["remarks"][str(number)]
    shown = [line.strip() for line in ended.said.splitlines()]
    for text in found:
        said = f"! {text.partition('; ')[0]}"
        assert any(line == said or (line.endswith(" ...") and said.startswith(line[:-4])) for line in shown), said
    return found


def test_three_tasks_run_to_their_end_and_what_they_cannot_show_is_said(tmp_path: Path) -> None:
    rows = [{**one, "reference": f"A: {one['verifier']['answer']}"} for one in sums(3)]
    ended = played(folder_of(tmp_path / "own", rows, {f"t{n}": f"A: {2 * n + 1}" for n in range(3)}))
    assert ended.code == 0, ended.said
    [small] = remarks(ended, 0)
    assert small.startswith("the gate is blind: 1 dev task can show no fall of the dev accuracy at all")
    [kept] = [text for text in remarks(ended, 1) if "weights" in text]
    assert kept.startswith("the weights do not change: 2 of its attempts were accepted")


def test_missing_anchor_is_said_once(tmp_path: Path) -> None:
    ended = played(folder_of(tmp_path / "own", sums(12), {f"t{n}": f"A: {2 * n + 1}" for n in range(12)}))
    assert ended.code == 0, ended.said
    assert any(text.startswith("there is no anchor: no task has a reference") for text in remarks(ended, 0))
    assert not any("anchor" in text for text in remarks(ended, 1))


def test_verifier_that_always_raises_is_named_beside_those_that_work(tmp_path: Path) -> None:
    rows = sums(24)
    for number in range(2, 24, 3):
        rows[number]["verifier"] = {"type": "python:checks:grade"}
    folder = folder_of(tmp_path / "own", rows, {f"t{n}": f"A: {2 * n + 1}" for n in range(24)})
    (folder / "checks.py").write_text("def grade(task, text):\n    return int(text)\n")
    ended = played(folder)
    assert ended.code == 0, ended.said
    [broken] = [text for text in remarks(ended, 1) if "verifier" in text]
    head, example = broken.splitlines()
    assert head == "the verifier python:checks:grade gave no verdict on 14 of 14 attempts; correct it"
    assert "ValueError" in example and "checks.py, line 2, in grade" in example
    assert ended.rows()[1]["data/accepted"] >= 4 and "train/weights_kept" not in ended.rows()[1]


def test_reason_without_a_remedy_of_its_own_is_said_too() -> None:
    tally = Tally(sampled=3)
    tally.reasons["over_cap"] = 2
    tally.examples["over_cap"] = ["r1/t1/0 (equal): 'A: 3'", "r1/t2/0 (equal): 'A: 5'"]
    assert notices(tally) == [
        "2 of 3 attempts were dropped as over_cap\n    r1/t1/0 (equal): 'A: 3'\n    r1/t2/0 (equal): 'A: 5'"
    ]


@pytest.mark.parametrize(
    ("given", "examples", "steps", "says"),
    [
        ({"epochs": 2}, 37, 2, "took only 2 optimizer steps: 37 examples, batch_size 64, epochs 2; lower train.batch_size"),
        ({"epochs": 0.5, "batch_size": 16}, 12, 1, "took only 1 optimizer step: 12 examples, batch_size 16, epochs 0.5"),
        ({"epochs": 2, "batch_size": 8}, 37, 10, ""),
        ({"steps": 2}, 37, 2, ""),
    ],
)  # fmt: skip
def test_epochs_that_hold_few_steps_are_said(given: dict[str, Any], examples: int, steps: int, says: str) -> None:
    assert says in (said := few_steps(Sft(**given), examples, steps)) and bool(says) == bool(said)
