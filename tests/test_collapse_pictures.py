"""The three worked pictures of docs/collapse.md are what the gate's rules say of the runs that they show."""

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`scripts/collapse_pictures.py` as a module."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    monkeypatch.delitem(sys.modules, "collapse_pictures", raising=False)
    return importlib.import_module("collapse_pictures")


def test_each_story_has_the_alarms_that_its_name_and_the_page_say(script: Any) -> None:
    seen = {story.name: script.rounds_of(story) for story in script.STORIES}
    levels = {name: [alarm.level for alarm in script.levels_of(rounds)] for name, rounds in seen.items()}
    assert levels == {"healthy": [0] * 9, "collapsing": [0, 0, 0, 0, 1, 2, 2, 2, 2], "blind": [0] * 9}
    truth = {name: (round(rounds[0].truth, 2), round(rounds[-1].truth, 2)) for name, rounds in seen.items()}
    assert truth == {"healthy": (0.42, 0.67), "collapsing": (0.42, 0.22), "blind": (0.42, 0.31)}
    falls = script.levels_of(seen["blind"])[-1].smallest_fall
    assert falls["dev_accuracy"] > 0.1


def test_the_committed_pictures_show_these_alarms() -> None:
    page = (ROOT / "docs" / "collapse.md").read_text(encoding="utf-8")
    for name, levels in (
        ("healthy", "0 0 0 0 0 0 0 0 0"),
        ("collapsing", "0 0 0 0 1 2 2 2 2"),
        ("blind", "0 0 0 0 0 0 0 0 0"),
    ):
        assert f"(pictures/collapse-{name}.svg)" in page
        picture = (ROOT / "docs" / "pictures" / f"collapse-{name}.svg").read_text(encoding="utf-8")
        assert f"alarm level: {levels}<" in picture and "<script" not in picture
