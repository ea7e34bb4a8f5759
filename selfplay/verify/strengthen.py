"""Measures how weak a task's tests are, and generates further cases, where a right program is known.

Both run programs only in the sandbox. Inputs of the tests are changed a little, and the right program gives the expected values
(after EvalPlus, Liu et al. 2305.01210): cases that the student never met. And the right program is broken in one place at a
time: a broken one that passes the tests is a survivor. It may still do the same as the right program, unless it fails the
further cases.
"""

import ast
import copy
import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from selfplay.answers.programs import is_plain
from selfplay.curate.canonical import parse
from selfplay.records import Task
from selfplay.sandbox import Executor, IOTests, Job, Limits
from selfplay.seeds import rng_of
from selfplay.verify.code_tests import model_written, program, tests_of
from selfplay.verify.mutants import broken_programs
from selfplay.verify.program_answers import Ask, answers

Case = tuple[tuple[Any, ...], Any]
"""Arguments and what belongs to them."""

_VALUE_CHARS = 800
_TRIES = 20
FLOAT_ATOL = 1e-6
"""Tolerance of made cases whose values are floats, where the task has none of its own."""


@dataclass(frozen=True)
class Strength:
    """What the tests of one task let through."""

    task_id: str
    mutants: int
    survivors: int
    """Broken programs that pass the task's own tests."""
    proven: int
    """Those of them that the further cases catch: they are certainly not the same program."""
    cases: int
    """Further cases that could be made."""


def inputs_of(check: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Arguments that the tests call the entry point with: of `cases`, or literal ones in asserts; [] where there are none."""
    if "cases" in check:
        return [tuple(args) for args, _ in check["cases"]]
    found: list[tuple[Any, ...]] = []
    tree = parse(str(check.get("source", "")))  # hostile where a model wrote it
    if tree is None:
        return []
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    for node in sorted(calls, key=lambda call: (call.lineno, call.col_offset)):
        if getattr(node.func, "id", None) != check.get("entry_point"):
            continue
        try:
            args = tuple(ast.literal_eval(arg) for arg in node.args)
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            continue
        if is_plain(args):
            found.append(args)
    return found


def hidden_cases(
    items: Sequence[tuple[Task, Mapping[str, Any], str]], executor: Executor, limits: Limits, *, count: int, seed: int
) -> list[list[Case]]:
    """For each (task, its code_tests check, a right reply): up to `count` cases on changed inputs, [] where none came.

    The right program runs in the sandbox; an input on which it fails, or gives what is no plain value, is left out.
    """
    asks: list[Ask] = []
    for task, check, reply in items:
        code = program(reply, check) or ""
        inputs = _changed_inputs(inputs_of(check), count, rng_of("hidden", seed, task.id)) if code else []
        asks.append((code, str(check["entry_point"]), inputs))
    return [
        [(inputs[number], value) for number, value in sorted(found.items())]
        for (_, _, inputs), found in zip(asks, answers(asks, executor, limits), strict=True)
    ]


def strengthened(check: Mapping[str, Any], cases: Sequence[Case]) -> dict[str, Any]:
    """The check and the further cases, both of which must pass."""
    rough = FLOAT_ATOL if any(_has_float(value) for _, value in cases) else 0.0
    more = {
        "type": check["type"],
        "entry_point": check["entry_point"],
        "cases": [[list(args), value] for args, value in cases],
        "atol": max(rough, float(check.get("atol", 0.0))),
        **{name: check[name] for name in ("prefix", "strict", "cpu_seconds") if name in check},
    }
    return {"type": "all", "of": [dict(check), more]}


def strength(
    items: Sequence[tuple[Task, Mapping[str, Any], str]],
    executor: Executor,
    limits: Limits,
    *,
    mutants: int = 8,
    cases: int = 6,
    seed: int = 0,
) -> list[Strength]:
    """What the tests of each (task, its code_tests check, a right reply) let through of up to `mutants` broken programs."""
    more = hidden_cases(items, executor, limits, count=cases, seed=seed)
    broken: list[list[str]] = []
    for task, check, reply in items:
        broken.append(broken_programs(program(reply, check) or "", mutants, rng_of("mutants", seed, task.id)))
    tests = [tests_of(check, task.id, model_written(check, task)) for task, check, _ in items]
    jobs = [
        Job(f"{place}/{n}", code, tests[place], limits)
        for place, codes in enumerate(broken)
        for n, code in enumerate(codes)
    ]
    passed = [job for job, result in zip(jobs, executor.run(jobs), strict=True) if result.passed is True]
    known = [job for job in passed if more[_place(job)]]
    further = [Job(job.id, job.code, _io(items[_place(job)][1], more[_place(job)]), limits) for job in known]
    caught = [job for job, result in zip(known, executor.run(further), strict=True) if result.passed is False]
    alive, proven = ([_place(job) for job in jobs_] for jobs_ in (passed, caught))
    return [
        Strength(task.id, len(broken[place]), alive.count(place), proven.count(place), len(more[place]))
        for place, (task, _, _) in enumerate(items)
    ]


def _place(job: Job) -> int:
    return int(job.id.partition("/")[0])


def _io(check: Mapping[str, Any], cases: Sequence[Case]) -> IOTests:
    rough = FLOAT_ATOL if any(_has_float(value) for _, value in cases) else 0.0
    return IOTests(
        str(check["entry_point"]), cases, max(rough, float(check.get("atol", 0.0))), bool(check.get("strict"))
    )


# ---- inputs that are a little different ----


def _changed_inputs(known: Sequence[tuple[Any, ...]], count: int, rng: random.Random) -> list[tuple[Any, ...]]:
    seen = {repr(args) for args in known}
    found: list[tuple[Any, ...]] = []
    usable = [args for args in known if args and len(repr(args)) <= _VALUE_CHARS]
    for _ in range(_TRIES * count if usable else 0):
        if len(found) == count:
            break
        args = list(copy.deepcopy(rng.choice(usable)))
        at = rng.randrange(len(args))
        args[at] = changed(args[at], rng)
        if repr(tuple(args)) not in seen:
            seen.add(repr(tuple(args)))
            found.append(tuple(args))
    return found


def changed(value: Any, rng: random.Random) -> Any:
    """A value of the same type and much the same kind: sign, emptiness and alphabet stay, for tests take these for granted."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        near = value + rng.choice([-2, -1, 1, 2, 3])
        return (
            near
            if (near > 0, near < 0) == (value > 0, value < 0)
            else value + (1 if value > 0 else -1 if value < 0 else 0)
        )
    if isinstance(value, float):
        scaled = value * rng.choice([0.5, 0.9, 1.1, 2.0])
        return round(scaled, 6) or scaled or value
    if isinstance(value, str):
        return "".join(_items(list(value), rng, rng.choice(value))) if value else value
    if isinstance(value, list | tuple) and value:
        return type(value)(_items(list(value), rng, changed(rng.choice(value), rng)))
    if isinstance(value, dict) and value:
        key = rng.choice(list(value))
        return {**value, key: changed(value[key], rng)}
    return value


def _items(items: list[Any], rng: random.Random, other: Any) -> list[Any]:
    """The items with one moved, left out, doubled or replaced by `other`; a sorted list stays sorted."""
    ordered = _sorted(items)
    at, way = rng.randrange(len(items)), rng.choice(["swap", "drop", "double", "replace"])
    if way == "swap" and not ordered:
        to = rng.randrange(len(items))
        items[at], items[to] = items[to], items[at]
    elif way == "drop" and len(items) > 1:
        del items[at]
    elif way == "double":
        items.insert(at, items[at])
    else:
        items[at] = other
    if ordered and not _sorted(items):
        with suppress(TypeError):  # what was put in cannot be compared with the others
            return sorted(items)
    return items


def _sorted(items: list[Any]) -> bool:
    try:
        return len(items) > 1 and all(a <= b for a, b in pairwise(items))
    except TypeError:
        return False


def _has_float(value: Any) -> bool:
    if isinstance(value, list | tuple | set | frozenset):
        return any(_has_float(item) for item in value)
    return isinstance(value, float) or (isinstance(value, dict) and any(_has_float(item) for item in value.values()))
