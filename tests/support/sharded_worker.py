"""Several trainings one after the other on the ranks of one launch, which costs more to start than they take.

Arguments: start folder, out folder, JSON list of [name, settings, step after which it is asked to stop or null].
"""

import json
import logging
import sys
from pathlib import Path

from selfplay.errors import Interrupted
from selfplay.runtime.distributed import join
from selfplay.training.methods.base import TrainRun
from selfplay.training.methods.sft import Sft
from selfplay.training.run import train
from tests.support.tiny_models import random_rows


def main() -> None:
    """All trainings."""
    start, out = Path(sys.argv[1]), Path(sys.argv[2])
    logging.basicConfig(level=logging.WARNING, stream=sys.stdout, format="%(message)s")
    ranks = join(device="cpu")
    for number, (name, settings, stop_at) in enumerate(json.loads(sys.argv[3])):
        told: list[int] = []
        run = TrainRun(
            start=start,
            out=out / name,
            seed=7,
            round=number,  # ranks agree on a stop by it
            ranks=ranks,
            device="cpu",
            on_step=lambda step, steps, told=told: told.append(step),
            stop=lambda told=told, stop_at=stop_at: ranks.rank == 1 and stop_at in told,
        )
        try:
            train(Sft(**settings), random_rows(30), run)
        except Interrupted as error:
            print(name, error, flush=True)
    ranks.close()


if __name__ == "__main__":
    main()
