"""The parts of docs/extending.md, cut out of the page as they stand, in a copy of the package: a round runs with each."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from selfplay import open_run
from selfplay.loop.run_view import OpenRun
from tests.support import ROOT

PAGE = ROOT / "docs" / "extending.md"


class Part(NamedTuple):
    """What a section of the page shows."""

    title: str
    path: str
    file: str
    registry: str
    line: str
    config: str


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


def extended(folder: Path, part: Part) -> Path:
    """A copy of the package with the part in it: one file and one line."""
    shutil.copytree(ROOT / "selfplay", folder / "selfplay", ignore=shutil.ignore_patterns("__pycache__"))
    assert not (folder / part.path).exists()
    (folder / part.path).write_text(part.file, encoding="utf-8")
    registry = folder / "selfplay" / "config" / "registry.py"
    before, start, rest = registry.read_text(encoding="utf-8").partition(f"\n{part.registry} = Registry(")
    head, brace, tail = rest.partition("{\n")
    registry.write_text(f"{before}{start}{head}{brace}{part.line}{tail}", encoding="utf-8")
    return folder


def played(folder: Path, config: str) -> OpenRun:
    """A run of the configuration with the package in the folder."""
    (folder / "mine.yaml").write_text(config, encoding="utf-8")
    command = [sys.executable, "-P", "-c", "import sys; from selfplay.cli import main; sys.exit(main())", "run"]
    done = subprocess.run(
        [*command, str(folder / "mine.yaml"), "--runs-dir", str(folder / "runs")],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return open_run(folder / "runs" / "extended")


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
