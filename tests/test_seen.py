"""The memorisation gap: tasks trained on against dev tasks that were as likely to be solved."""

from pathlib import Path
from typing import Any

import pytest

from selfplay.collapse import dev_set_of
from selfplay.records import Attempt, Decision, Outcome, Task, Trace
from selfplay.runtime.metrics.seen import Seen
from selfplay.store.traces import write_traces
from selfplay.tasks import Fixed
from tests.support.metrics import view

GAP = "collapse_quality/memorisation_gap"


def a_task(name: str, level: int) -> Task:
    return Task(id=name, prompt="p", check={"type": "math", "answer": "1"}, tags=(f"difficulty:{level}",))


def written(folder: Path, levels: dict[str, int], attempts: int = 2) -> Path:
    decision = Decision(decision="accepted", reason="accepted")
    groups = [
        [
            Trace(
                task=a_task(name, level),
                attempt=Attempt(task_id=name, attempt=n, round=1, text="A: 1"),
                outcome=Outcome.PASS,
                decision=decision,
            )
            for n in range(attempts)
        ]
        for name, level in levels.items()
    ]
    write_traces(folder / "traces.parquet", groups)
    return folder


def rows(part: str, right: dict[str, bool]) -> list[dict[str, Any]]:
    return [{"part": part, "task_id": t, "sample": 0, "outcome": "pass" if ok else "fail"} for t, ok in right.items()]


DEV = [a_task(f"d{i}", 1 + i % 2) for i in range(40)]
FIXED = Fixed([], DEV, [])


def parent(solved: int, of: int = 4) -> dict[str, Any]:
    """The parent solves every dev task so often."""
    return {"samples": dev_set_of([t.id for t in DEV], [[i < solved for i in range(of)] for _ in DEV]).to_dict()}


def test_the_gap_is_the_difference_at_equal_difficulty(tmp_path: Path) -> None:
    seen = {f"t{i}": 1 for i in range(20)}
    folder = written(tmp_path, seen)
    easy = {t.id: t.difficulty == 1 for t in DEV}
    evaluated = [*rows("seen", dict.fromkeys(seen, True)), *rows("dev", easy)]
    found = Seen().compute(view(evaluated, {}, fixed=FIXED, folder=folder, before=parent(2))).figures
    assert found[GAP] == 0.0, "dev tasks of difficulty 2 are like no task trained on"
    mixed = written(tmp_path, {**{f"t{i}": 1 for i in range(10)}, **{f"t{i}": 2 for i in range(10, 20)}})
    found = Seen().compute(view(evaluated, {}, fixed=FIXED, folder=mixed, before=parent(2))).figures
    assert found["collapse_quality/seen_accuracy"] == 1.0
    assert found["collapse_quality/unseen_accuracy"] == pytest.approx(0.5) and found[GAP] == pytest.approx(0.5)
    assert found[f"{GAP}_lo"] < found[GAP] < found[f"{GAP}_hi"]


def test_a_dev_task_counts_by_the_chance_that_the_parent_solves_it_as_often(tmp_path: Path) -> None:
    """Without it the gap of a student that memorises nothing would be large: only solved tasks are trained on."""
    counts = [[i < (4 if n < 20 else 1) for i in range(4)] for n in range(40)]
    before = {"samples": dev_set_of([t.id for t in DEV], counts).to_dict()}
    right = {t.id: n < 20 for n, t in enumerate(DEV)}
    seen = {f"t{i}": 1 for i in range(20)}
    evaluated = [*rows("seen", dict.fromkeys(seen, True)), *rows("dev", right)]
    one = Seen().compute(view(evaluated, {}, fixed=FIXED, folder=written(tmp_path, seen, 1), before=before)).figures
    assert one["collapse_quality/unseen_accuracy"] == pytest.approx(1 / (1 + 0.25))
    four = Seen().compute(view(evaluated, {}, fixed=FIXED, folder=written(tmp_path, seen, 4), before=before)).figures
    assert four["collapse_quality/unseen_accuracy"] == pytest.approx(0.5), "four attempts solve every one of them"
    unverified: dict[str, Any] = {"curate": {"verified_only": False}}
    plain = (
        Seen()
        .compute(view(evaluated, {}, fixed=FIXED, folder=written(tmp_path, seen, 1), before=before, **unverified))
        .figures
    )
    assert plain["collapse_quality/unseen_accuracy"] == pytest.approx(0.5), "training asked for no right attempt"


def test_too_few_tasks_on_either_side_or_no_like_dev_task_is_no_gap(tmp_path: Path) -> None:
    seen = {f"t{i}": 1 for i in range(20)}
    folder = written(tmp_path, seen)
    dev = rows("dev", {t.id: True for t in DEV})
    few = rows("seen", {f"t{i}": True for i in range(7)})
    enough = rows("seen", dict.fromkeys(seen, True))
    known: dict[str, Any] = {"fixed": FIXED, "folder": folder}
    assert GAP in Seen().compute(view([*enough, *dev], {}, before=parent(2), **known)).figures
    nothing = [
        view([*few, *dev], {}, before=parent(2), **known),
        view([*enough, *dev], {}, before=parent(0), **known),
        view([*enough, *dev], {}, before={}, **known),
        view([*enough, *dev], {}, **known),
        view(enough, {}, before=parent(2), **known),
        view(dev, {}, before=parent(2), **known),
        view([*enough, *dev], {}, before=parent(2), fixed=FIXED, folder=written(tmp_path, dict.fromkeys(seen, 9))),
    ]
    assert [Seen().compute(one).figures for one in nothing] == [{}] * len(nothing)
