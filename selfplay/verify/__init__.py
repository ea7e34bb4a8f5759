"""Floor 3: judgement. A verdict is made here and nowhere else.

`verify(tasks, attempts, verifiers)` asks the verifiers that each task names and makes the outcome by the task's rule;
`admit` holds a task to its own verifier: gold passes, near misses fail.
"""

from selfplay.verify.admit import Admission, admit
from selfplay.verify.routing import Judged, Verifier, check_types, combine, routed, verify

__all__ = ["Admission", "Judged", "Verifier", "admit", "check_types", "combine", "routed", "verify"]
