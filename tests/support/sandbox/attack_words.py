"""What an attack is: a hostile program, and the ways it may end. Any `passed` is a forged verdict or an escape."""

import textwrap
from dataclasses import dataclass, field

RIGHT = "n * n + 7"
"""What `solve(n)` should return; environment attacks return it only when their forbidden act worked."""


@dataclass(frozen=True)
class Attack:
    """`code` may hold the words SECRET_FILE, SCRATCH, TCP_PORT, UDP_PORT, UNIX_PATH, ABSTRACT, VICTIM, CALLER."""

    name: str
    code: str
    expect: frozenset[str]
    tiers: tuple[int, ...] = (3, 2)
    quick: bool = True
    mode: str = "both"
    """`io`, `check`, `session` (tests that talk call by call) or `both` (io and check)."""
    limits: dict[str, float] = field(default_factory=dict)


def forge(name: str, code: str, *expect: str, **more: object) -> Attack:
    """A wrong program that tries to be graded as right."""
    return Attack(name, textwrap.dedent(code), frozenset(expect or ("wrong_answer", "exception")), **more)  # type: ignore[arg-type]


def act(name: str, body: str, *expect: str, **more: object) -> Attack:
    """A right program that first does something forbidden: `exception` when it was stopped, `passed` when it got away."""
    lines = textwrap.indent(textwrap.dedent(body).strip("\n"), "    ")
    code = f"def attack():\n{lines}\n\ndef solve(n):\n    attack()\n    return {RIGHT}\n"
    return Attack(name, code, frozenset(expect or ("exception",)), **more)  # type: ignore[arg-type]
