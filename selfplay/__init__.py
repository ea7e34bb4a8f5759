"""selfplay: a training-loop integrated self-improvement framework for language models.

`run(load_config("configs/quickstart.yaml"))` runs or resumes; `open_run(path)` reads; `fork(run, round, name)` branches.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from selfplay.config import load_config
    from selfplay.loop.run import run
    from selfplay.loop.run_view import fork, open_run

__version__ = "0.2.0"
__all__ = ["__version__", "fork", "load_config", "open_run", "run"]

_HOMES = {
    "load_config": ("selfplay.config", "load_config"),
    "run": ("selfplay.loop.run", "run"),
    "open_run": ("selfplay.loop.run_view", "open_run"),
    "fork": ("selfplay.loop.run_view", "fork"),
}


def __getattr__(name: str) -> Any:
    """Loads the public names when first asked for: importing selfplay alone costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'selfplay' has no attribute {name!r}; it has {', '.join(__all__)}")
    from importlib import import_module

    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)
