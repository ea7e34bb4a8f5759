"""Opens the verifiers that a set of tasks needs, as the configuration describes them."""

from collections.abc import Iterator, Mapping, Set
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from selfplay.config.registry import VERIFIERS
from selfplay.verify.base import Verifier, VerifierOptions, VerifierResources, registered_name, verifier_class

if TYPE_CHECKING:
    from selfplay.sandbox import Executor, Limits


@dataclass(frozen=True)
class VerifierSet:
    """Open verifiers, by the name under which they are registered."""

    primary: Mapping[str, Verifier]
    """They judge the attempts of a round."""
    audit: Mapping[str, Verifier] = field(default_factory=dict)
    """They judge a sample of these again: with longer deadlines, and with the second judge where there is one."""
    executor: "Executor | None" = None
    """The sandbox that they share; None where none of them runs programs."""
    limits: "Limits | None" = None
    """Of a program in the audit; None where there is no sandbox."""


@contextmanager
def open_verifiers(kinds: Set[str], options: VerifierOptions) -> Iterator[VerifierSet]:
    """The verifiers of these types, and all that need neither sandbox nor judge, until the `with` ends.

    Raises ConfigError on a type that does not exist, and where a judge is needed and missing, or related to the student.
    """
    check_verifiers(kinds, options)
    named = {registered_name(kind) for kind in kinds}
    primary: dict[str, Verifier] = {}
    audit: dict[str, Verifier] = {}
    with ExitStack() as stack:
        resources = VerifierResources(options, stack)
        for name in VERIFIERS.places:
            part = verifier_class(name)
            if name in named or not (part.needs_sandbox or part.needs_judge):
                primary[name] = part.open(resources)
                audit[name] = part.open_for_audit(resources, primary[name])
        limits = resources.limits(resources.deadline_factor) if resources.started else None
        yield VerifierSet(primary, audit, resources.started, limits)


def check_verifiers(kinds: Set[str], options: VerifierOptions) -> None:
    """Raises ConfigError where verifiers of these types could not be opened. Loads no model and starts no sandbox."""
    for kind in sorted(kinds):
        verifier_class(kind).check_options(options)
