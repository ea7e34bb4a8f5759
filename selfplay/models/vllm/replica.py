"""One vLLM server with the weights that it is to sample with: started, given adapters or reloaded weights, put to sleep, restarted.

The server is this run's own, or one whose address the settings give; that one is fed too, but never started or ended.
"""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from selfplay.errors import ConfigError, OutageError
from selfplay.models.vllm import calls
from selfplay.models.vllm.process import ServerProcess, free_port, server_environment
from selfplay.models.vllm.weights import BASE_NAME, Held, rank_limit

if TYPE_CHECKING:
    from selfplay.models.vllm import VllmSettings

LOG = logging.getLogger("selfplay")
ENVIRONMENT = {
    "VLLM_HOST_IP": "127.0.0.1",
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
    "VLLM_SERVER_DEV_MODE": "1",  # the calls that reload weights, reset the prefix cache and sleep
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",  # the weights are folders of this machine
}
UNKNOWN = "unknown"
"""Stands for the full weights of a server that the run did not start, until it is asked."""
ON_A_CPU = {"VLLM_CPU_KVCACHE_SPACE": "2"}
"""GiB of the cache of keys and values."""


@dataclass(frozen=True)
class Place:
    """Where a server runs."""

    logs: Path
    """Folder of its log."""
    cpu: bool
    local_rank: int = 0
    """Number of this process among those of its machine."""
    lora_rank: int | None = None
    """Rank of the adapters that it will be given; None: full weights."""


class Replica:
    """A server of one rank. `what`: the key of its settings, for messages and as the name of its log."""

    def __init__(self, settings: "VllmSettings", place: Place, what: str) -> None:
        self._settings, self._place, self._what = settings, place, what
        self._process: ServerProcess | None = None
        self._url = settings.address(place.local_rank) or ""
        self._base_name = BASE_NAME
        self._loaded: str | None = UNKNOWN if settings.url else None
        self._adapter: str | None = None
        self._asleep = 0
        self.starts = 0
        """How many times the server was started."""

    @property
    def cpu(self) -> bool:
        """Whether the server samples on a CPU."""
        return self._place.cpu

    @property
    def takes_adapters(self) -> bool:
        """Whether the server was started for adapters."""
        return self._place.lora_rank is not None

    @property
    def url(self) -> str:
        """Its address, without `/v1`; "" before the first start."""
        return self._url

    @property
    def up(self) -> bool:
        """Whether the server answers and its engine is alive."""
        return bool(self._url) and (self._process is None or self._process.running) and calls.answers(self._url)

    def end_of_log(self) -> str:
        """Where the log is, with its last lines; "" for a server that the run does not own."""
        return "" if self._process is None else f" The end of {self._process.log}:\n{self._process.tail()}"

    def holding(self, weights: Held) -> str:
        """Sees to it that the server is up and holds these weights; returns the name by which it knows them.

        Raises ConfigError where it does not start or refuses the weights, OutageError where it does not answer.
        """
        if not self.up:
            self._start(weights)
        try:
            self._give(weights)
        except calls.Refused as refusal:
            raise ConfigError(f"{self._what}: {self._url}{refusal};{self.end_of_log() or ' read its log'}") from None
        return weights.name if weights.adapter is not None else self._base_name

    def _give(self, weights: Held) -> None:
        if self._loaded == UNKNOWN:
            base = next(iter(calls.get(self._url, "/v1/models")["data"]))
            self._base_name, root = str(base["id"]), str(base.get("root"))
            self._loaded = weights.base_identity if root == str(weights.base) else None
        if self._asleep:
            self._wake(weights)
        if self._loaded != weights.base_identity:
            self._reload(weights)
        if weights.adapter is not None and self._adapter != weights.name:
            self._swap(weights)

    def most_tokens(self) -> int:
        """The longest sequence that the server takes, prompt and completion together. Raises OutageError if it does not answer."""
        try:
            models = calls.get(self._url, "/v1/models")["data"]
        except calls.Refused as refusal:
            raise OutageError(f"{self._what}: {self._url}{refusal}; run the same command again") from None
        return min((int(model["max_model_len"]) for model in models if model.get("max_model_len")), default=2**31)

    # ---- the process ----

    def _start(self, weights: Held) -> None:
        settings = self._settings
        if settings.url:
            raise OutageError(f"{self._what}: {self._url} does not answer; start the server, and run the same command")
        if self._process is not None:
            LOG.warning("%s: the server is down and is started again.%s", self._what, self.end_of_log())
            self._process.stop()
        port = free_port(settings.port_of(self._place.local_rank), self._what)
        self._url = f"http://127.0.0.1:{port}"
        command = [*settings.launcher(), *self.arguments(weights, port)]
        LOG.info("%s: starts %s", self._what, " ".join(command))
        process = ServerProcess(command, self.environment(), self._log, self._what)
        self._process, self._adapter, self._asleep = process, None, 0
        process.wait_until_healthy(self._url, settings.start_seconds)
        self._loaded = weights.base_identity
        self.starts += 1

    @property
    def _log(self) -> Path:
        return self._place.logs / f"{self._what}-{self._place.local_rank}.log"

    def arguments(self, weights: Held, port: int) -> list[str]:
        """The arguments of `vllm serve` behind the command."""
        settings, place = self._settings, self._place
        given: dict[str, object] = {
            "model": weights.base,
            "served-model-name": BASE_NAME,
            "host": "127.0.0.1",
            "port": port,
            "dtype": settings.dtype,
            "generation-config": "vllm",  # else the model's own sampling defaults act
            "logprobs-mode": "processed_logprobs",
            "max-model-len": settings.max_model_len,
            "enforce-eager": place.cpu or None,
        }
        if place.lora_rank is not None:
            given |= {"enable-lora": True, "max-lora-rank": rank_limit(place.lora_rank), "max-loras": 1}
        if not place.cpu:
            given |= {
                "tensor-parallel-size": settings.tensor_parallel,
                "gpu-memory-utilization": settings.gpu_memory,
                "enable-sleep-mode": settings.during_training == "sleep" or None,
            }
        return _flags(given | settings.args)

    def environment(self) -> dict[str, str]:
        """The server's environment. Raises ConfigError where this rank has too few GPUs."""
        own = ENVIRONMENT | (ON_A_CPU if self.cpu else {})
        gpus = [] if self.cpu else self._gpus()
        devices = {"CUDA_VISIBLE_DEVICES": ",".join(gpus)} if gpus else {}
        return server_environment(own | devices | self._settings.environment)

    def _gpus(self) -> Sequence[str]:
        """The GPUs of this rank's server: its share of `gpus`, or of those that this process sees."""
        import torch

        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        seen = visible.split(",") if visible else [str(number) for number in range(torch.cuda.device_count())]
        known, size = self._settings.gpus or seen, self._settings.tensor_parallel
        mine = known[self._place.local_rank * size : (self._place.local_rank + 1) * size]
        if len(mine) < size:
            raise ConfigError(
                f"{self._what}: tensor_parallel is {size}, but rank {self._place.local_rank} of this machine finds {len(mine)} of "
                f"{len(known)} GPUs left; start fewer ranks, or lower tensor_parallel"
            )
        return mine

    # ---- the weights ----

    def _reload(self, weights: Held) -> None:
        """Puts full weights in place of those that the server holds; restarts it where it refuses."""
        given = {"weights_path": str(weights.base), "is_checkpoint_format": True}
        try:
            calls.post(self._url, "/collective_rpc", {"method": "reload_weights", "kwargs": given})
            calls.post(self._url, "/reset_prefix_cache")
        except calls.Refused as refusal:
            if self._settings.url:
                raise
            LOG.warning("%s: %s; the server is restarted with the weights", self._what, refusal)
            self.close()
            self._start(weights)
        self._loaded, self._adapter = weights.base_identity, None

    def forget(self) -> None:
        """Has the full weights given anew with the next `holding`, whatever the server holds."""
        self._loaded = None

    def _swap(self, weights: Held) -> None:
        """Loads an adapter under its name, and unloads the one before it."""
        self._unload()
        calls.post(self._url, "/v1/load_lora_adapter", {"lora_name": weights.name, "lora_path": str(weights.adapter)})
        self._adapter = weights.name

    def _unload(self) -> None:
        if self._adapter is not None:
            calls.post(self._url, "/v1/unload_lora_adapter", {"lora_name": self._adapter})
        self._adapter = None

    # ---- one GPU for sampling and training ----

    def make_room(self) -> None:
        """Frees the GPU for training, as `during_training` says; the next `holding` takes it again. Nothing where none is shared."""
        how = self._settings.during_training
        if how == "auto":
            how = "stay" if self.cpu or self._settings.gpus or self._settings.url else "stop"
        if how == "stop":
            self.close()
        if how == "sleep" and not self._asleep and self.up:
            self._sleep()

    def _sleep(self) -> None:
        """Level 1 keeps the base of adapters in main memory; level 2 drops full weights, which change before it wakes."""
        self._asleep = 2 if self._place.lora_rank is None else 1
        self._unload()
        try:
            calls.post(self._url, f"/sleep?level={self._asleep}")
        except calls.Refused as refusal:
            LOG.warning("%s: %s; the server is stopped while the student trains", self._what, refusal)
            self.close()

    def _wake(self, weights: Held) -> None:
        level, self._asleep = self._asleep, 0
        if level == 1:
            calls.post(self._url, "/wake_up")
            return
        calls.post(self._url, "/wake_up?tags=weights")
        self._reload(weights)
        calls.post(self._url, "/wake_up?tags=kv_cache")

    def close(self) -> None:
        """Ends an owned server; may be called twice. An adapter is taken from a server that goes on."""
        if self._process is None and self._adapter is not None:
            try:
                self._unload()
            except calls.Refused as refusal:
                LOG.warning("%s: %s", self._what, refusal)
        if self._process is not None:
            self._process.stop()
        self._process, self._adapter, self._asleep = None, None, 0
        self._url = self._settings.address(self._place.local_rank) or ""


def _flags(given: dict[str, object]) -> list[str]:
    """`--name value`, `--name` for True; what is None or False is left out."""
    flags: list[str] = []
    for name, value in given.items():
        if value is True:
            flags.append(f"--{name}")
        elif value is not None and value is not False:
            flags += [f"--{name}", str(value)]
    return flags
