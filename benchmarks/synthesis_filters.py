"""How well each filter tells good replies from bad: precision and recall of what it keeps of tests/synthesis_replies.

The replies were written before the filters; those of `unseen/` after them, and no filter was changed for them.
`python benchmarks/synthesis_filters.py [--json FILE] [--missed] [--without-sandbox]`
"""

import argparse
import json
import platform
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from selfplay import __version__
from selfplay.collapse import wilson
from selfplay.records import Attempt, Outcome, Task
from selfplay.synthesis import method_result, text_filters
from selfplay.synthesis.backtranslate import translation_fault
from selfplay.synthesis.variants import variant_fault
from selfplay.verify import verify
from selfplay.verify.math_answer import MathAnswer

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "synthesis_replies"
Row = dict[str, Any]


def rows_of(name: str) -> list[Row]:
    """The replies for one filter."""
    return [json.loads(line) for line in (FOLDER / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


def evolve(row: Row) -> str:
    """Evolved tasks."""
    given, reply = row["given"], row["reply"]
    if "function" in given["parent"]:
        from selfplay.answers import extract_code

        code = extract_code(reply["solution"])
        fault = text_filters.evolved_fault(given["parent"], reply["task"], None)
        return fault or ("" if code and "def " in code else "no_answer")
    return text_filters.evolved_fault(given["parent"], reply["task"], reply["answer"])


def backtranslate(row: Row) -> str:
    """Texts that were translated and translated back, without the answer check."""
    return translation_fault(row["given"]["text"], row["reply"])


def variants(row: Row) -> str:
    """Variants, with the parent's formula."""
    given, reply = row["given"], row["reply"]
    return variant_fault(given["parent"], given["answer"], given["formula"], reply["task"], reply["answer"])


def traces(row: Row) -> str:
    """Teacher solutions: the filter, then the verifier."""
    given = row["given"]
    if fault := text_filters.solution_fault(row["reply"], given["task"]):
        return fault
    task = Task(id="t", prompt=given["task"], check={"type": "math", "answer": given["answer"]})
    said = verify([task], [Attempt(task_id="t", attempt=0, round=0, text=row["reply"])], {"math": MathAnswer()})
    return "" if said[0].outcome is Outcome.PASS else "wrong_answer"


def rare(row: Row) -> str:
    """Tasks written for a draw from a taxonomy."""
    return text_filters.rare_fault(row["given"], row["reply"]["task"], row["reply"]["answer"])


def textbook(row: Row) -> str:
    """Sections with one exercise, without the solutions check."""
    reply, title = row["reply"], row["given"]["section"]
    return text_filters.section_fault(title, reply["text"]) or text_filters.exercise_fault(
        title, reply["text"], reply["exercise"], reply["answer"]
    )


def instruct(row: Row) -> str:
    """Instructions written for a text."""
    return text_filters.instruction_fault(row["given"]["text"], row["reply"]["task"], row["reply"]["score"])


def admit(rows: Sequence[Row]) -> list[str]:
    """Code tasks with a teacher's tests, in the sandbox."""
    from selfplay.sandbox import Executor, Limits
    from selfplay.verify.code_tests import CodeTests

    tasks = [
        Task(
            id=row["id"],
            prompt=row["given"]["task"],
            check={
                "type": "code_tests",
                "entry_point": r["entry_point"],
                "source": "\n".join(r["tests"]),
                "model_written": True,
            },
            reference=r["solution"],
        )
        for row in rows
        for r in [row["reply"]]
    ]
    with Executor(workers=1, require_tier="best") as executor:
        verifiers = {"code_tests": CodeTests(executor, Limits(cpu_seconds=1.0))}
        others = [row["given"]["solutions"] for row in rows]
        return method_result.admission_faults(tasks, others, verifiers, method_result.AdmissionRules())


FILTERS: dict[str, Callable[[Row], str]] = {
    "evolve": evolve,
    "rare": rare,
    "textbook": textbook,
    "variants": variants,
    "backtranslate": backtranslate,
    "instruct": instruct,
    "traces": traces,
}


def measure(name: str) -> dict[str, Any]:
    """Figures of one filter: kept and good, kept and bad, dropped and good, dropped and bad, with the misses named."""
    rows = rows_of(name)
    said = admit(rows) if name == "admission" else [FILTERS[name.removeprefix("unseen/")](row) for row in rows]
    cells = Counter((bool(row["good"]), not fault) for row, fault in zip(rows, said, strict=True))
    kept_good, kept_bad, lost_good = cells[True, True], cells[False, True], cells[True, False]
    return {
        "replies": len(rows),
        "good": kept_good + lost_good,
        "kept_good": kept_good,
        "kept_bad": kept_bad,
        "precision": interval(kept_good, kept_good + kept_bad),
        "recall": interval(kept_good, kept_good + lost_good),
        "reasons": dict(Counter(fault or "kept" for fault in said)),
        "missed": [
            {"id": row["id"], "good": row["good"], "said": fault, "why": row["why"]}
            for row, fault in zip(rows, said, strict=True)
            if bool(row["good"]) == bool(fault)
        ],
    }


def interval(good: int, of: int) -> list[float]:
    """A share with its 95 % Wilson interval; empty where there is nothing to share."""
    if not of:
        return []
    found = wilson(good, of)
    return [round(found.value, 3), round(found.lo, 3), round(found.hi, 3)]


def main() -> None:
    """Measures all filters and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    parser.add_argument("--missed", action="store_true", help="name every reply that was judged wrongly")
    parser.add_argument("--without-sandbox", action="store_true", help="leave admission out")
    args = parser.parse_args()
    names = [*FILTERS, *(f"unseen/{name}" for name in FILTERS), *([] if args.without_sandbox else ["admission"])]
    found = {name: measure(name) for name in names}
    for name, one in found.items():
        print(
            f"| {name} | {one['replies']} | {one['good']} | {one['kept_good']} | {one['kept_bad']} |",
            one["precision"],
            one["recall"],
        )
        for miss in one["missed"] if args.missed else ():
            print("   ", miss)
    if args.json:
        versions = {"python": platform.python_version(), "selfplay": __version__}
        args.json.write_text(json.dumps({"versions": versions, "filters": found}, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
