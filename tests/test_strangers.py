"""Folders as strangers bring them: each runs to its end, or ends in a sentence that a person can act on."""

import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from selfplay import open_run
from selfplay.cli.app import start
from tests.support import ROOT
from tests.support.tiny_models import make_tiny

FOLDERS = ROOT / "tests" / "strangers"


@dataclass(frozen=True)
class End:
    """How `selfplay run` of a folder ends."""

    code: int = 0
    said: str = ""
    """A pattern that its output matches."""
    last: Mapping[str, Any] = field(default_factory=dict)
    """Metrics of the last round that are as named; None: not there, or 0."""
    above: Mapping[str, float] = field(default_factory=dict)
    """Metrics of the last round that are above a bound."""


TRAINED = {"train/weights_kept": None, "collapse_alarm/level": None}
KEPT = {"data/accepted": None, "train/weights_kept": 1}
ENDS = {
    "all_right": End(last={**TRAINED, "data/passed": 20, "eval/greedy_accuracy": 1.0}),
    "all_wrong": End(
        said=r"the weights do not change: 0 of its attempts were accepted, .*`selfplay traces` shows why",
        last={**KEPT, "data/dropped_failed": 10, "data/dropped_invalid": 10},
    ),
    "chat_messages": End(last={**TRAINED, "data/passed": 20, "data/accepted": 10}),
    "csv_columns": End(last={**TRAINED, "data/passed": 20, "data/accepted": 10}),
    "duplicates": End(last={**TRAINED, "data/tasks_filtered": 12, "data/accepted": 6}),
    "fenced_references": End(
        last={**TRAINED, "data/passed": 9, "data/accepted": 9, "collapse_quality/canary_false_accepts": None},
        above={"collapse_quality/canary_wrong": 0},
    ),
    "judge_down": End(
        code=3,
        said=r"judge\.backend: http://127\.0\.0\.1:9/v1 does not answer .*; start the server or correct its url",
    ),
    "long_prompt": End(
        said=r"round 1: 1 of 10 tasks are skipped, since their prompts leave no room in the 256 tokens of the student's context, such as "
        r"task 't4' with \d+ tokens; shorten the prompts",
        last={**KEPT, "data/tasks_filtered": 1, "data/sampled": 18},
    ),
    "no_references": End(code=2, said="train.warmup trains round 0 on the anchor, but no training task has a reference; add reference"),
    "raising_verifier": End(
        said=r"ValueError: invalid literal for int\(\) .*\(checks\.py, line 3, in above; task t\d+\); the attempt is `error`",
        last={"data/outcome_error": 10, "data/accepted": 10},
    ),
    "same_ids": End(code=2, said=r"tasks\.jsonl:7: the id 't2' is used twice, first at .*tasks\.jsonl:3; ids must be unique"),
    "templated_prompts": End(last={**TRAINED, "data/dropped_contaminated": None, "data/passed": 20, "data/accepted": 10}),
    "three_tasks": End(
        said=r"the weights do not change: 2 of its attempts were accepted, and train\.min_accepted is 4", last={"data/passed": 4}
    ),
    "unicode": End(said=r"raise generate\.max_new_tokens", last={"data/outcome_error": None, **KEPT}),
}  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model that some of the folders name as `base`."""
    return make_tiny(tmp_path_factory.mktemp("models") / "base", chat=True)


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDERS.iterdir()))
def test_folder_of_a_stranger_ends_as_it_should(
    tmp_path: Path, name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    folder, end = tmp_path / name, ENDS[name]
    shutil.copytree(FOLDERS / name, folder)
    if "model: base" in (folder / "config.yaml").read_text(encoding="utf-8"):
        shutil.copytree(request.getfixturevalue("model"), folder / "base")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["selfplay", "run", "--name", name])
    with pytest.raises(SystemExit) as ended:
        start()
    said = "".join(capfd.readouterr())
    assert (ended.value.code or 0) == end.code, said
    assert "Traceback" not in said and re.search(end.said, said), said
    if end.code == 0:
        row = open_run(folder / "runs" / name).metrics()[-1]
        assert {key: row.get(key) or None for key in end.last} == end.last
        assert [key for key, bound in end.above.items() if row.get(key, 0) <= bound] == []
