"""The trace browser: all attempts of a run on a page of this machine. It reads the run folder and never writes to it."""

from selfplay.view.server import serve

__all__ = ["serve"]
