"""The process of a server that a run owns: started on a free port, watched, ended with the run; its log is a file of the run folder."""

import contextlib
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from selfplay.errors import ConfigError, OutageError
from selfplay.models.vllm import keeper
from selfplay.models.vllm.calls import answers

POLL_SECONDS = 0.1
TAIL_LINES = 12
_ERROR = re.compile(r"\b\w+(Error|Exception): ")
_LAUNCHER = re.compile(
    r"(LOCAL_|GROUP_|ROLE_)?(RANK|WORLD_SIZE)|ROLE_NAME|MASTER_\w+|(TORCHELASTIC|ACCELERATE|TORCH_NCCL)_\w+|PYTHON\w+"
)
"""Variables of a launcher of ours, which would make the server join it, and those of our own Python."""
_CAUSES = (
    (r"No module named '?vllm", "there is no vLLM in that environment", "install vllm there, or name another python"),
    (r"[Aa]ddress already in use", "its port is taken", "leave port out, so that a free one is found"),
    (
        r"greater than the derived max_model_len|larger than the maximum number of tokens|"
        r"needed, which is larger than the available KV cache",
        "max_model_len is more than the model or the memory for its cache can hold",
        "lower max_model_len, or raise gpu_memory",
    ),
    (
        r"out of memory|OutOfMemory|No available memory for the cache|[Nn]ot enough memory|bad_alloc|can't allocate memory|"
        r"is less than desired GPU memory",
        "it ran out of memory while it loaded the model",
        "free the device, lower gpu_memory or max_model_len, or raise tensor_parallel",
    ),
    (r"unrecognized arguments|error: argument", "it refuses an argument", "correct args, or install another version"),
    (r"[Aa]rchitectures? .*not supported", "it does not know the model's architecture", "install a newer vLLM"),
    (r"Sleep mode is not supported", "it cannot sleep on this device", "set during_training to stop or stay"),
)


def free_port(wanted: int | None, what: str) -> int:
    """A free loopback port, or the one that is wanted. Raises ConfigError where that is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted or 0))
        except OSError:
            raise ConfigError(
                f"{what}: port {wanted} is taken by another process; end it, or leave port out, so that a free one is found"
            ) from None
        return int(probe.getsockname()[1])


def server_environment(given: Mapping[str, str]) -> dict[str, str]:
    """Our environment without what a launcher or our own Python put there, and `given` on top."""
    return {name: value for name, value in os.environ.items() if not _LAUNCHER.fullmatch(name)} | dict(given)


class ServerProcess:
    """A running server with its keeper, which ends it when this process ends. `what`: the key of its settings, for messages."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path, what: str) -> None:
        self.log, self.what = log, what
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as file:
            self._start = file.tell()
            self._keeper = subprocess.Popen(
                [sys.executable, "-I", keeper.__file__, *command],
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                start_new_session=True,
            )

    @property
    def running(self) -> bool:
        """Whether the server has not ended."""
        return self._keeper.poll() is None

    def tail(self) -> str:
        """The last lines of this server's log, behind the last error of its engine where that stands above them."""
        lines = self._text().splitlines()
        last = lines[-TAIL_LINES:]
        errors = [line for line in lines[:-TAIL_LINES] if _ERROR.search(line) and "EngineDeadError" not in line]
        return "\n".join(line[:400] for line in [*errors[-1:], *last])

    def _text(self) -> str:
        with self.log.open("rb") as file:
            file.seek(self._start)
            return file.read().decode("utf-8", "replace")

    def wait_until_healthy(self, url: str, seconds: float) -> None:
        """Returns once `url`/health answers. Raises ConfigError with the cause and the last lines of the log where the server ends
        before, OutageError after so many seconds."""
        late = time.monotonic() + seconds
        while not answers(url):
            if not self.running:
                raise ConfigError(self._why_it_ended())
            if time.monotonic() > late:
                self.stop()
                raise OutageError(
                    f"{self.what}: the server did not answer within start_seconds = {seconds:g}; raise it, or read {self.log}:\n"
                    f"{self.tail()}"
                )
            time.sleep(POLL_SECONDS)

    def _why_it_ended(self) -> str:
        text, code = self._text(), self._keeper.returncode
        known = next(((cause, remedy) for words, cause, remedy in _CAUSES if re.search(words, text)), None)
        if known is None and code in (137, 256 - 9):
            known = "it was killed, most likely for want of memory", "free memory, or lower max_model_len"
        cause, remedy = known or (f"it ended with code {code}", "mend what the log says")
        return f"{self.what}: the server did not start: {cause}; {remedy}. The end of {self.log}:\n{self.tail()}"

    def stop(self) -> None:
        """Ends the server and all its processes; may be called twice."""
        if self._keeper.stdin is not None:
            with contextlib.suppress(OSError):
                self._keeper.stdin.close()
        self._keeper.wait()
