"""The same loop on real ranks, through the shipped accelerate_config.yaml: same attempts, same end, killed or not."""

import shutil
from pathlib import Path

import pytest

from selfplay import open_run
from selfplay.runtime.distributed import Ranks
from tests.support import ROOT
from tests.support.runs import CONFIG, end_state, launch, play, play_on_ranks


def test_one_and_two_ranks_and_a_plain_run_end_the_same(tmp_path: Path) -> None:
    for name in ("plain", "two"):
        (tmp_path / name).mkdir()
    assert play(tmp_path / "plain").returncode == 0
    done = play_on_ranks(tmp_path / "two", 2, "never", "launch.ranks=2")
    assert done.returncode == 0, done.stderr
    assert end_state(tmp_path / "two") == end_state(tmp_path / "plain")


@pytest.mark.prove
def test_two_ranks_killed_inside_a_phase_end_the_same(tmp_path: Path) -> None:
    for name in ("plain", "killed"):
        (tmp_path / name).mkdir()
    assert play(tmp_path / "plain").returncode == 0
    killed = play_on_ranks(tmp_path / "killed", 2, "event:9@1")
    assert killed.returncode != 0
    done = play_on_ranks(tmp_path / "killed", 2, "never")
    assert done.returncode == 0, done.stderr
    assert end_state(tmp_path / "killed") == end_state(tmp_path / "plain")


@pytest.mark.prove
@pytest.mark.parametrize("kill", ["event:3@0", "event:22@0", "event:12@1", "rename:25@0", "rename:40@0", "rename:55@0"])
def test_two_ranks_killed_anywhere_end_the_same(tmp_path: Path, kill: str) -> None:
    for name in ("plain", "killed"):
        (tmp_path / name).mkdir()
    assert play(tmp_path / "plain").returncode == 0
    assert play_on_ranks(tmp_path / "killed", 2, kill).returncode != 0
    done = play_on_ranks(tmp_path / "killed", 2, "never")
    assert done.returncode == 0, done.stderr
    assert end_state(tmp_path / "killed") == end_state(tmp_path / "plain")


@pytest.mark.prove
def test_one_and_two_ranks_sample_and_accept_the_same_attempts_of_a_real_student(tmp_path: Path) -> None:
    config, script = str(ROOT / "configs" / "quickstart.yaml"), [str(ROOT / "scripts" / "run.py")]
    small = ["launch.threads=1", "tasks.per_length=2", "propose.tasks_per_round=60", "generate.chunk_tasks=15"]
    small += [
        "train.warmup.steps=400",
        "train.steps=4",
        "tracking.mode=disabled",
    ]  # enough to solve some on any processor
    begun = launch(tmp_path, 1, script, config, *small, "rounds=0", "--runs-dir", "1")
    assert begun.returncode == 0, begun.stderr
    shutil.copytree(tmp_path / "1", tmp_path / "2")
    found = {}
    for ranks in (1, 2):
        done = launch(tmp_path, ranks, script, config, *small, "rounds=1", "--runs-dir", str(ranks))
        assert done.returncode == 0, done.stderr
        run = open_run(tmp_path / str(ranks) / "quickstart")
        found[ranks] = [
            {key: trace[key] for key in ("task_id", "attempt", "completion_ids", "logprobs", "outcome", "decision")}
            for trace in run.traces(1)
        ]
    assert sum(trace["decision"] == "accepted" for trace in found[1]) > 0
    assert found[2] == found[1]


def test_rank_mismatch_is_refused_with_the_command_that_works(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG)
    script = [str(ROOT / "scripts" / "run.py")]
    done = launch(tmp_path, 1, script, str(tmp_path / "c.yaml"), "launch.ranks=2", "--runs-dir", str(tmp_path / "runs"))
    assert done.returncode == 1
    assert "launch.ranks is 2, but 1 process was started; launch with `accelerate launch" in done.stderr


def test_tickets_of_one_process_are_never_given_twice() -> None:
    ranks = Ranks()
    assert [ranks.next_ticket("a"), ranks.next_ticket("b"), ranks.next_ticket("a")] == [0, 0, 1]
    assert ranks.broadcast("x", {"k": 1}) == {"k": 1} and ranks.is_main
