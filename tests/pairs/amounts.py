"""Families of numbers: integers, fractions, percent, powers, rounded decimals, money, units."""

from fractions import Fraction
from random import Random

from .texts import Drawn, Text, decimal, either, grouped, latex, number_texts, rounded, same, scientific_texts, word


def _number_wrongs(rng: Random, value: Fraction, others: list[Fraction]) -> list[Text]:
    """Texts of numbers that differ from the value."""
    found = []
    for other in rng.sample(others, min(3, len(others))):
        if other != value:
            found += [Text(t.plain, t.latex, f"near miss, {t.how}") for t in rng.sample(number_texts(rng, other), 2)]
    return found


_WORDS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
    "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
)  # fmt: skip


def _wrapped(value: Fraction) -> list[Text]:
    """Terms in which the number of more than one in size stands, and that have another value."""
    plain, tex = either(value, "").plain, either(value, "").latex
    size = either(abs(value), "").latex
    return [
        same(f"{size}x", "times an unknown") if value.denominator == 1 else latex(f"{size}x", "times an unknown"),
        latex(rf"\sqrt{{{size}}}", "under a root"),
        latex(rf"\left({tex}\right)^2", "squared"),
        latex(rf"{size}\pi", "times pi"),
        latex(rf"{size}i", "times i"),
        latex(rf"\frac{{{tex}}}{{0}}", "over zero"),
        Text(f"{plain} - 1", f"{tex} - 1", "less one"),
        Text(f"({plain}, 0)", f"({tex}, 0)", "as a coordinate"),
        Text(f"x > {plain}", f"x > {tex}", "as a bound"),
        latex(rf"{tex} \pm 1", "with a spread"),
        Text(f"{plain}, {value + 1}", None, "first of a list"),
        Text(f"between {plain} and {value + 2}", None, "as a bound in words"),
    ]


def integers(rng: Random) -> Drawn:
    """An integer of one to nine digits."""
    value = rng.choice(
        (rng.randint(-30, 30), rng.randint(10, 2000), rng.randint(1000, 10**9), rng.randint(1, 99) * 1000)
    )
    step = rng.choice((1, 2, 10, 100))
    flipped = int(str(abs(value))[::-1])
    others = [Fraction(o) for o in (value + 1, value - 1, -value, value * 10, value + step, flipped) if o != value]
    others.append(Fraction(value, 10))
    exact = Fraction(value)
    wrong = _number_wrongs(rng, exact, [o for o in others if o != exact])
    right = number_texts(rng, exact)
    if 0 <= value <= 20:
        right.append(word(_WORDS[value], "in words"))
        wrong.append(word(_WORDS[(value + 1) % 21], "next in words"))
    if abs(value) > 1:
        wrong += rng.sample(_wrapped(exact), 2)
    return Drawn([either(value, "digits")], right, wrong)


def fractions(rng: Random) -> Drawn:
    """A reduced fraction that is no integer."""
    bottom = rng.randint(2, 40)
    value = Fraction(rng.choice((1, 1, 1, -1)) * rng.randint(1, 120), bottom)
    if value.denominator == 1:
        value += Fraction(1, bottom)
    top, bottom = value.numerator, value.denominator
    others = [-value, 1 / value, Fraction(top + 1, bottom), Fraction(top, bottom + 1), value + 1, value * 10]
    gold = [either(value, "fraction"), latex(either(value, "").latex or "", "\\frac")]
    wrong = _number_wrongs(rng, value, [o for o in others if o != value])
    if abs(value) > 1:
        whole, rest = divmod(abs(top), bottom)
        if Fraction(int(f"{whole}{rest}"), bottom) != value:
            wrong.append(Text(f"{whole}{rest}/{bottom}", None, "mixed number run together"))
        wrong += rng.sample(_wrapped(value), 2)
    return Drawn(gold, number_texts(rng, value), wrong)


def decimals(rng: Random) -> Drawn:
    """A finite decimal of one to four places."""
    places = rng.randint(1, 4)
    value = Fraction(rng.choice((1, 1, -1)) * rng.randint(1, 10 ** rng.randint(1, 6)), 10**places)
    if value.denominator == 1:
        value += Fraction(1, 10**places)
    written = decimal(value) or ""
    unit = Fraction(1, 10**places)
    others = [value + unit, value - unit, -value, value * 10, value / 10, Fraction(round(value))]
    right = number_texts(rng, value)
    if abs(value) >= 1000:
        right.append(same(grouped_decimal(value, written), "thousands commas"))
    return Drawn([same(written, "decimal")], right, _number_wrongs(rng, value, [o for o in others if o != value]))


def grouped_decimal(value: Fraction, written: str) -> str:
    """A decimal with commas between its thousands."""
    whole, _, places = written.lstrip("-").partition(".")
    return ("-" if value < 0 else "") + grouped(int(whole), ",") + "." + places


def scientific(rng: Random) -> Drawn:
    """A number with a power of ten between 10^-7 and 10^12."""
    head = Fraction(rng.randint(11, 99), 10)
    exponent = rng.choice((*range(-7, -1), *range(3, 13)))
    value = head * Fraction(10) ** exponent
    written = decimal(value) or ""
    right = [*scientific_texts(value), same(written, "written out")]
    if value.denominator == 1 and value >= 1000:
        right.append(same(grouped(int(value), ","), "written out with commas"))
    wrong = [t for other in (value * 10, value / 10, value + head, -value) for t in scientific_texts(other)]
    gold = [right[0], right[2], right[4]]
    return Drawn(gold, right, wrong)


def percents(rng: Random) -> Drawn:
    """A percentage; against a plain number it is that number or its hundredth, nothing else."""
    value = Fraction(rng.randint(1, 400), rng.choice((1, 1, 2, 4, 5)))
    written = decimal(value) or ""
    part = decimal(value / 100) or ""
    signed = [
        Text(f"{written}%", rf"{written}\%", "percent sign"),
        Text(f"{written} percent", rf"{written}\text{{ percent}}", "percent in words"),
        Text(f"{written} %", rf"{written}\,\%", "percent sign set apart"),
    ]
    wrong = []
    for other in (value + 1, value * 10, value / 10, value / 1000, 100 - value):
        if other > 0 and other not in (value, value / 100, value * 100):
            wrong.append(same(decimal(other) or "", "other plain number"))
        if other > 0 and other != value:
            wrong.append(Text(f"{decimal(other)}%", rf"{decimal(other)}\%", "other percentage"))
    choice = rng.random()
    if choice < 0.7:
        return Drawn(signed[:1], [*signed, same(written, "without its sign"), same(part, "as a part of one")], wrong)
    others = [t for t in wrong if "%" in (t.plain or "")]
    if choice < 0.85:
        return Drawn([same(part, "part of one")], signed, others)
    # a plain reference that is a number of percent: 100 times it would be another percentage
    safe = [t for t in others if t.plain not in (f"{decimal(value * 100)}%",)]
    return Drawn([same(written, "number of percent")], signed, safe)


def rounded_decimals(rng: Random) -> Drawn:
    """A fraction without a finite decimal, against decimals of six places and more."""
    bottom = rng.choice((3, 6, 7, 9, 11, 12, 13, 17, 19, 23))
    value = Fraction(rng.randint(1, 99), bottom)
    if decimal(value) is not None:
        value += Fraction(1, bottom) if decimal(value + Fraction(1, bottom)) is None else Fraction(2, bottom)
    if decimal(value) is not None:
        value = Fraction(1, 7)
    places = rng.randint(6, 12)
    right = [same(rounded(value, places), "rounded to its places")]
    unit = Fraction(1, 10**places)
    wrong = [
        same(rounded(value + 2 * unit, places), "wrong last digit"),
        same(rounded(value, rng.randint(1, 3)), "too few places"),
        same(rounded(value + Fraction(1, 1000), places), "wrong third place"),
        same(rounded(-value, places), "sign"),
    ]
    return Drawn([either(value, "fraction"), latex(either(value, "").latex or "", "\\frac")], right, wrong)


def repeating_decimals(rng: Random) -> Drawn:
    """A purely repeating decimal."""
    length = rng.randint(1, 3)
    period = str(rng.randint(1, 10**length - 2)).rjust(length, "0")
    whole = rng.randint(0, 9)
    value = whole + Fraction(int(period), 10**length - 1)
    written = latex(rf"{whole}.\overline{{{period}}}", "overline")
    wrong = [
        same(f"{whole}.{period}", "period cut off"),
        either(value + 1, "off by one"),
        either(value + Fraction(1, 10**length - 1), "near fraction"),
    ]
    return Drawn([written, either(value, "fraction")], [written, either(value, "fraction")], wrong)


def arithmetic(rng: Random) -> Drawn:
    """A small integer against an expression of integers, and the other way about."""
    a, b, c = rng.randint(2, 30), rng.randint(2, 30), rng.randint(1, 9)
    forms = (
        (f"{a} + {b}", a + b),
        (f"{a} - {b}", a - b),
        (f"{a}*{b}", a * b),
        (rf"{a} \times {b}", a * b),
        (rf"{a} \cdot {b} + {c}", a * b + c),
        (f"({a} + {b})", a + b),
        (rf"2^{{{c}}}", 2**c),
        (f"{c}!", factorial(c)),
        (rf"\sqrt{{{a * a}}}", a),
    )
    text, value = rng.choice(forms)
    written = latex(text, "expression") if "\\" in text else same(text, "expression")
    value_text = either(value, "value")
    wrong = [either(value + 1, "off by one"), either(-value - 1, "sign"), either(value + 10, "off by ten")]
    if rng.random() < 0.5:
        right = [written, latex(f"{text} = {value}", "with its value")]
        right.append(same(f"m + n = {value - b} + {b} = {value}", "as a sum of two unknowns"))
        return Drawn([value_text], right, wrong)
    return Drawn([written], [value_text], wrong)


def factorial(value: int) -> int:
    """The product of 1 to a small integer."""
    product = 1
    for factor in range(2, value + 1):
        product *= factor
    return product


def huge_powers(rng: Random) -> Drawn:
    """Powers, factorials and binomials that nobody writes out: equal where they are written alike."""
    base, top = rng.randint(2, 99), rng.randint(900, 5000)
    forms = (r"{b}^{{{t}}}", "{t}!", r"\binom{{{t}}}{{{b}}}", r"\frac{{1}}{{{t}!}}", r"{b}^{{{t}}} - 1")
    form = rng.choice(forms)
    text = form.format(b=base, t=top)
    wrong = [
        latex(form.format(b=base, t=top + 1), "other exponent"),
        latex(form.format(b=base + 1, t=top + 2), "other base and exponent"),
    ]
    return Drawn([latex(text, "as given")], [latex(text, "as given")], wrong)


_CURRENCIES = (("$", r"\$", "dollars"), ("€", "€", "euros"), ("£", "£", "pounds"))


def money(rng: Random) -> Drawn:
    """A sum of money in one of three currencies."""
    sign, tex, name = rng.choice(_CURRENCIES)
    cents = rng.choice((rng.randint(1, 50000), rng.randint(1, 9000) * 100))
    value = Fraction(cents, 100)

    def texts(amount: Fraction, how: str) -> list[Text]:
        full = f"{grouped(int(amount), ',')}.{int(amount * 100) % 100:02d}"
        brief = full.removesuffix(".00")
        return [
            Text(f"{sign}{full}", f"{tex}{full}", f"{how} with cents"),
            Text(f"{sign}{brief}", f"{tex}{brief}", f"{how}"),
            Text(f"{brief} {name}", rf"{brief}\text{{ {name}}}", f"{how}, name of the currency"),
        ]

    bare = [same(decimal(value) or "", "without currency"), same(rounded(value, 2), "two places, without currency")]
    wrong = (
        texts(value + 1, "a unit more") + texts(value + Fraction(1, 100), "a cent more") + texts(value * 10, "tenfold")
    )
    other, other_tex, other_name = rng.choice([c for c in _CURRENCIES if c[0] != sign])
    amount = decimal(value) or ""
    foreign = Text(f"{other}{amount}", f"{other_tex}{amount}", "other currency")
    wrong += [foreign, Text(f"{amount} {other_name}", None, "other currency by name")]
    if rng.random() < 0.4:
        return Drawn(bare[:1], texts(value, "money") + bare, [t for t in wrong if "other currency" not in t.how])
    return Drawn(texts(value, "money"), texts(value, "money") + bare, wrong)


def large_words(rng: Random) -> Drawn:
    """A number of thousands or millions in words."""
    head = Fraction(rng.randint(1, 99), rng.choice((1, 10)))
    name, size = rng.choice((("thousand", 10**3), ("million", 10**6)))
    value, text = head * size, decimal(head)
    spoken = Text(f"{text} {name}", rf"{text}\text{{ {name}}}", "in words")
    digits = [same(str(value), "digits"), same(grouped(int(value), ","), "commas")]
    other = "million" if name == "thousand" else "thousand"
    wrong = [
        same(str(text), "word dropped"),
        Text(f"{text} {other}", rf"{text}\text{{ {other}}}", "other word"),
        same(str(value * 10), "tenfold"),
        Text(f"{text} billion", rf"{text}\text{{ billion}}", "other word"),
    ]
    if rng.random() < 0.4:
        dollars = Text(f"${text} {name}", rf"\${text}\text{{ {name}}}", "dollars in words")
        return Drawn([dollars, spoken], [dollars, spoken, *digits], wrong)
    return Drawn([digits[0]], [spoken, *digits], wrong)


_UNITS = (
    ("cm", "centimeters"), ("m", "meters"), ("km", "kilometers"), ("kg", "kilograms"), ("hours", "hours"),
    ("minutes", "minutes"), ("apples", "apples"), ("days", "days"), ("miles", "miles"), ("inches", "inches"),
    ("square meters", "square meters"), ("liters", "liters"), ("students", "students"), ("pages", "pages"),
)  # fmt: skip


def units(rng: Random) -> Drawn:
    """A number with a unit; a unit on one side alone does not count, on both it must be the same."""
    brief, long = rng.choice(_UNITS)
    value = Fraction(rng.randint(2, 500), rng.choice((1, 1, 1, 2, 4)))
    number = decimal(value) or ""
    named = [
        Text(f"{number} {brief}", rf"{number}\text{{ {brief}}}", "unit"),
        Text(f"{number} {long}", rf"{number} \text{{ {long}}}", "unit in full"),
        Text(
            None, rf"{number}\,\mathrm{{{brief}}}" if " " not in brief else rf"{number}\text{{ {long}}}", "unit upright"
        ),
    ]
    bare = [same(number, "without unit")]
    other = rng.choice([u for u in _UNITS if u[0] != brief])[1]
    swapped = Text(f"{number} {other}", rf"{number}\text{{ {other}}}", "other unit")
    near = [
        Text(f"{decimal(v)} {long}", rf"{decimal(v)}\text{{ {long}}}", "other number")
        for v in (value + 1, value * 10, value / 2)
    ]
    near += [same(decimal(value + 1) or "", "other number without unit")]
    if rng.random() < 0.4:
        return Drawn(bare, [*named, *bare], near)
    return Drawn(named[:2], [*named, *bare], [*near, swapped, swapped])


def ordinals(rng: Random) -> Drawn:
    """A place in an order: 21st, 3rd."""
    value = rng.randint(1, 120)

    def nth(n: int) -> str:
        ending = "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
        return f"{n}{ending}"

    def text(n: int, how: str) -> Text:
        return Text(nth(n), rf"{n}^{{\text{{{nth(n)[-2:]}}}}}", how)

    right = [word(nth(value), "ordinal"), text(value, "ordinal, raised"), same(str(value), "number alone")]
    wrong = [text(value + 1, "next"), word(nth(value + 10), "ten later"), same(str(value + 1), "next number")]
    return Drawn([word(nth(value), "ordinal"), same(str(value), "number")], right, wrong)


def bases(rng: Random) -> Drawn:
    """A numeral with its base written below."""
    base = rng.choice((2, 3, 5, 6, 7, 8))
    digits = "".join(
        [str(rng.randint(1, base - 1)), *(str(rng.randint(0, base - 1)) for _ in range(rng.randint(2, 5)))]
    )
    changed = digits[:-1] + str((int(digits[-1]) + 1) % base)
    other = rng.choice([b for b in (2, 3, 5, 6, 7, 8, 9) if b > max(map(int, digits)) and b != base] or [9])
    right = [same(f"{digits}_{base}", "base"), same(f"{digits}_{{{base}}}", "base in braces")]
    wrong = [
        same(f"{changed}_{base}", "other digit"),
        same(f"{digits}_{{{other}}}", "other base"),
        same(f"{digits}{base}", "base run into the digits"),
    ]
    return Drawn(right, right, wrong)


_AREAS = (("cm", "2"), ("m", "2"), ("cm", "3"), ("in", "2"), ("ft", "3"), ("km", "2"))


def areas(rng: Random) -> Drawn:
    """A number of square or cubic units."""
    name, power = rng.choice(_AREAS)
    value = rng.randint(2, 900)

    def texts(number: int, unit: str, raised: str, how: str) -> list[Text]:
        sign = {"2": "²", "3": "³", "1": ""}[raised]
        top = "" if raised == "1" else f"^{raised}"
        return [
            Text(f"{number} {unit}{top}", rf"{number}\text{{ {unit}}}{top}", how),
            Text(f"{number} {unit}{sign}", rf"{number}\,\mathrm{{{unit}}}{top}", f"{how}, raised"),
        ]

    bare = [same(str(value), "without unit")]
    wrong = [*texts(value + 1, name, power, "other number"), *texts(value, name, "1", "unit not raised")]
    wrong += texts(value, name, "3" if power == "2" else "2", "other power of the unit")
    wrong += texts(value, "km" if name != "km" else "ft", power, "other unit")
    return Drawn(texts(value, name, power, "unit")[:1], [*texts(value, name, power, "unit"), *bare], wrong)


def angles(rng: Random) -> Drawn:
    """An angle in whole degrees."""
    value = rng.randint(1, 359)

    def texts(number: int, how: str) -> list[Text]:
        return [
            Text(f"{number}°", rf"{number}^\circ", how),
            Text(f"{number} degrees", rf"{number}^{{\circ}}", f"{how}, in words"),
            Text(f"{number} degrees", rf"{number}\text{{ degrees}}", f"{how}, in words"),
        ]

    bare = same(str(value), "without degrees")
    wrong = [*texts(value + 1, "one more"), *texts(360 - value if value != 180 else 90, "the rest of the turn")]
    radians = Text(f"{value} radians", rf"{value}\text{{ radians}}", "radians")
    if rng.random() < 0.4:
        return Drawn([bare], [*texts(value, "degrees"), bare], wrong)
    return Drawn(texts(value, "degrees"), [*texts(value, "degrees"), bare], [*wrong, radians])


_RATES = ("miles per hour", "dollars per hour", "meters per second", "words per minute", "liters per minute")


def rates(rng: Random) -> Drawn:
    """A number of one unit per another."""
    value, (unit, other) = rng.randint(2, 300), rng.sample(_RATES, 2)

    def text(number: int, name: str, how: str) -> Text:
        return Text(f"{number} {name}", rf"{number}\text{{ {name}}}", how)

    right = [text(value, unit, "rate"), same(str(value), "without unit")]
    wrong = [
        text(value + 5, unit, "other number"),
        text(value, other, "other rate"),
        same(str(value + 1), "other, bare"),
    ]
    return Drawn([text(value, unit, "rate")], right, wrong)
