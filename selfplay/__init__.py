"""selfplay: a training-loop integrated self-improvement framework for language models."""

__version__ = "0.1.0"
