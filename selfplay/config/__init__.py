"""Configuration. `load_config(path, overrides)` gives a validated tree, or every fault at once."""

from selfplay.config.load import Loaded, load_config
from selfplay.config.tree import Config

__all__ = ["Config", "Loaded", "load_config"]
