"""The blocks of README.md and of docs/, cut out of the pages as they stand: configurations are validated, task lines checked, Python
and commands run. docs/extending.md has a test of its own. What is not run is listed here, with the reason."""

import gzip
import json
import re
import shlex
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from selfplay.cli.app import app
from selfplay.config import load_config
from selfplay.curate import Archive
from selfplay.tasks.jsonl import JsonlTasks
from selfplay.verify.faults import fault_of
from tests.support import ROOT
from tests.support.published import write_published

PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
NOT_RUN = {
    "make": "installs, and takes minutes; the CI runs `make test` and `make prove`",
    "selfplay run": "takes minutes; tests/test_init.py runs it as it stands",
    "accelerate launch": "needs GPUs and a model of 7B; tests/test_launch.py and tests/test_init.py launch ranks",
    "selfplay doctor": "tests/test_commands.py runs it",
    "python": "is the tests themselves, or a benchmark",
    "nice": "is a benchmark of an hour",
    "selfplay export runs/quickstart --push your-account/my-model --license": "uploads; tests/test_publish.py pushes to a hub on loopback",
    "docs/synthesis.md": "asks a teacher, a model behind a server",
    "docs/tracking.md": "opens a session of W&B in a run's folder",
}
"""Start of a command, or page of a Python block -> why it is not run. The imports of such a Python block are run all the same."""
GIVEN: dict[str, dict[str, Any]] = {
    "docs/curation.md": {"traces": [], "test_rows": ["What is 12 * 7?"], "archive": Archive()},
    "docs/sandbox.md": {
        "code": "def add(a, b):\n    return a + b\n",
        "script": "print(sum(map(int, input().split())))",
    },
}
"""What a Python block takes for granted."""
BASE = """
tasks: {source: list_programs}
student: {kind: tiny}
propose: {tasks_per_round: 8}
train: {epochs: 1, start: continue, warmup: {steps: 1}}
"""
"""Sections around a piece of a configuration."""
COMMAND = re.compile(r"(?:selfplay|make|accelerate|python|nice|cd)\s")


class Block(NamedTuple):
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    text: str

    @property
    def is_commands(self) -> bool:
        """Whether each of its lines is a command; other blocks without a language show output or a drawing."""
        return not self.language and all(map(COMMAND.match, filter(None, self.text.splitlines())))


def blocks() -> list[Block]:
    found = []
    for path in PAGES:
        text, page = path.read_text(encoding="utf-8"), str(path.relative_to(ROOT))
        for one in re.finditer(r"^```(\w*)\n(.*?)^```", text, re.S | re.M) if path.name != "extending.md" else ():
            found.append(Block(page, text[: one.start()].count("\n") + 2, one[1], one[2]))
    return found


def of(language: str) -> Any:
    """Parametrizes a test by the blocks of a language."""
    chosen = [b for b in BLOCKS if (b.is_commands if language == "commands" else b.language == language)]
    slow = {"docs/synthesis.md": pytest.mark.prove} if language == "commands" else {}
    cases = [pytest.param(b, id=f"{b.page}:{b.line}", marks=slow.get(b.page, ())) for b in chosen]
    return pytest.mark.parametrize("block", cases)


BLOCKS = blocks()


def test_pages_have_blocks_of_every_language_and_nothing_is_excused_in_vain() -> None:
    assert {block.language for block in BLOCKS} == {"", "json", "yaml", "python"}
    shown = [line for block in BLOCKS if block.is_commands for line in block.text.splitlines()]
    shown += [block.page for block in BLOCKS if block.language == "python"]
    assert [start for start in NOT_RUN if not any(line.startswith(start) for line in shown)] == []


@of("yaml")
def test_configuration_of_a_page_is_valid(tmp_path: Path, block: Block) -> None:
    keys = re.findall(r"^(\w+):", block.text, re.M)
    alternatives = [block.text] if len(set(keys)) == len(keys) else block.text.splitlines()
    for number, text in enumerate(alternatives):
        whole = {**yaml.safe_load(BASE), **yaml.safe_load(text)}
        (tmp_path / f"{number}.yaml").write_text(yaml.safe_dump(whole), encoding="utf-8")
        loaded = load_config(tmp_path / f"{number}.yaml")
        assert set(yaml.safe_load(text)) <= loaded.config.model_fields_set


@of("json")
def test_task_lines_and_checks_of_a_page_are_sound(tmp_path: Path, block: Block) -> None:
    rows = [json.loads(line) for line in block.text.splitlines()]
    if "id" not in rows[0]:
        assert [fault_of(check) for check in rows] == [""] * len(rows)
        return
    (tmp_path / "tasks.jsonl").write_text(block.text + '{"id": "z", "prompt": "x", "answer": "1"}\n')
    source = JsonlTasks(source="jsonl", train="tasks.jsonl").open(
        seed=0, eval_seed=0, folder=tmp_path, fault_of=fault_of
    )
    assert len(source.pool) + len(source.fixed.dev) == len(rows) + 1


@of("python")
def test_python_of_a_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: Block) -> None:
    monkeypatch.chdir(tmp_path)
    text = block.text
    if block.page in NOT_RUN:
        text = "\n".join(line for line in text.splitlines() if line.startswith(("import ", "from ")))
    names = dict(GIVEN.get(block.page, {}))
    exec(compile(text, f"{block.page}:{block.line}", "exec"), names)
    assert names.keys() > GIVEN.get(block.page, {}).keys(), "it imports or makes something"


def files_of_the_commands(folder: Path) -> None:
    """What the commands of the pages read."""
    (folder / "configs").symlink_to(ROOT / "configs")
    texts = [{"round": n, "text": f"A text of round {n}, number {k * (3 - n)}."} for n in range(3) for k in range(30)]
    rows = [
        {"step": row["round"], "round": row["round"], "answer": row["text"], "task": "t", "ok": True} for row in texts
    ]
    lines = {"texts.jsonl": texts, "out.jsonl": rows}
    for name, table in lines.items():
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in table))
    (folder / "texts.jsonl.gz").write_bytes(gzip.compress((folder / "texts.jsonl").read_bytes()))
    (folder / "human.txt").write_text("".join(f"A text that a person wrote, number {n}.\n" for n in range(30)))
    pq.write_table(pa.Table.from_pylist(rows), folder / "out.parquet")
    (folder / "mine.json").write_bytes((ROOT / "selfplay/collapse/rules.json").read_bytes())


@of("commands")
def test_commands_of_a_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: Block) -> None:
    files_of_the_commands(tmp_path)
    if block.page == "docs/publishing.md":
        write_published(tmp_path).rename(tmp_path / "runs/quickstart")
    monkeypatch.chdir(tmp_path)
    for line in block.text.splitlines():
        words = shlex.split(line, comments=True)
        if words[0] == "cd":
            monkeypatch.chdir(words[1])
        elif not any(line.startswith(start) for start in NOT_RUN):
            assert words[0] == "selfplay", line
            assert app(words[1:], standalone_mode=False) in (None, 0), line
