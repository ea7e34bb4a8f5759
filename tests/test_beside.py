"""The process beside the loop: what it draws is what the loop would draw, and the loop goes on whatever becomes of it."""

import gc
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from selfplay import load_config, open_run
from selfplay import run as start
from selfplay.config import Loaded
from selfplay.loop import beside as module
from selfplay.loop.beside import Beside
from selfplay.phases import propose
from selfplay.store import RunFolder
from selfplay.tasks import Source, open_source

LONG_DRAWS = """
rounds: 3
tasks: {source: arithmetic, anchor: 20, held_out: 10}
student: {kind: scripted}
propose: {tasks_per_round: 24, curriculum: {start: 2}}
generate: {samples: 1}
train: {epochs: 1, start: continue}
eval: {samples: 0}
tracking: {mode: disabled}
gate: {action: observe}
"""


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    (tmp_path / "c.yaml").write_text(LONG_DRAWS)
    return load_config(tmp_path / "c.yaml", [f"runs_dir={tmp_path}/runs", "name=a"])


@pytest.fixture
def source(loaded: Loaded) -> Source:
    config = loaded.config
    return open_source(config.tasks, seed=config.seed, eval_seed=config.eval.seed, folder=loaded.path.parent)


@pytest.fixture
def long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every draw counts as long."""
    monkeypatch.setattr(module, "LONG", 0.0)


@pytest.fixture
def beside(loaded: Loaded, long: None) -> Iterator[Beside]:
    with Beside(loaded) as made:
        yield made


def pid_of(beside: Beside) -> int:
    assert beside._process is not None
    return beside._process.pid


def is_gone(pid: int) -> bool:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_what_was_foreseen_is_what_the_loop_draws(beside: Beside, loaded: Loaded, source: Source) -> None:
    beside.foresee(source, 2, 5)
    beside.foresee(source, 3, 6)
    assert beside.drawn(3, 7) is None  # nobody foresaw this one
    assert beside.drawn(2, 5) == propose.draw(loaded.config.propose, source, 2, 5)
    assert beside.drawn(3, 6) == propose.draw(loaded.config.propose, source, 3, 6)
    assert beside.drawn(3, 6) is None  # each answer is taken once


def test_draw_of_a_round_that_came_otherwise_is_dropped(beside: Beside, loaded: Loaded, source: Source) -> None:
    beside.foresee(source, 2, 5)
    assert beside.drawn(4, 5) is None
    beside.foresee(source, 4, 6)
    assert beside.drawn(4, 6) == propose.draw(loaded.config.propose, source, 4, 6)


def test_nothing_is_begun_for_short_draws_or_for_a_source_with_an_end(
    loaded: Loaded, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Beside(loaded) as one:
        one.foresee(source, 2, 5)
        assert one._process is None and one.drawn(2, 5) is None and not one.report(Path("nowhere"))
    monkeypatch.setattr(module, "LONG", 0.0)
    monkeypatch.setattr(source, "pool", list(source.fixed.dev))
    with Beside(loaded) as one:
        one.foresee(source, 2, 5)
        assert one._process is None


def test_killed_process_is_said_and_the_loop_draws_for_itself(
    beside: Beside, source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    beside.foresee(source, 2, 5)
    os.kill(pid_of(beside), signal.SIGKILL)
    with caplog.at_level(logging.WARNING):
        assert beside.drawn(2, 5) is None
    assert "the loop does its work" in caplog.text
    beside.foresee(source, 2, 6)  # given up: not begun again
    assert beside._process is None and not beside.report(Path("nowhere"))


def test_process_that_cannot_be_begun_is_said(
    loaded: Loaded, source: Source, long: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "COMMAND", ("/nonexistent/python",))
    with Beside(loaded) as one, caplog.at_level(logging.WARNING):
        one.foresee(source, 2, 5)
        assert one.drawn(2, 5) is None
    assert "No such file" in caplog.text


def test_fault_of_the_process_is_said_and_it_goes_on(
    beside: Beside, loaded: Loaded, source: Source, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    beside.foresee(source, 2, 5)
    assert beside.report(tmp_path / "no-run")
    beside.foresee(source, 2, 6)
    with caplog.at_level(logging.WARNING):
        assert beside.drawn(2, 6) == propose.draw(loaded.config.propose, source, 2, 6)
    assert f"selfplay report {tmp_path}/no-run` tries again" in caplog.text


def test_process_ends_when_its_end_of_the_pipe_is_closed(beside: Beside, source: Source) -> None:
    beside.foresee(source, 2, 5)
    pid = pid_of(beside)
    beside.close()  # its answer lies unread
    assert is_gone(pid)


def test_process_ends_with_a_loop_that_is_killed(tmp_path: Path, loaded: Loaded) -> None:
    script = f"""
import os, signal, sys
from pathlib import Path
from selfplay import load_config
from selfplay.loop import beside as module
from selfplay.tasks import open_source
module.LONG = 0.0
loaded = load_config(Path({str(loaded.path)!r}), [])
source = open_source(loaded.config.tasks, seed=0, eval_seed=0, folder=Path('.'))
one = module.Beside(loaded)
one.foresee(source, 2, 5)
print(one._process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert is_gone(int(done.stdout))


def test_report_of_the_last_round_is_there_though_the_process_is_killed_over_it(
    loaded: Loaded, long: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = Beside.report

    def killed(self: Beside, run: Path) -> bool:
        if len(open_run(run).rounds) == 4:
            os.kill(pid_of(self), signal.SIGSTOP)
            ordered = order(self, run)
            os.kill(pid_of(self), signal.SIGKILL)
            return ordered
        return order(self, run)

    monkeypatch.setattr(Beside, "report", killed)
    start(loaded)
    assert "round 3" in (Path(loaded.config.runs_dir) / "a/report.html").read_text()


def test_run_is_the_same_with_it_and_its_report_is_there(
    tmp_path: Path, loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    thresholds = gc.get_threshold()
    start(loaded)
    assert gc.get_threshold() == thresholds  # a run collects rarely, and leaves no trace of it
    monkeypatch.setattr(module, "LONG", 0.0)
    taken: list[bool] = []
    drawn = Beside.drawn

    def told(self: Beside, edge: int | None, seed: int) -> list[bytes] | None:
        found = drawn(self, edge, seed)
        taken.append(found is not None)
        return found

    monkeypatch.setattr(Beside, "drawn", told)
    start(load_config(tmp_path / "c.yaml", [f"runs_dir={tmp_path}/runs", "name=b"]))
    assert taken == [True, True, True]

    def left(name: str) -> list[Any]:
        run = RunFolder(tmp_path / "runs" / name)
        rows = [{k: v for k, v in row.items() if not k.startswith("time/")} for row in open_run(run.path).metrics()]
        return [rows, *[(run.phase(n, "propose") / "tasks.jsonl").read_bytes() for n in (1, 2, 3)]]

    assert left("a") == left("b")
    assert "round 3" in (tmp_path / "runs/b/report.html").read_text()
