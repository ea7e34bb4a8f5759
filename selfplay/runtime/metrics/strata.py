"""Accuracy in strata of the dev set that round 0 fixes without tags: by solve rate, words, length, and shape of the solution."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import ClassVar

from selfplay.collapse import DevSet
from selfplay.collapse.strata import (
    FEWEST_TASKS,
    lengths,
    pass_at_n_keys,
    rarest_quarter,
    solve_rate_strata,
    stratum_keys,
    surprisals,
)
from selfplay.config.metrics import Definition
from selfplay.curate.solution_key import solution_shape
from selfplay.records import Outcome, Task
from selfplay.runtime.metrics.base import CHEN, OVER_TASKS, SHARE, Json, Measured, Metric, RoundView
from selfplay.tasks import Fixed

WORKED = 8
"""Median number of words from which references are solutions, whose words can be rare; shorter ones are answers, and prompts are read."""
ENOUGH_ANCHOR = 40
"""Tasks of the anchor from which the frequency of words and shapes is taken; with fewer, words are counted in the dev tasks themselves."""
NAME = "strata"
SELDOM = ("never", "low")
"""The strata by solve rate that are a tail together: either alone is often too small."""
SAMPLED = f"n samples of each sampled dev task; strata of {FEWEST_TASKS} tasks or more; {OVER_TASKS}. Changes to round 0 are paired over tasks"
GREEDY = f"One greedy attempt per dev task; strata of {FEWEST_TASKS} tasks or more; {OVER_TASKS}. Changes to round 0 are paired over tasks."
GAP = "Difference of the two means; interval from theirs (Newcombe's method)."
NEWCOMBE = "https://doi.org/10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I"
DIFFERENCE = "-1 to 1"
AXES = {
    "words": ("rare words", "the quarter with the rarest words in the anchor"),
    "length": ("long texts", "the quarter with the longest texts"),
    "shape": (
        "rare shapes",
        "the quarter whose solution has the rarest form in the anchor: syntax, operators, or words without numbers",
    ),
}


def _of_axis(axis: str, title: str, rare: str) -> dict[str, Definition]:
    start = f"collapse_tails/{axis}"
    which = f"`rare` is {rare}, `common` the rest; the fixed tasks alone decide, by references or, if these are only answers, prompts."
    return {
        f"{start}_rare_pass_at_n": Definition(
            f"pass@n, {title}",
            f"Share of the rare dev tasks that any of n samples solves: {which}",
            f"{SAMPLED}.",
            SHARE,
            CHEN,
        ),
        f"{start}_gap_pass_at_n": Definition(
            f"pass@n, {title} minus the rest",
            "pass@n of the rare dev tasks minus that of the common ones. A change below 0: the tail loses more than the rest, or gains less.",
            GAP,
            DIFFERENCE,
            NEWCOMBE,
            headline=axis == "words",
        ),
        f"{start}_gap_greedy": Definition(
            f"Greedy accuracy, {title} minus the rest",
            "Greedy accuracy of the rare dev tasks minus that of the common ones.",
            GAP,
            DIFFERENCE,
            NEWCOMBE,
        ),
        f"{start}_*_pass_at_n": Definition(
            "pass@n in a stratum", f"pass@n of the rare and common dev tasks: {which}", f"{SAMPLED}.", SHARE, CHEN
        ),
        f"{start}_*_greedy": Definition(
            "Greedy accuracy in a stratum", f"Greedy accuracy of the rare and common dev tasks: {which}", GREEDY, SHARE
        ),
    }


class Strata(Metric):
    """`collapse_tails/` with `words_`, `length_`, `shape_` and `solve_`."""

    definitions: ClassVar = {
        **{key: found for axis, told in AXES.items() for key, found in _of_axis(axis, *told).items()},
        "collapse_tails/solve_seldom_pass_at_n": Definition(
            "pass@n on tasks seldom solved",
            "Share of the dev tasks, solved in up to a quarter of the attempts at round 0 or never, that any of n samples solves.",
            f"{SAMPLED}. One half of round 0's samples chooses the tasks and the other half is round 0's value, so that chance does not look "
            "like a change; n is half of eval.samples.",
            SHARE,
            CHEN,
            headline=True,
        ),
        "collapse_tails/solve_*_pass_at_n": Definition(
            "pass@n by solve rate at round 0",
            "pass@n of the dev tasks that round 0 solved never (0), seldom (low: up to 1/4), often (middle: up to 3/4) or nearly always (high).",
            f"{SAMPLED}. One half of round 0's samples chooses the tasks, the other half is round 0's value; n is half of eval.samples.",
            SHARE,
            CHEN,
        ),
        "collapse_tails/solve_*_greedy": Definition(
            "Greedy accuracy by solve rate at round 0",
            "Greedy accuracy of the sampled dev tasks by how often round 0's samples solved them: never, low, middle or high.",
            GREEDY,
            SHARE,
        ),
    }

    def compute(self, view: RoundView) -> Measured:
        """Round 0 keeps the strata as `strata`: axis -> task id -> stratum, and `rest`, the half of its samples that is its value."""
        rows, errors = view.judged("samples")
        if view.too_many(errors, len(rows) + errors):
            rows = []
        right = _outcomes(rows)
        if view.baseline is None:
            kept: Json = {"axes": _axes(view.fixed)}
            kept["axes"]["solve"], kept["rest"] = solve_rate_strata(right)
        else:
            kept = view.baseline.get(NAME) or {"axes": {}, "rest": {}}
        figures = _sampled(view, kept, right) | _greedy(view, kept["axes"])
        return Measured(figures, {NAME: {} if view.baseline is not None else kept})


def _outcomes(rows: Sequence[Json]) -> dict[str, list[bool]]:
    """Outcomes by task, in the order of sampling."""
    found: dict[str, list[tuple[int, bool]]] = defaultdict(list)
    for row in rows:
        found[row["task_id"]].append((row["sample"], row["outcome"] == Outcome.PASS.value))
    return {task: [right for _, right in sorted(found[task])] for task in sorted(found)}


def _sampled(view: RoundView, kept: Json, right: Mapping[str, Sequence[bool]]) -> Json:
    """pass@n by axis. By solve rate round 0 is its second half, and in round 0 itself the value is that half's alone."""
    now = {task: (len(row), sum(row)) for task, row in right.items()}
    if not now:
        return {}
    frozen = (view.baseline or {}).get("samples")
    before = DevSet.from_dict(frozen) if frozen else None
    first = (
        {t: (n, c) for t, n, c in zip(before.task_ids, before.attempts, before.correct, strict=True)}
        if before
        else None
    )
    rest = {task: (n, c) for task, (n, c) in kept["rest"].items()}
    out: Json = {}
    for axis, strata in kept["axes"].items():
        own, then = (now, first) if axis != "solve" else (rest, None) if view.baseline is None else (now, rest)
        out |= pass_at_n_keys(axis, strata, own, then)
        if axis == "solve":
            out |= pass_at_n_keys(axis, {t: "seldom" for t, name in strata.items() if name in SELDOM}, own, then)
    return out


def _greedy(view: RoundView, axes: Mapping[str, Mapping[str, str]]) -> Json:
    known, errors = view.judged("dev")
    if not known or view.too_many(errors, len(known) + errors):
        return {}
    now = {row["task_id"]: float(row["outcome"] == Outcome.PASS.value) for row in known}
    first = view.baseline.get("dev") if view.baseline is not None else None
    out: Json = {}
    for axis, strata in axes.items():
        out |= stratum_keys(f"collapse_tails/{axis}", "greedy", strata, now, first or None)
    return out


def _axes(fixed: Fixed) -> dict[str, dict[str, str]]:
    """Axis -> task id -> `rare` or `common`; an axis along which the dev tasks do not differ is left out."""
    texts, anchor = _texts(fixed)
    found = {"words": rarest_quarter(surprisals(texts, anchor or texts)), "length": rarest_quarter(lengths(texts))}
    if len(fixed.anchor) >= ENOUGH_ANCHOR and all(task.reference for task in fixed.dev):
        shapes = Counter(solution_shape(task, task.reference or "") for task in fixed.anchor)
        found["shape"] = rarest_quarter([-shapes[solution_shape(task, task.reference or "")] for task in fixed.dev])
    return {
        axis: {task.id: "rare" if rare else "common" for task, rare in zip(fixed.dev, marks, strict=True)}
        for axis, marks in found.items()
        if marks is not None
    }


def _texts(fixed: Fixed) -> tuple[list[str], list[str]]:
    """The text of each dev task by which it is rare or long, and the anchor's texts of the same kind; none if the anchor is small."""
    references = [task.reference or "" for task in fixed.dev]
    worked = all(references) and sorted(lengths(references))[len(references) // 2] >= WORKED if references else False

    def text(task: Task) -> str:
        return (task.reference or "") if worked else task.text

    anchor = [text(task) for task in fixed.anchor] if len(fixed.anchor) >= ENOUGH_ANCHOR else []
    return [text(task) for task in fixed.dev], anchor
