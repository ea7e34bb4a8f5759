"""Rounds with next to nothing to learn from run to their end: the weights stay, the round says so, and the gate knows it."""

import json
from pathlib import Path
from typing import Any

import pytest

from selfplay import load_config, open_run
from selfplay import run as start
from selfplay.phases.curate.tally import Tally, notices
from selfplay.records import Row
from selfplay.store import sha256_of
from selfplay.training.methods.sft import Sft
from tests.support.strangers import folder_of, played

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
    assert said.endswith("Examples: t1/0 (equal): 'A: 3'")
    tally.reasons["contaminated"] = 4
    assert notices(tally) == []
