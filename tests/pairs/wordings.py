"""Families of answers in words: yes and no, names, choices, clock times, dates, durations, several counts."""

from random import Random

from .texts import Drawn, Text, latex, same, word

_PEOPLE = ("Evelyn", "Briana", "Debra", "Angela", "Tom", "Maria", "Ahmed", "Li", "Jo", "Sunita", "Pierre", "Olga")
_THINGS = (
    "blue", "red", "triangle", "isosceles", "acute", "Monday", "Thursday", "ellipse", "hyperbola", "parabola", "even", "odd",
    "north", "oxygen", "Paris", "Berlin", "increasing", "decreasing", "convex", "prime", "bicycle", "tomato", "square root",
    "African wild dog", "the second train", "right triangle", "no solution", "none of the above", "all of the above",
    "cannot be determined", "not enough information", "infinitely many solutions",
)  # fmt: skip
_PARTED = ({"no solution", "none of the above"}, {"cannot be determined", "not enough information"})


def yes_no(rng: Random) -> Drawn:
    """Yes or no, true or false."""
    one, two = rng.choice((("Yes", "No"), ("No", "Yes"), ("True", "False"), ("False", "True")))
    right = [
        word(one, "as given"),
        word(one.lower(), "lower case"),
        word(one.upper(), "capitals"),
        word(one + ".", "full stop"),
    ]
    wrong = [word(two, "opposite"), word(two.lower(), "opposite, lower case"), same("0", "a number")]
    return Drawn([word(one, "capital"), word(one.lower(), "lower case")], right, wrong)


def names(rng: Random) -> Drawn:
    """A person, a colour, a kind of thing, a short phrase."""
    pool = _PEOPLE if rng.random() < 0.5 else _THINGS
    one, two, three = rng.sample(pool, 3)
    beside = [t for t in (two, three) if not any(one in group and t in group for group in _PARTED)]
    right = [word(one, "as given"), word(one.lower(), "lower case"), word(one[0].upper() + one[1:], "capital")]
    right.append(latex(rf"\textbf{{{one}}}", "bold"))
    wrong = [word(t, "other word") for t in beside or ["zebra"]] + [word(f"not {one}", "negated")]
    return Drawn([word(one, "as given"), latex(rf"\text{{{one}}}", "as \\text")], right, wrong)


def choices(rng: Random) -> Drawn:
    """A letter of a choice, alone or with the value that stands at it."""
    letter, other = rng.sample("ABCDE", 2)
    value, away = rng.sample(range(2, 100), 2)
    why = rng.choice(("because the sum is even", "since 2 + 2 = 4", "as shown above"))

    def texts(of: str, at: int, how: str) -> list[Text]:
        return [
            word(of, f"{how}, letter"),
            word(f"({of})", f"{how}, brackets"),
            word(f"{of})", f"{how}, one bracket"),
            word(f"{of}) {at}", f"{how}, with its value"),
            word(f"({of}) {at}", f"{how}, brackets and value"),
            latex(rf"\textbf{{({of})}}\ {at}", f"{how}, bold"),
            latex(rf"\mathrm{{{of}}}", f"{how}, upright"),
            word(f"option {of}", f"{how}, option"),
            word(f"choice ({of})", f"{how}, choice"),
            Text(f"{of}, {why}", None, f"{how}, with its reason", sentence=True),
        ]

    wrong = [*texts(other, away, "other letter"), *texts(other, value, "other letter, same value")]
    if rng.random() < 0.75:
        return Drawn([word(letter, "letter"), word(f"({letter})", "in brackets")], texts(letter, value, "right"), wrong)
    full = [word(f"{letter}) {value}", "letter with value"), word(f"({letter}) {value}", "in brackets with value")]
    wrong = [*texts(other, away, "other letter"), same(str(away), "other value")]
    return Drawn(full, [*texts(letter, value, "right"), same(str(value), "value alone")], wrong)


def clock_times(rng: Random) -> Drawn:
    """A time of day with its half: 6:30 PM."""
    hour, minute, half = (
        rng.randint(1, 12),
        rng.choice((0, 5, 15, 30, 45, rng.randint(1, 59))),
        rng.choice(("AM", "PM")),
    )

    def texts(h: int, m: int, part: str, how: str) -> list[Text]:
        dotted = f"{part[0].lower()}.m."
        found = [
            Text(f"{h}:{m:02d} {name}", rf"{h}:{m:02d}\text{{ {name}}}", how) for name in (part, part.lower(), dotted)
        ]
        found.append(latex(rf"{h}\text{{:}}{m:02d} \text{{ {part}}}", f"{how}, colon as text"))
        found.append(latex(rf"\text{{{h}:{m:02d} {part}}}", f"{how}, all as text"))
        if not m:
            found.append(Text(f"{h} {part}", rf"{h}\text{{ {part}}}", f"{how}, hour alone"))
        return found

    turned = "AM" if half == "PM" else "PM"
    wrong = [*texts(hour, minute, turned, "other half"), *texts(hour % 12 + 1, minute, half, "other hour")]
    wrong += [*texts(hour, (minute + 10) % 60, half, "other minute"), same(str(minute), "minutes alone")]
    return Drawn(texts(hour, minute, half, "time")[:1], texts(hour, minute, half, "time"), wrong)


_MONTHS = ("January", "March", "April", "May", "July", "August", "October", "December")


def dates(rng: Random) -> Drawn:
    """A day, in words or digits."""
    year, month, day = rng.randint(1900, 2030), rng.randrange(len(_MONTHS)), rng.randint(1, 28)
    number = (1, 3, 4, 5, 7, 8, 10, 12)[month]
    if rng.random() < 0.5:
        text = f"{_MONTHS[month]} {day}, {year}"
        others = (
            f"{_MONTHS[month]} {day % 28 + 1}, {year}",
            f"{_MONTHS[month - 1]} {day}, {year}",
            f"{_MONTHS[month]} {day}, {year + 1}",
            str(year),
        )
    else:
        text = f"{year}-{number:02d}-{day:02d}"
        others = (f"{year}-{number:02d}-{day % 28 + 1:02d}", f"{year + 1}-{number:02d}-{day:02d}", str(day), str(year))
    right = [word(text, "as given"), latex(rf"\text{{{text}}}", "as \\text")]
    return Drawn([word(text, "as given")], right, [word(other, "other day") for other in others])


_PARTS = (
    ("hours", "minutes"),
    ("feet", "inches"),
    ("weeks", "days"),
    ("apples", "pears"),
    ("boys", "girls"),
    ("tens", "ones"),
)


def two_counts(rng: Random) -> Drawn:
    """Two counts with their units: 3 hours 20 minutes, 12 apples and 5 pears."""
    one, two = rng.choice(_PARTS)
    a, b = rng.sample(range(2, 12), 2)
    gap = rng.choice((" ", " and ", ", "))

    def text(x: int, y: int, how: str) -> Text:
        return Text(f"{x} {one}{gap}{y} {two}", rf"{x}\text{{ {one}{gap}}}{y}\text{{ {two}}}", how)

    right = [text(a, b, "as given"), word(f"{a} {one}{gap}{b} {two}", "all as text")]
    wrong = [
        text(a + 1, b, "first count"),
        text(a, b + 1, "second count"),
        text(b, a, "swapped"),
        same(str(b), "last count alone"),
    ]
    wrong.append(word(f"{a} {one}", "first part alone"))
    return Drawn([word(f"{a} {one}{gap}{b} {two}", "as given")], right, wrong, single=False)


def labelled(rng: Random) -> Drawn:
    """Two values under labels in words: width = 3, length = 5."""
    one, two = rng.choice(
        (("width", "length"), ("mean", "median"), ("Anna", "Ben"), ("slope", "intercept"), ("min", "max"))
    )
    a, b = rng.sample(range(2, 40), 2)
    form = rng.choice(
        ("{} = {}, {} = {}", "{}: {}, {}: {}", "{} is {} and {} is {}", "{} {}, {} {}", "{} is {}, {} is {}")
    )

    def text(x: int, y: int) -> str:
        return form.format(one, x, two, y)

    right = [word(text(a, b), "as given")]
    wrong = [word(text(a + 1, b), "first value"), word(text(a, b + 1), "second value"), word(text(b, a), "swapped")]
    wrong += [same(str(b), "last value alone"), same(str(a), "first value alone")]
    return Drawn([word(text(a, b), "as given")], right, wrong, single=False)


def spans(rng: Random) -> Drawn:
    """Two numbers that belong together in words or with a dash: 3 out of 5, 9:00 to 10:00, 4 remainder 3."""
    a, b = rng.sample(range(2, 12), 2)
    forms = (
        "{} out of {}", "{}:00 to {}:00", "from {}:00 to {}:00", "{}:00 - {}:00", "{} remainder {}", "between {} and {}",
        "{} R {}", "odds {}:{}", "{} to {}", "the ratio {}:{}",
    )  # fmt: skip
    form = rng.choice(forms)
    right = [word(form.format(a, b), "as given")]
    wrong = [word(form.format(a + 1, b), "first number"), word(form.format(a, b + 1), "second number")]
    wrong += [same(str(b), "last number alone"), word(form.format(a + 5, b + 5), "both numbers")]
    return Drawn(right, right, wrong, single=False)
