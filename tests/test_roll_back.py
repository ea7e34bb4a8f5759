"""Whole runs that go wrong: a careless verifier teaches the student errors, and the gate sees it on the dev set."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from selfplay import fork, load_config, open_run
from selfplay import run as start
from selfplay.errors import GateStopped
from selfplay.loop.run_view import OpenRun
from selfplay.models.base import Backend, Capabilities, Opening
from selfplay.models.scripted import ScriptedStudent
from selfplay.runtime.resources import WithoutTokens
from selfplay.store.traces import read_rows
from tests.support import ROOT

CONFIG = """\
# training tasks are judged by a function that likes any answer that comes at once; dev set and test set by mathematics
rounds: 6
tasks: {source: arithmetic, anchor: 20, held_out: 30}
student: {kind: scripted, skill: 0.9, gain: 1.0}
propose: {tasks_per_round: 30, curriculum: {start: 1, end: 9, advance_at: 0.1, next_share: 0.4, after_share: 0.4}}
generate: {samples_per_task: 4, chunk_tasks: 30}
verify: {check: {type: "python:tests.support.verifiers_of_tests:short"}}
audit: {canaries: 0, share: 0}
curate: {drop_bottom_share: 0.0, max_per_task: 2}
gate: {roll_back: {temperature_add: 0.25, cap_scale: 0.5}}
train: {epochs: 1, start: continue}
eval: {sample_tasks: null, samples: 8, chunk_tasks: 64}
keep: {last: 9}
tracking: {mode: disabled}
name: a
seed: 3
"""


def begin(folder: Path, *overrides: str) -> Any:
    (folder / "c.yaml").write_text(CONFIG)
    return start(load_config(folder / "c.yaml", [f"runs_dir={folder}", *overrides]))


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> OpenRun:
    folder = tmp_path_factory.mktemp("stopped")
    with pytest.raises(GateStopped, match="stopped by the gate after round 4: collapse alarm level 3: "):
        begin(folder)
    return open_run(folder / "a")


def test_collapse_is_warned_of_rolled_back_and_at_last_stopped(stopped: OpenRun) -> None:
    rounds = stopped.rounds
    assert [c.action for c in rounds] == ["continue", "warn", "roll_back", "continue", "stop"]
    assert [c.metrics["collapse_alarm/level"] for c in rounds] == [0, 1, 2, 0, 3]
    assert "dev accuracy fell from 0.93 (round 0) to 0.63: 9 tasks lost, 0 gained, p = " in rounds[2].reason
    assert all(c.metrics["collapse_alarm/blind"].startswith("human_text: ") for c in rounds), "there is no human text"
    assert {c.metrics["eval/best_round"] for c in rounds} == {0} and stopped.status()["best"] == 0


def test_run_says_at_its_start_that_its_dev_set_sees_little(stopped: OpenRun) -> None:
    log = (stopped.path / "logs/attempt-1/log.txt").read_text()
    assert "the gate sees little: 30 dev tasks show a lasting fall of the dev accuracy only from 0.26 on" in log


def test_round_after_a_roll_back_stands_on_the_incumbent_and_not_on_the_bad_parent(stopped: OpenRun) -> None:
    rounds = stopped.rounds
    assert [c.parent for c in rounds] == [None, 0, 1, 0, 3]
    assert [c.metrics["collapse_alarm/incumbent"] for c in rounds] == [0] * 5
    written_by = {row["model"] for row in stopped.traces(3)}
    assert written_by == {row["model"] for row in stopped.traces(1)} != {row["model"] for row in stopped.traces(2)}


def test_abandoned_rows_leave_the_data_and_stay_in_the_metrics(stopped: OpenRun) -> None:
    def rounds_in(number: int) -> set[str]:
        rows = read_rows(stopped.folder.round(number) / "train.parquet")
        return {row.source.partition("/")[0] for row in rows if row.kind != "anchor"}

    assert [rounds_in(number) for number in (1, 2)] == [{"r1"}, {"r1", "r2"}]
    assert [rounds_in(number) for number in (3, 4)] == [{"r3"}, {"r3", "r4"}]
    assert [row["round"] for row in stopped.metrics()] == [0, 1, 2, 3, 4]


def test_what_a_roll_back_changes_acts_in_the_rounds_after_it(stopped: OpenRun) -> None:
    def most_accepted(number: int) -> int:
        return max(Counter(row["task_id"] for row in stopped.traces(number) if row["decision"] == "accepted").values())

    temperatures = [next(stopped.traces(number))["sampler"]["temperature"] for number in (1, 2, 3, 4)]
    assert temperatures == [1.0, 1.0, 1.25, 1.25]
    shares = [round(c.metrics["data/anchor_share"], 1) for c in stopped.rounds[1:]]
    assert shares == [0.4, 0.2, 0.4, 0.3], "rounds 1 and 3 have few rows, and the whole anchor is more than its share"
    assert [most_accepted(number) for number in (1, 2, 3, 4)] == [2, 2, 1, 1]


def test_level_of_the_curriculum_stays_as_the_incumbent_left_it(stopped: OpenRun) -> None:
    levels = [c.state.level or 0 for c in stopped.rounds]
    assert levels[0] == levels[2] < levels[1], "rounds 1 and 2 were abandoned, and what they mastered with them"
    assert levels[2] < levels[3]


def test_same_command_on_a_stopped_run_ends_with_4_and_the_reason_and_changes_nothing(stopped: OpenRun) -> None:
    before, folder = stopped.rounds, stopped.path.parent
    command = [sys.executable, "-m", "selfplay", "run", str(folder / "c.yaml"), "--runs-dir", str(folder)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=ROOT, env={"PYTHONPATH": str(ROOT / "tests")}
    )
    assert done.returncode == 4, done.stderr
    assert "level 2 again after a roll-back" in done.stderr and "Traceback" not in done.stderr
    assert stopped.rounds == before and stopped.status()["state"] == "stopped by the gate"
    assert "level 2 again after a roll-back" in stopped.status()["reason"]


def test_fork_goes_on_from_a_round_under_another_gate(stopped: OpenRun) -> None:
    forked = fork(stopped.path, 1, "strict")
    assert [c.metrics for c in forked.rounds] == [c.metrics for c in stopped.rounds[:2]]
    with pytest.raises(GateStopped, match="after round 2: collapse alarm level 2"):
        begin(stopped.path.parent, "gate.action=stop", "name=strict")
    assert [c.action for c in forked.rounds] == ["continue", "continue", "stop"]


def test_fork_of_a_later_round_takes_its_ancestors_alone(stopped: OpenRun) -> None:
    forked = fork(stopped.path, 3, "later")
    assert [c.parent for c in forked.rounds] == [None, 0]
    assert forked.rounds[1].metrics == stopped.rounds[3].metrics


def test_fork_renumbers_the_rounds_that_metrics_name(stopped: OpenRun) -> None:
    place = stopped.folder.round(4) / "COMMIT"
    before = place.read_text()
    commit = json.loads(before)
    commit["metrics"] |= {"eval/best_round": 3, "collapse_alarm/incumbent": 3}
    place.write_text(json.dumps(commit))
    forked = fork(stopped.path, 4, "numbered")
    place.write_text(before)
    assert forked.round_named("best") == 1 and forked.rounds[2].metrics["collapse_alarm/incumbent"] == 1


def test_verifier_that_accepts_known_wrong_answers_stops_the_run_at_once(tmp_path: Path) -> None:
    with pytest.raises(GateStopped, match=r"after round 1: collapse alarm level 3: .*accepted a canary"):
        begin(tmp_path, "verify.check.type=python:tests.support.verifiers_of_tests:yes", "audit.canaries=8")
    assert open_run(tmp_path / "a").rounds[1].action == "stop"


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], list[str]]:
    """The students that were opened, by the place of their weights, and those that are in memory now."""
    all_, held = list[str](), list[str]()

    class Counted(WithoutTokens):
        capabilities = Capabilities(holds_weights=True)

        def __init__(self, backend: Backend, place: str) -> None:
            super().__init__(backend)
            self.place = place
            all_.append(place)
            held.append(place)

        def close(self) -> None:
            held.remove(self.place)

    def counted(student: ScriptedStudent, opening: Opening) -> Backend:
        assert opening.student is not None
        folder = opening.student.folder
        place = folder.relative_to(folder.parents[1 + (folder.parent.name == "train")]).parent.as_posix()
        return Counted(plain(student, opening), place)

    plain = ScriptedStudent.open
    monkeypatch.setattr(ScriptedStudent, "open", counted)
    return all_, held


def test_the_student_that_was_evaluated_writes_the_next_round_s_attempts_unless_it_was_rolled_back(
    tmp_path: Path, opened: tuple[list[str], list[str]]
) -> None:
    with pytest.raises(GateStopped):
        begin(tmp_path)
    # each round's weights are opened once, to be evaluated; round 0's again for round 3, once 2 is rolled back
    assert opened[0] == ["000/train", "001/train", "002/train", "000", "003/train", "004/train"]
    assert opened[1] == []


def test_no_student_is_in_memory_where_other_models_may_be_loaded(
    tmp_path: Path, opened: tuple[list[str], list[str]]
) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG)
    given = [f"runs_dir={tmp_path}", "rounds=2", "propose.synthesize.methods.procedural=6", "gate.action=observe"]
    held: dict[str, list[str]] = {}

    def heard(event: str, figures: dict[str, Any]) -> None:
        if event == "phase":
            held[figures["name"]] = [*held.get(figures["name"], []), *opened[1]]

    start(load_config(tmp_path / "c.yaml", given), listener=heard)
    assert held["propose"] == ["000/train", "001/train"]
    assert {name: found for name, found in held.items() if found and name not in ("gate", "propose", "generate")} == {}
    assert "synthesize" in held and "train" in held
