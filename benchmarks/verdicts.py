"""Verdicts on final answers side by side: ours, math-verify alone, an exact match and the last number, on the same pairs.

    python benchmarks/verdicts.py [--data ../shared/data] [--count 5000] [--json out.json] [--markdown]

Three sets of pairs: cases after public bug reports, pairs of other libraries' tests and our own, and the generator of
`tests/pairs`, whose pairs are equal or unequal by construction. A false accept passes a wrong answer; a false reject is any
other word for a right one. CPU is of this process and of the symbolic worker, per answer; the longest is wall time.
"""

import argparse
import gzip
import importlib.metadata
import json
import logging
import platform
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from math_answers import worker_cpu  # noqa: E402  beside this file

from selfplay.answers import extract_answer  # noqa: E402
from selfplay.verify.math import equal, warm_up  # noqa: E402
from tests.pairs import mathematics  # noqa: E402

Rule = Callable[[str, str], bool]
Pair = tuple[str, str, bool]
"""Reference, reply, whether they are equal."""


@dataclass
class Count:
    """What one rule made of one set."""

    pairs: int = 0
    equal: int = 0
    false_accepts: int = 0
    false_rejects: int = 0
    errors: int = 0
    """Raised, or the word `error`."""
    cpu_ms: float = 0.0
    """Mean an answer."""
    worst_seconds: float = 0.0


def ours(gold: str, reply: str) -> bool:
    """`equal`, as the verifier of `math` tasks calls it."""
    word = equal(gold, reply).value
    if word == "error":
        raise RuntimeError("no symbolic worker")
    return word == "pass"


def math_verify(gold: str, reply: str) -> bool:
    """math-verify as its README has it: both sides parsed by its defaults, LaTeX without dollars helped to them."""
    from math_verify import parse, verify

    wrapped = gold if "$" in gold or "\\" not in gold else f"${gold}$"
    return bool(verify(parse(wrapped), parse(reply)))


def exact_match(gold: str, reply: str) -> bool:
    """The marked answer, or else the last line, letter by letter but for blanks, dollars and case."""
    found = re.findall(r"\\boxed\{([^{}]*)\}|####\s*(.+)|(?:answer is|Answer:)\s*(.+)", reply)
    last = next((part for part in found[-1] if part), "") if found else (reply.strip().splitlines() or [""])[-1]
    return bool(_plain(last)) and _plain(gold) == _plain(last)


def last_number(gold: str, reply: str) -> bool:
    """The last number of either side, as many graders of GSM8K have it."""
    one, other = _last(gold), _last(reply)
    return one is not None and other is not None and abs(one - other) < 1e-6


def _plain(text: str) -> str:
    return re.sub(r"[\s$]+", "", text).rstrip(".").lower()


def _last(text: str) -> float | None:
    found = re.findall(r"-?\d[\d,]*\.?\d*", text)
    try:
        return float(found[-1].replace(",", "")) if found else None
    except ValueError:
        return None


RULES: dict[str, Rule] = {
    "selfplay": ours,
    "math-verify": math_verify,
    "exact match": exact_match,
    "last number": last_number,
}


def cases(data: Path) -> Iterator[Pair]:
    """Settled cases after bug reports that ask for a verdict on an answer."""
    with (data / "reports" / "cases.jsonl").open(encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            if row["call"].startswith("selfplay.verify.math.equal") and row["ok_now"] is not None:
                yield row["input"]["gold"], row["input"]["answer"], row["expected"] == "pass"


def pairs(data: Path) -> Iterator[Pair]:
    """Pairs of math-verify's and MATH's own tests, and ours; no row that is in doubt."""
    with gzip.open(data / "answer_pairs" / "pairs.jsonl.gz", "rt", encoding="utf-8") as lines:
        yield from (
            (row["gold"], row["answer"], row["equal"]) for row in map(json.loads, lines) if row["doubt"] is None
        )
    with (data / "own" / "answer_pairs" / "own.jsonl").open(encoding="utf-8") as lines:
        rows = [row for row in map(json.loads, lines) if row["equal"] is not None]
    yield from ((row["gold"], row["answer"], row["equal"]) for row in rows)


def made(count: int, seed: int) -> Iterator[Pair]:
    """The generator's."""
    for index in range(count):
        pair = mathematics.pair(seed, index)
        yield pair.gold, pair.reply, pair.equal


def counted(rule: Rule, rows: list[Pair]) -> Count:
    """One rule on one set."""
    found = Count(pairs=len(rows), equal=sum(same for _, _, same in rows))
    began = time.process_time() + worker_cpu()
    for gold, reply, same in rows:
        start = time.perf_counter()
        try:
            said = rule(gold, reply)
        except Exception:  # the one boundary: a rule that raises has no verdict
            found.errors, said = found.errors + 1, False
        found.worst_seconds = max(found.worst_seconds, time.perf_counter() - start)
        found.false_accepts += said and not same
        found.false_rejects += same and not said
    spent = time.process_time() + worker_cpu() - began
    found.cpu_ms = round(1000 * spent / max(1, len(rows)), 3)
    found.worst_seconds = round(found.worst_seconds, 2)
    return found


def markdown(result: dict[str, dict[str, dict[str, Any]]]) -> str:
    """The table of docs/verifiers.md."""
    lines = [
        "| pairs | rule | false accepts | false rejects | errors | CPU ms an answer | longest, s |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, rules in result.items():
        for rule, c in rules.items():
            wrong = c["pairs"] - c["equal"]
            lines.append(
                f"| {name} | {rule} | {c['false_accepts']} of {wrong} | {c['false_rejects']} of {c['equal']} | {c['errors']} "
                f"| {c['cpu_ms']:g} | {c['worst_seconds']:g} |"
            )
    return "\n".join(lines)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="folder of the data sets")
    parser.add_argument("--count", type=int, default=5000, help="pairs of the generator")
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the result there")
    parser.add_argument("--markdown", action="store_true", help="print the table of the docs")
    options = parser.parse_args()
    logging.getLogger("math_verify").setLevel(logging.CRITICAL)
    warm_up()
    extract_answer("A: 1"), math_verify("x", "$x$")
    sets = {
        "bug reports": list(cases(options.data)),
        "other libraries' tests": list(pairs(options.data)),
        "generator": list(made(options.count, options.seed)),
    }
    result = {name: {rule: asdict(counted(ask, rows)) for rule, ask in RULES.items()} for name, rows in sets.items()}
    versions = {name: importlib.metadata.version(name) for name in ("math-verify", "latex2sympy2_extended", "sympy")}
    whole = {"date": time.strftime("%Y-%m-%d"), "python": platform.python_version(), "versions": versions, **result}
    if options.json:
        options.json.write_text(json.dumps(whole, indent=2) + "\n")
    print(markdown(result) if options.markdown else json.dumps(whole, indent=2))


if __name__ == "__main__":
    main()
