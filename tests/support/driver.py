"""A run in a process of its own that can be told to die: `python driver.py CONFIG RUNS_DIR KILL [key=value ...]`.

KILL is `never`; `event:N`, SIGKILL at the Nth progress event (phase boundaries and after each chunk); or `rename:N`,
SIGKILL just before the Nth file would be renamed into place (anywhere a file is written; `rename/synthesize:N` counts the
files of that folder alone). With `@R` at the end only rank R of a launch dies so.
"""

import os
import signal
import sys
from typing import Any

from selfplay import load_config
from selfplay import run as start


def main() -> None:
    config, runs_dir, kill, *overrides = sys.argv[1:]
    kill, _, rank = kill.partition("@")
    if rank and rank != os.environ.get("RANK"):
        kill = "never"
    kind, _, number = kill.partition(":")
    kind, _, part = kind.partition("/")
    left = {"event": -1, "rename": -1, kind: int(number or -1)}

    def die_at(name: str) -> None:
        left[name] -= 1
        if left[name] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def heard(event: str, figures: dict[str, Any]) -> None:
        if event != "working":  # their number depends on the clock
            die_at("event")

    def audited(event: str, args: tuple[Any, ...]) -> None:
        if event == "os.rename" and "lease" not in str(args[0]) and (not part or f"/{part}/" in str(args[1])):
            die_at("rename")

    sys.addaudithook(audited)
    overrides += [f"runs_dir={runs_dir}"]
    start(load_config(config, overrides), listener=heard)
    print(
        "events",
        -1 - left["event"] if kind != "event" else "",
        "renames",
        -1 - left["rename"] if kind != "rename" else "",
    )


if __name__ == "__main__":
    main()
