"""Every error a user can meet, as one tree, each with the exit code of the command line.

A bad attempt is data (a verdict); these are for a bad set-up. Messages follow one form:
`where: what is wrong, the value; what to do`. All classes pickle by their message alone.
"""


class SelfplayError(Exception):
    """Root of the tree; `exit_code` is what the command line ends with."""

    exit_code = 1


class ConfigError(SelfplayError, ValueError):
    """The configuration or the command line cannot be used; `str(error)` may hold several lines, one a fault."""

    exit_code = 2


class DataError(SelfplayError, ValueError):
    """An input file is missing, empty or malformed; the message has file and line."""

    exit_code = 2


class StoreError(SelfplayError, RuntimeError):
    """The run folder cannot be used: another config, a newer schema, another process, a failed write."""


class OutageError(SelfplayError, RuntimeError):
    """Something of ours is down (sandbox, teacher, server): nothing was lost, the same command goes on later."""

    exit_code = 3


class BudgetError(OutageError):
    """The token or money budget of a paid backend is used up; raise it and run the same command."""


class SandboxUnavailable(SelfplayError, RuntimeError):
    """The demanded isolation tier is not reachable here; the message names the missing layer and the remedy."""


class GateStopped(SelfplayError):
    """The collapse gate ended the run; the reason stands in the last round's COMMIT."""

    exit_code = 4


class Interrupted(SelfplayError):
    """SIGINT or SIGTERM: the chunk in hand was finished, or training saved; the same command resumes."""

    exit_code = 130


class EmptyMetric(SelfplayError, ValueError):
    """A metric has nothing to measure: 0.0 would read as collapse, so it raises instead."""
