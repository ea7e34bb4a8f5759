"""Cost of all per-round text metrics that need no model, from 1,000 to 100,000 texts of 300 tokens, beside their peers.

    python benchmarks/collapse_speed.py --sizes 1000 10000 100000 --json out.json [--peers PYTHON]

Texts are Zipf words, a tenth of them copies or near copies. The metrics are those of `selfplay.collapse.measure`: counts
and lengths; distinct-1..4; entropy; EAD-3; unseen mass; 4-gram collisions; seq-rep-4; exact and near duplicates;
long-window compression; RKE; and at the fixed budget distinct-1..3 and character 4- and 5-grams with intervals, cross-text
collisions, Vendi, self-BLEU, rare coverage, lost tokens, vocabulary kept, Jensen-Shannon. Each size runs in a process
of its own, so that its peak memory is its own. Peers run at the sizes they can bear, in the interpreter given, on the
same texts; CPU seconds, one process.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from selfplay.cores import usable_cores

TOKENS = 300


def make_texts(count: int, seed: int = 0) -> list[str]:
    """Zipf words; every twentieth text repeats an earlier one, every twentieth but one changes some of its words."""
    import numpy as np

    rng = np.random.default_rng(seed)
    words = np.array([f"w{i:x}" for i in range(50_000)])
    shares = np.cumsum(1 / np.arange(1, 50_001))
    rows = np.minimum(np.searchsorted(shares, rng.random((count, TOKENS)) * shares[-1]), 49_999)
    rows[19::20] = rows[0 : len(rows[19::20]) * 20 : 20]
    close = rows[1 : len(rows[18::20]) * 20 : 20].copy()
    close[:, ::60] = 7
    rows[18::20] = close
    return [" ".join(row) for row in words[rows]]


def ours(count: int) -> dict[str, Any]:
    """One measurement against a reference, in this process."""
    from selfplay.collapse import budget_of, measure, reference_of

    texts, before = make_texts(count, 1), make_texts(min(count, 2000), 2)
    budget = budget_of([texts, before])
    reference = reference_of(before, budget)
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, cpu = time.perf_counter(), time.process_time()
    row = measure(texts, reference, budget=budget)
    spent = {"wall_seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    memory = {"peak_mib": peak / 1024, "above_input_mib": (peak - base) / 1024}
    keys = ("exact_dup_rate", "near_dup_rate", "distinct_2")
    found = {k: row[f"collapse_diversity/{k}"] for k in keys}
    return {"texts": count, **spent, **memory, "metrics": len(row), **found}


PEERS = r"""
import json, sys, time, importlib.metadata as md
texts = [json.loads(line) for line in open(sys.argv[1])]
out, versions = {}, {}
def timed(name, n, call):
    start = time.process_time()
    try:
        value = call()
    except Exception as error:
        out[name] = {"texts": n, "error": f"{type(error).__name__}: {error}"[:200]}
        return
    out[name] = {"texts": n, "cpu_seconds": round(time.process_time() - start, 3), "value": float(value)}
def nltk_self_bleu(n):
    from nltk.translate.bleu_score import sentence_bleu, SmoothingFunction
    words = [t.split() for t in texts[:n]]
    smooth = SmoothingFunction().method1
    return sum(sentence_bleu(words[:i] + words[i+1:], words[i], smoothing_function=smooth) for i in range(n)) / n
def vendi(n):
    import numpy as np
    from vendi_score import vendi as v
    X = np.random.default_rng(0).standard_normal((n, 256)); X /= np.linalg.norm(X, axis=1, keepdims=True)
    return v.score_K(X @ X.T)
def diversity_ngrams(n):
    from diversity import ngram_diversity_score
    return ngram_diversity_score(texts[:n], 4)
def diversity_compression(n):
    from diversity import compression_ratio
    return compression_ratio(texts[:n], "gzip")
def diversity_self_repetition(n):
    from diversity import self_repetition_score
    return self_repetition_score(texts[:n])
def verl_best_at_k(n):
    import numpy as np
    rng = np.random.default_rng(0); scores = np.zeros(64); scores[0] = 1
    return np.mean([np.mean([scores[rng.choice(64, 64)].max() for _ in range(1000)]) for _ in range(n)])
def gzip_ratio(n):
    import gzip
    raw = "\n".join(texts[:n]).encode(); return len(raw) / len(gzip.compress(raw))
for n in (100, 200): timed(f"nltk self-BLEU, {n}", n, lambda: nltk_self_bleu(n))
for n in (1000, 2000): timed(f"vendi-score, n x n, {n}", n, lambda: vendi(n))
for n in (1000, 4000): timed(f"diversity n-grams 1..4, {n}", n, lambda: diversity_ngrams(n))
for n in (1000,): timed(f"diversity gzip, {n}", n, lambda: diversity_compression(n))
for n in (1000, 2000): timed(f"diversity self-repetition, {n}", n, lambda: diversity_self_repetition(n))
timed("verl-style best@64 by bootstrap, 20 tasks", 20, lambda: verl_best_at_k(20))
timed("gzip, 4000", 4000, lambda: gzip_ratio(4000))
for package in ("nltk", "vendi-score", "diversity", "numpy"):
    try: versions[package] = md.version(package)
    except md.PackageNotFoundError: versions[package] = None
print(json.dumps({"peers": out, "versions": versions}))
"""


def same_jobs() -> dict[str, Any]:
    """Our cost of what the peers are asked for, on the same texts."""
    import numpy as np

    from selfplay import collapse as c

    texts = make_texts(4000, 1)
    X = np.random.default_rng(0).standard_normal((2000, 256))
    jobs = {
        "self-BLEU, 100": lambda: c.self_bleu(texts[:100]),
        "self-BLEU, 200": lambda: c.self_bleu(texts[:200]),
        "Vendi dual, 1000": lambda: c.vendi_dual(X[:1000]),
        "Vendi dual, 2000": lambda: c.vendi_dual(X),
        "distinct 1..4, 1000": lambda: sum(c.distinct_n(texts[:1000], n) for n in (1, 2, 3, 4)),
        "distinct 1..4, 4000": lambda: sum(c.distinct_n(texts, n) for n in (1, 2, 3, 4)),
        "4-gram collisions, 2000": lambda: c.ngram_collision_u(texts[:2000], 4),
        "pass@64 exact, 20 tasks": lambda: float(np.mean(c.pass_at_k([64] * 20, [1] * 20, 64))),
        "long-window ratio, 4000": lambda: c.compression_ratio(texts, "long"),
    }
    out = {}
    for name, job in jobs.items():
        start = time.process_time()
        value = job()
        out[name] = {"cpu_seconds": round(time.process_time() - start, 4), "value": float(value)}
    return out


def peers(python: str) -> dict[str, Any]:
    """The peers' cost, in their own interpreter."""
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl", delete=False) as file:
        file.writelines(json.dumps(text) + "\n" for text in make_texts(4000, 1))
    done = subprocess.run([python, "-c", PEERS, file.name], capture_output=True, text=True, check=False)
    Path(file.name).unlink()
    if done.returncode:
        return {"error": done.stderr[-500:]}
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Prints one line a size and writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--peers", help="an interpreter that has nltk, vendi-score and diversity")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(ours(args.one)))
        return
    rows = []
    for size in args.sizes:
        command = [sys.executable, __file__, "--one", str(size)]
        rows.append(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
        print({k: round(v, 4) for k, v in rows[-1].items()}, flush=True)
    out: dict[str, Any] = {"cpu": platform.processor() or platform.machine(), "cores": usable_cores(), "ours": rows}
    out["load"] = (
        os.getloadavg()
    )  # other work on the machine makes CPU seconds longer too: caches and memory are shared
    out["same_jobs"] = same_jobs()
    if args.peers:
        out |= peers(args.peers)
    print(json.dumps({k: v for k, v in out.items() if k != "ours"}, indent=1))
    if args.json:
        import numpy as np

        out.setdefault("versions", {})["ours_numpy"] = np.__version__
        out["versions"]["python"] = platform.python_version()
        args.json.write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
