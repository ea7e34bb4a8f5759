"""Words, shingles, near-duplicates and signatures against plain Python on small inputs."""

import random
import re
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfplay.curate import dedup
from selfplay.curate.canonical import canonical_source
from selfplay.curate.solution_key import answer_path, canonical_code, exact_key, text_signature
from selfplay.textstats.words import char_offset, words


def plain_words(text: str) -> list[str]:
    return re.findall(r"[a-z_]+|[0-9]+", text.lower())


def plain_jaccard(a: str, b: str, n: int = 5) -> float:
    def grams(text: str) -> set[tuple[str, ...]]:
        parts = plain_words(text)
        return {tuple(parts[i : i + n]) for i in range(max(1, len(parts) - n + 1))}

    x, y = grams(a), grams(b)
    return len(x & y) / len(x | y)


ASCII = st.text(alphabet="ab_ 12.,\nXY", max_size=60)


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.lists(ASCII, max_size=6))
def test_words_are_those_of_a_plain_split_with_their_places(texts):
    block = words(texts)
    assert len(block) == len(texts)
    for d, text in enumerate(texts):
        low, high = block.offsets[d], block.offsets[d + 1]
        found = [text.lower()[a:b] for a, b in zip(block.starts[low:high], block.ends[low:high], strict=True)]
        assert found == plain_words(text)
        assert [w.isdigit() for w in found] == block.is_number[low:high].tolist()
        assert np.array_equal(words([text]).hashes, block.hashes[low:high])


@settings(derandomize=True, deadline=None, max_examples=100)
@given(st.lists(st.text(max_size=30), max_size=5))
def test_any_text_has_words_inside_itself_and_the_same_ones_in_any_batch(texts):
    block = words(texts)
    for d, text in enumerate(texts):
        low, high = block.offsets[d], block.offsets[d + 1]
        assert np.array_equal(words([text]).hashes, block.hashes[low:high])
        ends = [char_offset(text, int(b)) for b in block.ends[low:high]]
        assert all(0 < end <= len(text) for end in ends)


def test_case_form_and_accents_do_not_change_a_word_and_wide_characters_are_words():
    assert np.array_equal(words(["ÉCOLE ＡＢ"]).hashes, words(["école ab"]).hashes)
    assert np.array_equal(words(["a\u00a0b\u2009c"]).hashes, words(["a b c"]).hashes)
    assert len(words(["漢字かな"]).hashes) == 4
    block = words(["don't the dogs' Don’t dont"])
    assert block.hashes[0] == block.hashes[3] == block.hashes[4] and block.starts.tolist()[:3] == [0, 6, 10]
    assert len(set(words(["alpha beta 12 21 alphabeta"]).hashes.tolist())) == 5


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    st.lists(st.sampled_from(["aa", "bb", "cc", "dd", "7"]), min_size=1, max_size=12),
    st.lists(st.sampled_from(["aa", "bb", "cc", "7"]), min_size=1, max_size=12),
)
def test_jaccard_is_the_plain_one(a, b):
    assert dedup.jaccard(" ".join(a), " ".join(b)) == pytest.approx(plain_jaccard(" ".join(a), " ".join(b)))


def planted(count: int, rng: random.Random) -> tuple[list[str], list[int]]:
    texts = [
        " ".join(f"{chr(97 + rng.randrange(26))}{chr(97 + rng.randrange(26))}x" for _ in range(120))
        for _ in range(count)
    ]
    copies = []
    for source in range(0, count, 3):
        parts = texts[source].split()
        for _ in range(3):
            parts[rng.randrange(len(parts))] = "changed"
        copies.append(len(texts))
        texts.append(" ".join(parts))
    return texts, copies


def test_near_copies_are_found_and_nothing_else():
    texts, copies = planted(300, random.Random(3))
    found = dedup.near_duplicates(texts, threshold=0.6)
    assert [i for i, of in enumerate(found) if of is not None] == [
        i for i in copies if plain_jaccard(texts[i], texts[found[i] or 0]) >= 0.6
    ]
    assert sum(found[i] is not None for i in copies) >= 0.99 * len(copies)


def test_minhash_estimates_the_similarity():
    rng = random.Random(9)
    base = [
        f"{chr(97 + rng.randrange(26))}{chr(97 + rng.randrange(26))}{chr(97 + rng.randrange(26))}" for _ in range(400)
    ]
    errors = []
    for cut in range(10, 200, 10):
        a, b = " ".join(base[:300]), " ".join(base[cut : 300 + cut])
        both = dedup.sketch([a, b])
        errors.append(float((both.minhash[0] == both.minhash[1]).mean()) - plain_jaccard(a, b))
    assert abs(sum(errors) / len(errors)) < 0.03 and max(map(abs, errors)) < 0.15


def test_texts_with_other_numbers_short_texts_and_wordless_texts_do_not_collapse():
    problem = "Tom has {} apples and buys {} more apples at the market near his house, how many apples does he have now"
    assert dedup.near_duplicates([problem.format(3, 4), problem.format(30, 4)], 0.5) == [None, None]
    assert dedup.near_duplicates([problem.format(3, 4), problem.format(30, 4)], 0.5, number_aware=False) == [None, 0]
    assert dedup.near_duplicates(["yes", "no", "+", "[]", "[ ]", "", "yes"]) == [None, None, None, None, 3, None, 0]


def test_groups_keep_their_texts_apart_and_a_kept_text_is_the_first():
    texts = ["one two three four five six seven"] * 4
    assert dedup.near_duplicates(texts, groups=["a", "b", "a", "b"]) == [None, None, 0, 1]
    assert dedup.exact_duplicates(["x", "y", "x"]) == [None, None, 0]


def test_sketches_survive_their_text_form():
    one = dedup.sketch(["some words of a text"]).minhash[0]
    assert np.array_equal(dedup.read_sketch(dedup.sketch_text(one)), one)
    assert dedup.estimated_similarity(one, [one]) == 1.0 and dedup.estimated_similarity(one, []) == 0.0
    with pytest.raises(ValueError):
        dedup.read_sketch("AAAA")


SAME = [
    ("def f(a: int) -> int:\n    '''doc'''\n    b = a  # why\n    return b", "def g(x):\n    y = x\n\n    return y\n"),
    (
        "from typing import List\ndef f(v: List[int]):\n    return [i for i in v]",
        "def f(w):\n    return [k for k in w]",
    ),
    (
        "def f(n):\n    def g(m):\n        return m + n\n    return g(1)",
        "def f(a):\n    def h(b):\n        return b + a\n    return h(1)",
    ),
    ("x: int = 1\nprint(x)", "y = 1\nprint(y)"),
    ("```python\nz = 2\n```", "text\n```\nq = 2\n```\nmore"),
    (
        "def f(a):\n    if (n := len(a)) > 1:\n        return n",
        "def f(b):\n    if (m := len(b)) > 1:\n        return m",
    ),
    ("try:\n    1\nexcept ValueError as e:\n    print(e)", "try:\n    1\nexcept ValueError as err:\n    print(err)"),
]
OTHER = [
    ("def f(a, b):\n    return a - b", "def f(a, b):\n    return b - a"),
    ("def f(a):\n    return len(a)", "def f(a):\n    return sum(a)"),
    ("def f(a):\n    return a.x", "def f(a):\n    return a.y"),
    ("x = 1", "x = 2"),
    ("import a\na.f()", "import b\nb.f()"),
    ("x = 'docstring'", "x = 'other'"),
    ("def f(x, y):\n    return g(x)", "def f(x, y):\n    return g(y)"),
]


@pytest.mark.parametrize(("a", "b"), SAME)
def test_programs_equal_up_to_names_and_notes_have_one_signature(a, b):
    assert canonical_code(a) == canonical_code(b) is not None


@pytest.mark.parametrize(("a", "b"), OTHER)
def test_programs_that_differ_in_meaning_have_two(a, b):
    assert canonical_code(a) != canonical_code(b)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# only",
        "not python at all (",
        "\x00",
        "(" * 500,
        "-" * 40_000 + "1",
        "a" + ".a" * 20_000,
        "1" * 6_000,
        "lambda:" * 9_000 + "1",
        "x = 1\n" * 30_000,
        "+".join("1" * 20_000),
    ],
)
def test_what_is_no_program_or_a_hostile_one_has_no_signature(text):
    assert canonical_code(text) is None


def test_parser_warnings_stay_inside():
    assert canonical_source('x = "\\d"\nif x is 1:\n    pass') is not None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before = list(warnings.filters)
        assert canonical_source('x = "\\d"\n') is not None and canonical_source("x = (") is None
        assert warnings.filters == before
        with pytest.raises(SyntaxError, match="invalid escape sequence"):
            compile('x = "\\d"', "outside", "exec")


def test_answer_paths_see_through_wording_and_order_of_a_sum():
    one = answer_path("He has 2*3 = <<2*3=6>>6 eggs.\nThen 6+4=<<6+4=10>>10.\n#### 10")
    assert one == answer_path("Eggs: <<3*2=6.0>>6. In all <<4+6=10>>ten.\n#### 10.0")
    assert one != answer_path("<<6+4=10>>10 <<2*3=6>>6\n#### 10")
    assert answer_path("3 + 4 = 7 so the answer is 7") == answer_path("We add: 4 + 3 = 7.")
    assert answer_path("10 - 4 = 6") != answer_path("4 - 10 = 6")
    assert answer_path("no equation here") is None


def test_text_signatures_and_exact_keys_differ_in_what_they_overlook():
    assert text_signature("Yes, it IS.") == text_signature("yes it is") != text_signature("yes it is not")
    assert exact_key("p", "a b\r\n") == exact_key("p", "a b") != exact_key("p", "a  b")
    assert exact_key("p", "a") != exact_key("q", "a")
