"""Prompts that are longer than the student's context: found before sampling, skipped and named, and never counted as a wrong answer."""

import json
from pathlib import Path
from typing import Any

import pytest

from selfplay.cli.check import check_command
from selfplay.cli.validate import validate_command
from selfplay.config import load_config
from selfplay.errors import DataError
from selfplay.loop import run
from selfplay.loop.run_view import open_run
from selfplay.models.transformers.lengths import context_of, folder_of, least_tokens
from selfplay.runtime.prompt_lengths import limits_of
from tests.support.strangers import folder_of as stranger
from tests.support.tiny_models import make_tiny

LONG = "number " * 2000  # more than 1,024 tokens, whatever the tokenizer


def rows(*long: int, count: int = 12) -> list[dict[str, Any]]:
    return [
        {"id": f"t{n:02}", "prompt": f"{LONG if n in long else ''}What is {n} + 1?", "answer": str(n + 1)}
        for n in range(count)
    ]


def replies(count: int = 12) -> dict[str, str]:
    return {f"t{n:02}": f"A: {n + 1}" for n in range(count)}


def test_run_skips_training_and_held_out_tasks_that_do_not_fit_and_says_so_in_the_rounds_lines(tmp_path: Path) -> None:
    folder = stranger(tmp_path / "own", rows(0, 3), replies())  # t00 is held out, t03 is not
    done = run(load_config(folder / "config.yaml", [f"runs_dir={tmp_path / 'runs'}"]))
    opened = open_run(done.path)
    first, second = opened.metrics()
    assert first["eval/greedy_accuracy_n"] == 1  # of two dev tasks
    assert second["data/tasks_filtered"] == 1 and second["data/sampled"] == 18
    assert second["data/passed"] == 18 and "data/outcome_invalid" not in second
    said = (
        "tasks are skipped, since their prompts leave no room in the 1024 tokens of the student's context, such as task"
    )
    told = [" ".join(commit.remarks) for commit in opened.rounds]
    assert f"dev set: 1 of 2 {said} 't00' with " in told[0] and f"1 of 10 {said} 't03' with " in told[1]
    assert not any(row["task_id"] == "t03" for row in opened.traces(1))


def test_round_of_nothing_but_too_long_prompts_is_refused(tmp_path: Path) -> None:
    folder = stranger(tmp_path / "own", rows(*range(1, 10), 11, count=12), replies())
    with pytest.raises(DataError, match=r"round 1: 10 of 10 tasks are skipped, .*; shorten the prompts"):
        run(load_config(folder / "config.yaml", [f"runs_dir={tmp_path / 'runs'}"]))


@pytest.mark.parametrize(
    ("override", "limit"),
    [("rounds=1", "1024 tokens of the student's context"), ("train.max_length=300", "300 tokens of train.max_length")],
)
def test_validate_and_check_name_them_before_anything_is_sampled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], override: str, limit: str
) -> None:
    folder = stranger(tmp_path / "own", rows(3), replies())
    for command in (validate_command, lambda config, given: check_command(config, given, False)):
        capsys.readouterr()
        command(folder / "config.yaml", [override])  # type: ignore[operator]
        said = capsys.readouterr().err
        assert f"tasks.jsonl:4: 1 of 10 tasks are skipped, since their prompts leave no room in the {limit}" in said
        assert "such as task 't03' with at least " in said


def test_what_a_model_holds_is_read_from_its_files_and_through_pointers(tmp_path: Path) -> None:
    base = make_tiny(tmp_path / "base", max_position_embeddings=96)
    pointer, adapter = tmp_path / "round", tmp_path / "adapter"
    for place, name in ((pointer, "base.json"), (adapter, "adapter_base.json")):
        place.mkdir()
        (place / name).write_text(json.dumps({"base": str(base), "revision": None}))
        assert folder_of(place) == base and context_of(place) == 96
    counts = least_tokens(base, None, ["", "word", "word " * 200])
    assert counts[0] == 0 and 0 < counts[1] < counts[2] and counts[2] >= 200
    (base / "config.json").write_text(json.dumps({"text_config": {"n_positions": 7}}))
    assert context_of(base) == 7
    (base / "config.json").write_text("{torn")
    assert (
        context_of(base) is None
        and context_of("nobody/nothing") is None
        and least_tokens("nobody/nothing", None, []) == []
    )
    assert limits_of(None) is None and limits_of(None, 5) == (5, "tokens of train.max_length")
    assert limits_of(4, 5) == (4, "tokens of the student's context")
