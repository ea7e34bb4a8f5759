"""`selfplay.sandbox`: run untrusted Python programs against tests; the verdict is made outside the program's process.

    with Executor() as executor:
        results = executor.run([Job("a", "def add(a, b): return a + b", CheckTests("assert add(1, 2) == 3", "add"))])

It can be used alone: it imports the standard library, `selfplay.errors` and `selfplay.cores`, nothing else.
"""

from selfplay.sandbox.executor import Executor
from selfplay.sandbox.jobs import CheckTests, IOTests, Job, Limits, Result, Status, StdioTests

__all__ = ["CheckTests", "Executor", "IOTests", "Job", "Limits", "Result", "Status", "StdioTests"]
