"""The errors that selfplay raises for the user, each with the exit code of the command line.

They report problems of the set-up; a wrong attempt is not an error but a verdict. All messages have one form:
`where: what is wrong, the value; what to do`. All classes can be pickled.
"""


class SelfplayError(Exception):
    """Base of all errors. `exit_code`: the exit code of the command line."""

    exit_code = 1


class ConfigError(SelfplayError, ValueError):
    """The configuration or the command line is invalid; the message may have several lines, one per fault."""

    exit_code = 2


class DataError(SelfplayError, ValueError):
    """An input file is missing, empty or malformed; the message names file and line."""

    exit_code = 2


class StoreError(SelfplayError, RuntimeError):
    """The run folder cannot be used: another config, another version, another process, or a failed write."""


class OutageError(SelfplayError, RuntimeError):
    """A sandbox, teacher or server is down. All finished work is saved; the same command resumes later."""

    exit_code = 3


class BudgetError(OutageError):
    """The token or money budget of a paid backend is used up; raise it and run the same command to resume."""


class SandboxUnavailable(SelfplayError, RuntimeError):
    """The required isolation tier is not available on this machine; the message names the missing layer and the remedy."""


class GateStopped(SelfplayError):
    """The gate stopped the run because of collapse or a plateau; the reason is in the last round's COMMIT."""

    exit_code = 4


class Interrupted(SelfplayError):
    """The run was interrupted by SIGINT or SIGTERM after its current work was saved; the same command resumes."""

    exit_code = 130


class EmptyMetric(SelfplayError, ValueError):
    """A metric has nothing to measure. It raises, since a value of 0.0 would read as collapse."""
