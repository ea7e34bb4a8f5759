"""How fast answers and steps are checked: plain numbers, distinct LaTeX against bare math-verify, GSM8K solutions.

    python benchmarks/math_answers.py [--json results.json] [--data ../shared/data] [--latex 1000]

LaTeX is timed in alternating blocks of one run, ours (with its worker process) and math-verify called directly (parse
twice, verify), both on pairs that neither has seen; the ratio of CPU seconds is what counts, wall seconds are shown too.
"""

import argparse
import gzip
import importlib.metadata
import json
import os
import platform
import random
import time
from pathlib import Path
from typing import Any

from selfplay.records import Outcome
from selfplay.verify.math import check_steps, equal, symbolic, warm_up


def plain_numbers(count: int) -> dict[str, float]:
    """CPU seconds for `count` comparisons of plain numbers in five spellings."""
    draw = random.Random(0)
    pairs = []
    for i in range(count):
        n = draw.randrange(10**6)
        pairs.append((str(n), [str(n), f"{n:,}", f"{n}.0", f"${n}", str(n + 1)][i % 5]))
    start = time.process_time()
    passed = sum(equal(gold, answer) is Outcome.PASS for gold, answer in pairs)
    return {"pairs": count, "cpu_seconds": round(time.process_time() - start, 3), "passed": passed}


def latex_pairs(count: int) -> list[tuple[str, str]]:
    """Distinct pairs as models write them, half of them equal."""
    draw = random.Random(1)
    pairs = []
    for i in range(count):
        a, b, c = (draw.randrange(2, 400) for _ in range(3))
        off = i % 2
        pairs.append(
            [
                (rf"\frac{{{a}x+{b}}}{{{c}}}", rf"\frac{{{a}x}}{{{c}}}+\frac{{{b + off}}}{{{c}}}"),
                (rf"{a}\sqrt{{{b}}}+{c}", rf"{c + off}+\sqrt{{{a * a * b}}}"),
                (rf"(x-{a})(x+{b})", rf"x^2+{b - a}x-{a * b + off}".replace("+-", "-")),
                (rf"\frac{{\pi}}{{{a}}}+{b}", rf"{b + off}+\frac{{{c}\pi}}{{{a * c}}}"),
                (rf"{a}\sin(x)+{b}\cos(y)", rf"{b + off}\cos(y)+{a}\sin(x)"),
                (rf"\frac{{{a}}}{{\sqrt{{{b}}}}}", rf"\frac{{{a}\sqrt{{{b}}}}}{{{b + off}}}"),
            ][i % 6]
        )
    return pairs


def bare(gold: str, answer: str) -> bool:
    """math-verify as its users call it."""
    from math_verify import parse, verify

    return bool(verify(parse(f"${gold}$"), parse(f"${answer}$")))


def worker_cpu() -> float:
    """CPU seconds used so far by the idle workers of this process (Linux)."""
    total = 0.0
    for worker in symbolic._idle:
        fields = Path(f"/proc/{worker.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def latex(count: int, block: int = 50) -> dict[str, Any]:
    """Ours and bare math-verify, in alternating blocks over the same distinct pairs."""
    pairs = latex_pairs(count)
    bare("x", "x")
    warm_up()
    spent = {"ours_cpu": 0.0, "bare_cpu": 0.0, "ours_wall": 0.0, "bare_wall": 0.0}
    disagree = []
    for at in range(0, count, block):
        part = pairs[at : at + block]
        cpu, child, wall = time.process_time(), worker_cpu(), time.perf_counter()
        ours = [equal(gold, answer) is Outcome.PASS for gold, answer in part]
        spent["ours_cpu"] += time.process_time() - cpu + worker_cpu() - child
        spent["ours_wall"] += time.perf_counter() - wall
        cpu, wall = time.process_time(), time.perf_counter()
        theirs = [bare(gold, answer) for gold, answer in part]
        spent["bare_cpu"] += time.process_time() - cpu
        spent["bare_wall"] += time.perf_counter() - wall
        disagree += [pair for pair, one, other in zip(part, ours, theirs, strict=True) if one != other]
    return {
        "pairs": count,
        **{name: round(value, 2) for name, value in spent.items()},
        "speed_ratio_cpu": round(spent["bare_cpu"] / spent["ours_cpu"], 2),
        "speed_ratio_wall": round(spent["bare_wall"] / spent["ours_wall"], 2),
        "disagree": len(disagree),
        "disagree_first": disagree[:3],
    }


def steps(data: Path) -> dict[str, Any]:
    """CPU seconds for 10,000 GSM8K solutions, without and with the question and the answer."""
    path = data / "gsm8k" / "train.jsonl.gz"
    if not path.is_file():
        return {"skipped": f"{path} is not there"}
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    solutions = [
        (row["answer"].split("\n")[:-1], row["question"], row["answer"].rpartition("#### ")[2]) for row in rows
    ]
    solutions = (solutions * 2)[:10_000]
    start = time.process_time()
    for lines_of, _, _ in solutions:
        check_steps(lines_of)
    middle = time.process_time()
    for lines_of, question, answer in solutions:
        check_steps(lines_of, question, answer)
    return {
        "solutions": len(solutions),
        "cpu_seconds": round(middle - start, 2),
        "cpu_seconds_with_question_and_answer": round(time.process_time() - middle, 2),
    }


def main() -> None:
    """Run all three and print (or write) one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the result there")
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--latex", type=int, default=1000, help="pairs of LaTeX answers")
    options = parser.parse_args()
    result = {
        "date": time.strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "versions": {
            name: importlib.metadata.version(name) for name in ("math-verify", "latex2sympy2_extended", "sympy")
        },
        "plain_numbers": plain_numbers(100_000),
        "latex": latex(options.latex),
        "steps": steps(options.data),
    }
    text = json.dumps(result, indent=2)
    if options.json:
        options.json.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
