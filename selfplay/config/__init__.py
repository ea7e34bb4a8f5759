"""Configuration. `load_config(path, overrides)` returns a validated tree, or raises with every fault at once."""

from selfplay.config.load import Loaded, load_config
from selfplay.config.tree import Config

__all__ = ["Config", "Loaded", "load_config"]
