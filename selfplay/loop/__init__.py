"""The loop. Start with `run.py`: `run` plays rounds, and a round is the phases of its tuple PHASES, then a COMMIT."""

from selfplay.loop.run import PHASES, Finished, run

__all__ = ["PHASES", "Finished", "run"]
