"""Answers, programs and grades that are right or wrong by construction are decided so."""

import re
from collections import Counter
from fractions import Fraction
from random import Random

import pytest

from tests.pairs import code_replies, judge_replies, mathematics, subject, texts
from tests.pairs.measure import Tally, merged, tally, wilson_upper

# seeds that nothing else uses: a fault is not to be mended for these cases alone
PAIRS_SEED, CODE_SEED, JUDGE_SEED = 40961, 40962, 40963


def listed(tallied: list[tuple[object, str]]) -> str:
    return "\n".join(f"{case} -> {said}" for case, said in tallied[:20])


def total(counts: dict[str, Tally]) -> Tally:
    return merged(counts.values())


def test_no_unequal_pair_is_accepted_and_hardly_an_equal_one_refused() -> None:
    counts = total(tally(mathematics.pairs(PAIRS_SEED, 2000), lambda pair: subject.verdict(pair.gold, pair.reply)))
    assert not counts.false_accepts, listed(counts.false_accepts)
    assert not counts.errors, listed(counts.errors)
    assert len(counts.false_rejects) <= counts.equal / 100, listed(counts.false_rejects)


def test_the_program_that_a_reply_ends_in_is_the_one_that_is_run() -> None:
    cases = [code_replies.case(CODE_SEED, index) for index in range(500)]
    counts = total(tally(cases, lambda case: code_replies.verdict(case, subject.code_of)))
    assert not counts.false_accepts, listed(counts.false_accepts)
    assert not counts.errors, listed(counts.errors)
    assert len(counts.false_rejects) <= counts.equal / 100, listed(counts.false_rejects)


def test_a_judges_grade_is_read_where_it_is_whole_and_only_there() -> None:
    cases = [judge_replies.case(JUDGE_SEED, index) for index in range(500)]
    counts = total(tally(cases, lambda case: judge_replies.verdict(case, subject.grade_of)))
    assert not counts.false_accepts, listed(counts.false_accepts)
    assert not counts.errors, listed(counts.errors)
    assert len(counts.false_rejects) <= counts.equal / 100, listed(counts.false_rejects)


# what the generator itself promises


@pytest.mark.parametrize("kind", mathematics.FAMILIES)
def test_every_kind_of_answer_has_equal_and_unequal_pairs(kind: str) -> None:
    drawn = Counter(pair.equal for pair in mathematics.pairs(1, 60, kind))
    assert drawn[True] >= 15 and drawn[False] >= 15


def test_a_pair_depends_on_seed_and_index_alone() -> None:
    first = [mathematics.pair(5, index) for index in (3, 99)]
    assert first == [mathematics.pair(5, index) for index in (3, 99)] and first[0] != mathematics.pair(6, 3)
    assert code_replies.case(5, 3) == code_replies.case(5, 3) and judge_replies.case(5, 3) == judge_replies.case(5, 3)


@pytest.mark.parametrize("kind", mathematics.FAMILIES)
def test_a_near_miss_is_never_also_a_way_to_write_the_value(kind: str) -> None:
    family = mathematics.FAMILIES[kind][0]
    for index in range(300):
        drawn = family(Random(f"overlap/{kind}/{index}"))
        ways = {text for t in (*drawn.right, *drawn.gold) for text in (t.plain, t.latex) if text is not None}
        assert not [t for t in drawn.wrong if t.plain in ways or t.latex in ways], (drawn.gold, drawn.right)


def value_of(text: str) -> Fraction | None:
    """A plain number, fraction, mixed number or power of ten, read without any of the code under test."""
    sign = -1 if text.startswith(("-", "−")) else 1
    text = text.lstrip("-−").replace(",", "").replace("\u202f", "")
    if mixed := re.fullmatch(r"(\d+) (\d+)/(\d+)", text):
        whole, top, bottom = map(int, mixed.groups())
        return sign * (whole + Fraction(top, bottom))
    if power := re.fullmatch(r"([\d.]+) [x*] 10\^\(?(-?\d+)\)?", text):
        return sign * Fraction(power[1]) * Fraction(10) ** int(power[2])
    try:
        return sign * Fraction("0" + text if text.startswith(".") else text)
    except ValueError:
        return None


def test_every_way_to_write_a_number_has_its_value() -> None:
    rng, read = Random(2), 0
    for _ in range(2000):
        value = Fraction(rng.randint(-5000, 5000) * rng.choice((1, 100)), rng.choice((1, 1, 2, 3, 7, 8, 10, 25, 1000)))
        for text in texts.number_texts(rng, value):
            if text.plain is not None and (found := value_of(text.plain)) is not None:
                assert found == value, text
                read += 1
    assert read > 8000


@pytest.mark.parametrize("value", [Fraction(1, 8), Fraction(-33, 40), Fraction(7), Fraction(-1200), Fraction(1, 10**6)])
def test_a_finite_decimal_is_exact(value: Fraction) -> None:
    written = texts.decimal(value)
    assert written is not None and Fraction(written) == value


def test_a_fraction_without_a_finite_decimal_has_none() -> None:
    assert texts.decimal(Fraction(1, 3)) is None and texts.decimal(Fraction(5, 14)) is None


def test_right_programs_pass_and_wrong_ones_fail_when_nothing_stands_around_them() -> None:
    for index in range(200):
        case = code_replies.case(9, index, "one block")
        body = case.reply.split("```")[1].partition("\n")[2]
        assert (code_replies.verdict(case, lambda reply, name, body=body: body) == "pass") is case.equal


def test_the_bound_of_an_interval_is_wilsons() -> None:
    assert wilson_upper(0, 50_000) == pytest.approx(
        3.84 / 50_003.84, rel=1e-3
    )  # closed form for no hit: z^2 / (n + z^2)
    assert wilson_upper(0, 0) == 1.0
