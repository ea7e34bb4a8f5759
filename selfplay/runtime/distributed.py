"""The processes of one launch. The only file that uses torch.distributed.

Work is pulled from counters in the process group's store, and waiting is polling that store: a rank that generates
for an hour sits in no collective and no time-out can kill its peers. One process needs no torch here at all.
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
"""How often a waiting rank says who is missing."""
GROUP_HOURS = 24
"""Time-out of the process group: a slow rank is waited for, the launcher ends the others when one dies."""


class Ranks:
    """One process alone; base of the launched kind. Counters live in memory."""

    rank = 0
    world_size = 1
    local_world_size = 1

    def __init__(self) -> None:
        self._counters: dict[str, int] = {}

    @property
    def is_main(self) -> bool:
        """True on rank 0, which alone decides and writes what is not a chunk."""
        return self.rank == 0

    def next_ticket(self, name: str) -> int:
        """The next ticket 0, 1, 2, ... of a counter, never given twice in one launch."""
        self._counters[name] = self._counters.get(name, -1) + 1
        return self._counters[name]

    def barrier(self, name: str) -> None:
        """Returns when every rank has called it with this name; all ranks pass the same names in the same order."""

    def broadcast(self, name: str, value: Any = None) -> Any:
        """Rank 0's JSON value, on every rank."""
        return value

    def any_rank_requests(self, name: str, wanted: bool, turn: int) -> bool:
        """Whether to act now, on what any rank may want: every rank is told so in the same turn, all of one turn or none.

        Called once a turn by ranks of which none is more than a turn ahead of another, as in data-parallel training.
        """
        return wanted

    def close(self) -> None:
        """Leaves the process group."""


class LaunchedRanks(Ranks):
    """One of several processes that a launcher started and that joined through accelerate."""

    def __init__(self, device: str) -> None:
        from datetime import timedelta

        import torch
        from accelerate import PartialState

        super().__init__()
        cpu = device == "cpu" or not torch.cuda.is_available()
        if cpu:  # later readers of the environment (TRL's arguments among them) must come to the same answer
            os.environ["ACCELERATE_USE_CPU"] = "true"
        state = PartialState(cpu=cpu, timeout=timedelta(hours=GROUP_HOURS))
        self.rank, self.world_size = state.process_index, state.num_processes
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
        )  # a launch never sees another's tickets
        self._uses: dict[str, int] = {}

    def next_ticket(self, name: str) -> int:
        """See `Ranks.next_ticket`; the counter is shared by all ranks."""
        self._store.set(f"seen/{self.rank}", f"{time.time():.0f} {name}")
        return int(self._store.add(f"claim/{name}", 1)) - 1

    def barrier(self, name: str) -> None:
        """See `Ranks.barrier`; sleeps on a counter, outside any collective, and names who is missing."""
        key = self._fresh("barrier", name)
        self._store.set(f"{key}/{self.rank}", "here")
        self._store.add(key, 1)
        started = spoken = time.monotonic()
        while int(self._store.add(key, 0)) < self.world_size:
            time.sleep(POLL_SECONDS)
            if time.monotonic() - spoken > HEARTBEAT_SECONDS:
                spoken = time.monotonic()
                LOG.warning("rank %d waits at %s for %.0f s: %s", self.rank, name, spoken - started, self._missing(key))

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
        """See `Ranks.any_rank_requests`: whoever is first to want it names the turn after next, which no rank has reached."""
        key = f"agree/{name}"
        if wanted:
            self._store.compare_set(key, "", str(turn + 2))
        return bool(self._store.check([key])) and turn >= int(self._store.get(key))

    def close(self) -> None:
        """See `Ranks.close`."""
        if self._group.is_initialized():
            self._group.destroy_process_group()

    def _fresh(self, kind: str, name: str) -> str:
        """A key used once: the same name may come again later in the launch."""
        self._uses[f"{kind}/{name}"] = use = self._uses.get(f"{kind}/{name}", 0) + 1
        return f"{kind}/{name}/{use}"

    def _missing(self, key: str) -> str:
        gone = [rank for rank in range(self.world_size) if not self._store.check([f"{key}/{rank}"])]
        return "missing " + ", ".join(f"rank {rank} ({self._last_seen(rank)})" for rank in gone)

    def _last_seen(self, rank: int) -> str:
        if not self._store.check([f"seen/{rank}"]):
            return "has taken no work yet"
        when, _, what = self._store.get(f"seen/{rank}").decode().partition(" ")
        return f"took work of {what} {time.time() - float(when):.0f} s ago"


def join(ranks: int | None = None, device: str = "auto", environment: Mapping[str, str] = os.environ) -> Ranks:
    """Joins the launch this process belongs to, or stands alone.

    `ranks` is what the configuration demands; None takes what is there. Raises ConfigError where that differs, where
    a rank did not join, and under an FSDP or DeepSpeed launch, which the loop cannot run in one process.
    """
    for flag, name in (("ACCELERATE_USE_FSDP", "FSDP"), ("ACCELERATE_USE_DEEPSPEED", "DeepSpeed")):
        if environment.get(flag, "").lower() in ("1", "true"):
            raise ConfigError(
                f"launch: {name} is on, which this loop cannot train under yet; use the shipped accelerate_config.yaml"
            )
    started = int(environment.get("WORLD_SIZE", "1"))
    if ranks is not None and ranks != started:
        raise ConfigError(
            f"launch: launch.ranks is {ranks}, but {started} process{'es were' if started > 1 else ' was'} started; launch with "
            f"`accelerate launch --config_file accelerate_config.yaml --num_processes {ranks} scripts/run.py CONFIG` or change launch.ranks"
        )
    return LaunchedRanks(device) if "RANK" in environment and "WORLD_SIZE" in environment and started > 1 else Ranks()
