"""Families of expressions: polynomials, rational terms, radicals, equations, inequalities, complex numbers, functions."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import isqrt
from random import Random

from .texts import Drawn, Text, latex, same, short, slashed

# A polynomial: (power of the first name, power of the second) -> coefficient, none of them zero.
Poly = Mapping[tuple[int, int], Fraction]

_PAIRS = (("x", "y"), ("a", "b"), ("m", "n"), ("t", "u"))


def product(one: Poly, two: Poly) -> Poly:
    """The product of two polynomials."""
    found: dict[tuple[int, int], Fraction] = {}
    for (i, j), c in one.items():
        for (k, m), d in two.items():
            found[i + k, j + m] = found.get((i + k, j + m), Fraction(0)) + c * d
    return {powers: c for powers, c in found.items() if c}


def added(one: Poly, two: Poly) -> Poly:
    """The sum of two polynomials."""
    found = dict(one)
    for powers, c in two.items():
        found[powers] = found.get(powers, Fraction(0)) + c
    return {powers: c for powers, c in found.items() if c}


def scaled(one: Poly, by: Fraction | int) -> Poly:
    """A polynomial times a number that is not zero."""
    return {powers: c * by for powers, c in one.items()}


def proportional(one: Poly, two: Poly) -> bool:
    """Whether one is a multiple of the other."""
    if set(one) != set(two):
        return False
    return len({one[p] / two[p] for p in one}) <= 1


def _monomial(powers: tuple[int, int], names: tuple[str, str], *, tex: bool, star: str) -> str:
    parts = []
    for name, power in zip(names, powers, strict=True):
        if power == 1:
            parts.append(name)
        elif power:
            parts.append(f"{name}^{{{power}}}" if tex and power > 9 else f"{name}^{power}")
    return star.join(parts)


def poly_text(
    poly: Poly, names: tuple[str, str], order: Sequence[tuple[int, int]], *, tex: bool, star: str = ""
) -> str:
    """A polynomial written with its terms in an order; `star` stands between factors."""
    text = ""
    for powers in order:
        c = poly[powers]
        body = _monomial(powers, names, tex=tex, star=star)
        size = abs(c)
        number = short(size) if tex else (slashed(size) if size.denominator == 1 else f"({slashed(size)})")
        term = number if not body else body if size == 1 else number + star + body
        if text:
            text += f" {'-' if c < 0 else '+'} {term}"
        else:
            text = f"{'-' if c < 0 else ''}{term}"
    return text or "0"


def _usual(poly: Poly) -> list[tuple[int, int]]:
    return sorted(poly, key=lambda p: (-(p[0] + p[1]), -p[0]))


def poly_texts(rng: Random, poly: Poly, names: tuple[str, str], how: str) -> list[Text]:
    """A polynomial expanded, in the usual and in another order."""
    usual = _usual(poly)
    mixed = rng.sample(usual, len(usual))
    return [
        Text(poly_text(poly, names, usual, tex=False), poly_text(poly, names, usual, tex=True), how),
        Text(poly_text(poly, names, mixed, tex=False), poly_text(poly, names, mixed, tex=True), f"{how}, other order"),
        Text(poly_text(poly, names, usual, tex=False, star="*"), None, f"{how}, stars"),
    ]


def _nonzero(rng: Random, top: int) -> Fraction:
    return Fraction(rng.choice((1, -1)) * rng.randint(1, top))


def _one_name(rng: Random, degree: int) -> Poly:
    poly = {(k, 0): Fraction(rng.randint(-9, 9)) for k in range(degree)}
    poly[degree, 0] = _nonzero(rng, 6)
    return {p: c for p, c in poly.items() if c}


def _changed(rng: Random, poly: Poly) -> tuple[Poly, str]:
    """A polynomial near this one that differs from it and is no multiple of it."""
    powers = rng.choice(list(poly))
    which = rng.randrange(4)
    if which == 0:
        other, how = added(poly, {powers: _nonzero(rng, 2)}), "coefficient"
    elif which == 1:
        other, how = added(poly, {powers: -2 * poly[powers]}), "sign of a term"
    elif which == 2:
        other = added(added(poly, {powers: -poly[powers]}), {(powers[0] + 1, powers[1]): poly[powers]})
        how = "exponent"
    else:
        other, how = added(poly, {(0, 0): _nonzero(rng, 5)}), "constant"
    if not other or proportional(other, poly):
        return added(poly, {(7, 0): Fraction(1)}), "term added"
    return other, how


def polynomials(rng: Random) -> Drawn:
    """A polynomial in one or two unknowns, expanded."""
    names = rng.choice(_PAIRS)
    poly = _one_name(rng, rng.randint(1, 4))
    if rng.random() < 0.4:
        poly = added(poly, {(rng.randint(0, 2), rng.randint(1, 2)): _nonzero(rng, 7)})
    right = poly_texts(rng, poly, names, "expanded")
    wrong = []
    for _ in range(2):
        other, how = _changed(rng, poly)
        wrong += poly_texts(rng, other, names, how)[:2]
    wrong += (
        poly_texts(rng, scaled(poly, -1), names, "all signs")[:1]
        + poly_texts(rng, scaled(poly, 2), names, "doubled")[:1]
    )
    return Drawn(right[:1], right, wrong)


def factored(rng: Random) -> Drawn:
    """A product of linear factors, factored and expanded."""
    name = rng.choice("xyatz")
    names = (name, "w")
    lead = _nonzero(rng, 4)
    factors = [{(1, 0): Fraction(rng.choice((1, 1, 2, 3))), (0, 0): _nonzero(rng, 9)} for _ in range(rng.randint(2, 3))]

    def whole(of: Sequence[Poly], head: Fraction) -> Poly:
        result: Poly = {(0, 0): head}
        for factor in of:
            result = product(result, factor)
        return result

    def written(of: Sequence[Poly], head: Fraction, gap: str) -> str:
        body = gap.join(f"({poly_text(f, names, _usual(f), tex=False)})" for f in of)
        return body if head == 1 else f"-{body}" if head == -1 else f"{head}{gap}{body}"

    def texts(of: Sequence[Poly], head: Fraction, how: str) -> list[Text]:
        return [same(written(of, head, ""), f"{how}, factored"), Text(written(of, head, "*"), None, f"{how}, stars")]

    poly = whole(factors, lead)
    turned = factors[::-1]
    right = [
        *texts(factors, lead, "as given"),
        *texts(turned, lead, "factors turned"),
        *poly_texts(rng, poly, names, "expanded"),
    ]
    place = rng.randrange(len(factors))
    near = [dict(f) for f in factors]
    near[place][0, 0] = -near[place][0, 0]
    wrong = []
    if whole(near, lead) != poly:
        wrong += texts(near, lead, "sign in a factor")
    near = [dict(f) for f in factors]
    near[place][0, 0] += 10
    wrong += texts(near, lead, "constant in a factor")
    wrong += texts(factors, lead + (1 if lead != -1 else 2), "leading number")
    other, how = _changed(rng, poly)
    wrong += poly_texts(rng, other, names, how)[:2]
    gold = [right[0], poly_texts(rng, poly, names, "expanded")[0]]
    return Drawn(gold, right, wrong)


def forged(rng: Random) -> Drawn:
    """A polynomial against itself plus a product that vanishes at many small rational points."""
    poly = _one_name(rng, rng.randint(1, 3))
    names = ("x", "y")
    text = poly_text(poly, names, _usual(poly), tex=False)
    points = [(rng.randint(1, 20), rng.choice((1, -1)) * rng.randint(1, 50)) for _ in range(rng.randint(1, 9))]
    tail = "".join(f"({q}x {'-' if p > 0 else '+'} {abs(p)})" for q, p in points)
    size = rng.choice(("", "2", "5", "0.001", "10^{-9}"))
    forgery = latex(f"{text} + {size}{tail}", "plus a product with many zeros")
    other, how = _changed(rng, poly)
    right = poly_texts(rng, poly, names, "expanded")
    return Drawn(right[:1], right, [forgery, forgery, *poly_texts(rng, other, names, how)[:1]])


def rational_terms(rng: Random) -> Drawn:
    """A quotient of two linear terms without a common root."""
    name = rng.choice("xyn")
    names = (name, "w")
    top: Poly = {(1, 0): Fraction(rng.randint(1, 5)), (0, 0): _nonzero(rng, 9)}
    bottom: Poly = {(1, 0): Fraction(1), (0, 0): _nonzero(rng, 9)}
    if proportional(top, bottom):
        bottom = {(1, 0): Fraction(1), (0, 0): bottom[0, 0] + 10}

    def text(of: Poly) -> str:
        return poly_text(of, names, _usual(of), tex=False)

    def texts(over: Poly, under: Poly, how: str) -> list[Text]:
        return [
            Text(f"({text(over)})/({text(under)})", rf"\frac{{{text(over)}}}{{{text(under)}}}", how),
            latex(rf"\dfrac{{{text(over)}}}{{{text(under)}}}", how),
        ]

    minus = texts(scaled(top, -1), scaled(bottom, -1), "both signs turned")
    parts = [short(top[1, 0]) if top[1, 0] != 1 else "", name, f" {'-' if top[0, 0] < 0 else '+'} "]
    split = latex(
        rf"\frac{{{parts[0]}{name}}}{{{text(bottom)}}}{parts[2]}\frac{{{abs(top[0, 0])}}}{{{text(bottom)}}}",
        "split in two",
    )
    right = [*texts(top, bottom, "quotient"), *minus, split]
    shifted: Poly = added(top, {(0, 0): Fraction(10)})
    lower: Poly = added(bottom, {(0, 0): Fraction(10)})
    wrong = [*texts(scaled(top, -1), bottom, "sign"), *texts(shifted or top, bottom, "constant above")]
    wrong += [*texts(top, lower, "constant below"), *texts(bottom, top, "turned upside down")]
    return Drawn(right[:1], right, wrong)


def _squarefree(value: int) -> bool:
    return all(value % (d * d) for d in range(2, isqrt(value) + 1))


def radicals(rng: Random) -> Drawn:
    """A number a + b sqrt(c) with a square-free c."""
    c = rng.choice([n for n in range(2, 40) if _squarefree(n)])
    a, b = Fraction(rng.choice((0, 0, 1, 2, -3, 5, -7))), _nonzero(rng, 9)

    def root(times: Fraction, radicand: int, *, tex: bool) -> str:
        body = rf"\sqrt{{{radicand}}}" if tex else f"sqrt({radicand})"
        size = abs(times)
        return body if size == 1 else (f"{size}{body}" if tex else f"{size}*{body}")

    def text(start: Fraction, times: Fraction, radicand: int, *, tex: bool) -> str:
        body = root(times, radicand, tex=tex)
        if not start:
            return f"-{body}" if times < 0 else body
        return f"{start} {'-' if times < 0 else '+'} {body}"

    def texts(start: Fraction, times: Fraction, radicand: int, how: str) -> list[Text]:
        found = Text(text(start, times, radicand, tex=False), text(start, times, radicand, tex=True), how)
        under = text(start, Fraction(1 if times > 0 else -1), int(times * times) * radicand, tex=True)
        return [found, latex(under, f"{how}, all under the root")]

    right = texts(a, b, c, "root")
    if a:
        body = root(b, c, tex=True)
        right.append(latex(f"{'-' if b < 0 else ''}{body} {'-' if a < 0 else '+'} {abs(a)}", "other order"))
    if not a and b == 1:
        right.append(latex(rf"\frac{{{c}}}{{\sqrt{{{c}}}}}", "root in the denominator"))
    wrong = [*texts(a, -b, c, "sign of the root"), *texts(a, b + 1 if b != -1 else b - 1, c, "factor")]
    wrong += [*texts(a + 1, b, c, "whole part"), *texts(a, b, c + 1 if _squarefree(c + 1) else 41, "radicand")]
    value = float(a) + float(b) * c**0.5
    wrong.append(same(f"{value:.1f}", "rounded to one place"))
    return Drawn(right[:1], right, wrong)


def pi_multiples(rng: Random) -> Drawn:
    """A rational multiple of pi."""
    value = Fraction(_nonzero(rng, 20), rng.choice((1, 2, 3, 4, 6, 12)))

    def texts(of: Fraction, how: str) -> list[Text]:
        sign, top, bottom = ("-" if of < 0 else ""), abs(of.numerator), of.denominator
        head = "" if top == 1 else str(top)
        star = "" if top == 1 else f"{top}*"
        if bottom == 1:
            return [Text(f"{sign}{star}pi", rf"{sign}{head}\pi", how), Text(f"{sign}{head}π", None, f"{how}, π")]
        return [
            Text(f"{sign}{star}pi/{bottom}", rf"{sign}\frac{{{head}\pi}}{{{bottom}}}", how),
            latex(rf"{sign}\frac{{{top}}}{{{bottom}}}\pi", f"{how}, fraction in front"),
            latex(rf"{sign}{head}\pi/{bottom}", f"{how}, slash"),
            Text(f"{sign}{head}π/{bottom}", None, f"{how}, π"),
        ]

    right = texts(value, "multiple")
    wrong = [*texts(value + 1, "one more"), *texts(-value, "sign"), *texts(value * 2, "doubled")]
    wrong += [Text(slashed(value), short(value), "without pi")]
    return Drawn(right[:1], right, wrong)


def complex_numbers(rng: Random) -> Drawn:
    """A complex number with whole parts."""
    a, b = _nonzero(rng, 20), _nonzero(rng, 20)

    def imaginary(of: Fraction) -> str:
        return "i" if abs(of) == 1 else f"{abs(of)}i"

    def texts(real: Fraction, imag: Fraction, how: str) -> list[Text]:
        sign = "-" if imag < 0 else "+"
        turned = f"{'-' if imag < 0 else ''}{imaginary(imag)} {'-' if real < 0 else '+'} {abs(real)}"
        return [
            same(f"{real} {sign} {imaginary(imag)}", how),
            same(turned, f"{how}, other order"),
            same(f"{real}{sign}{imaginary(imag)}", f"{how}, tight"),
        ]

    right = texts(a, b, "number")
    wrong = [
        *texts(a, -b, "conjugate"),
        *texts(-a, b, "sign of the real part"),
        *texts(a + 1 or Fraction(2), b, "real part"),
    ]
    wrong += [*texts(b, a, "parts swapped")] if a != b else []
    return Drawn(right[:1], right, wrong)


_FUNCTIONS = (
    ("\\ln {n}", "ln({n})"), ("\\sin {n}", "sin({n})"), ("\\cos {n}", "cos({n})"), ("e^{{{n}}}", "e^{n}"),
    ("\\sqrt[3]{{{n}}}", "{n}^(1/3)"), ("\\log_2 {n}", None), ("e^{{{n}}} - 1", "e^{n} - 1"), ("\\arctan {n}", "arctan({n})"),
)  # fmt: skip


def functions(rng: Random) -> Drawn:
    """A function of a small prime."""
    tex, plain = rng.choice(_FUNCTIONS)
    n = rng.choice((2, 3, 5, 7, 11, 13))
    other = rng.choice([p for p in (2, 3, 5, 7, 11, 13) if p != n])
    tex_other, plain_other = rng.choice([f for f in _FUNCTIONS if f[0] != tex])

    def text(form: str, of: int, plain_form: str | None, how: str) -> Text:
        return Text(plain_form.format(n=of) if plain_form else None, form.format(n=of), how)

    right = [text(tex, n, plain, "function")]
    wrong = [text(tex, other, plain, "other argument"), text(tex_other, n, plain_other, "other function")]
    wrong.append(latex(f"-{tex.format(n=n)}" if "- 1" not in tex else f"1 - e^{{{n}}}", "sign"))
    return Drawn([latex(tex.format(n=n), "function")], right, wrong)


def _sides(rng: Random, poly: Poly, names: tuple[str, str], sign: str, turned: str, how: str) -> list[Text]:
    """A relation poly sign 0 in several ways: all on one side, constant on the other, scaled, sides turned."""
    constant = poly.get((0, 0), Fraction(0))
    left = {p: c for p, c in poly.items() if p != (0, 0)}

    def text(of: Poly) -> str:
        return poly_text(of, names, _usual(of), tex=False)

    def relation(one: str, mark: str, two: str, in_words: str) -> Text:
        plain = f"{one} {mark} {two}"
        return Text(plain, plain.replace("<=", r"\le").replace(">=", r"\ge"), f"{how}, {in_words}")

    by = Fraction(rng.choice((2, 3, 5)))
    return [
        relation(text(poly), sign, "0", "zero on the right"),
        relation(text(left), sign, str(-constant), "constant on the right"),
        relation(str(-constant), turned, text(left), "sides turned"),
        relation(text(scaled(left, by)), sign, str(-constant * by), "scaled"),
        relation(text(scaled(left, -1)), turned, str(constant), "times -1"),
    ]


def equations(rng: Random) -> Drawn:
    """A line, a circle or another polynomial equation in two unknowns."""
    names = ("x", "y")
    kind = rng.random()
    poly: Poly
    if kind < 0.5:
        poly = {(1, 0): _nonzero(rng, 9), (0, 1): _nonzero(rng, 9), (0, 0): _nonzero(rng, 30)}
    elif kind < 0.75:
        poly = {
            (2, 0): Fraction(1),
            (0, 2): Fraction(1),
            (1, 0): _nonzero(rng, 8),
            (0, 0): Fraction(rng.randint(-40, -1)),
        }
    else:
        poly = {(2, 0): _nonzero(rng, 5), (0, 1): _nonzero(rng, 5), (0, 0): _nonzero(rng, 20)}
    right = _sides(rng, poly, names, "=", "=", "equation")
    if kind < 0.5:
        slope = scaled({p: c for p, c in poly.items() if p != (0, 1)}, Fraction(-1) / poly[0, 1])
        right.append(latex(f"y = {poly_text(slope, names, _usual(slope), tex=True)}", "solved for y"))
    wrong = []
    if kind < 0.5:
        tilted = added(slope, {(1, 0): Fraction(13)})
        wrong.append(latex(f"y = {poly_text(tilted, names, _usual(tilted), tex=True)}", "solved for y, other slope"))
    for powers in poly:
        other = added(poly, {powers: _nonzero(rng, 3)})
        if not proportional(other, poly):
            wrong += _sides(rng, other, names, "=", "=", "coefficient")
        other = added(poly, {powers: -2 * poly[powers]})
        if not proportional(other, poly):
            wrong += _sides(rng, other, names, "=", "=", "sign")
    return Drawn(right[:2], right, wrong, single=False)


def quadratics(rng: Random) -> Drawn:
    """A quadratic equation in one unknown, often without a real solution."""
    name = rng.choice("xzt")
    b = Fraction(2 * rng.randint(-4, 4))
    c = b * b / 4 + (rng.randint(1, 20) if rng.random() < 0.6 else -rng.randint(1, 20))
    poly: Poly = {p: v for p, v in (((2, 0), Fraction(1)), ((1, 0), b), ((0, 0), c)) if v}
    names = (name, "w")
    right = _sides(rng, poly, names, "=", "=", "equation")
    wrong = []
    for change in ({(0, 0): Fraction(rng.choice((1, 2, 5)))}, {(1, 0): _nonzero(rng, 3)}, {(0, 0): -2 * c}):
        other = added(poly, change)
        if not proportional(other, poly) and (0, 0) in other:
            wrong += _sides(rng, other, names, "=", "=", "changed")
    return Drawn(right[:1], right, wrong, single=False)


def definitions(rng: Random) -> Drawn:
    """A relation with a derivative, limit, integral or named quantity on its left."""
    n, m = rng.randint(2, 30), rng.randint(2, 9)
    forms = (
        r"\frac{{dy}}{{dx}} = {m}x + {n}", r"\lim_{{x \to {m}}} f(x) = {n}", r"\int_0^{m} f(x)\,dx = {n}",
        r"\gcd(a, b) = {n}", r"|z - {m}| = {n}", r"\frac{{\partial f}}{{\partial x}} = {n}y", r"f'({m}) = {n}",
        r"a_{{n+1}} = {m}a_n + {n}", r"x \equiv {m} \pmod{{{n}}}", r"P(X > {m}) = \frac{{1}}{{{n}}}",
    )  # fmt: skip
    form = rng.choice(forms)
    if "pmod" in form:
        n = m + n
    text = form.format(n=n, m=m)
    wrong = [
        latex(form.format(n=n + 1, m=m), "value on the right"),
        latex(form.format(n=n + 10, m=m), "value on the right"),
    ]
    return Drawn([latex(text, "as given")], [latex(text, "as given")], wrong, single=False)


def inequalities(rng: Random) -> Drawn:
    """A linear inequality in two unknowns."""
    names = ("x", "y")
    poly: Poly = {(1, 0): _nonzero(rng, 9), (0, 1): _nonzero(rng, 9), (0, 0): _nonzero(rng, 30)}
    sign, turned = rng.choice((("<", ">"), (">", "<"), ("<=", ">="), (">=", "<=")))
    right = _sides(rng, poly, names, sign, turned, "inequality")
    loosened = sign[0] if "=" in sign else sign + "="
    loosened_turned = turned[0] if "=" in turned else turned + "="
    wrong = [
        *_sides(rng, poly, names, turned, sign, "direction"),
        *_sides(rng, poly, names, loosened, loosened_turned, "open for closed"),
    ]
    other = added(poly, {(0, 0): Fraction(31)})
    wrong += _sides(rng, other, names, sign, turned, "constant") if (0, 0) in other else []
    return Drawn(right[:2], right, wrong, single=False)
