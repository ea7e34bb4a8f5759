"""Exact literals."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfplay.answers import read_number


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,234", 1234),
        ("1,234,567.5", Fraction(2469135, 2)),
        ("1.234,5", Fraction(2469, 2)),
        ("1 234", 1234),
        ("1000,99", Fraction(100099, 100)),
        (".5", Fraction(1, 2)),
        ("3 1/2", Fraction(7, 2)),
        (r"3\frac{1}{2}", Fraction(7, 2)),
        (r"-\frac{10}{9}", Fraction(-10, 9)),
        (r"\frac12", Fraction(1, 2)),
        (r"\dfrac{1}{2}", Fraction(1, 2)),
        ("1½", Fraction(3, 2)),
        ("−3", -3),
        ("１８", 18),
        ("٣", 3),
        (r"14{,}916", 14916),
        (r"16,\!386.20", Fraction(81931, 5)),
        ("1.5e3", 1500),
        (r"1.5 \times 10^{-3}", Fraction(3, 2000)),
        ("5 million dollars", 5_000_000),
        ("minus 5", -5),
    ],
)
def test_number_is_read_exactly(text: str, value: int | Fraction) -> None:
    number = read_number(text)
    assert number is not None
    assert number.value == value


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("5 apples", "apples"),
        ("$5", "dollar"),
        ("5€", "euro"),
        ("60 mph", "mph"),
        (r"15\text{ cm}^2", "cm ^2"),
        ("90°", "degrees"),
    ],
)
def test_unit_is_named(text: str, unit: str) -> None:
    number = read_number(text)
    assert number is not None
    assert number.unit == unit


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "3x",
        "5 x",
        "3m",
        "5abc",
        "3 or 4",
        "3 4",
        "5!",
        "2i",
        "1/0",
        "9^9",
        "1/2/3",
        "5 and 6",
        "5 maybe",
        "--5",
        "1,23,4.5.6",
        "٣x",
    ],
)
def test_what_is_no_literal_is_not_read(text: str) -> None:
    assert read_number(text) is None


def test_percent_is_kept_as_written() -> None:
    for text in ("20%", r"20\%", "20 percent", "20 pct", "20 per cent"):
        number = read_number(text)
        assert number is not None
        assert (number.value, number.percent) == (20, True)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.integers(-(10**400), 10**400), st.integers(1, 10**400), st.booleans())
def test_fractions_of_any_size_are_exact(top: int, bottom: int, latex: bool) -> None:
    sign = "-" if top < 0 else ""
    number = read_number(rf"{sign}\frac{{{abs(top)}}}{{{bottom}}}" if latex else f"{top}/{bottom}")
    assert number is not None
    assert number.value == Fraction(top, bottom)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.text(max_size=60))
def test_reading_never_raises(text: str) -> None:
    number = read_number(text)
    assert number is None or isinstance(number.value, Fraction)
