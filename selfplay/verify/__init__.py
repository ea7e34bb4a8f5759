"""Verifiers. All verdicts are made here.

`verify(tasks, attempts, verifiers)` asks the verifiers that each task names and combines their verdicts by the task's rule;
`admit` tests a task against its own verifier: the gold answer must pass, near misses must fail. A verifier is one file with a
`RegisteredVerifier`, and a line in `config/registry.py`.
"""

from selfplay.verify.admit import Admission, admit
from selfplay.verify.base import Judged, RegisteredVerifier, Verifier
from selfplay.verify.routing import check_types, combine, routed, verify

__all__ = [
    "Admission", "Judged", "RegisteredVerifier", "Verifier", "admit", "check_types", "combine", "routed", "verify",
]  # fmt: skip
