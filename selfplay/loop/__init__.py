"""The training loop. Start with `run.py`: each round runs the phases of PHASES in order and ends with a COMMIT."""

from selfplay.loop.run import PHASES, Finished, run

__all__ = ["PHASES", "Finished", "run"]
