"""From evaluation rows to figures: outages are left out, changes are paired, rare items never move."""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfplay.config.tree import Evaluate
from selfplay.phases.evaluate.parts import chosen, parts_of, spread
from selfplay.records import Task
from selfplay.runtime.metrics import measure
from selfplay.runtime.metrics.samples import rare_items
from selfplay.tasks import Fixed
from tests.support.metrics import view

SECTION = Evaluate(sample_tasks=None)


def task(name: str, *tags: str) -> Task:
    return Task(id=name, prompt=f"{name}\n", check={"type": "math", "answer": "1"}, reference="A: 1", tags=tags)


PANEL = [task(f"p{n}", f"difficulty:{2 + n % 2}", "uses:zip" if n % 4 == 0 else "uses:sum") for n in range(8)]
TEST = [*(task(f"t{n}", "difficulty:2") for n in range(4)), task("t4", "difficulty:1", "apart")]
ANCHOR = [task(f"a{n}", "uses:zip" if n == 0 else "uses:sum") for n in range(40)]
FIXED = Fixed(anchor=ANCHOR, dev=PANEL, test=TEST, human_text=ANCHOR[:3])


def measured(
    rows: Iterable[dict[str, Any]], first: Mapping[str, Any] | None, max_error_share: float = 0.05
) -> tuple[dict[str, Any], dict[str, Any]]:
    return measure(view(rows, first, fixed=FIXED, verify={"max_error_share": max_error_share}))


def row(part: str, name: str, outcome: str, sample: int = 0, text: str = "A: 1") -> dict[str, Any]:
    return {
        "part": part,
        "task_id": name,
        "sample": sample,
        "outcome": outcome,
        "text": text,
        "finish_reason": "stop",
        "tokens": 4,
    }


def dev(outcomes: Sequence[str]) -> list[dict[str, Any]]:
    return [row("dev", t.id, outcome) for t, outcome in zip(PANEL, outcomes, strict=False)]


def test_error_outcomes_are_left_out_and_invalid_ones_are_wrong() -> None:
    outcomes = ["pass", "error", "fail", "invalid", *["error"] * 4]
    figures, frozen = measured(dev(outcomes), None, max_error_share=0.7)
    assert figures["eval/greedy_accuracy"] == pytest.approx(1 / 3, abs=1e-6)
    assert (figures["eval/greedy_accuracy_n"], figures["eval/greedy_accuracy_errors"]) == (3, 5)
    assert frozen["dev"] == {"p0": 1.0, "p2": 0.0, "p3": 0.0}


def test_nothing_judged_is_no_figure_rather_than_zero() -> None:
    figures, _ = measured(dev(["error"] * 8), None)
    assert {key: value for key, value in figures.items() if key.startswith("eval")} == {
        "eval/greedy_accuracy_n": 0,
        "eval/greedy_accuracy_errors": 8,
    }


@pytest.mark.parametrize(("errors", "said"), [(0, True), (1, True), (2, False)])
def test_above_the_share_of_errors_there_is_no_accuracy(errors: int, said: bool) -> None:
    figures, _ = measured(dev(["error"] * errors + ["pass"] * (8 - errors)), None, max_error_share=0.15)
    assert ("eval/greedy_accuracy" in figures) == said
    assert figures["eval/greedy_accuracy_errors"] == errors


def test_above_the_share_of_errors_samples_give_no_pass_at_k() -> None:
    samples = [row("samples", t.id, "error" if n else "pass", n) for t in PANEL for n in range(2)]
    figures, _ = measured(samples, None)
    assert figures["eval/samples_errors"] == 8 and "eval/pass_at_1" not in figures


def test_changes_are_paired_over_the_tasks_that_both_rounds_have() -> None:
    first = {"dev": {"p0": 1.0, "p1": 0.0, "p2": 0.0, "gone": 1.0}}
    figures, _ = measured(dev(["pass", "pass", "fail", "pass"]), first)
    assert figures["eval/greedy_accuracy"] == 0.75
    assert figures["eval/greedy_accuracy_delta"] == pytest.approx(1 / 3, abs=1e-6), "p3 has no round 0, and p0..p2 do"


def test_round_that_answers_the_same_tasks_right_has_changed_by_nothing_at_all() -> None:
    outcomes = ["pass", "fail"] * 4
    _, frozen = measured(dev(outcomes), None)
    figures, _ = measured(dev(outcomes), frozen)
    value, lo, hi = (figures[f"eval/greedy_accuracy_delta{end}"] for end in ("", "_lo", "_hi"))
    assert value == 0.0 and lo == -hi and 0.3 < hi < 0.35, "Tango: z^2 / (8 + z^2), the next task may differ"
    assert figures["eval/greedy_accuracy_lo"] < 0.5 < figures["eval/greedy_accuracy_hi"]


def test_tasks_set_apart_count_in_their_stratum_and_not_in_the_headline() -> None:
    rows = [row("test", f"t{n}", "fail") for n in range(4)] + [row("test", "t4", "pass")]
    figures, _ = measured(rows, None)
    assert figures["test/greedy_accuracy"] == 0.0
    assert figures["test_difficulty/1"] == 1.0 and figures["test_difficulty/2"] == 0.0


def test_rare_items_are_what_the_anchor_seldom_has_whatever_the_student_does() -> None:
    assert rare_items(FIXED) == {"uses:zip"}
    rows = [row("samples", t.id, "pass", n) for t in PANEL for n in range(2)]
    right, frozen = measured(rows, None)
    wrong = [{**r, "outcome": "fail"} if r["task_id"] in ("p0", "p4") else r for r in rows]
    lost, later = measured(wrong, frozen)
    assert (right["collapse_tails/rare_item_coverage"], lost["collapse_tails/rare_item_coverage"]) == (1.0, 0.0)
    assert set(frozen["samples"]["items"]) == set(later["samples"]["items"]) == {"uses:zip"}


def test_samples_give_pass_at_k_and_count_different_right_answers() -> None:
    texts = ["1+0 = 1\nA: 1", "2-1 = 1\nA: 1", "2-1 = 1\nA: 1", "A: 9"]
    outcomes = ["pass", "pass", "pass", "fail"]
    rows = [row("samples", t.id, o, n, x) for t in PANEL for n, (o, x) in enumerate(zip(outcomes, texts, strict=True))]
    figures, _ = measured(rows, None)
    assert figures["eval/pass_at_1"] == 0.75 and figures["eval/pass_at_4"] == 1.0
    assert figures["collapse_diversity/unique_correct_at_4"] == 2.0


def test_truncation_is_counted_and_outages_are_no_samples() -> None:
    rows = [row("samples", "p0", "pass"), {**row("samples", "p0", "invalid", 1), "finish_reason": "length"}]
    figures, frozen = measured([*rows, row("samples", "p1", "error")], None, max_error_share=0.5)
    assert figures["eval/pass_at_1"] == 0.5 and list(frozen["samples"]["task_ids"]) == ["p0"]
    assert figures["collapse_drift/trunc_rate"] == 0.5


def test_likelihood_is_per_token_of_each_text_and_its_change_is_paired() -> None:
    def scored(*nats: float) -> list[dict[str, Any]]:
        return [{"part": "likelihood", "task_id": f"a{n}", "nats": x, "tokens": 10} for n, x in enumerate(nats)]

    nothing = {"part": "likelihood", "task_id": "a9", "nats": 0.0, "tokens": 0}
    figures, frozen = measured([*scored(10, 20, 30), nothing], None)
    assert figures["collapse_quality/human_nll"] == 2.0 and set(frozen["nll"]) == {"a0", "a1", "a2"}
    later, _ = measured(scored(15, 25, 35), frozen)
    assert later["collapse_quality/human_nll_delta"] == 0.5
    assert "collapse_quality/human_nll_delta_lo" not in later, "three texts that change alike give no interval"


def test_figure_that_is_no_number_is_an_error_not_a_metric() -> None:
    rows = [{"part": "likelihood", "task_id": "a0", "nats": math.inf, "tokens": 1}]
    with pytest.raises(ValueError):
        measured(rows, None)


WORDS = st.lists(st.sampled_from(["pass", "fail", "invalid", "error"]), min_size=13, max_size=13)


@given(WORDS, WORDS, st.randoms(use_true_random=False))
@settings(derandomize=True, deadline=None, max_examples=40)
def test_test_set_changes_no_other_figure_and_the_order_of_rows_none(
    words: list[str], others: list[str], rng: Any
) -> None:
    def rows(test: list[str]) -> list[dict[str, Any]]:
        samples = [row("samples", t.id, w) for t, w in zip(PANEL, reversed(words), strict=False)]
        return [*dev(words), *samples, *(row("test", t.id, w) for t, w in zip(TEST, test, strict=False))]

    figures, frozen = measured(rows(words), None)
    mixed = rows(words)
    rng.shuffle(mixed)
    assert measured(mixed, None) == (figures, frozen)
    changed, _ = measured(rows(others), None)
    assert {k: v for k, v in figures.items() if not k.startswith("test")} == {
        k: v for k, v in changed.items() if not k.startswith("test")
    }


@given(st.integers(1, 50), st.integers(1, 60))
@settings(derandomize=True, deadline=None)
def test_sampled_tasks_are_spread_evenly_and_none_is_taken_twice(total: int, count: int) -> None:
    tasks = [task(str(n)) for n in range(total)]
    places = [int(t.id) for t in spread(tasks, count)]
    assert len(set(places)) == len(places) == min(total, count) and places == sorted(places)
    gaps = {b - a for a, b in pairwise(places)}
    assert max(gaps, default=0) - min(gaps, default=0) <= 1


def test_parts_without_tasks_are_not_played() -> None:
    assert [part.name for part in parts_of(SECTION, FIXED)] == ["dev", "samples", "test", "likelihood"]
    assert [part.name for part in parts_of(Evaluate(samples=0, test=False), Fixed([], PANEL, []))] == ["dev"]
    assert [part.name for part in parts_of(SECTION, Fixed([], PANEL, []), PANEL)] == ["dev", "samples", "seen"]
    assert [part.name for part in parts_of(Evaluate(samples=0, seen_tasks=0), Fixed([], PANEL, []), PANEL)] == ["dev"]


def test_the_tasks_trained_on_that_are_answered_depend_on_ids_and_seed_alone() -> None:
    once = chosen(PANEL, 3, 1)
    assert once == chosen(list(reversed(PANEL)), 3, 1) and len(once) == 3
    assert {t.id for t in once} == {t.id for t in chosen([t for t in PANEL if t in once], 3, 1)}
    assert any(chosen(PANEL, 3, seed) != once for seed in range(2, 6))
