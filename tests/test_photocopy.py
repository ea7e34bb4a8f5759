"""The photocopy shrinks where a student collapses and nowhere else, whatever the length of what it writes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from selfplay.report import write_compare, write_report
from selfplay.report.copies import RARE, Copies, read_copies
from selfplay.report.run_data import read_run
from tests.support.run_folders import write_run, write_samples


def _copies(folder: Path, rounds: int = 4, **how: Any) -> Copies:
    found = read_copies(read_run(_bare(folder, rounds, **how)))
    assert isinstance(found, Copies), found
    return found


def _bare(
    folder: Path, rounds: int = 4, verified: bool = True, seed: int = 0, growth: float = 1.0, tasks: int = 60
) -> Path:
    """A run folder with the samples of its rounds and nothing else."""
    for number in range(rounds + 1):
        place = folder / "rounds" / f"{number:03d}" / "evaluate"
        place.mkdir(parents=True)
        write_samples(place, number, verified, seed, growth, tasks)
    (folder / "metrics.jsonl").write_text("".join(json.dumps({"round": n}) + "\n" for n in range(rounds + 1)))
    return folder


@pytest.mark.parametrize("growth", [1.0, 1.3, 0.8])
def test_the_rare_bars_of_a_collapsing_run_shrink_and_those_of_a_healthy_one_stay(
    tmp_path: Path, growth: float
) -> None:
    well = _copies(tmp_path / "well", growth=growth)
    ill = _copies(tmp_path / "ill", verified=False, growth=growth)
    assert set(RARE) <= well.kept.keys() and set(RARE) <= ill.kept.keys()
    assert all(0.75 < value < 1.3 for values in well.kept.values() for value, *_ in values)
    rare = [value for value, *_ in ill.of(RARE)]
    assert rare == sorted(rare, reverse=True) and rare[-1] < 0.5
    assert ill.of([next(iter(ill.kept))])[-1][0] > 0.8
    longer = [later > earlier for earlier, later in zip(well.words, well.words[1:], strict=False)]
    assert growth == 1.0 or all(longer) == (growth > 1)


def test_an_unchanged_student_lies_within_its_intervals(tmp_path: Path) -> None:
    inside = []
    for seed in range(30):
        kept = _copies(tmp_path / str(seed), rounds=1, seed=seed, tasks=40).kept
        inside += [
            lo <= 1 <= hi for values in kept.values() for _, lo, hi in values[1:] if lo is not None and hi is not None
        ]
    assert len(inside) > 100 and sum(inside) / len(inside) >= 0.9


def test_round_0_is_no_better_than_an_unchanged_round_by_the_luck_of_what_was_chosen(tmp_path: Path) -> None:
    values = [v for seed in range(30) for v, *_ in _copies(tmp_path / str(seed), rounds=1, seed=seed).of(RARE)[1:]]
    assert sum(values) / len(values) == pytest.approx(1.0, abs=0.04)


def _rewritten(folder: Path, number: int, change: Callable[[dict[str, Any]], dict[str, Any] | None]) -> None:
    file = folder / "rounds" / f"{number:03d}" / "evaluate" / "chunk-00000.jsonl"
    rows = [change(row) if "text" in row else row for row in map(json.loads, file.read_text().splitlines())]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows if row))


def test_harder_tasks_that_join_the_dev_set_later_do_not_count(tmp_path: Path) -> None:
    folder = _bare(tmp_path / "a", rounds=1)
    before = read_copies(read_run(folder))
    file = folder / "rounds/001/evaluate/chunk-00000.jsonl"
    more = {"part": "samples", "task_id": "new", "sample": 0, "outcome": "pass", "text": "w0 w0 " * 300}
    file.write_text(file.read_text() + (json.dumps(more) + "\n") * 50)
    assert isinstance(before, Copies) and read_copies(read_run(folder)) == before


def test_what_is_lost_is_named(tmp_path: Path) -> None:
    folder = _bare(tmp_path / "a", rounds=1)
    _rewritten(folder, 0, lambda row: row | {"text": row["text"] + " modulo 7"})
    found = read_copies(read_run(folder))
    assert isinstance(found, Copies) and found.lost[0] == "modulo 7"


def test_an_error_that_is_unlearned_is_no_loss(tmp_path: Path) -> None:
    folder = _bare(tmp_path / "a", rounds=1)
    _rewritten(folder, 0, lambda row: row | {"text": row["text"] + " oops now"} if row["outcome"] == "fail" else row)
    found = read_copies(read_run(folder))
    assert isinstance(found, Copies) and "oops now" not in found.lost


def test_what_cannot_be_compared_is_a_sentence(tmp_path: Path) -> None:
    def told(folder: Path) -> str:
        found = read_copies(read_run(folder))
        assert isinstance(found, str)
        return found

    folder = _bare(tmp_path / "first", rounds=1)
    (folder / "rounds/000/evaluate/chunk-00000.jsonl").unlink()
    assert "kept no samples of round 0" in told(folder)
    assert "Fewer than two rounds" in told(_bare(tmp_path / "one", rounds=0))
    other = _bare(tmp_path / "other", rounds=1)
    _rewritten(other, 1, lambda row: row | {"task_id": "x" + row["task_id"]})
    assert "share no dev task" in told(other)
    silent = _bare(tmp_path / "silent", rounds=2)
    _rewritten(silent, 1, lambda row: row | {"text": "w1 w2"})
    kept = read_copies(read_run(silent))
    assert isinstance(kept, Copies) and kept.short == [1] and kept.rounds == [0, 2]
    same = _bare(tmp_path / "same", rounds=1)
    for number in (0, 1):
        _rewritten(same, number, lambda row: row | {"text": "yes"})
    assert told(same)
    torn = _bare(tmp_path / "torn", rounds=1)
    with (torn / "rounds/001/evaluate/chunk-00000.jsonl").open("a") as file:
        file.write('{"part": "samples", "text": "cut\n{"part": "samples", "text": 7}\n')
    assert isinstance(read_copies(read_run(torn)), Copies)


def test_greedy_answers_take_the_place_of_samples_and_it_is_said(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", rounds=1, attempts=20)
    for number in (0, 1):
        _rewritten(folder, number, lambda row: row | {"part": "dev", "task_id": f"{row['task_id']}-{row['sample']}"})
    write_report(folder)
    told = json.loads((folder / "report.json").read_text())["sections"]["photocopy"]
    assert "these are its greedy answers" in told["in_words"] and told["tasks"] == 200


def test_the_control_arm_stands_beside_the_run_over_the_same_rounds(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / f"arm-s{seed}", rounds=4, seed=seed, attempts=20) for seed in (0, 1)]
    runs.append(write_run(tmp_path / "control", rounds=6, verified=False, attempts=20))
    page = write_compare(runs, tmp_path / "c.html")
    found = json.loads(page.with_suffix(".json").read_text())["sections"]["photocopy"]
    assert {name: found[name]["columns"] for name in ("arm (2 seeds)", "control")} == {
        "arm (2 seeds)": [0, 2, 4],
        "control": [0, 2, 4],
    }
    ends = {name: found[name]["rows"]["once"][-1][0] for name in ("arm (2 seeds)", "control")}
    assert ends["control"] < 0.6 < 0.8 < ends["arm (2 seeds)"]
    assert "control: common word pairs are at" in found["lead"]
