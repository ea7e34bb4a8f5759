"""Text metrics in small draws of a fixed size: they survive shorter outputs, and say when there is too little text."""

from collections.abc import Sequence

import numpy as np
import pytest

from selfplay.collapse import drawn, freeze_draws
from selfplay.collapse.draws import DRAWS, draws_of
from selfplay.collapse.grams import distinct_n
from selfplay.textstats.ngrams import stream_of

FIXED = [f"collapse_diversity/{name}_fixed" for name in ("distinct_1", "distinct_2", "char_distinct_4", "vendi")]
DISTINCT = "collapse_diversity/distinct_2_fixed"


def written(texts: int, words: int, seed: int = 0, vocabulary: int = 60) -> list[str]:
    rng = np.random.default_rng(seed)
    shares = 1 / np.arange(1, vocabulary + 1)
    return [" ".join(f"w{x}" for x in rng.choice(vocabulary, words, p=shares / shares.sum())) for _ in range(texts)]


@pytest.mark.parametrize("shorter", [0.8, 0.5, 0.25])
def test_the_keys_stay_and_mean_the_same_when_outputs_shorten(shorter: float) -> None:
    frozen = freeze_draws(written(200, 40), "words")
    assert frozen is not None
    first, later = drawn(written(200, 40), frozen), drawn(written(200, int(40 * shorter), 1), frozen)
    assert set(first) == set(later), "no key vanishes"
    assert later["collapse_data/compared_draws"] < first["collapse_data/compared_draws"] == DRAWS
    assert later["collapse_diversity/distinct_1_fixed"] == pytest.approx(
        first["collapse_diversity/distinct_1_fixed"], rel=0.05
    ), "the value depends on the size of a draw alone"
    assert later[f"{DISTINCT}_hi"] - later[f"{DISTINCT}_lo"] > first[f"{DISTINCT}_hi"] - first[f"{DISTINCT}_lo"]


def test_less_text_than_one_draw_is_said_and_what_needs_no_draw_stays() -> None:
    frozen = freeze_draws(written(200, 40), "words")
    assert frozen is not None
    row = drawn(["w1"] * 200, frozen)
    assert (row["collapse_data/compared_tokens"], row["collapse_data/compared_draws"]) == (0, 0)
    assert not any(key.endswith("_fixed") or "ratio" in key or "lost" in key for key in row)
    assert row["collapse_diversity/exact_dup_rate"] == pytest.approx(199 / 200)


def test_draws_share_no_text_and_their_mean_is_the_value() -> None:
    texts = [f"a{i} b{i} c{i % 3} d{i % 5}" for i in range(64)]
    stream = stream_of(texts)
    draws = draws_of(stream, 32, 4)
    assert [draw.tokens.size for draw in draws] == [32] * 8
    assert len({int(x) for draw in draws for x in draw.tokens[::4]}) == 64, "each text starts with a word of its own"
    frozen = freeze_draws(texts, "words")
    assert frozen is not None and frozen.budget.tokens == 32
    mean = sum(distinct_n(draw, 2) for draw in draws) / 8
    assert drawn(texts, frozen)[DISTINCT] == pytest.approx(mean)


def test_common_tokens_are_those_met_five_times_in_a_draw_and_losing_them_is_seen() -> None:
    texts = ["the sum is here and " + " ".join(f"x{i}{j}" for j in range(5)) for i in range(80)]
    frozen = freeze_draws(texts, "words")
    assert frozen is not None and len(frozen.common) == 5
    kept, lost = drawn(texts, frozen), drawn([text.replace("the sum", "a b") for text in texts], frozen)
    assert kept["collapse_tails/ref_ngram_lost"] == 0.0
    assert lost["collapse_tails/ref_ngram_lost"] == pytest.approx(0.4)


@pytest.mark.parametrize("texts", [[], [""], ["", " "], ["one"], ["one two", ""], ["\x00"], ["😀"]])
def test_too_few_words_freeze_nothing(texts: Sequence[str]) -> None:
    assert freeze_draws(texts, "words") is None


def test_texts_without_spaces_are_drawn_by_characters_and_empty_ones_are_no_fault() -> None:
    texts = ["これは文章です" * 8 + chr(0x4E00 + i) for i in range(40)] + [""] * 5
    frozen = freeze_draws(texts, "characters")
    assert frozen is not None
    row = drawn(texts, frozen)
    assert set(FIXED[:3]) <= set(row) and 0 < row[DISTINCT] < 1
    assert row["collapse_diversity/exact_dup_rate"] == pytest.approx(4 / 45)
