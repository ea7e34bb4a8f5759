"""The loop on a real vLLM on the CPU, with a small model built here: rounds, killed engines, killed runs, two ranks.

Skipped where there is no vLLM: `python scripts/vllm_cpu_env.py` makes an environment.
"""

import json
import math
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from selfplay import load_config, open_run, run
from selfplay.cli.engine import engine_check_command
from selfplay.models.encode import row_of
from selfplay.models.transformers.backend import Embedded
from tests.support import ROOT
from tests.support.runs import launch, play
from tests.support.servers import wait_for
from tests.support.tiny_models import make_tiny
from tests.support.vllm_servers import real_python

pytestmark = pytest.mark.prove
LORA = "{rank: 4}"
CONFIG = """\
name: a
rounds: {rounds}
tasks: {{source: arithmetic, anchor: 12, held_out: 4}}
student: {{kind: pretrained, model: {base}, template: plain, engine: {{kind: vllm, python: {python}, args: {{max-num-seqs: 16}}}}}}
propose: {{tasks_per_round: 6}}
generate: {{samples_per_task: 2, max_new_tokens: 8, chunk_tasks: 3}}
curate: {{verified_only: false, regime: replace}}
train: {{min_accepted: 0, steps: 3, batch_size: 4, learning_rate: 0.005, lora: {lora}}}
eval: {{samples: 2, sample_tasks: 2}}
gate: {{action: observe}}
keep: {{last: 9}}
tracking: {{mode: disabled}}
launch: {{threads: 1, device: cpu}}
"""


def config_of(folder: Path, lora: str, rounds: int) -> str:
    """A configuration whose student has heads of 32, which vLLM's CPU kernels take."""
    python = real_python()
    base = folder / "base"
    if not base.is_dir():
        make_tiny(base, hidden_size=128, max_position_embeddings=128)
    return CONFIG.format(base=base, python=python, lora=lora, rounds=rounds)


def servers_of(folder: Path) -> list[int]:
    """Ids of the server processes that serve a model of this folder."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = place.read_bytes().split(b"\0")
        except OSError:
            continue
        if (
            str(folder).encode() in b" ".join(words)
            and b"vllm.entrypoints.openai.api_server" in words
            and b"-I" not in words
        ):
            found.append(int(place.parent.name))
    return found


def kill(server: int) -> None:
    """Ends a server without a word."""
    os.kill(server, signal.SIGKILL)


def at_first(wanted: str, folder: Path, harm: Callable[[int], None]) -> Callable[[str, dict[str, Any]], None]:
    """A listener that harms the server of a run at the first progress event of this kind at which there is one; `phase:NAME` too."""
    left = [harm]

    def heard(event: str, figures: dict[str, Any]) -> None:
        if wanted in (event, f"{event}:{figures.get('name')}") and left and (found := servers_of(folder)):
            left.pop()(found[0])

    return heard


def assert_sound(path: Path, rounds: int) -> None:
    """Every round is committed, with exact ids, and its scores are those of its own weights."""
    opened = open_run(path)
    assert [row["round"] for row in opened.metrics()] == list(range(rounds + 1))
    for number in range(1, rounds + 1):
        traces = list(opened.traces(number))
        assert len(traces) == 12 and all(len(trace["logprobs"]) == len(trace["completion_ids"]) > 0 for trace in traces)
    for number in range(rounds + 1):
        scored = [row for row in rows_of(path, number) if row["part"] == "drift"]
        assert scored
        with Embedded(opened.folder.model(number), template="plain", device="cpu", dtype="float32", threads=1) as mine:
            found = mine.likelihood([row_of(row["prompt_ids"], row["completion_ids"]) for row in scored])
        ours, theirs = -sum(map(math.fsum, found)), sum(row["nats"] for row in scored)
        tokens = sum(row["tokens"] for row in scored)
        assert abs(ours - theirs) / tokens < 0.15, f"round {number}: {ours} and {theirs} nats of {tokens} tokens"


def rows_of(path: Path, number: int) -> list[dict[str, Any]]:
    files = sorted((path / "rounds" / f"{number:03d}" / "evaluate").glob("chunk-*.jsonl"))
    return [row for file in files for line in file.read_text().splitlines() if "part" in (row := json.loads(line))]


def test_killed_run_leaves_no_engine_and_goes_on_and_a_killed_engine_is_started_again(tmp_path: Path) -> None:
    text = config_of(tmp_path, LORA, 1)
    killed = play(tmp_path, "event:19", text=text)  # after the first chunk of generate
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert wait_for(lambda: not servers_of(tmp_path), 30), "the server ends with its owner"
    finished = run(
        load_config(tmp_path / "c.yaml", [f"runs_dir={tmp_path}/runs"]), listener=at_first("advance", tmp_path, kill)
    )
    assert_sound(finished.path, 1)
    log = (finished.path / "logs" / "student.engine-0.log").read_text()
    assert log.count("Starting vLLM server") == 3, "the killed run's, the resumed run's, and the one after its death"
    assert not servers_of(tmp_path)


@pytest.mark.engines
@pytest.mark.parametrize("lora", [LORA, "null"])
def test_three_rounds_give_the_engine_each_rounds_weights(tmp_path: Path, lora: str) -> None:
    (tmp_path / "c.yaml").write_text(config_of(tmp_path, lora, 3))
    finished = run(load_config(tmp_path / "c.yaml", [f"runs_dir={tmp_path}/runs"]))
    assert_sound(finished.path, 3)
    log = (finished.path / "logs" / "student.engine-0.log").read_text()
    assert log.count("Starting vLLM server") == 1, "the weights change while it serves"


@pytest.mark.engines
@pytest.mark.parametrize("kill", ["event:10", "event:19", "event:32", "event:40", "rename:30"])
def test_run_with_full_weights_killed_anywhere_goes_on(tmp_path: Path, kill: str) -> None:
    text = config_of(tmp_path, "null", 1)
    assert play(tmp_path, kill, text=text).returncode == -signal.SIGKILL
    kept = {file: file.read_bytes() for file in (tmp_path / "runs").rglob("chunk-*.jsonl")}
    assert wait_for(lambda: not servers_of(tmp_path), 30)
    done = play(tmp_path, text=text)
    assert done.returncode == 0, done.stderr
    assert_sound(tmp_path / "runs" / "a", 1)
    assert all(file.read_bytes() == before for file, before in kept.items()), "what was sampled is kept"


@pytest.mark.engines
def test_two_ranks_have_a_server_each_and_make_the_same_rounds(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(config_of(tmp_path, LORA, 2))
    script = [str(ROOT / "scripts" / "run.py")]
    done = launch(tmp_path, 2, script, str(tmp_path / "c.yaml"), "--runs-dir", str(tmp_path / "runs"))
    assert done.returncode == 0, done.stderr
    assert_sound(tmp_path / "runs" / "a", 2)
    assert {file.name for file in (tmp_path / "runs" / "a" / "logs").glob("*.log")} == {
        "student.engine-0.log",
        "student.engine-1.log",
    }
    assert not servers_of(tmp_path)


@pytest.mark.engines
def test_engine_check_finds_a_sound_engine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "c.yaml").write_text(config_of(tmp_path, LORA, 1))
    engine_check_command(tmp_path / "c.yaml", [])
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        "start",
        "samples",
        "likelihood",
        "adapter",
        "stop",
        "good",
    ]


@pytest.mark.engines
def test_faults_of_a_real_engine_are_sentences(tmp_path: Path) -> None:
    text = config_of(tmp_path, LORA, 1).replace("args: {max-num-seqs: 16}", "args: {no-such-argument: 1}")
    done = play(tmp_path, text=text)
    assert done.returncode != 0 and "it refuses an argument; correct args" in done.stderr
