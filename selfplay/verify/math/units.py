"""Names of units: which two mean the same. Nothing is converted."""

import re

_UNIT_NAMES = {
    short: name
    for name, shorts in {
        "meter": "m metre", "centimeter": "cm centimetre", "millimeter": "mm millimetre", "kilometer": "km kilometre",
        "kilogram": "kg", "gram": "g gm", "milligram": "mg", "liter": "l litre", "milliliter": "ml millilitre",
        "foot": "ft feet", "inch": "in inches", "yard": "yd", "mile": "mi", "pound": "lb lbs gbp", "ounce": "oz",
        "second": "s sec", "minute": "min", "hour": "h hr", "year": "yr", "degree": "deg", "dollar": "usd buck", "euro": "eur",
        "mile per hour": "mph", "kilometer per hour": "km/h kph", "meter per second": "m/s",
        "person": "people", "child": "children", "man": "men", "woman": "women",
    }.items()
    for short in shorts.split()
}  # fmt: skip
_FILLER = re.compile(r"\b(?:of|the|a|an|in|total|more|less|per|each|every|to|for|at|on|units?)\b|[/.]")


def unit_words(unit: str) -> list[str]:
    """The words of a unit that matter, each by its full name in the singular: `km/h` and `kilometers per hour` alike."""
    unit = re.sub(r"\s*\^\s*([23])", r"^\1", unit)
    unit = re.sub(r"\b(sq|cu|square|cubic)\.?\s+(\w+)", lambda m: f"{m[2]}^{2 if m[1].startswith('s') else 3}", unit)
    unit = re.sub(r"^in(?=\^|$)", "inch", unit)  # elsewhere `in` is a filler: `5 km in total`
    words = []
    for word in _FILLER.sub(" ", unit).split():
        stem, power, digit = word.partition("^")
        stem = _UNIT_NAMES.get(stem, stem)
        if stem.endswith("s") and len(stem) > 3 and not stem.endswith("ss"):
            stem = _UNIT_NAMES.get(stem[:-1], stem[:-1])
        words.append(stem + power + digit)
    return words


_OTHER_DOLLARS = frozenset({"ca", "au", "hk", "sg", "nz"})


def same_unit(gold: str, answer: str) -> bool:
    """Whether two units agree: one is not given, or the words of one are all among the other's."""
    if not gold or not answer or gold == answer:
        return True
    left, right = set(unit_words(gold)), set(unit_words(answer))
    if (left ^ right) & _OTHER_DOLLARS and "dollar" in left & right:
        return False  # a dollar without a country is the one of the United States
    return left <= right or right <= left


_KNOWN = frozenset([*_UNIT_NAMES, *_UNIT_NAMES.values(), "unit", "cent", "mph", "square", "cubic"])
_VALUE_AND_UNIT = re.compile(
    r"(.*[\d)}A-Za-z])\s((?:(?:square|cubic|sq\.?|cu\.?)\s)?[A-Za-z]{1,12}s?\.?(?:\s?\^\s?\{?[23]\}?)?)", re.DOTALL
)


def parted_unit(text: str) -> tuple[str, str] | None:
    """A value and the unit written after it, where the unit is one of the table (one letter alone is an unknown)."""
    match = _VALUE_AND_UNIT.fullmatch(text)
    if match is None:
        return None
    unit = match[2].lower()
    word = re.sub(r"\s?\^.*|^(?:square|cubic|sq\.?|cu\.?)\s|\.$", "", unit)
    known = len(word) > 1 and (word in _KNOWN or word.removesuffix("s") in _KNOWN)
    return (match[1], unit) if known and ("\\" in match[1] or any(ch.isdigit() for ch in match[1])) else None
