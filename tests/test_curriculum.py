"""A curriculum on tasks of one's own: by the difficulty that they are given, or by what earlier rounds measured."""

import json
from pathlib import Path
from typing import Any

import pytest

from selfplay import load_config, open_run
from selfplay import run as start
from selfplay.cli.validate import validate_command
from selfplay.errors import ConfigError, DataError
from selfplay.loop.run_view import OpenRun
from selfplay.runtime.context import read_tasks
from selfplay.store import read_json
from selfplay.tasks.levels import UNTRIED

CONFIG = """\
rounds: 4
tasks: {source: jsonl, train: tasks.jsonl}
student: {kind: scripted, skill: 0.8, gain: 0.5}
propose: {tasks_per_round: 30, curriculum: {start: 1, end: 4, advance_at: 0.5, next_share: 0.5, after_share: 0.1}}
generate: {samples_per_task: 3, chunk_tasks: 30}
train: {epochs: 1, start: continue}
eval: {sample_tasks: 4, samples: 2}
tracking: {mode: disabled}
name: a
"""


def row(number: int, terms: int, answer: int | None = None, **more: Any) -> dict[str, Any]:
    """A sum of some terms; another `answer` than its value is one that the student never gives."""
    text = " + ".join(str(10 + (7 * number + 3 * place) % 80) for place in range(terms))
    value = sum(map(int, text.split(" + ")))
    check = {"type": "math", "answer": str(value if answer is None else answer)}
    return {"id": f"t{number:03d}", "prompt": f"{text}\n", "verifier": check, "reference": f"A: {value}", **more}


def begin(folder: Path, rows: list[dict[str, Any]], *overrides: str) -> OpenRun:
    (folder / "tasks.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    (folder / "c.yaml").write_text(CONFIG)
    start(load_config(folder / "c.yaml", [f"runs_dir={folder / 'runs'}", *overrides]))
    return open_run(folder / "runs/a")


def levels_of(run: OpenRun) -> list[int | None]:
    """The level that each round left."""
    return [commit.state.level for commit in run.rounds]


def test_level_climbs_over_tasks_of_given_difficulty(tmp_path: Path) -> None:
    run = begin(tmp_path, [row(n, 2 + n % 4, difficulty=1 + n % 4) for n in range(160)])
    levels = [level or 0 for level in levels_of(run)]
    assert levels == sorted(levels) and levels[0] == 1 and levels[-1] == 4
    first = read_tasks(run.folder.phase(1, "propose"))
    assert {task.difficulty for task in first} == {1, 2, 3} and len(first) == 30
    assert sum(task.difficulty == 2 for task in first) == 15
    last = read_json(run.folder.phase(4, "propose") / "DONE")["shares"]
    assert max(map(int, last)) == 4 and "1" not in last


def test_level_climbs_over_tasks_whose_difficulty_is_measured(tmp_path: Path) -> None:
    hopeless = {f"t{n:03d}" for n in range(0, 80, 4)}
    rows = [row(n, 3, answer=7 if f"t{n:03d}" in hopeless else None) for n in range(80)]
    run = begin(tmp_path, rows, "rounds=6")
    drawn = {n: read_tasks(run.folder.phase(n, "propose")) for n in range(1, 7)}
    assert all(UNTRIED in task.tags and task.difficulty == 2 for task in drawn[1])
    levels = [level or 0 for level in levels_of(run)]
    assert levels[1] == 1, "untried tasks have no vote"
    assert levels == sorted(levels) and levels[-1] == 3, "the hardest quarter is never solved"
    hard = {task.id for task in drawn[6] if task.difficulty == 4 and UNTRIED not in task.tags}
    assert len(hard & hopeless) > len(hard) / 2 > 0
    again = begin(tmp_path, rows, "rounds=6", "name=b")
    assert levels_of(again) == levels_of(run)


def test_curriculum_above_all_levels_is_refused_before_the_start(tmp_path: Path) -> None:
    rows = [row(n, 2, difficulty=9) for n in range(30)]
    says = r"propose\.curriculum\.end is 4, but the easiest training task has difficulty 9; raise end"
    with pytest.raises(DataError, match=says):
        begin(tmp_path, rows)
    with pytest.raises(ConfigError, match=says):
        validate_command(tmp_path / "c.yaml", [], tasks=True)


def test_round_with_too_few_tasks_at_its_levels_is_smaller_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [row(n, 2, difficulty=1 if n < 20 else 4) for n in range(60)]
    run = begin(tmp_path, rows, "rounds=1", "propose.curriculum.end=3")
    assert {task.difficulty for task in read_tasks(run.folder.phase(1, "propose"))} == {1}
    assert "18 of 30 tasks were drawn: the source has no more tasks of difficulty 1" in caplog.text
