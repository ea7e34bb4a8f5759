"""Runs the cases after public bug reports (`data/reports/cases.jsonl`) through the public functions that they name.

    python -m tests.support.reports ../shared/data/reports/cases.jsonl [--kind 'a mathematics'] [--all]

prints each settled case that comes out otherwise than expected, and the counts by kind.
"""

import argparse
import datetime
import decimal
import fractions
import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from selfplay.answers import extract_code
from selfplay.curate import decontaminate, dedup, privacy
from selfplay.models.structured import extract
from selfplay.sandbox import CheckTests, Executor, IOTests, Job, Limits, StdioTests
from selfplay.verify.judge import Grade
from selfplay.verify.math import check_steps, equal

Row = dict[str, Any]
Fault = str
"""What came out, where it is not what was expected; "" where it is."""

CASE_NAMES = {
    "nan": math.nan,
    "inf": math.inf,
    "Decimal": decimal.Decimal,
    "Fraction": fractions.Fraction,
    "datetime": datetime,
}
"""Names that a case's literals may use beside the built-in ones."""
CODE_HAS = {
    "b-057": ("def helper", "def solve", "import math"),
    "b-060": ("def return_hello_world",),
    "b-064": ("def f(n)",),
    "b-065": ("def add",),
    "b-066": ("from math import gcd", "def g"),
    "b-067": ("import heapq", "def bar"),
    "b-068": ("import math", "def f()"),
    "b-069": ("def right",),
    "b-070": ("def f(x)",),
    "b-071": ("def f(x)",),
    "b-072": ("x + 1",),
    "b-076": ("def f(x)",),
}
"""What the code must hold, by case, where the case says it in words only."""
CODE_LACKS = {
    "b-065": "```",
    "b-067": "That",
    "b-069": "wrong",
    "b-070": "You",
    "b-071": "answer",
    "b-072": "x - 1",
    "b-076": "wrong",
}


def read(path: Path) -> list[Row]:
    """The cases, in their order."""
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def settled(row: Row) -> bool:
    """Whether the case says what is right; the others are debatable."""
    return row["ok_now"] is not None


def _equal(row: Row) -> Fault:
    word = equal(row["input"]["gold"], row["input"]["answer"]).value
    return "" if (word == "pass") == (row["expected"] == "pass") else word


def _step(row: Row) -> Fault:
    [said] = check_steps([row["input"]["step"]])
    word = said.outcome.value
    if row["expected"] == "wrong":
        return "" if word == "wrong" else word
    return "" if word != "wrong" else f"{word}: {said.evidence}"


def _code(row: Row) -> Fault:
    code = extract_code(row["input"]["reply"])
    if row["id"] not in CODE_HAS:
        return "" if code is None else repr(code)
    lacks = CODE_LACKS.get(row["id"])
    good = code is not None and all(part in code for part in CODE_HAS[row["id"]]) and (not lacks or lacks not in code)
    return "" if good else repr(code)


def _decontaminated(row: Row) -> Fault:
    given = row["input"]
    if "text" in given:
        found = decontaminate.find([given["text"]], [{"prompt": given["protected"]}])
    else:
        found = decontaminate.find(given["texts"], given["protected"])
    return "" if bool(found) == (row["expected"] == "hit") else str(found)


def _private(row: Row) -> Fault:
    kinds = sorted({hit.rule for hit in privacy.find([row["input"]["text"]])})
    return "" if kinds == sorted(row["expected"]) else str(kinds)


def _near(row: Row) -> Fault:
    found = list(dedup.near_duplicates(row["input"]["texts"]))
    return "" if all(one is None for one in found) else str(found)


def _grade(row: Row) -> Fault:
    try:
        score: float | str = extract(row["input"]["reply"], Grade).score
    except ValueError as error:
        score = "unreadable"
        fault = f"unreadable: {error}"
    else:
        fault = f"read as {score}"
    return "" if score == row["expected"] else fault


PURE: dict[str, Callable[[Row], Fault]] = {
    "selfplay.verify.math.equal(gold, answer)": _equal,
    "selfplay.verify.math.check_steps([step])": _step,
    "selfplay.answers.extract_code": _code,
    "decontaminate.find(texts, protected)": _decontaminated,
    "decontaminate.find": _decontaminated,
    "privacy.find([text])": _private,
    "dedup.near_duplicates": _near,
    "selfplay.models.structured.extract(reply, Grade)": _grade,
}


def _job(row: Row) -> Job | None:
    given, call = row["input"], row["call"]
    limits = Limits(cpu_seconds=4.0)
    if call.startswith("extract_code(reply)"):
        code = extract_code(given["reply"], "f")
        return Job(row["id"], code or "", IOTests("f", [((1,), 2)]), limits)
    if call == "selfplay.sandbox CheckTests":
        return Job(row["id"], given["code"], CheckTests(given["source"], given["entry_point"]), limits)
    if call == "selfplay.sandbox IOTests":
        cases = eval(given["cases"], dict(CASE_NAMES))  # the cases are the data set's own, written by people
        return Job(row["id"], given["code"], IOTests(given["entry_point"], cases, given["atol"]), limits)
    if call == "selfplay.sandbox StdioTests":
        return Job(row["id"], given["code"], StdioTests([tuple(pair) for pair in given["stdio"]]), limits)
    return None


def _ran(rows: Iterable[Row], executor: Executor) -> Iterator[tuple[Row, Fault]]:
    jobs = [(row, job) for row in rows if (job := _job(row)) is not None]
    for (row, _), result in zip(jobs, executor.run([job for _, job in jobs]), strict=True):
        wanted = None if row["expected"].startswith("infra_error") else "not" not in row["expected"]
        yield row, "" if result.passed is wanted else f"{result.status.value}: {result.error}"


def judged(rows: list[Row], executor: Executor) -> list[tuple[Row, Fault]]:
    """Each case that a public function settles, with its fault; the other cases are left out."""
    found = [(row, PURE[row["call"]](row)) for row in rows if row["call"] in PURE and settled(row)]
    return found + list(_ran([row for row in rows if settled(row)], executor))


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", type=Path)
    parser.add_argument("--kind", help="only cases whose kind or call starts so")
    args = parser.parse_args()
    rows = read(args.cases)
    rows = [row for row in rows if not args.kind or str(row["kind"]).startswith(args.kind) or args.kind in row["call"]]
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    with Executor(workers=1) as executor:
        for row, fault in judged(rows, executor):
            counts[row["kind"]]["wrong" if fault else "right"] += 1
            if fault:
                print(row["id"], json.dumps(row["input"], ensure_ascii=False)[:300])
                print(f"    expected {row['expected']}, came {fault[:200]}")
    for kind, count in counts.items():
        print(f"{kind}: {count['right']} right, {count['wrong']} wrong")


if __name__ == "__main__":
    main()
