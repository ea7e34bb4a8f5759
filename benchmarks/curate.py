"""How long curation takes, and against peers: 100,000 traces of 300 tokens, one process, CPU seconds and peak memory.

    python benchmarks/curate.py [--traces 100000] [--peers] [--json out.json]

Traces are made here: a third worked answers, a third Python programs, a third prose, eight attempts a task, a tenth exact
and a fifth near copies of an earlier attempt. `--peers` also times datasketch's MinHashLSH and a text-level 8-gram
look-up in plain Python on a part of the same texts (`--peer-traces`), and gives ratios a trace.
"""

import argparse
import json
import platform
import random
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from selfplay.curate import Archive, SelectRules, archive_entries, decontaminate, dedup, privacy, select
from selfplay.curate.eval_index import Protected
from selfplay.records import Attempt, Decision, Outcome, Task, Trace, Verdict

ATTEMPTS = 8
TOKENS = 300


def vocabulary(rng: random.Random) -> list[str]:
    """20,000 made-up words of 2 to 9 letters."""
    letters = "etaoinshrdlucmfwypvbgkjqxz"
    return ["".join(rng.choices(letters, range(26, 0, -1), k=rng.randint(2, 9))) for _ in range(20_000)]


def prose(rng: random.Random, words: list[str], count: int) -> str:
    """Zipf-like words in sentences."""
    picks = [words[int(20_000 ** rng.random()) - 1] for _ in range(count)]
    return " ".join(word + ("." if i % 12 == 11 else "") for i, word in enumerate(picks))


def worked(rng: random.Random, words: list[str]) -> str:
    """Steps with calculator notes and a final answer, about 300 tokens."""
    lines = []
    total = rng.randint(2, 50)
    for _ in range(16):
        other = rng.randint(2, 50)
        lines.append(
            f"The {prose(rng, words, 8)} is {total}+{other}=<<{total}+{other}={total + other}>>{total + other} {rng.choice(words)}"
        )
        total += other
    return "\n".join([*lines, f"#### {total}"])


def program(rng: random.Random, words: list[str]) -> str:
    """A function of about 30 lines."""
    names = [rng.choice(words) for _ in range(6)]
    lines = [
        f"def solve_{names[0]}({names[1]}_a, {names[2]}_b):",
        f'    """{prose(rng, words, 20)}"""',
        f"    {names[3]}_c = 0",
    ]
    for _ in range(22):
        kind = rng.randint(0, 3)
        number = rng.randint(1, 99)
        if kind == 0:
            lines.append(f"    {names[3]}_c = {names[3]}_c * {number} + {names[1]}_a[{number % 7}]")
        elif kind == 1:
            lines.append(f"    if {names[3]}_c > {number} and {names[2]}_b:\n        {names[3]}_c -= {number}")
        elif kind == 2:
            lines.append(f"    for {names[4]}_i in range({number}):\n        {names[3]}_c += {names[4]}_i % {number}")
        else:
            lines.append(f"    # {prose(rng, words, 6)}")
    return "\n".join([*lines, f"    return {names[3]}_c"])


def near_copy(rng: random.Random, text: str, words: list[str]) -> str:
    """Three words of the text replaced."""
    parts = text.split(" ")
    for _ in range(3):
        place = rng.randrange(len(parts))
        parts[place] = parts[place] if any(c.isdigit() or c in "=<>()[]:" for c in parts[place]) else rng.choice(words)
    return " ".join(parts)


def make_traces(count: int, seed: int) -> list[Trace]:
    """The round that is curated."""
    rng = random.Random(seed)
    words = vocabulary(rng)
    makers = [("math", worked), ("code_tests", program), ("judge", lambda r, w: prose(r, w, TOKENS))]
    traces: list[Trace] = []
    for number in range(-(-count // ATTEMPTS)):
        kind, make = makers[number % 3]
        task = Task(
            id=f"t{number}", prompt=prose(rng, words, 40), check={"type": kind}, tags=(f"kind:{kind}",), source="made"
        )
        texts: list[str] = []
        for attempt in range(ATTEMPTS):
            draw = rng.random()
            text = make(rng, words)
            if texts and draw < 0.3:
                text = rng.choice(texts) if draw < 0.1 else near_copy(rng, rng.choice(texts), words)
            texts.append(text)
            outcome = Outcome.PASS if rng.random() < 0.6 else Outcome.FAIL
            verdict = Verdict(verifier="v/1", outcome=outcome, score=rng.random())
            made = Attempt(task_id=task.id, attempt=attempt, round=1, text=text)
            traces.append(Trace(task=task, attempt=made, verdicts=(verdict,), outcome=outcome))
    return traces[:count]


def timed(job: Callable[[], object]) -> tuple[float, float, object]:
    """(CPU seconds, wall seconds, result)."""
    cpu, wall = time.process_time(), time.perf_counter()
    result = job()
    return time.process_time() - cpu, time.perf_counter() - wall, result


def ours(traces: list[Trace], protected: Protected) -> dict[str, dict[str, float]]:
    """Each part of curation on the whole round."""
    texts = [f"{t.task.text}\n{t.attempt.text}" for t in traces]
    figures: dict[str, dict[str, float]] = {}
    jobs: dict[str, Callable[[], object]] = {
        "decontaminate": lambda: decontaminate.find(texts, protected),
        "privacy": lambda: privacy.find(texts),
        "select": lambda: select(traces, SelectRules(), Archive()),
    }
    for name, job in jobs.items():
        cpu, wall, result = timed(job)
        figures[name] = {"cpu_seconds": round(cpu, 2), "wall_seconds": round(wall, 2)}
        if name == "select":
            chosen: list[Decision] = result  # type: ignore[assignment]
            figures[name].update({f"rows_{k}": v for k, v in Counter(d.reason for d in chosen).items()})
    cpu, wall, archive = timed(lambda: Archive().add(archive_entries(traces, chosen)))
    figures["archive"] = {"cpu_seconds": round(cpu, 2), "wall_seconds": round(wall, 2), "entries": len(archive)}  # type: ignore[arg-type]
    cpu, wall, copies = timed(lambda: dedup.near_duplicates(texts))
    figures["near_duplicates_of_all"] = {
        "cpu_seconds": round(cpu, 2),
        "wall_seconds": round(wall, 2),
        "found": sum(c is not None for c in copies),  # type: ignore[attr-defined]
    }
    return figures


def peer_datasketch(texts: list[str]) -> int:
    """datasketch as its documentation has it: 128 permutations, 5-word shingles, threshold 0.7; rows that have a kept twin."""
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(threshold=0.7, num_perm=128)
    found = 0
    for row, text in enumerate(texts):
        words = text.lower().split()
        sketch = MinHash(num_perm=128)
        sketch.update_batch([" ".join(words[i : i + 5]).encode() for i in range(max(1, len(words) - 4))])
        if index.query(sketch):
            found += 1
        else:
            index.insert(str(row), sketch)
    return found


def peer_ngrams(texts: list[str], protected: Protected) -> int:
    """Decontamination as scripts do it: sets of 8-grams of words as strings, text by text."""
    known: set[str] = set()
    for part in protected.parts:
        words = part.text.lower().split()
        known.update(" ".join(words[i : i + 8]) for i in range(len(words) - 7))
    found = 0
    for text in texts:
        words = text.lower().split()
        found += any(" ".join(words[i : i + 8]) in known for i in range(len(words) - 7))
    return found


def peers(texts: list[str], protected: Protected) -> dict[str, dict[str, float]]:
    """Peers and ours on the same texts, interleaved twice; the better CPU time of each."""
    jobs: dict[str, Callable[[], object]] = {
        "datasketch": lambda: peer_datasketch(texts),
        "near_duplicates": lambda: sum(c is not None for c in dedup.near_duplicates(texts, number_aware=False)),
        "ngram_sets": lambda: peer_ngrams(texts, protected),
        "decontaminate": lambda: len({h.row for h in decontaminate.find(texts, protected)}),
    }
    best: dict[str, dict[str, float]] = {}
    for _ in range(2):
        for name, job in jobs.items():
            cpu, _, found = timed(job)
            if name not in best or cpu < best[name]["cpu_seconds"]:
                best[name] = {"cpu_seconds": round(cpu, 3), "found": int(found)}  # type: ignore[call-overload]
    best["ratios"] = {
        "near_duplicates": round(best["datasketch"]["cpu_seconds"] / best["near_duplicates"]["cpu_seconds"], 2),
        "decontaminate": round(best["ngram_sets"]["cpu_seconds"] / best["decontaminate"]["cpu_seconds"], 2),
    }
    return best


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", type=int, default=100_000)
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--peer-traces", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    traces = make_traces(options.traces, options.seed)
    made = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    rng = random.Random(options.seed + 1)
    words = vocabulary(rng)
    protected = Protected.of([{"question": prose(rng, words, 45), "answer": worked(rng, words)} for _ in range(1_000)])
    figures = ours(traces, protected)
    parts = ("decontaminate", "privacy", "select")
    report = {
        "traces": len(traces),
        "characters": sum(len(t.attempt.text) for t in traces),
        "total_cpu_seconds": round(sum(figures[p]["cpu_seconds"] for p in parts), 2),
        "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "peak_gib_of_the_traces_alone": round(made, 2),
        "figures": figures,
        "versions": {"python": platform.python_version(), "numpy": np.__version__},
    }
    if options.peers:
        import datasketch

        report["versions"]["datasketch"] = datasketch.__version__  # type: ignore[index]
        texts = [t.attempt.text for t in traces[: options.peer_traces]]
        report["peers"] = {"traces": len(texts), **peers(texts, protected)}
    text = json.dumps(report, indent=1)
    sys.stdout.write(text + "\n")
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
