"""Runs alone in an interpreter of its own, fed one JSON line a question: the only file that imports reasoning-gym.

Never imported by selfplay: `gym.py` executes it by path, and kills it. Some of reasoning-gym's scorers evaluate the answer,
so once the data sets are loaded the process gives up what it does not need: files (Landlock), descriptors, children,
memory, its rights where it is root. What is left to a hostile answer is its own score, and time, which the parent counts.
"""

import ctypes
import json
import os
import resource
import sys
from typing import Any

import reasoning_gym

MEMORY_BYTES = 4 * 2**30
_NO_NEW_PRIVILEGES = 38
_CREATE_RULESET, _RESTRICT_SELF = 444, 446
_ALL_FILE_RIGHTS = (1 << 13) - 1
NOBODY = 65534


def confine() -> bool:
    """Gives up rights; whether the kernel's Landlock took all files away."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    handled = ctypes.c_uint64(_ALL_FILE_RIGHTS)
    rules = libc.syscall(_CREATE_RULESET, ctypes.byref(handled), ctypes.c_size_t(8), 0)
    fenced = rules >= 0 and libc.syscall(_RESTRICT_SELF, rules, 0) == 0
    if rules >= 0:
        os.close(rules)
    for what, most in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, 3),
    ):
        resource.setrlimit(what, (most, most))
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    return bool(fenced)


def opened(spec: dict[str, Any]) -> Any:
    """A data set; the same for the same seed, size and settings."""
    return reasoning_gym.create_dataset(spec["name"], seed=spec["seed"], size=spec["size"], **spec["settings"])


def answered(data: list[Any], question: dict[str, Any]) -> dict[str, Any]:
    """The entry asked for, or the score in [0, 1] of an answer to it."""
    chosen = data[question["data"]]
    entry = chosen[question["index"]]
    if "answer" in question:
        return {"score": float(chosen.score_answer(question["answer"], entry))}
    return {"question": str(entry["question"]), "answer": None if entry["answer"] is None else str(entry["answer"])}


def main() -> None:
    """`argv[1]`: the data sets as JSON, loaded before the process confines itself; then it serves until its input ends."""
    replies, sys.stdout = sys.stdout, sys.stderr  # what a data set prints is no reply
    data = [opened(spec) for spec in json.loads(sys.argv[1])]
    for one in data:
        one.score_answer("0", one[0])  # loads what a scorer loads late
    fenced = confine()
    print(json.dumps({"ready": True, "fenced": fenced}), file=replies, flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        try:
            reply = answered(data, question)
        except Exception as error:  # the one boundary: any scorer may raise anything on a hostile answer
            reply = {"error": f"{type(error).__name__}: {error}"[:500]}
        print(json.dumps({"id": question["id"], **reply}), file=replies, flush=True)


if __name__ == "__main__":
    main()
