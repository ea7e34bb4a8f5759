"""Families of values with parts: sets, lists, tuples, intervals, matrices, ratios, named values."""

from collections.abc import Sequence
from fractions import Fraction
from random import Random

from .texts import Drawn, Text, decimal, latex, same, short, slashed

_NAMES = ("x", "y", "z", "a", "b", "n", "k", "m")


def _exact(rng: Random) -> Fraction:
    """A small number, whole two times in three."""
    top = rng.randint(-20, 20)
    return Fraction(top, rng.choice((1, 1, 2, 3, 4, 5))) if rng.random() < 0.4 else Fraction(top)


def _distinct(rng: Random, count: int) -> list[Fraction]:
    """So many different small numbers, in a random order."""
    found: list[Fraction] = []
    while len(found) < count:
        value = _exact(rng)
        if value not in found:
            found.append(value)
    return found


def _near(rng: Random, members: Sequence[Fraction]) -> list[Fraction]:
    """The same members, one of them changed to a value that is none of them."""
    changed = list(members)
    place = rng.randrange(len(changed))
    value = changed[place]
    for other in (value + 1, -value, value - 1, value + Fraction(1, 2), value + 7):
        if other not in members:
            changed[place] = other
            return changed
    changed[place] = max(members) + 11
    return changed


def _joined(members: Sequence[Fraction], *, tex: bool, gap: str = ", ") -> str:
    return gap.join(short(m) if tex else slashed(m) for m in members)


def _set_texts(members: Sequence[Fraction], how: str) -> list[Text]:
    plain, tex = _joined(members, tex=False), _joined(members, tex=True)
    return [
        Text(f"{{{plain}}}", rf"\{{{tex}\}}", how),
        latex(rf"\left\{{{tex}\right\}}", f"{how}, \\left"),
    ]


def sets(rng: Random) -> Drawn:
    """A set of two to five numbers: order does not count."""
    members = _distinct(rng, rng.randint(2, 5))
    shuffled = rng.sample(members, len(members))
    right = [*_set_texts(members, "as given"), *_set_texts(shuffled, "other order")]
    extra = _near(rng, members)
    added = [*members, next(v for v in [*extra, max(members) + 3] if v not in members)]
    wrong = [*_set_texts(extra, "member changed"), *_set_texts(members[:-1], "member dropped")]
    wrong += [*_set_texts(added, "member added"), *_set_texts(members[1:], "first member dropped")]
    return Drawn(_set_texts(members, "set"), right, wrong, single=False)


def lists(rng: Random) -> Drawn:
    """Numbers one after another, all of them asked for: order does not count."""
    members = _distinct(rng, rng.randint(2, 4))
    shuffled = rng.sample(members, len(members))

    def texts(values: Sequence[Fraction], how: str) -> list[Text]:
        plain, tex = [slashed(v) for v in values], [short(v) for v in values]
        found = [Text(", ".join(plain), ", ".join(tex), how)]
        if len(values) > 1:
            found.append(Text(f"{', '.join(plain[:-1])} and {plain[-1]}", None, f"{how}, and"))
            found.append(latex(rf"{', '.join(tex[:-1])} \text{{ and }} {tex[-1]}", f"{how}, \\text and"))
        return found

    right = [*texts(members, "as given"), *texts(shuffled, "other order"), *_set_texts(shuffled, "as a set")]
    wrong = [*texts(_near(rng, members), "one changed"), *texts(members[:-1], "one dropped")]
    wrong += texts([*members, max(members) + 2], "one added")
    return Drawn(texts(members, "list")[:1], right, wrong, single=False)


def roots(rng: Random) -> Drawn:
    """The solutions of an equation: x = 2 or x = 5."""
    name = rng.choice("xtnz")
    members = _distinct(rng, 2)

    def texts(values: Sequence[Fraction], how: str) -> list[Text]:
        plain = [f"{name} = {slashed(v)}" for v in values]
        tex = [f"{name} = {short(v)}" for v in values]
        return [
            Text(" or ".join(plain), r" \text{ or } ".join(tex), f"{how}, or"),
            Text(", ".join(plain), ", ".join(tex), f"{how}, comma"),
        ]

    right = [*texts(members, "as given"), *texts(members[::-1], "other order")]
    wrong = [
        *texts(_near(rng, members), "one changed"),
        *texts(members[:1], "one dropped"),
        *texts([-m for m in members], "signs"),
    ]
    if sorted(members) == sorted(-m for m in members):
        wrong = wrong[:-2]
    return Drawn(texts(members, "roots")[:1], right, wrong, single=False)


def _between(left: str, parts: Sequence[Fraction], right: str, how: str, *, big: bool = True) -> list[Text]:
    plain, tex = _joined(parts, tex=False), _joined(parts, tex=True)
    found = [Text(f"{left}{plain}{right}", f"{left}{tex}{right}", how)]
    found.append(
        Text(f"{left}{plain.replace(', ', ',')}{right}", f"{left}{tex.replace(', ', ',')}{right}", f"{how}, tight")
    )
    if big:
        found.append(latex(rf"\left{left}{tex}\right{right}", f"{how}, \\left"))
    return found


def tuples(rng: Random) -> Drawn:
    """A point of two to four coordinates: order counts."""
    parts = _distinct(rng, rng.randint(2, 4))
    swapped = parts[:]
    swapped[0], swapped[1] = swapped[1], swapped[0]
    right = _between("(", parts, ")", "point")
    spelled = [decimal(p) for p in parts]
    if all(spelled) and any(p.denominator > 1 for p in parts):
        right.append(same(f"({', '.join(str(s) for s in spelled)})", "decimals"))
    if len(parts) == 2:
        right.append(latex(f"(x, y) = ({_joined(parts, tex=True)})", "with its name"))
        right.append(same(f"(x, y) = ({_joined(parts, tex=False)})", "with its name, plain"))
    wrong = [*_between("(", swapped, ")", "swapped"), *_between("(", _near(rng, parts), ")", "one changed")]
    wrong += _between("(", [-p for p in parts], ")", "signs") if any(parts) else []
    wrong += _between("(", parts[:-1], ")", "one dropped") if len(parts) > 2 else []
    wrong += _between("(", [*parts, Fraction(0)], ")", "one added")
    return Drawn(_between("(", parts, ")", "point")[:1], right, wrong, single=False)


_INFINITE = r"\infty"


def _ends(rng: Random) -> tuple[Fraction, Fraction]:
    low, high = sorted(_distinct(rng, 2))
    return low, high


def intervals(rng: Random) -> Drawn:
    """An interval with open and closed ends, in brackets or as an inequality in x."""
    low, high = _ends(rng)
    left, right_ = rng.choice("(["), rng.choice(")]")

    def texts(a: Fraction, b: Fraction, opened: str, closed: str, how: str) -> list[Text]:
        lower, upper = ("<" if opened == "(" else r"\le"), ("<" if closed == ")" else r"\le")
        plain = f"{slashed(a)} {lower} x {upper} {slashed(b)}".replace(r"\le", "<=")
        return [
            *_between(opened, [a, b], closed, how),
            Text(plain, f"{short(a)} {lower} x {upper} {short(b)}", f"{how}, inequality"),
            latex(rf"x \in {opened}{short(a)}, {short(b)}{closed}", f"{how}, x in"),
        ]

    other_left, other_right = "[" if left == "(" else "(", "]" if right_ == ")" else ")"
    wrong = [
        *texts(low, high, other_left, right_, "left bracket"),
        *texts(low, high, left, other_right, "right bracket"),
    ]
    wrong += [*texts(low, high + 1, left, right_, "other end"), *texts(low - 1, high, left, right_, "other start")]
    gold = texts(low, high, left, right_, "interval")
    # (2, 5) as a reference may be a point, so that its inequality is only asked of brackets that cannot be one
    right = gold if left + right_ != "()" else gold[:3]
    return Drawn([gold[0]], right, wrong, single=False)


def rays(rng: Random) -> Drawn:
    """All numbers on one side of an end: x > 3, (3, infinity)."""
    end = _exact(rng)
    name = rng.choice("xyt")
    up, closed = rng.random() < 0.5, rng.random() < 0.5

    def texts(value: Fraction, upward: bool, shut: bool, how: str) -> list[Text]:
        sign, back = (">", "<") if upward else ("<", ">")
        plain, turned = (sign + "=", back + "=") if shut else (sign, back)
        tex = {">": ">", "<": "<", ">=": r"\ge", "<=": r"\le"}
        tex_long = {">": ">", "<": "<", ">=": r"\geq", "<=": r"\leq"}
        brackets = (("[" if shut else "("), ")") if upward else ("(", "]" if shut else ")")
        ends = (short(value), _INFINITE) if upward else ("-" + _INFINITE, short(value))
        return [
            Text(f"{name} {plain} {slashed(value)}", f"{name} {tex[plain]} {short(value)}", f"{how}, inequality"),
            Text(
                f"{slashed(value)} {turned} {name}", f"{short(value)} {tex_long[turned]} {name}", f"{how}, sides turned"
            ),
            latex(f"{brackets[0]}{ends[0]}, {ends[1]}{brackets[1]}", f"{how}, interval"),
            latex(rf"{name} \in {brackets[0]}{ends[0]},{ends[1]}{brackets[1]}", f"{how}, in an interval"),
        ]

    right = texts(end, up, closed, "as given")
    wrong = [*texts(end, not up, closed, "direction"), *texts(end, up, not closed, "open for closed")]
    wrong += texts(end + 1, up, closed, "other end")
    wrong += texts(-end, up, closed, "sign") if end else []
    return Drawn([right[0], right[2]], right, wrong, single=False)


def unions(rng: Random) -> Drawn:
    """Two intervals that do not touch, joined."""
    a, b, c, d = sorted(_distinct(rng, 4))

    def piece(low: Fraction, high: Fraction, ends: str) -> str:
        return f"{ends[0]}{short(low)}, {short(high)}{ends[1]}"

    kinds = ("()", "[]", "(]", "[)")
    first, second = rng.choice(kinds), rng.choice(kinds)
    one, two = piece(a, b, first), piece(c, d, second)
    flipped = {"(": "[", "[": "("}[first[0]] + first[1]
    right = [latex(rf"{one} \cup {two}", "as given"), latex(rf"{two} \cup {one}", "other order")]
    right.append(latex(rf"\left{one[:-1]}\right{one[-1]} \cup \left{two[:-1]}\right{two[-1]}", "\\left"))
    wrong = [
        latex(rf"{piece(a, b, flipped)} \cup {two}", "a bracket"),
        latex(one, "second piece dropped"),
        latex(rf"{piece(a, b, first)} \cup {piece(c, d + 1, second)}", "other end"),
        latex(rf"{one} \cap {two}", "cap for cup"),
    ]
    return Drawn(right[:1], right, wrong, single=False)


def vectors(rng: Random) -> Drawn:
    """A column of two to four numbers."""
    parts = _distinct(rng, rng.randint(2, 4))

    def texts(values: Sequence[Fraction], how: str) -> list[Text]:
        body = r" \\ ".join(short(v) for v in values)
        tight = r"\\".join(short(v) for v in values)
        return [
            latex(rf"\begin{{pmatrix}} {body} \end{{pmatrix}}", how),
            latex(rf"\begin{{bmatrix}} {body} \end{{bmatrix}}", f"{how}, square brackets"),
            latex(rf"\begin{{pmatrix}}{tight}\end{{pmatrix}}", f"{how}, tight"),
        ]

    wrong = [
        *texts(parts[::-1], "turned round"),
        *texts(_near(rng, parts), "one changed"),
        *texts(parts[:-1], "dropped"),
    ]
    return Drawn(texts(parts, "column"), texts(parts, "column"), wrong, single=False)


def matrices(rng: Random) -> Drawn:
    """A matrix of two or three rows and columns."""
    height, width = rng.randint(2, 3), rng.randint(2, 3)
    cells = _distinct(rng, height * width)
    rows = [cells[i * width : (i + 1) * width] for i in range(height)]

    def texts(of: Sequence[Sequence[Fraction]], how: str) -> list[Text]:
        body = r" \\ ".join(" & ".join(short(v) for v in row) for row in of)
        return [
            latex(rf"\begin{{pmatrix}} {body} \end{{pmatrix}}", how),
            latex(rf"\begin{{bmatrix}} {body} \end{{bmatrix}}", f"{how}, square brackets"),
            latex(rf"\begin{{pmatrix}}{body.replace(' & ', '&')}\end{{pmatrix}}", f"{how}, tight"),
        ]

    changed = _near(rng, cells)
    wrong = texts([changed[i * width : (i + 1) * width] for i in range(height)], "a cell changed")
    wrong += texts(list(zip(*rows, strict=True)), "transposed")
    wrong += texts(rows[::-1], "rows turned round")
    wrong += texts(rows[:-1], "a row dropped")
    return Drawn(texts(rows, "matrix")[:1], texts(rows, "matrix"), wrong, single=False)


def ratios(rng: Random) -> Drawn:
    """A ratio in lowest terms of two or three parts, sometimes with names on its left."""
    parts = rng.sample(range(1, 20), rng.choice((2, 2, 3)))
    while any(parts[0] % d == 0 and all(p % d == 0 for p in parts) for d in range(2, 20)):
        parts = rng.sample(range(1, 20), len(parts))
    names = ":".join(rng.sample(("A", "B", "C", "AB", "CD", "x", "y"), len(parts)))

    def text(values: Sequence[int], how: str) -> Text:
        return same(":".join(map(str, values)), how)

    def named(values: Sequence[int], how: str) -> Text:
        return same(f"{names} = {':'.join(map(str, values))}", how)

    spaced = same(" : ".join(map(str, parts)), "spaces")
    changed = [parts[0] + 1, *parts[1:]]
    swapped = [parts[1], parts[0], *parts[2:]]
    added = [*parts, 21]
    wrong_values = [(changed, "one changed"), (swapped, "swapped"), (added, "one added")]
    if len(parts) == 3:
        wrong_values.append((parts[:2], "one dropped"))
    if rng.random() < 0.35:
        wrong = [named(v, how) for v, how in wrong_values] + [same(str(parts[-1]), "last part alone")]
        return Drawn(
            [named(parts, "named")], [named(parts, "named"), text(parts, "without names")], wrong, single=False
        )
    wrong = [text(v, how) for v, how in wrong_values] + [same(str(parts[-1]), "last part alone")]
    return Drawn([text(parts, "ratio")], [text(parts, "ratio"), spaced], wrong, single=False)


def named_values(rng: Random) -> Drawn:
    """Values under their names: x = 3, y = 4."""
    names = sorted(rng.sample(_NAMES, rng.choice((2, 2, 3))))
    values = _distinct(rng, len(names))

    def pairs(of: Sequence[Fraction], *, tex: bool) -> list[str]:
        return [f"{n} = {short(v) if tex else slashed(v)}" for n, v in zip(names, of, strict=True)]

    def texts(of: Sequence[Fraction], how: str) -> list[Text]:
        plain, tex = pairs(of, tex=False), pairs(of, tex=True)
        return [
            Text(", ".join(plain), ", ".join(tex), how),
            Text(", ".join(plain).replace(" = ", "="), ", ".join(tex).replace(" = ", "="), f"{how}, tight"),
            Text(
                f"{', '.join(plain[:-1])} and {plain[-1]}",
                rf"{', '.join(tex[:-1])} \text{{ and }} {tex[-1]}",
                f"{how}, and",
            ),
        ]

    turned = Text(
        ", ".join(pairs(values, tex=False)[::-1]), ", ".join(pairs(values, tex=True)[::-1]), "names in other order"
    )
    right = [*texts(values, "as given"), turned]
    swapped = [values[1], values[0], *values[2:]]
    wrong = [*texts(swapped, "values swapped"), *texts(_near(rng, values), "one changed")]
    wrong += [Text(pairs(values, tex=False)[-1], pairs(values, tex=True)[-1], "last alone")]
    wrong += [Text(slashed(values[-1]), short(values[-1]), "last value alone")]
    return Drawn(texts(values, "named")[:1], right, wrong, single=False)


def assignments(rng: Random) -> Drawn:
    """One value with or without its name: x = 5 and 5."""
    name = rng.choice(_NAMES)
    other = rng.choice([n for n in _NAMES if n != name])
    value = _exact(rng)

    def text(left: str, of: Fraction, how: str) -> Text:
        return Text(f"{left} = {slashed(of)}", f"{left} = {short(of)}", how)

    bare = Text(slashed(value), short(value), "value alone")
    full = text(name, value, "with its name")
    turned = Text(f"{slashed(value)} = {name}", f"{short(value)} = {name}", "sides turned")
    wrong = [text(name, value + 1, "off by one"), Text(slashed(value + 1), short(value + 1), "off by one, alone")]
    wrong += [text(name, -value, "sign")] if value else []
    if rng.random() < 0.5:
        return Drawn([bare], [bare, full, turned], wrong)
    return Drawn([full], [bare, full, turned], [*wrong, text(other, value, "other name")])


def points(rng: Random) -> Drawn:
    """Two or three points of the plane: the order of points does not count, that of coordinates does."""
    count = rng.randint(2, 3)
    xs, ys = _distinct(rng, count), _distinct(rng, count)
    while any(x == y for x, y in zip(xs, ys, strict=True)):
        ys = _distinct(rng, count)
    made = list(zip(xs, ys, strict=True))

    def texts(of: Sequence[tuple[Fraction, Fraction]], how: str) -> list[Text]:
        plain = ", ".join(f"({slashed(x)}, {slashed(y)})" for x, y in of)
        tex = ", ".join(f"({short(x)}, {short(y)})" for x, y in of)
        return [Text(plain, tex, how), Text(f"{{{plain}}}", rf"\{{{tex}\}}", f"{how}, braces")]

    right = [*texts(made, "as given"), *texts(made[::-1], "other order")]
    turned = [(made[0][1], made[0][0]), *made[1:]]
    wrong = [*texts(turned, "coordinates of one swapped"), *texts(made[:-1], "one dropped")]
    wrong += texts([(made[0][0], made[0][1] + 1), *made[1:]], "one coordinate")
    crossed = [(made[0][0], made[1][1]), (made[1][0], made[0][1]), *made[2:]]
    wrong += texts(crossed, "coordinates crossed")
    return Drawn(texts(made, "points")[:1], right, wrong, single=False)


def plus_minus(rng: Random) -> Drawn:
    """A number and its negative."""
    value = Fraction(rng.randint(1, 40), rng.choice((1, 1, 2, 3)))

    def texts(of: Fraction, how: str) -> list[Text]:
        plain, tex = slashed(of), short(of)
        return [
            latex(rf"\pm {tex}", how),
            Text(f"±{plain}", None, f"{how}, ±"),
            Text(f"{plain}, -{plain}", f"{tex}, -{tex}", f"{how}, listed"),
            Text(f"-{plain} and {plain}", None, f"{how}, listed with and"),
        ]

    alone = [
        Text(slashed(value), short(value), "positive alone"),
        Text(slashed(-value), short(-value), "negative alone"),
    ]
    return Drawn(texts(value, "both")[:1], texts(value, "both"), [*alone, *texts(value + 1, "other")], single=False)
