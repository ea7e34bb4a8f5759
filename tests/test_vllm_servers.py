"""The server of vLLM that a run owns, against a double on loopback: command, start, weights, death, sleep, end."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from selfplay.errors import ConfigError, OutageError
from selfplay.models.base import Owned
from selfplay.models.vllm.process import ServerProcess
from selfplay.models.vllm.replica import Place, Replica
from selfplay.models.vllm.weights import Held
from tests.support import ROOT
from tests.support.servers import wait_for
from tests.support.vllm_servers import calls_of, double, paths_of

BASE = Held(Path("/models/base"), "base-hash")
OTHER = Held(Path("/models/other"), "other-hash")
FIRST = Held(Path("/models/base"), "base-hash", Path("/rounds/1"), "adapter-1111")
SECOND = Held(Path("/models/base"), "base-hash", Path("/rounds/2"), "adapter-2222")


@pytest.fixture
def owned() -> Iterator[Owned]:
    """Ends the servers of a test."""
    kept = Owned()
    yield kept
    kept.close()


def replica_of(folder: Path, owned: Owned, lora: int | None = None, cpu: bool = True, **more: Any) -> Replica:
    settings = double(folder, **more)
    return owned.get("x", lambda: Replica(settings, Place(folder, cpu=cpu, lora_rank=lora), "student.engine"))


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists() and "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()


def keeper_and_server(replica: Replica) -> tuple[int, int]:
    """Their process ids; the server is the keeper's only child."""
    assert replica._process is not None
    keeper = replica._process._keeper.pid
    return keeper, int(Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()[0])


# ---- start and end ----


def test_server_is_started_with_the_arguments_of_its_settings(tmp_path: Path, owned: Owned) -> None:
    replica = replica_of(
        tmp_path, owned, lora=20, max_model_len=128, args={"max-num-seqs": 8, "enable-prefix-caching": True}
    )
    assert replica.holding(BASE) == "base"
    given = calls_of(tmp_path)[0]["arguments"]
    pairs = dict(zip(given, [*given[1:], ""], strict=True))
    assert (pairs["--model"], pairs["--host"], pairs["--max-model-len"]) == ("/models/base", "127.0.0.1", "128")
    assert pairs["--max-lora-rank"] == "32", "rank 20, rounded up to what vLLM accepts"
    assert (pairs["--generation-config"], pairs["--logprobs-mode"]) == ("vllm", "processed_logprobs")
    assert pairs["--max-num-seqs"] == "8" and {"--enforce-eager", "--enable-lora", "--enable-prefix-caching"} <= set(
        given
    )
    assert not {"--gpu-memory-utilization", "--enable-sleep-mode", "--tensor-parallel-size"} & set(given), (
        "not on a CPU"
    )
    assert replica.most_tokens() == 128
    assert "the double serves" in (tmp_path / "student.engine-0.log").read_text()


def test_server_on_gpus_gets_its_share_of_them_and_no_variable_of_our_launcher(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("MASTER_PORT", "29500")
    monkeypatch.setenv("PYTHONPATH", "/ours")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6,7")
    settings = double(tmp_path, tensor_parallel=2, gpu_memory=0.5, during_training="sleep")
    replica = Replica(settings, Place(tmp_path, cpu=False, local_rank=1), "student.engine")
    given = replica.arguments(BASE, 8000)
    pairs = dict(zip(given, [*given[1:], ""], strict=True))
    assert (pairs["--tensor-parallel-size"], pairs["--gpu-memory-utilization"]) == ("2", "0.5")
    assert "--enable-sleep-mode" in given and "--enforce-eager" not in given
    environment = replica.environment()
    assert environment["CUDA_VISIBLE_DEVICES"] == "6,7"
    assert not {"RANK", "MASTER_PORT", "PYTHONPATH"} & environment.keys() and environment["VLLM_SERVER_DEV_MODE"] == "1"
    third = Replica(settings, Place(tmp_path, cpu=False, local_rank=2), "student.engine")
    with pytest.raises(ConfigError, match="tensor_parallel is 2, but rank 2 of this machine finds 0 of 4 GPUs left"):
        third.environment()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ModuleNotFoundError: No module named 'vllm'", "there is no vLLM in that environment"),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate", "ran out of memory while it loaded"),
        ("ValueError: No available memory for the cache blocks.", "ran out of memory while it loaded"),
        ("OSError: [Errno 98] Address already in use", "its port is taken"),
        ("max_model_len (9999) is greater than the derived max_model_len", "max_model_len is more than the model"),
        ("error: unrecognized arguments: --nonsense", "refuses an argument"),
        ("something new", "ended with code 1; mend what the log says"),
    ],
)
def test_server_that_ends_while_it_starts_is_named_with_cause_remedy_and_the_end_of_its_log(
    tmp_path: Path, owned: Owned, text: str, said: str
) -> None:
    replica = replica_of(tmp_path, owned, acts={"exit": [1, f"loading\n{text}"]})
    with pytest.raises(ConfigError, match=said) as error:
        replica.holding(BASE)
    assert f"{tmp_path}/student.engine-0.log:\nloading\n{text}" in str(error.value)


def test_server_that_does_not_answer_in_time_is_ended_and_an_outage(tmp_path: Path, owned: Owned) -> None:
    replica = replica_of(tmp_path, owned, acts={"no_health": True}, start_seconds=0.5)
    with pytest.raises(OutageError, match=r"did not answer within start_seconds = 0\.5; raise it"):
        replica.holding(BASE)
    assert replica._process is not None and not replica._process.running


def test_port_that_is_taken_is_refused_before_the_server_starts(tmp_path: Path, owned: Owned) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port} is taken by another process; end it, or leave port out"):
            replica_of(tmp_path, owned, port=port).holding(BASE)
    assert not (tmp_path / "calls.jsonl").exists()


OWNER = """\
import os, sys
from pathlib import Path
from selfplay.models.vllm.process import ServerProcess
folder = Path(sys.argv[1])
server = ServerProcess(sys.argv[2:], dict(os.environ), folder / "log", "x")
if (fork := os.fork()) == 0:  # it holds the other end of the keeper's pipe open, and must keep no server alive
    import time; time.sleep(60)
(folder / "fork").write_text(str(fork))
while not (folder / "child").exists(): pass
os.kill(os.getpid(), 9)
"""


def test_server_and_its_children_end_when_their_owner_is_killed(tmp_path: Path) -> None:
    settings = double(tmp_path, acts={"child": str(tmp_path / "child")})
    owner = subprocess.run(
        [sys.executable, "-c", OWNER, str(tmp_path), *settings.launcher(), "--port", "0"],
        env=os.environ | settings.environment | {"PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert owner.returncode == -signal.SIGKILL
    child = int((tmp_path / "child").read_text())
    ended = wait_for(lambda: not alive(child), 15)
    os.kill(int((tmp_path / "fork").read_text()), signal.SIGKILL)
    assert ended


def test_stopping_ends_the_children_too(tmp_path: Path) -> None:
    settings = double(tmp_path, acts={"child": str(tmp_path / "child")})
    server = ServerProcess(
        [*settings.launcher(), "--port", "0"], os.environ | settings.environment, tmp_path / "log", "x"
    )
    assert wait_for(lambda: (tmp_path / "child").exists() and "serves" in server.tail(), 10)
    child = int((tmp_path / "child").read_text())
    server.stop()
    server.stop()
    assert not server.running and wait_for(lambda: not alive(child), 5)


def test_server_ends_when_its_keeper_is_killed(tmp_path: Path, owned: Owned) -> None:
    replica = replica_of(tmp_path, owned)
    replica.holding(BASE)
    keeper, server = keeper_and_server(replica)
    os.kill(keeper, signal.SIGKILL)
    assert wait_for(lambda: not alive(server), 5)


# ---- weights ----


def test_each_adapter_has_its_own_name_and_the_one_before_is_unloaded(tmp_path: Path, owned: Owned) -> None:
    replica = replica_of(tmp_path, owned, lora=8)
    names = [replica.holding(held) for held in (BASE, FIRST, FIRST, SECOND, BASE)]
    assert names == ["base", "adapter-1111", "adapter-1111", "adapter-2222", "base"]
    swaps = [(call["path"].rpartition("/")[2], call["lora_name"]) for call in calls_of(tmp_path) if "lora_name" in call]
    assert swaps == [
        ("load_lora_adapter", "adapter-1111"),
        ("unload_lora_adapter", "adapter-1111"),
        ("load_lora_adapter", "adapter-2222"),
    ]
    assert replica.starts == 1


def test_full_weights_are_reloaded_in_place_once_and_the_prefix_cache_is_reset(tmp_path: Path, owned: Owned) -> None:
    replica = replica_of(tmp_path, owned)
    for held in (BASE, OTHER, OTHER):
        replica.holding(held)
    assert paths_of(tmp_path) == ["start", "/collective_rpc", "/reset_prefix_cache"]
    call = calls_of(tmp_path)[1]
    assert (call["method"], call["kwargs"]["weights_path"]) == ("reload_weights", "/models/other")


def test_server_that_refuses_to_reload_is_restarted_with_the_weights(tmp_path: Path, owned: Owned) -> None:
    replica = replica_of(tmp_path, owned, acts={"refuse": ["/collective_rpc"]})
    replica.holding(BASE)
    replica.holding(OTHER)
    starts = [call for call in calls_of(tmp_path) if call["path"] == "start"]
    assert [call["arguments"][1] for call in starts] == ["/models/base", "/models/other"]


def test_adapter_that_the_server_refuses_is_named_with_the_servers_words(tmp_path: Path, owned: Owned) -> None:
    replica = replica_of(tmp_path, owned, lora=8, acts={"refuse": ["/v1/load_lora_adapter"]})
    with pytest.raises(ConfigError, match=r"load_lora_adapter was refused with HTTP 400: .*not here"):
        replica.holding(FIRST)


def test_server_that_died_is_started_again_with_its_adapter(tmp_path: Path, owned: Owned) -> None:
    replica = replica_of(tmp_path, owned, lora=8)
    replica.holding(FIRST)
    os.kill(keeper_and_server(replica)[1], signal.SIGKILL)
    assert wait_for(lambda: not replica.up, 5)
    assert replica.holding(FIRST) == "adapter-1111"
    assert paths_of(tmp_path) == ["start", "/v1/load_lora_adapter"] * 2


# ---- one GPU for both ----


@pytest.mark.parametrize(
    ("lora", "given", "calls"),
    [
        (8, [FIRST, SECOND], ["/v1/unload_lora_adapter", "/sleep?level=1", "/wake_up", "/v1/load_lora_adapter"]),
        (
            None,
            [BASE, OTHER],
            [
                "/sleep?level=2",
                "/wake_up?tags=weights",
                "/collective_rpc",
                "/reset_prefix_cache",
                "/wake_up?tags=kv_cache",
            ],
        ),
    ],
)
def test_sleep_frees_the_gpu_and_waking_gives_the_new_weights(
    tmp_path: Path, owned: Owned, lora: int | None, given: list[Held], calls: list[str]
) -> None:
    replica = replica_of(tmp_path, owned, lora=lora, during_training="sleep")
    replica.holding(given[0])
    before = len(paths_of(tmp_path))
    replica.make_room()
    replica.make_room()
    replica.holding(given[1])
    assert paths_of(tmp_path)[before:] == calls
    assert replica.starts == 1


def test_server_that_cannot_sleep_is_stopped_and_started_again(tmp_path: Path, owned: Owned) -> None:
    replica = replica_of(tmp_path, owned, lora=8, during_training="sleep", acts={"refuse": ["/sleep"]})
    replica.holding(FIRST)
    replica.make_room()
    assert not replica.up
    assert replica.holding(SECOND) == "adapter-2222" and replica.starts == 2


@pytest.mark.parametrize(("how", "up"), [("auto", True), ("stay", True), ("stop", False)])
def test_make_room_does_what_during_training_says(tmp_path: Path, owned: Owned, how: str, up: bool) -> None:
    replica = replica_of(tmp_path, owned, during_training=how)
    replica.holding(BASE)
    replica.make_room()
    assert replica.up is up


# ---- a server that runs already ----


def test_running_server_is_fed_under_its_own_name_and_never_ended(tmp_path: Path, owned: Owned) -> None:
    own = replica_of(tmp_path, owned, lora=8)
    own.holding(BASE)
    settings = double(tmp_path, command=(), environment={}, url=(f"{own.url}/v1/",))
    guest = Replica(settings, Place(tmp_path, cpu=True, lora_rank=8), "student.engine")
    assert [guest.holding(held) for held in (BASE, FIRST)] == ["base", "adapter-1111"]
    guest.make_room()
    guest.close()
    assert own.up
    assert paths_of(tmp_path) == ["start", "/v1/load_lora_adapter", "/v1/unload_lora_adapter"], (
        "its base is the right one"
    )
    assert guest.holding(OTHER) == "base" and paths_of(tmp_path)[3:] == ["/collective_rpc", "/reset_prefix_cache"]


def test_running_server_that_is_gone_is_an_outage_and_not_started(tmp_path: Path) -> None:
    settings = double(tmp_path, command=(), environment={}, url=("http://127.0.0.1:9",))
    with pytest.raises(OutageError, match="9 does not answer; start the server, and run the same command"):
        Replica(settings, Place(tmp_path, cpu=True), "student.engine").holding(BASE)
