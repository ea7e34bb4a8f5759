"""A training run as a process of its own, for tests that kill it, starve it, or start it on several ranks.

Arguments: start folder, out folder, JSON of train settings, and JSON of what to do to it: `kill_at` (SIGKILL itself
once the curve has this many lines), `kill_when` (or once this file is there), `spare_bytes` (of new address space),
`stop_at` (rank 1 alone is asked to stop after this step).
"""

import json
import logging
import os
import resource
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from selfplay.config.registry import TRAINING_METHODS
from selfplay.records import Sampling
from selfplay.runtime.distributed import Ranks, join
from selfplay.training.methods.base import TrainRun
from selfplay.training.methods.sft import Sft
from selfplay.training.run import train
from tests.support.rollouts import even, prompts
from tests.support.tiny_models import random_pairs, random_rows


def kill_at(curve: Path, lines: int) -> None:
    """SIGKILL as soon as the curve is this long."""
    while not curve.is_file() or curve.read_bytes().count(b"\n") < lines:
        time.sleep(0.002)
    os.kill(os.getpid(), signal.SIGKILL)


def kill_when(curve: Path, name: str) -> None:
    """SIGKILL as soon as this file is beside the curve."""
    while not (curve.parent / name).exists():
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGKILL)


def starve(start: Path, spare: int) -> None:
    """Loads all there is to load by a small training, then lets this process have hardly any new memory."""
    with tempfile.TemporaryDirectory() as folder:
        small = Sft(steps=1, batch_size=1, learning_rate=1e-3, precision="fp32")
        train(small, random_rows(1), TrainRun(start=start, out=Path(folder), seed=7, ranks=Ranks(), device="cpu"))
    with Path("/proc/self/status").open() as status:
        used = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmSize"))
    resource.setrlimit(resource.RLIMIT_AS, (used + spare, resource.RLIM_INFINITY))


def main() -> None:
    """One training run."""
    start, out, settings, harm = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3]), json.loads(sys.argv[4])
    logging.basicConfig(level=logging.WARNING, stream=sys.stdout, format="%(message)s")
    ranks: Ranks = join(device="cpu") if "WORLD_SIZE" in os.environ else Ranks()
    for action, name in ((kill_at, "kill_at"), (kill_when, "kill_when")):
        if name in harm and ranks.is_main:
            threading.Thread(target=action, args=(out / "curve.jsonl", harm[name]), daemon=True).start()
    if "spare_bytes" in harm:
        starve(start, harm["spare_bytes"])
    rows = random_rows(harm.get("rows", 30), longest=harm.get("longest", 40))
    told: list[int] = []
    method = settings.get("method", "sft")
    run = TrainRun(
        start=start,
        out=out,
        seed=7,
        round=2,
        step_offset=100,
        ranks=ranks,
        device="cpu",
        on_step=lambda step, steps: told.append(step),
        verify=even if method == "grpo" else None,
        sampling=Sampling(max_new_tokens=20),
        stop=lambda: ranks.rank == 1 and harm.get("stop_at") in told,
    )
    data: Any = {"sft": rows, "grpo": prompts()}.get(method) or random_pairs(20)
    report = train(TRAINING_METHODS.settings(method)(**settings), data, run)
    if ranks.is_main:
        print(report.model_dump_json())
    ranks.close()


if __name__ == "__main__":
    main()
