"""The parts of docs/extending.md, cut out of the page as they stand, in a copy of the package: a round runs with each."""

import re
from pathlib import Path
from typing import Any

import pytest

from selfplay.loop.run_view import OpenRun
from tests.support import ROOT
from tests.support.extending import Part, extended, played

PAGE = ROOT / "docs" / "extending.md"


def one(pattern: str, text: str) -> Any:
    """What the pattern finds, once and no more."""
    [found] = re.findall(pattern, text, flags=re.S | re.M)
    return found


def parts() -> list[Part]:
    sections = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.M)[1:]
    found = []
    for section in sections:
        path, file = one(r"^`(selfplay/[\w/]+\.py)`:\n\n```python\n(.*?)```", section)
        registry, line = one(r"^In `([A-Z_]+)`:\n\n```python\n(.*?)```", section)
        config = one(r"^Try it:\n\n```yaml\n(.*?)```", section)
        found.append(Part(section.partition("\n")[0], path, file, registry, line, config))
    return found


PARTS = parts()


def seen(part: Part, run: OpenRun) -> bool:
    """Whether the part did its work in the run."""
    traces, last = list(run.traces(1)), run.metrics()[-1]
    return {
        "A task source": all(trace["task_id"].startswith("apples-") for trace in traces),
        "A verifier": {"max_words/1"} < {v["verifier"] for t in traces for v in t["verdicts"]},
        "An engine": {t["outcome"] for t in traces} == {"pass"} and {t["origin"] for t in traces} == {"teacher"},
        "A training method": last["train/steps"] == 2,
        "A metric": last.get("collapse_drift/reply_words_lo", 9.0) <= last.get("collapse_drift/reply_words", 0.0),
    }[part.title]


def test_the_page_shows_each_kind_of_part() -> None:
    titles = ["A task source", "A verifier", "An engine", "A training method", "A metric"]
    assert [part.title for part in PARTS] == titles
    assert len({part.registry for part in PARTS}) == 5


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.registry.lower())
def test_part_of_the_page_runs_a_round_as_it_stands(tmp_path: Path, part: Part) -> None:
    run = played(extended(tmp_path, part), part.config)
    assert [commit.round for commit in run.rounds] == [0, 1]
    assert seen(part, run)
