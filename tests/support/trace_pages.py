"""Runs for the tests of the trace browser, and a server that shows them."""

import threading
from pathlib import Path

from selfplay.records import Attempt, Decision, Outcome, Task, Trace, Verdict
from selfplay.store.traces import write_traces
from selfplay.view import serve

HOSTILE = "</pre><script>alert(1)</script>\u202e\"'&<img src=x onerror=alert(2)>"


def trace(task: str, number: int, round: int, outcome: str = "pass", text: str = "", reason: str = "accepted") -> Trace:
    """One verified and curated trace."""
    return Trace(
        task=Task(id=task, prompt=f"Solve {task}.", verifier={"type": "math", "answer": "4"}, tags=("difficulty:2",)),
        attempt=Attempt(task_id=task, attempt=number, round=round, text=text or f"{task} is {number}"),
        verdicts=(Verdict(verifier="math/1", outcome=Outcome(outcome), reason="wrong_answer", evidence="got 5"),),
        outcome=Outcome(outcome),
        decision=Decision(decision="accepted" if reason == "accepted" else "dropped", reason=reason),
    )


def write_round(run: Path, number: int, traces: list[Trace], group: int = 7) -> None:
    folder = run / "rounds" / f"{number:03d}"
    folder.mkdir(parents=True, exist_ok=True)
    write_traces(folder / "traces.parquet", [traces[i : i + group] for i in range(0, len(traces), group)])


def served(run: Path) -> str:
    """The address of a real server over a run; it ends with the tests."""
    found: list[str] = []
    opened = threading.Event()

    def announce(url: str) -> None:
        found.append(url)
        opened.set()

    threading.Thread(target=serve, args=(run, 0, announce), daemon=True).start()
    assert opened.wait(30)
    return found[0]
