"""Strata that round 0 fixes without tags: rare words, long texts, rare shapes, solve rates; none of them moves by luck."""

import json
import math
from typing import Any

import numpy as np
import pytest

from selfplay.collapse import dev_set_of
from selfplay.collapse.estimate import Estimate
from selfplay.collapse.strata import (
    difference,
    lengths,
    pass_at_n_keys,
    rarest_quarter,
    solve_rate_strata,
    stratum_keys,
    surprisals,
)
from selfplay.curate.solution_key import solution_shape
from selfplay.records import Task
from selfplay.runtime.metrics.strata import Strata
from selfplay.tasks import Fixed
from tests.support.metrics import view


def test_the_rarest_quarter_keeps_ties_together_or_is_none() -> None:
    assert rarest_quarter([float(i) for i in range(40)]) == [i >= 30 for i in range(40)]
    assert rarest_quarter([0.0] * 30 + [1.0] * 10) == [False] * 30 + [True] * 10
    assert rarest_quarter([0.0] * 22 + [1.0] * 18) == [False] * 22 + [True] * 18, "ties make it more than a quarter"
    assert rarest_quarter([0.0] * 10 + [1.0] * 22 + [2.0] * 8) == [False] * 32 + [True] * 8, (
        "and never more than a half"
    )
    for values in (
        [1.0] * 40,
        [],
        [1.0],
        [float(i) for i in range(15)],
        [0.0] * 37 + [1.0] * 3,
        [0.0] * 15 + [1.0] * 25,
    ):
        assert rarest_quarter(values) is None


def test_surprisal_is_minus_log_of_the_share_of_each_word_with_one_added() -> None:
    assert surprisals(["a b", "b zz", ""], ["a a a", "b"]) == pytest.approx(
        [-(math.log(4 / 7) + math.log(2 / 7)) / 2, -(math.log(2 / 7) + math.log(1 / 7)) / 2, 0.0]
    )
    assert surprisals([], ["a"]) == [] and surprisals(["a"], []) == [0.0]
    assert lengths(["a b c", "", "d"]) == [3.0, 0.0, 1.0]
    assert lengths(["これは文章です" * 8]) == [56.0], "characters where there are no spaces"


def test_one_half_of_the_attempts_chooses_the_stratum_and_the_other_is_the_value() -> None:
    strata, rest = solve_rate_strata(
        {"a": [False, True] * 4, "b": [True, False] * 4, "c": [True, True, False, True] * 2, "d": [True], "e": []}
    )
    assert strata == {"a": "never", "b": "high", "c": "middle"}
    assert rest == {"a": (4, 4), "b": (4, 0), "c": (4, 4)}


def test_an_unchanged_student_shows_no_change_in_any_stratum_by_solve_rate() -> None:
    """With the same attempts for both, the low stratum would seem to gain, and the high one to lose: regression to the mean."""
    rng = np.random.default_rng(3)
    rates = rng.beta(0.8, 1.2, 6000)
    draw = {str(i): (rng.random(8) < rate).tolist() for i, rate in enumerate(rates)}
    now = {str(i): (8, int((rng.random(8) < rate).sum())) for i, rate in enumerate(rates)}
    strata, rest = solve_rate_strata(draw)
    row = pass_at_n_keys("solve", strata, now, rest)
    changes = {name: row[f"collapse_tails/solve_{name}_pass_at_n_delta"] for name in ("never", "low", "middle", "high")}
    assert all(abs(change) < 0.025 for change in changes.values()), changes
    same = {task: (4, sum(outcomes[::2])) for task, outcomes in draw.items()}
    biased = pass_at_n_keys("solve", strata, now, same)
    assert biased["collapse_tails/solve_never_pass_at_n_delta"] > 0.2, "the test can tell"


def test_pass_at_n_is_rarefied_to_the_fewest_attempts_and_paired() -> None:
    strata = {str(i): "rare" if i < 8 else "common" for i in range(20)}
    first = {str(i): (4, 4) for i in range(20)}
    now = {str(i): (8, 1 if i < 8 else 8) for i in range(20)}
    row = pass_at_n_keys("words", strata, now, first)
    assert row["collapse_tails/words_rare_pass_at_n"] == pytest.approx(0.5), (
        "1 of 8 right: half of the draws of 4 hold it"
    )
    assert row["collapse_tails/words_rare_pass_at_n_delta"] == pytest.approx(-0.5)
    assert row["collapse_tails/words_common_pass_at_n_delta"] == 0
    assert row["collapse_tails/words_gap_pass_at_n"] == pytest.approx(-0.5)
    assert row["collapse_tails/words_gap_pass_at_n_delta"] == pytest.approx(-0.5)
    assert pass_at_n_keys("words", strata, {}, first) == {} == pass_at_n_keys("words", {}, now, first)


def test_a_stratum_of_few_tasks_is_left_out() -> None:
    strata = {str(i): "rare" if i < 7 else "common" for i in range(20)}
    row = stratum_keys("collapse_tails/words", "greedy", strata, dict.fromkeys(strata, 1.0), None)
    assert {key for key in row if "_lo" not in key and "_hi" not in key} == {"collapse_tails/words_common_greedy"}


def test_the_interval_of_a_difference_comes_from_both_and_keeps_their_asymmetry() -> None:
    found = difference(Estimate(0.9, 0.7, 1.0, 30), Estimate(0.5, 0.4, 0.7, 20))
    assert (found.value, found.n) == (pytest.approx(0.4), 20)
    assert found.lo == pytest.approx(0.4 - math.hypot(0.2, 0.2)) and found.hi == pytest.approx(
        0.4 + math.hypot(0.1, 0.1)
    )


def a_task(name: str, reference: str | None = None, kind: str = "math", prompt: str = "p") -> Task:
    return Task(id=name, prompt=prompt, check={"type": kind}, reference=reference)


def test_shapes_are_equal_where_only_values_and_names_differ() -> None:
    code, sums, prose = a_task("a", kind="code_tests"), a_task("b"), a_task("c", kind="judge")
    assert solution_shape(code, "def f(x):\n    return x + 1") == solution_shape(code, "def g(y):\n    return y + 'ab'")
    assert solution_shape(code, "def f(x):\n    return x + 1") != solution_shape(code, "def f(x):\n    return [x]")
    assert solution_shape(sums, "3 + 4 = 7\nA: 7") == solution_shape(sums, "So 30+4.5=34.5.\n#### 34.5")
    assert solution_shape(sums, "3 + 4 = 7") != solution_shape(sums, "3 * 4 = 12")
    assert solution_shape(sums, "3 x 4 = 12") == solution_shape(sums, "3 * 4 = 12")
    assert solution_shape(prose, "It costs 3 or 40.") == solution_shape(prose, "it costs 1,000 or 2")
    assert solution_shape(code, "def f(:") == solution_shape(code, "DEF F(:"), "what does not parse is words"


def samples(right: dict[str, list[bool]]) -> list[dict[str, Any]]:
    return [
        {"part": "samples", "task_id": task, "sample": n, "outcome": "pass" if ok else "fail", "text": "t",
         "finish_reason": "stop", "tokens": 1}
        for task, row in right.items() for n, ok in enumerate(row)
    ]  # fmt: skip


def greedy(right: dict[str, bool]) -> list[dict[str, Any]]:
    return [
        {"part": "dev", "task_id": task, "sample": 0, "outcome": "pass" if ok else "fail"} for task, ok in right.items()
    ]


WORDS = "the sum of these two numbers is what we"
ANCHOR = [a_task(f"a{i}", f"{WORDS} want\n5 + 1 = 9") for i in range(60)]


def test_a_run_without_tags_has_tails_by_words_length_and_shape() -> None:
    dev = [
        a_task(
            f"d{i}",
            f"{WORDS} {'crave crave' if i < 10 else 'want'} {'sum of two ' if 10 <= i < 20 else ''} 3 {'-' if i >= 30 else '+'} 4 = 7",
        )
        for i in range(40)
    ]
    fixed = Fixed(ANCHOR, dev, [])
    everything = {t.id: [True] * 4 for t in dev}
    first, kept = Strata().compute(view([*samples(everything), *greedy(dict.fromkeys(everything, True))], fixed=fixed))
    axes = kept["strata"]["axes"]
    rare = {
        axis: {task for task, name in found.items() if name == "rare"}
        for axis, found in axes.items()
        if axis != "solve"
    }
    assert rare == {
        "words": {f"d{i}" for i in range(10)},
        "length": {f"d{i}" for i in range(10, 20)},
        "shape": {f"d{i}" for i in range(30, 40)},
    }
    assert first["collapse_tails/words_gap_pass_at_n"] == 0 and not any("_delta" in key for key in first)
    kept = json.loads(json.dumps(kept | {"samples": counted(everything), "dev": dict.fromkeys(everything, 1.0)}))
    lost = {task: [task not in rare["words"]] * 4 for task in everything}
    later, nothing = Strata().compute(
        view([*samples(lost), *greedy({t: row[0] for t, row in lost.items()})], kept, fixed=fixed)
    )
    assert nothing == {"strata": {}}
    assert later["collapse_tails/words_rare_pass_at_n"] == 0 and later["collapse_tails/words_rare_greedy"] == 0
    assert later["collapse_tails/words_gap_pass_at_n_delta"] == -1 == later["collapse_tails/words_gap_greedy"]
    assert later["collapse_tails/shape_rare_pass_at_n_delta"] == 0
    assert later["collapse_tails/solve_high_pass_at_n_delta"] == pytest.approx(-0.25)


def test_tasks_seldom_or_never_solved_are_one_tail_measured_by_the_other_half() -> None:
    fixed = Fixed([], [a_task(f"d{i}") for i in range(16)], [])
    right = {f"d{i}": [i < 4, False, False, True] * 2 if i < 8 else [True] * 8 for i in range(16)}
    right |= {f"d{i}": [n == 0 or n % 2 == 1 for n in range(8)] for i in range(4)}
    first, kept = Strata().compute(view(samples(right), fixed=fixed))
    assert {kept["strata"]["axes"]["solve"][f"d{i}"] for i in range(8)} == {"low", "never"}
    assert first["collapse_tails/solve_seldom_pass_at_n"] == 1.0, "the other half solves them"
    assert "collapse_tails/solve_low_pass_at_n" not in first, "four tasks are too few"


def counted(right: dict[str, list[bool]]) -> dict[str, Any]:
    return dev_set_of(list(right), list(right.values())).to_dict()


@pytest.mark.parametrize("fixed", [
    Fixed([], [], []),
    Fixed([], [a_task("d0", prompt="p")], []),
    Fixed(ANCHOR, [a_task(f"d{i}") for i in range(40)], []),
    Fixed(ANCHOR, [a_task(f"d{i}", "") for i in range(40)], []),
    Fixed([], [a_task("same", "7")] * 40, []),
], ids=["no dev tasks", "one task", "no references", "empty references", "a repeated task"])  # fmt: skip
def test_a_dev_set_that_shows_no_strata_gives_no_key_and_no_fault(fixed: Fixed) -> None:
    right = {task.id: [True, False] for task in fixed.dev}
    figures, kept = Strata().compute(view([*samples(right), *greedy(dict.fromkeys(right, True))], fixed=fixed))
    assert not any("words" in key or "length" in key or "shape" in key for key in figures)
    assert Strata().compute(view((), json.loads(json.dumps(kept)), fixed=fixed)).figures == {}
    assert Strata().compute(view((), {}, fixed=fixed)).figures == {}, "round 0 may have kept nothing"
