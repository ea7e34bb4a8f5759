"""Runs that were measured on other tasks: their accuracies are no headline, and what can be compared still is."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from selfplay.cli.compare import chosen, compare_command
from selfplay.report import write_compare
from tests.support.run_folders import write_run

Edit = Callable[[dict[str, Any]], dict[str, Any]]


def runs(base: Path, edit: Edit = lambda frozen: frozen) -> list[Path]:
    """Two runs of two rounds; `edit` changes what the second one keeps of its held-out tasks."""
    made = [write_run(base / name, rounds=2, attempts=20, verified=name == "a") for name in ("a", "b")]
    for path in made[1].glob("rounds/*/evaluate/dev.json"):
        path.write_text(json.dumps(edit(json.loads(path.read_text()))))
    return made


def told(made: list[Path], out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(write_compare(made, out).with_suffix(".json").read_text())
    return found


def renamed(part: str, every: int) -> Edit:
    """Gives every n-th task of a part another id."""

    def edit(frozen: dict[str, Any]) -> dict[str, Any]:
        tasks = {f"{k}-new" if n % every == 0 else k: v for n, (k, v) in enumerate(frozen[part].items())}
        return frozen | {part: tasks}

    return edit


def test_the_same_test_set_is_the_headline(tmp_path: Path) -> None:
    page = told(runs(tmp_path), tmp_path / "c.html")
    assert page["headline"]["sentence"].startswith("After round 2, on the test set: a is at 0.")
    assert page["headline"]["stopped"] == "" and len(page["headline"]["figures"]) == 2


def test_another_test_set_gives_way_to_the_same_dev_set(tmp_path: Path) -> None:
    page = told(runs(tmp_path, renamed("test", 3)), tmp_path / "c.html")
    assert page["headline"]["sentence"].startswith("After round 2, on the dev set: a is at 0.")
    assert "test/greedy_accuracy" not in page["sections"]["curves"]


def test_where_both_sets_differ_the_shared_tasks_are_compared_and_the_reason_is_said(tmp_path: Path) -> None:
    def edit(frozen: dict[str, Any]) -> dict[str, Any]:
        return renamed("dev", 2)(renamed("test", 3)(frozen))

    made = runs(tmp_path, edit)
    page = told(made, tmp_path / "c.html")
    sentence, why = page["headline"]["sentence"], page["headline"]["stopped"]
    assert sentence.startswith("The runs were not measured on the same tasks. After round 2, on the 200 test tasks")
    assert why == "The test sets differ: a has 300 tasks and b has 300, 200 tasks of them in both."
    assert page["headline"]["figures"] == []
    frozen = json.loads((made[0] / "rounds/002/evaluate/dev.json").read_text())["test"]
    kept = [value for n, value in enumerate(frozen.values()) if n % 3]
    assert page["sections"]["claim"]["a"][-1][1] == pytest.approx(sum(kept) / 200)
    difference = page["sections"]["outcome"]["differences"][0]
    assert difference["tasks"] == 200 and difference["difference"][1] is not None
    assert "left out" in page["sections"]["curves"]["lead"] and "eval/pass_at_1" not in page["sections"]["curves"]
    assert "data/accepted" in page["sections"]["curves"]


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        (
            lambda frozen: renamed("dev", 1)(renamed("test", 1)(frozen)),
            "The test sets differ: a has 300 tasks and b has 300, no task in both.",
        ),
        (lambda frozen: {"samples": {}}, "b did not keep the outcomes of its test set, task by task."),
    ],
)
def test_without_a_shared_task_no_accuracy_is_compared(tmp_path: Path, edit: Edit, why: str) -> None:
    page = told(runs(tmp_path, edit), tmp_path / "c.html")
    assert page["headline"]["sentence"].startswith("The accuracies of these runs cannot be compared")
    assert page["headline"]["stopped"] == why == page["sections"]["outcome"]["missing"]
    assert page["sections"]["claim"]["missing"].startswith(why) and page["headline"]["figures"] == []


def test_the_same_ids_from_files_of_other_content_are_other_tasks(tmp_path: Path) -> None:
    made = runs(tmp_path)
    for run, sha in zip(made, ("11", "22"), strict=True):
        config = (run / "config.yaml").read_text() + "tasks: {source: jsonl, train: data/tasks.jsonl, dev: dev.jsonl}\n"
        (run / "config.yaml").write_text(config)
        files = {"data/tasks.jsonl": sha, "dev.jsonl": "33"}
        (run / "fingerprint.json").write_text(json.dumps({"schema_version": 2, "science": {}, "files": files}))
    page = told(made, tmp_path / "c.html")
    assert page["headline"]["sentence"].startswith("After round 2, on the dev set")  # its file is the same one
    (made[1] / "fingerprint.json").write_text(json.dumps({"files": {"tasks.jsonl": "22", "dev.jsonl": "44"}}))
    why = told(made, tmp_path / "d.html")["headline"]["stopped"]
    assert (
        why == "The test sets of a and b were read from files named tasks.jsonl whose contents differ."
        or "of a and b" in why
    )


# ---- the table in the terminal ----


def table(made: list[Path], out: Path, capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """The titles of the table, and what is said below it."""
    compare_command(made, out)
    said = capsys.readouterr().out
    return next(line for line in said.splitlines() if "run" in line and "round" in line), said.rpartition("┘")[2]


def test_the_table_leaves_out_what_was_measured_on_other_tasks_and_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    titles, below = table(runs(tmp_path / "same"), tmp_path / "c.html", capsys)
    assert "dev" in titles and "test" in titles and "cannot be compared" not in below
    titles, below = table(runs(tmp_path / "dev", renamed("dev", 2)), tmp_path / "c.html", capsys)
    assert "test" in titles and "dev" not in titles and "pass@" not in titles and "alarm" in titles
    assert (
        "since the runs cannot be compared in it. The dev sets differ: a has " in below and "Left out: dev, " in below
    )
    page = (tmp_path / "c.html").read_text()
    assert (
        "Each run is drawn on dev tasks of its own, so compare the bars within a run only: The dev sets differ" in page
    )
    both = runs(tmp_path / "both", lambda frozen: renamed("dev", 2)(renamed("test", 3)(frozen)))
    titles, below = table(both, tmp_path / "c.html", capsys)
    assert "dev" not in titles and "test" not in titles
    assert "Left out: test, since the runs cannot be compared in it. The test sets differ: " in below


def test_figures_of_k_samples_are_compared_at_the_largest_k_that_all_runs_have(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [{"round": 0, **{f"eval/pass_at_{k}": 0.5 for k in (1, 2, 4, 8)}}], [{"round": 0, "eval/pass_at_2": 0.5}]
    shown, notes = chosen(rows, {})
    assert [(one.title, one.key) for one in shown] == [("pass@2", "eval/pass_at_2")]
    assert "Left out: unique@k, since the runs have no number of samples (eval.samples) in common." in notes
    assert [one.title for one in chosen(rows[:1], {})[0]] == ["pass@8"]
