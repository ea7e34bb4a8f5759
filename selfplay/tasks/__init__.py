"""Where tasks come from: one file for each source, named in `config/registry.py`. `base.py` says what a source is."""

from selfplay.tasks.base import Evolved, Evolver, Fixed, Proposal, Source
from selfplay.tasks.pool import PoolSource, draw

__all__ = ["Evolved", "Evolver", "Fixed", "PoolSource", "Proposal", "Source", "draw"]
