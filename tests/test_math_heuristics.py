"""Graders that need no reference: scores in [0, 1], None where there is nothing to measure."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfplay.verify.heuristic import format_score, language_score, length_score, repetition_score

PROSE = (
    "The farm keeps sixteen hens, and every morning three eggs go to the kitchen while four more are baked into muffins. "
    "What remains is carried to the market in a small basket, where each egg is sold for two dollars before noon. "
    "Counting what was eaten and what was baked, nine eggs are left, so the basket brings in eighteen dollars a day. "
    "A neighbour once offered to buy all of them at a lower price, but the walk to the market is pleasant enough."
)


def test_finished_replies_score_above_cut_ones() -> None:
    assert format_score("It is 5.\n#### 5") == 1
    assert (format_score("<think>It is 5") or 0) < 0.8
    assert (format_score("```python\nx = 1\n") or 0) < 1
    assert format_score("```python\nx = 1\n```", answer=False, code=True) == 1
    assert format_score("  ") is None


def test_length_falls_off_on_both_sides() -> None:
    assert length_score("a b c d e", low=5, high=10) == 1
    assert length_score("a b", low=4, high=10) == 0.5
    assert length_score("a " * 15, low=1, high=10) == 0.5
    assert length_score("a " * 40, low=1, high=10) == 0
    assert length_score("") is None
    with pytest.raises(ValueError, match="low is 3"):
        length_score("a", low=3, high=2)


def test_loops_score_low_and_prose_high() -> None:
    assert (repetition_score(PROSE) or 0) > 0.95
    assert (repetition_score("I will think about it again. " * 60) or 1) < 0.1
    assert repetition_score("too short") is None


def test_another_script_is_seen() -> None:
    assert language_score("Plain English, naïve café.") == 1
    assert (language_score("所以答案是十八") or 0) == 0
    assert language_score("所以答案是十八", script="CJK") == 1
    assert language_score("18 = 9 * 2 $x$") is None


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.text(max_size=500))
def test_scores_are_in_range_or_none(text: str) -> None:
    for score in (format_score(text), length_score(text), repetition_score(text), language_score(text)):
        assert score is None or 0 <= score <= 1
