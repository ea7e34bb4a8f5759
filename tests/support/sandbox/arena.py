"""Where attacks are run: bait outside the sandbox, the attacks with right programs between them, and a look at the bait.

As a script it prints one JSON object, so that the same runs as another user: `python arena.py TIER [--all]`.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from selfplay.sandbox import CheckTests, Executor, IOTests, Job, Limits
from tests.support.sandbox.attack_words import Attack
from tests.support.sandbox.attacks_system import FILES, NETWORK, PROCESSES, RESOURCES
from tests.support.sandbox.attacks_verdict import CHANNEL, FORGERIES
from tests.support.sandbox.processes import descendants, wait_for

CORPUS: list[Attack] = [*FORGERIES, *CHANNEL, *FILES, *NETWORK, *PROCESSES, *RESOURCES]
IO = IOTests("solve", [((3,), 16), ((5,), 32)])
CHECK = CheckTests("assert solve(3) == 16\nassert solve(5) == 32\n", "solve")
SESSION = CheckTests("first = solve(3)\nassert abs(first - 16) < 1e-6\nassert solve(first - 13) == 16\n", "solve")
RIGHT = "def solve(n): return n * n + 7\n"


class Bait:
    """Things outside that an escape would touch."""

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(dir="/var/tmp")
        self.scratch = Path(self._folder.name)
        self.scratch.chmod(0o777)
        self.secret = self.scratch / "secret"
        self.secret.write_text("the secret")
        self.secret.chmod(0o644)
        self.tcp = self._listening(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
        self.udp = self._listening(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))
        self.path = self._listening(socket.AF_UNIX, socket.SOCK_STREAM, str(self.scratch / "socket"))
        self.datagrams = self._listening(socket.AF_UNIX, socket.SOCK_DGRAM, str(self.scratch / "datagrams"))
        self.abstract = self._listening(socket.AF_UNIX, socket.SOCK_STREAM, f"\0selfplay-{os.getpid()}")
        self.victim = subprocess.Popen(["sleep", "100000"], env={})
        self._before = self._sight()
        return self

    def _listening(self, family: int, kind: int, address: Any) -> socket.socket:
        made = socket.socket(family, kind)
        made.bind(address)
        if kind == socket.SOCK_STREAM:
            made.listen()
        made.setblocking(False)
        if family == socket.AF_UNIX and not address.startswith("\0"):
            Path(address).chmod(0o777)
        return made

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for sock in (self.tcp, self.udp, self.path, self.datagrams, self.abstract):
            sock.close()
        self.victim.kill()
        self.victim.wait()
        self._folder.cleanup()

    def aim(self, code: str) -> str:
        """The attack's code with the places of the bait filled in."""
        words = {
            "SECRET_FILE": str(self.secret),
            "SCRATCH": str(self.scratch),
            "TCP_PORT": str(self.tcp.getsockname()[1]),
            "UDP_PORT": str(self.udp.getsockname()[1]),
            "UNIX_PATH": str(self.scratch / "socket"),
            "ABSTRACT": f"selfplay-{os.getpid()}",
            "VICTIM": str(self.victim.pid),
            "CALLER": str(os.getpid()),
        }
        for word, value in words.items():
            code = code.replace(word, value)
        return code

    def _sight(self) -> tuple[Any, ...]:
        status = self.secret.stat()
        names = sorted(path.name for path in self.scratch.iterdir())
        shm = sorted(p.name for p in Path("/dev/shm").glob("selfplay*"))
        return names, status.st_mode, status.st_mtime, self.secret.read_text(), status.st_nlink, shm

    def effects(self) -> list[str]:
        """What an attack did outside; empty is good."""
        found = [] if self._sight() == self._before else ["the files changed"]
        if self.victim.poll() is not None:
            found.append("the stranger was killed")
        for name in ("tcp", "path", "abstract"):
            try:
                getattr(self, name).accept()
                found.append(f"a connection to {name}")
            except BlockingIOError:
                pass
        for name in ("udp", "datagrams"):
            try:
                getattr(self, name).recv(10)
                found.append(f"a datagram to {name}")
            except BlockingIOError:
                pass
        return found


def jobs_of(attacks: Iterable[Attack], bait: Bait) -> list[tuple[str, Attack | None, Job]]:
    """Each attack in its modes, a right program after each."""
    found: list[tuple[str, Attack | None, Job]] = []
    for attack in attacks:
        code = bait.aim(attack.code)
        limits = Limits(**{"cpu_seconds": 1.0, "wall_seconds": 1.5, "memory_bytes": 256 * 2**20, **attack.limits})  # type: ignore[arg-type]
        tests = {"io": [IO], "check": [CHECK], "session": [SESSION], "both": [IO, CHECK]}[attack.mode]
        for at, which in enumerate(tests):
            name = f"{attack.name}/{at}"
            found.append((name, attack, Job(name, code, which, limits)))
            found.append((f"after {name}", None, Job(f"after {name}", f"{RIGHT}# after {name}\n", which)))
    return found


def faults(attacks: Sequence[Attack], tier: int, workers: int = 1) -> list[str]:
    """Run attacks at exactly this tier; every line of the answer is something that must not be."""
    found: list[str] = []
    with Bait() as bait:
        listed = jobs_of([attack for attack in attacks if tier in attack.tiers], bait)
        before = descendants(os.getpid())
        with Executor(workers=workers, require_tier=tier, at_most=tier) as executor:
            # one at a time, so that a right program really follows its attack in the same zygote
            for name, attack, job in listed:
                (result,) = executor.run([job])
                wanted = attack.expect if attack else {"passed"}
                if result.status not in wanted or result.tier != tier:
                    found.append(f"{name}: {result.status} not in {sorted(wanted)}: {result.error[:150]}")
                found += [f"{name}: {effect}" for effect in bait.effects()]
        found += left_since(before)
    return found


def left_since(before: set[int]) -> list[str]:
    """What to say of processes that are there now, with the executor closed, and were not before."""
    wait_for(lambda: descendants(os.getpid()) <= before, seconds=10.0)
    left = descendants(os.getpid()) - before
    return [f"processes left: {sorted(left)}"] if left else []


def main() -> None:
    """Run the corpus and print the faults as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tier", type=int)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    chosen = [a for a in CORPUS if (given.all or a.quick) and given.only in a.name]
    began = time.monotonic()
    found = faults(chosen, given.tier)
    print(
        json.dumps(
            {
                "uid": os.getuid(),
                "tier": given.tier,
                "attacks": len(chosen),
                "faults": found,
                "seconds": time.monotonic() - began,
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
