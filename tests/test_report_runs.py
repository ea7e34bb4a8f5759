"""A run folder as the loop leaves it, written by code for the tests of the pages; and what reading it gives."""

from pathlib import Path

import pytest

from selfplay.errors import DataError
from selfplay.report.run_data import read_run
from tests.support.run_folders import write_run


def test_a_run_is_read_with_its_rounds_intervals_and_curve(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / "quick", rounds=3))
    assert run.name == "quick" and run.rounds == [0, 1, 2, 3] and not run.notes
    assert len(run.points("eval/greedy_accuracy")) == 4 and run.points("eval/greedy_accuracy")[0][2] is not None
    assert run.strata("eval")["difficulty"][-1] == "eval_difficulty/6"
    assert [row["train/step"] for row in run.curve] == sorted({row["train/step"] for row in run.curve})
    assert run.best == 3
    assert "eval/greedy_accuracy_delta" not in run.keys("eval") and "eval/greedy_accuracy_lo" not in run.keys("eval")


def test_damage_becomes_a_sentence_and_the_rest_is_read(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "hurt", rounds=2)
    (folder / "config.yaml").write_text("a: [")
    (folder / "rounds/001/COMMIT").write_text('{"round": 1, "met')
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"round": 3, "eval/gre')
    run = read_run(folder)
    assert run.rounds == [0, 1, 2] and run.config == {}
    assert [note.partition(" ")[0] for note in run.notes] == ["rounds/001/COMMIT", "metrics.jsonl:", "config.yaml"]


def test_no_run_is_refused_with_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such run folder; give the path"):
        read_run(tmp_path / "gone")
    with pytest.raises(DataError, match="is not a run"):
        read_run(tmp_path)
