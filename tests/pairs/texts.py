"""What a generator of values gives back, and the ways to write one number."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from random import Random


@dataclass(frozen=True, slots=True)
class Text:
    """One way to write a value.

    `plain` stands in prose as it is; `latex` between dollar signs or in a box. One of them may be missing (None): a text
    without `latex` goes into a box as it is, one without `plain` goes into prose between dollar signs. `sentence` is
    true of what can only be said in a sentence or after a label.
    """

    plain: str | None
    latex: str | None
    how: str
    sentence: bool = False


@dataclass(frozen=True, slots=True)
class Drawn:
    """One value: ways to write the reference, the same value, and values near it that are different.

    `single` is true where the value is one thing, so that "this or that" is no answer to it.
    """

    gold: Sequence[Text]
    right: Sequence[Text]
    wrong: Sequence[Text]
    single: bool = True


Family = Callable[[Random], Drawn]


def same(text: str, how: str) -> Text:
    """A text that reads the same in prose and in LaTeX."""
    return Text(text, text, how)


def word(text: str, how: str) -> Text:
    """A text of words, put into \\text{} where it stands in LaTeX."""
    return Text(text, rf"\text{{{text}}}", how)


def latex(text: str, how: str) -> Text:
    """A text that is LaTeX alone."""
    return Text(None, text, how)


def decimal(value: Fraction) -> str | None:
    """The finite decimal of a fraction, without an exponent; None where it has none."""
    rest, twos, fives = value.denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    return rounded(value, max(twos, fives)) if rest == 1 else None


def rounded(value: Fraction, places: int) -> str:
    """The decimal of a fraction rounded to so many places, halves to even; places are always written."""
    scaled = round(abs(value) * 10**places)
    digits = str(scaled).rjust(places + 1, "0")
    sign = "-" if value < 0 and scaled else ""
    return f"{sign}{digits[:-places]}.{digits[-places:]}" if places else sign + digits


def grouped(value: int, mark: str) -> str:
    """An integer with its thousands set apart by a mark."""
    return f"{value:,}".replace(",", mark)


def integer_texts(rng: Random, value: int) -> list[Text]:
    """Ways to write an integer."""
    found = [same(str(value), "digits")] * 3
    found += [
        same(f"{value}.0", "one zero place"),
        same(f"{value}.00", "two zero places"),
        latex(rf"\mathbf{{{value}}}", "bold"),
        latex(rf"\text{{{value}}}", "as text"),
    ]
    if value < 0:
        found.append(same(f"−{-value}", "minus sign of Unicode"))
    if abs(value) >= 1000:
        found += [same(grouped(value, ","), "thousands commas")] * 2
        found += [latex(grouped(value, "{,}"), "braced commas"), latex(grouped(value, r",\!"), "thin commas")]
        found += [Text(grouped(value, "\u202f"), None, "narrow spaces")]
    if value and value % 100 == 0:
        found += scientific_texts(Fraction(value))
    over = rng.choice((2, 3, 4, 5))
    found += [Text(f"{value * over}/{over}", f"{value * over}/{over}", "unreduced fraction")]
    found += [latex(rf"\frac{{{value * over}}}{{{over}}}", "unreduced \\frac")]
    return found


def scientific_texts(value: Fraction) -> list[Text]:
    """Ways to write a nonzero finite decimal with a power of ten."""
    exponent, head = 0, abs(value)
    while head >= 10:
        head, exponent = head / 10, exponent + 1
    while head < 1:
        head, exponent = head * 10, exponent - 1
    digits = ("-" if value < 0 else "") + str(decimal(head))
    return [
        Text(f"{digits}e{exponent}", None, "e notation"),
        Text(
            f"{digits} x 10^{exponent}" if exponent >= 0 else f"{digits} * 10^({exponent})", None, "plain power of ten"
        ),
        latex(rf"{digits} \times 10^{{{exponent}}}", "times a power of ten"),
        latex(rf"{digits} \cdot 10^{{{exponent}}}", "dot a power of ten"),
    ]


def fraction_texts(rng: Random, value: Fraction) -> list[Text]:
    """Ways to write a fraction that is no integer."""
    sign, top, bottom = ("-" if value < 0 else ""), abs(value.numerator), value.denominator
    over = rng.choice((2, 3, 4, 5, 10))
    found = [
        Text(f"{sign}{top}/{bottom}", f"{sign}{top}/{bottom}", "slash"),
        latex(rf"{sign}\frac{{{top}}}{{{bottom}}}", "\\frac"),
        latex(rf"{sign}\dfrac{{{top}}}{{{bottom}}}", "\\dfrac"),
        latex(rf"{sign}\tfrac{{{top}}}{{{bottom}}}", "\\tfrac"),
        Text(f"{sign}{top * over}/{bottom * over}", None, "unreduced slash"),
        latex(rf"{sign}\frac{{{top * over}}}{{{bottom * over}}}", "unreduced \\frac"),
        latex(rf"\left({sign}\frac{{{top}}}{{{bottom}}}\right)", "in brackets"),
    ]
    if top < 10 and bottom < 10:
        found.append(latex(rf"{sign}\frac{top}{bottom}", "\\frac without braces"))
    if sign:
        found.append(latex(rf"\frac{{-{top}}}{{{bottom}}}", "minus in the numerator"))
    if top > bottom:
        whole, rest = divmod(top, bottom)
        found.append(Text(f"{sign}{whole} {rest}/{bottom}", None, "mixed number"))
        found.append(latex(rf"{sign}{whole}\frac{{{rest}}}{{{bottom}}}", "mixed number, \\frac"))
    written = decimal(value)
    if written is not None:
        found += [same(written, "decimal"), same(written + "0", "decimal with a zero more")]
        if abs(value) < 1:
            found.append(same(written.replace("0.", ".", 1), "decimal without its leading zero"))
    return found


def number_texts(rng: Random, value: Fraction) -> list[Text]:
    """Ways to write an exact number."""
    return integer_texts(rng, int(value)) if value.denominator == 1 else fraction_texts(rng, value)


def short(value: Fraction | int) -> str:
    """The usual LaTeX of an exact number."""
    value = Fraction(value)
    if value.denominator == 1:
        return str(value.numerator)
    return rf"{'-' if value < 0 else ''}\frac{{{abs(value.numerator)}}}{{{value.denominator}}}"


def slashed(value: Fraction | int) -> str:
    """The usual plain text of an exact number."""
    return str(Fraction(value))


def either(value: Fraction | int, how: str) -> Text:
    """The usual text of an exact number in both forms."""
    return Text(slashed(value), short(value), how)
