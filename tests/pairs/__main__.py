"""python -m tests.pairs: builds cases, asks the code of this checkout, and prints what it got wrong per kind."""

import argparse
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from typing import Any

from . import code_replies, judge_replies, mathematics, subject
from .measure import Tally, commonest, merged, tally, wilson_upper

_CHUNK = 500


def _mathematics(case: Any) -> str:
    return subject.verdict(case.gold, case.reply)


def _code(case: Any) -> str:
    return code_replies.verdict(case, subject.code_of)


def _judge(case: Any) -> str:
    return judge_replies.verdict(case, subject.grade_of)


Judge = Callable[[Any], str]
AREAS: dict[str, tuple[Callable[[int, int, str | None], Any], Judge, tuple[str, ...]]] = {
    "mathematics": (mathematics.pair, _mathematics, tuple(mathematics.FAMILIES)),
    "code": (code_replies.case, _code, tuple(code_replies.FORMS)),
    "judge": (judge_replies.case, _judge, tuple(judge_replies.FORMS)),
}


def chunk(area: str, seed: int, start: int, count: int, kind: str | None) -> dict[str, Tally]:
    """The counts of the cases from an index on."""
    make, decide, _ = AREAS[area]
    return tally((make(seed, index, kind) for index in range(start, start + count)), decide)


def measured(area: str, seed: int, count: int, kind: str | None, processes: int) -> Iterator[dict[str, Tally]]:
    """The counts chunk by chunk."""
    starts = list(range(0, count, _CHUNK))
    sizes = [min(_CHUNK, count - start) for start in starts]
    if processes == 1:
        yield from (chunk(area, seed, start, size, kind) for start, size in zip(starts, sizes, strict=True))
        return
    with ProcessPoolExecutor(processes) as pool:
        yield from pool.map(chunk, repeat(area), repeat(seed), starts, sizes, repeat(kind))


def line(name: str, one: Tally) -> str:
    """One line of the table."""
    accepts, rejects = len(one.false_accepts), len(one.false_rejects)
    bounds = f"<= {wilson_upper(accepts, one.unequal):.2%}  <= {wilson_upper(rejects, one.equal):.2%}"
    return f"{name:16s} {one.count:7d} {accepts:7d} {rejects:7d} {len(one.errors):7d}   {bounds}"


def show(one: Tally, count: int) -> None:
    """Prints some cases that were decided wrongly, and the ways in which most of them were made."""
    for title, cases in (
        ("FALSE ACCEPT", one.false_accepts),
        ("FALSE REJECT", one.false_rejects),
        ("ERROR", one.errors),
    ):
        for how, times in commonest(cases, count):
            print(f"  {title:12s} {times:5d} x {how}")
        for case, said in sorted(cases, key=lambda c: len(c[0].reply))[:count]:
            print(f"  {title} {case.kind} [{case.how}] {case.brief} -> {said}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.pairs", description=__doc__)
    parser.add_argument("--area", choices=AREAS, default="mathematics")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", help="one kind of the area alone")
    parser.add_argument(
        "--show", type=int, default=0, help="how many wrongly decided cases to show of each sort and kind"
    )
    parser.add_argument("--processes", type=int, default=1)
    args = parser.parse_args()
    kinds = AREAS[args.area][2]
    if args.kind and args.kind not in kinds:
        parser.error(f"--kind {args.kind!r} is none of {', '.join(kinds)}")
    started, parts = time.monotonic(), []
    for number, part in enumerate(measured(args.area, args.seed, args.count, args.kind, args.processes), 1):
        parts.append(part)
        print(f"\r{min(number * _CHUNK, args.count)} of {args.count}", end="", flush=True)
    names = sorted({name for part in parts for name in part})
    totals = {name: merged(part[name] for part in parts if name in part) for name in names}
    print(f"\r{'kind':16s} {'cases':>7s} {'accepts':>7s} {'rejects':>7s} {'errors':>7s}   upper bounds of both")
    for name, one in totals.items():
        print(line(name, one))
        show(one, args.show)
    print(line("all", merged(totals.values())))
    print(f"{time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
