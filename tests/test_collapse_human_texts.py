"""What a student forgets of human text: texts, and rare tokens before common ones."""

import json
from typing import Any

import pytest

from selfplay.collapse.human_texts import (
    decile_estimates,
    decile_sums,
    moved_texts,
    rare_minus_common,
    token_deciles,
)
from selfplay.runtime.metrics.human_texts import HumanTexts
from tests.support.metrics import view


def test_a_text_is_forgotten_above_a_tenth_of_a_nat_and_a_tenth_of_the_mean() -> None:
    first = {"a": 0.2, "b": 0.2, "c": 3.0, "d": 3.0, "e": 3.0, "gone": 1.0}
    now = {"a": 0.38, "b": 0.39, "c": 3.18, "d": 3.31, "e": 2.6, "new": 9.0}
    assert moved_texts(now, first) == (2, 1, 5), (
        "b and d rose by more than 0.188, e fell; a and c are within the margin"
    )
    assert moved_texts({"a": 0.31, "b": 0.29}, first) == (1, 0, 2), "of a small mean a tenth of a nat counts"
    assert moved_texts({}, first) == (0, 0, 0) == moved_texts(now, {})


def test_deciles_are_tenths_of_the_tokens_from_the_rarest_and_ties_stay_together() -> None:
    texts = [
        [1] * 40,
        [2] * 20,
        [3] * 10,
        [4] * 10,
        [5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24],
    ]
    found = token_deciles(texts)
    assert {found[token] for token in range(5, 25)} == {2}, "the mean place of the fifth that is met once"
    assert (found[3], found[4], found[2], found[1]) == (4, 4, 6, 9)
    assert token_deciles([]) == {}


def test_sums_and_ratios_by_decile_are_those_of_the_tokens() -> None:
    deciles = {1: 1, 2: 10}
    sums = [decile_sums([1, 2, 2, 99], [3.0 + d, 1.0, 2.0, 50.0], deciles) for d in range(8)]
    assert sums[0][0] == [3.0, 1] and sums[0][9] == [3.0, 2] and sums[0][4] == [0.0, 0]
    found = decile_estimates(sums)
    assert {place: one.value for place, one in found.items()} == {1: pytest.approx(6.5), 10: pytest.approx(1.5)}
    gap = rare_minus_common(sums)
    assert gap is not None and gap.value == pytest.approx(5.0) and gap.lo < 5.0 < gap.hi
    same = rare_minus_common(sums, sums)
    assert same is not None and same.value == 0.0
    raised = [[[row[0][0] + 2.0, row[0][1]], *row[1:]] for row in sums]
    change = rare_minus_common(raised, sums)
    assert change is not None and change.value == pytest.approx(2.0)
    assert rare_minus_common(sums[:7]) is None and decile_estimates([]) == {}, "seven texts say nothing"


def rows(rare: float, common: float, texts: int = 20) -> list[dict[str, Any]]:
    """Texts of one token of their own and nine of a common one."""
    out = []
    for d in range(texts):
        nats = [rare] + [common] * 9
        ids = [100 + d] + [7] * 9
        out.append(
            {"part": "likelihood", "task_id": f"h{d}", "nats": sum(nats), "tokens": 10, "ids": ids, "token_nats": nats}
        )
    return out


def test_rare_tokens_forgotten_move_the_difference_and_the_texts_count_as_forgotten() -> None:
    first, kept = HumanTexts().compute(view(rows(6.0, 1.0)))
    assert first["collapse_tails/nll_rare_minus_common"] == pytest.approx(5.0)
    assert not any("forgotten" in key or "_delta" in key for key in first)
    kept = json.loads(json.dumps(kept | {"nll": {f"h{d}": 1.5 for d in range(20)}}))
    later, nothing = HumanTexts().compute(view(rows(9.0, 1.0), kept))
    assert later["collapse_tails/nll_rare_minus_common_delta"] == pytest.approx(3.0)
    assert later["collapse_tails/nll_decile_1"] == 9.0
    assert later["collapse_tails/human_texts_forgotten"] == 1.0 and later["collapse_tails/human_texts_learned"] == 0.0
    assert later["collapse_tails/human_texts_forgotten_lo"] > 0.8 and nothing == {"human_tokens": {}}


def test_without_token_ids_or_without_human_text_there_is_no_key_by_token() -> None:
    bare = [{key: value for key, value in row.items() if "ids" not in key} for row in rows(6.0, 1.0)]
    _, kept = HumanTexts().compute(view(bare))
    assert kept == {"human_tokens": {}}
    later = HumanTexts().compute(view(bare, {"nll": {"h0": 1.0}, "human_tokens": {}})).figures
    assert later["collapse_tails/human_texts_forgotten"] == 1.0 and not any("nll_" in key for key in later)
    assert HumanTexts().compute(view(rows(6.0, 1.0), {"nll": {}})).figures == {}, "round 0 had no token ids"
    assert HumanTexts().compute(view()) == ({}, {"human_tokens": {}})
