"""The processes (ranks) of one launch: work tickets, barriers, broadcasts. The only file that uses torch.distributed.

Ranks take work by counters in the process group's store, and wait by polling that store. So a rank may sample for an hour without
a collective of the others timing out. A single process does not import torch here.
"""

import json
import logging
import os
import time
from collections.abc import Mapping
from typing import Any

from selfplay.errors import ConfigError

LOG = logging.getLogger("selfplay")
POLL_SECONDS = 0.05
HEARTBEAT_SECONDS = 30.0
"""Interval at which a waiting rank logs which ranks are missing."""
GROUP_HOURS = 24
"""Time-out of the process group. It is long because a slow rank is waited for; if a rank dies, the launcher ends the others."""


class Ranks:
    """A single process; also the base of `LaunchedRanks`. Its counters are in memory."""

    rank = 0
    world_size = 1
    local_world_size = 1
    sharded = False
    """Whether training shards the model over the ranks (FSDP2) instead of copying it to each (DDP)."""

    def __init__(self) -> None:
        self._counters: dict[str, int] = {}

    @property
    def is_main(self) -> bool:
        """True on rank 0, which alone makes decisions and writes all files but chunks."""
        return self.rank == 0

    def next_ticket(self, name: str) -> int:
        """The next value 0, 1, 2, ... of a named counter; no two calls in one launch get the same value."""
        self._counters[name] = self._counters.get(name, -1) + 1
        return self._counters[name]

    def barrier(self, name: str) -> None:
        """Returns once every rank has called it with this name. All ranks pass the same names in the same order."""

    def broadcast(self, name: str, value: Any = None) -> Any:
        """Returns rank 0's `value`, a JSON value, on every rank."""
        return value

    def any_rank_requests(self, name: str, wanted: bool, turn: int) -> bool:
        """Whether any rank has requested an action. All ranks get the same answer in the same turn, so that they act together.

        Each rank calls it once per turn, and no rank is more than one turn ahead of another, as in data-parallel training.
        """
        return wanted

    def close(self) -> None:
        """Leaves the process group."""


class LaunchedRanks(Ranks):
    """One of several processes that a launcher started; they join through accelerate."""

    def __init__(self, device: str, *, sharded: bool = False) -> None:
        from datetime import timedelta

        import torch
        from accelerate import PartialState

        super().__init__()
        cpu = device == "cpu" or not torch.cuda.is_available()
        if cpu:  # code that reads the environment later, such as TRL's arguments, must also choose the CPU
            os.environ["ACCELERATE_USE_CPU"] = "true"
        state = PartialState(cpu=cpu, timeout=timedelta(hours=GROUP_HOURS))
        self.rank, self.world_size, self.sharded = state.process_index, state.num_processes, sharded
        os.environ["ACCELERATE_USE_FSDP"] = (
            "false"  # transformers shards the model as it is read; accelerate must not again
        )
        self.local_world_size = int(os.environ.get("LOCAL_WORLD_SIZE", self.world_size))
        wanted = int(os.environ["WORLD_SIZE"])
        if self.world_size != wanted:
            raise ConfigError(
                f"launch: the launcher started {wanted} processes but {self.world_size} joined; "
                "use the shipped accelerate_config.yaml and no --cpu flag"
            )
        self._group = torch.distributed
        nonce = f"{os.environ.get('TORCHELASTIC_RUN_ID', '')}/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"
        base = torch.distributed.distributed_c10d._get_default_store()
        self._store = torch.distributed.PrefixStore(  # type: ignore[attr-defined]
            f"selfplay/{nonce}", base
        )  # the keys of each launch and restart are separate
        self._uses: dict[str, int] = {}

    def next_ticket(self, name: str) -> int:
        """See `Ranks.next_ticket`; the counter is shared by all ranks."""
        self._store.set(f"seen/{self.rank}", f"{time.time():.0f} {name}")
        return int(self._store.add(f"claim/{name}", 1)) - 1

    def barrier(self, name: str) -> None:
        """See `Ranks.barrier`; polls a counter instead of entering a collective, and logs which ranks are missing."""
        key = self._fresh("barrier", name)
        self._store.set(f"{key}/{self.rank}", "here")
        self._store.add(key, 1)
        started = logged = time.monotonic()
        while int(self._store.add(key, 0)) < self.world_size:
            time.sleep(POLL_SECONDS)
            if time.monotonic() - logged > HEARTBEAT_SECONDS:
                logged = time.monotonic()
                LOG.warning("rank %d waits at %s for %.0f s: %s", self.rank, name, logged - started, self._missing(key))

    def broadcast(self, name: str, value: Any = None) -> Any:
        """See `Ranks.broadcast`."""
        key = self._fresh("tell", name)
        if self.is_main:
            self._store.set(key, json.dumps(value))
            return value
        while not self._store.check([key]):
            time.sleep(POLL_SECONDS)
        return json.loads(self._store.get(key).decode())

    def any_rank_requests(self, name: str, wanted: bool, turn: int) -> bool:
        """See `Ranks.any_rank_requests`: the first rank that requests it chooses the turn after next, which no rank has reached yet."""
        key = f"agree/{name}"
        if wanted:
            self._store.compare_set(key, "", str(turn + 2))
        return bool(self._store.check([key])) and turn >= int(self._store.get(key))

    def close(self) -> None:
        """See `Ranks.close`."""
        if self._group.is_initialized():
            self._group.destroy_process_group()

    def _fresh(self, kind: str, name: str) -> str:
        """A key that is used once, since the same name may be used again later in the launch."""
        self._uses[f"{kind}/{name}"] = use = self._uses.get(f"{kind}/{name}", 0) + 1
        return f"{kind}/{name}/{use}"

    def _missing(self, key: str) -> str:
        missing = [rank for rank in range(self.world_size) if not self._store.check([f"{key}/{rank}"])]
        return "missing " + ", ".join(f"rank {rank} ({self._last_seen(rank)})" for rank in missing)

    def _last_seen(self, rank: int) -> str:
        if not self._store.check([f"seen/{rank}"]):
            return "has taken no work"
        when, _, what = self._store.get(f"seen/{rank}").decode().partition(" ")
        return f"took work of {what} {time.time() - float(when):.0f} s ago"


def join(ranks: int | None = None, device: str = "auto", environment: Mapping[str, str] = os.environ) -> Ranks:
    """Joins the launch that this process belongs to; without a launcher, returns a single process.

    `ranks`: the number of processes that the configuration requires; None accepts any. Raises ConfigError if another number was
    started, if a rank did not join, under DeepSpeed, and under FSDP of version 1 or of a single process.
    """
    started = int(environment.get("WORLD_SIZE", "1"))
    if fault := _launch_fault(environment, started):
        raise ConfigError(f"launch: {fault}")
    if ranks is not None and ranks != started:
        raise ConfigError(
            f"launch: launch.ranks is {ranks}, but {started} process{'es were' if started > 1 else ' was'} started; launch with "
            f"`accelerate launch --config_file accelerate_config.yaml --num_processes {ranks} scripts/run.py CONFIG` or change launch.ranks"
        )
    if "RANK" in environment and "WORLD_SIZE" in environment and started > 1:
        return LaunchedRanks(device, sharded=_is_on(environment, "FSDP"))
    return Ranks()


def _launch_fault(environment: Mapping[str, str], started: int) -> str:
    """Why the loop cannot train under this launch; "" where it can."""
    if _is_on(environment, "DEEPSPEED"):
        return (
            "DeepSpeed is on, and the loop cannot train under it; use the shipped accelerate_fsdp2.yaml, which shards "
            "the model over the GPUs as ZeRO 3 does, or accelerate_config.yaml"
        )
    if not _is_on(environment, "FSDP"):
        return ""
    if environment.get("FSDP_VERSION", "1") != "2":
        return (
            f"FSDP is on with fsdp_version {environment.get('FSDP_VERSION', '1')}, and the loop trains under version 2; "
            "use the shipped accelerate_fsdp2.yaml"
        )
    if started == 1:
        return (
            "FSDP2 is on with 1 process, and there is nothing to shard the model over; "
            "give --num_processes 2 or more, or use plain `selfplay run`"
        )
    return ""


def _is_on(environment: Mapping[str, str], name: str) -> bool:
    return environment.get(f"ACCELERATE_USE_{name}", "").lower() in ("1", "true")
