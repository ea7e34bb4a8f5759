"""Reads numbers as people and models write them into exact fractions, and turns LaTeX into plain text.

Read: integers, decimals, `1,234.5` `1 234,5` `1.234,5`, fractions, mixed numbers, percent, currency, units, `3 million`,
`1.2e-3` and `1.2 x 10^-3`, `\\frac12`, unicode digits, minus signs, fractions and superscripts. Not read (None): anything
with a variable, an operator, two numbers, or more digits than MAX_DIGITS.
"""

import re
import unicodedata
from dataclasses import dataclass
from fractions import Fraction

MAX_DIGITS = 2000
"""A literal with more digits is not read; neither is a decimal exponent beyond it."""


@dataclass(frozen=True, slots=True)
class Number:
    """An exact literal."""

    value: Fraction
    """As written: 20% has value 20 and `percent` set."""
    decimals: int | None = None
    """Digits after the decimal mark where it was written as a decimal with one, else None (an exact value)."""
    percent: bool = False
    unit: str = ""
    """Lower-case words after (or currency before) the number, spaces single; "" where there are none."""


ABOUT = (
    r"(?:approximately|approx\.?|about|around|roughly|nearly)(?=:?\s*(?:[^A-Za-z\s]|(?:an?|one|two|three|four|five|six|seven|eight|nine|ten|eleven"
    r"|twelve|[a-z]{3,6}teen|[a-z]{3,5}ty|half|pi|sqrt|minus|negative)\b))"
)
"""A word that says that a value is rounded; before other words it changes what they say: `nearly true`."""
_SIMPLE = re.compile(r"[+-]?\d{1,40}(?:\.(\d{1,40}))?")

_OPERATOR = re.compile(r"[+*/^=<>\\]")
_UNICODE = {
    "−": "-", "–": "-", "—": "-", "‒": "-", "﹣": "-", "-": "-", "‑": "-", "＋": "+", "×": r"\times ", "✕": r"\times ", "÷": r"\div ",
    "·": r"\cdot ", "⋅": r"\cdot ", "∙": r"\cdot ", "∗": "*", "⁄": "/", "∕": "/", "≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ", "≈": r"\approx ",
    "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ", "±": r"\pm ", "∞": r"\infty ", "π": r"\pi ", "θ": r"\theta ", "α": r"\alpha ",
    "β": r"\beta ", "γ": r"\gamma ", "λ": r"\lambda ", "µ": "u", "μ": "u", "°": r"^\circ ", "º": r"^\circ ", "∘": r"^\circ ", "“": '"', "”": '"',
    "’": "'", "‘": "'", "′": "'", "，": ",", "．": ".", "：": ":", "；": ";", "（": "(", "）": ")", "［": "[", "］": "]", "％": "%", "＝": "=",
    "。": ".", "￥": "¥", "＄": "$", "∅": r"\emptyset ", "⟨": r"\langle ", "⟩": r"\rangle ", "…": r"\ldots ",
}  # fmt: skip
_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff\u00ad"))
_SUPERSCRIPT = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")
_SUPERSCRIPTS = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻]+")
_SUBSCRIPT = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_SUBSCRIPTS = re.compile("[₀₁₂₃₄₅₆₇₈₉]+")
_ROOT = re.compile(r"√\s*(\d+(?:\.\d+)?|[A-Za-z])?")


def ascii_math(text: str) -> str:
    """Unicode mathematics as ASCII and LaTeX: digits of any script, minus signs, `½` as ` 1/2`, `x²` as `x^{2}`."""
    if text.isascii():
        return text
    text = text.translate(_INVISIBLE)
    text = re.sub(r"(?<=[A-Za-z])([²³])", r"^{\1}", text)
    text = _SUPERSCRIPTS.sub(_raised, text)
    text = _SUBSCRIPTS.sub(lambda m: "_{" + m[0].translate(_SUBSCRIPT) + "}", text)
    text = _ROOT.sub(lambda m: rf"\sqrt{{{m[1]}}}" if m[1] else r"\sqrt", text)
    return "".join(_one_ascii(ch) for ch in text)


def _raised(match: re.Match[str]) -> str:
    digits = match[0].translate(_SUPERSCRIPT)
    return digits if match.string[: match.start()].endswith("{") else "^{" + digits + "}"


def _one_ascii(ch: str) -> str:
    if ch < "\x80":
        return ch
    if ch in _UNICODE:
        return _UNICODE[ch]
    if unicodedata.category(ch) == "Nd":
        return str(unicodedata.digit(ch))
    parts = unicodedata.normalize("NFKC", ch)
    if "⁄" in parts:
        return " " + parts.replace("⁄", "/")
    return " " if ch.isspace() else ch


_DELIMITERS = re.compile(r"\\[()\[\]]|(?<!\\)\$(?!\d|\s*\d)|\\(?:left|right|[bB]ig{1,2}[lrg]?)(?![a-zA-Z])\.?")
_SPACES = re.compile(
    r"(?<!\\)\\(?:(?:displaystyle|textstyle|quad|qquad|small|normalsize|large|Large|LARGE|huge|Huge|bf|bfseries|rm|it)(?![a-zA-Z])|[,;:!> \n])|~"
    r"|\\(?:text)?color\s?\{[A-Za-z]{1,20}\}"
)
_TEXT = re.compile(
    r"\\(?:text|mbox|mathrm|textrm|textbf|textit|mathbf|mathit|mathsf|textnormal|operatorname|boldsymbol|bm|underline|textsf|hbox|rm|bf|it)\*?\s*\{([^{}]*)\}"
)
_FRACTION_NAMES = re.compile(r"\\(?:[dtcs]|nice)frac(?![a-zA-Z])")
_SHORT_FRACTION = re.compile(r"\\frac\s*(?:(\d)\s*(\d)|\{([^{}]+)\}\s*(\d)|(\d)\s*\{([^{}]+)\})")
_ORDINAL = re.compile(
    r"(?<=\d)\s?\^\s?\{\s?(?:st|nd|rd|th)\s?\}|(?<=\d)\\textsuperscript\{(?:st|nd|rd|th)\}|(?<=\d)(?:st|nd|rd|th)(?![A-Za-z])"
)
_CIRCULAR = re.compile(r"(?:sin|cos|tan|cot|sec|csc)(?![A-Za-z])")
_DEGREES = re.compile(r"\s*(?:\^\s*\{?\s*\\circ\s*\}?|\\degree)(?![a-zA-Z])")
_NARROW = re.compile(
    r"(?<=\d)(?:\\!\s*,|,\\!|\{\s*,\s*\}|\s*\{\s*,\s*\}|\\,|\\thinspace|\\ )\s*(?=\\?!?\s*\d{3}(?!\d))"
)
_PERCENT_WORDS = re.compile(r"\s*(?:\\%|%|\bper\s?cent(?:age)?(?:\s+points?)?\b|\bpct\b\.?)", re.IGNORECASE)


_TILDE = re.compile(r"(?:^|(?<=[($]))\s*~(?=\s?(?:\\(?:text|math)|[A-Za-z(]))")
"""The sign of negation before words and letters; before a number `~` says "about", elsewhere it is a blank."""


_INCHES = re.compile(r'[^"]*\d"')


def _undollared(text: str) -> str:
    """Without `$` where they are delimiters in pairs; a `$` before an amount is currency and stays."""
    pairs = re.findall(r"\$[^$]+\$(\d?)", text)
    if text.count("$") % 2 == 0 and not any(pairs):
        return text.replace("$", " ")
    return text


def _amounts(text: str) -> str:
    """An escaped dollar, `¤` here, as the currency before each amount; dropped inside a calculation, whose value it is no part of."""
    amount = text.strip().startswith(("¤", "-¤")) or not _OPERATOR.search(text.replace("\\{", "").replace("\\}", ""))
    return text.replace("¤", "$" if amount else "")


def plain(text: str) -> str:
    """LaTeX decoration gone: delimiters, spacing, `\\text{...}`, `\\left`; fractions as `\\frac{a}{b}`; percent as `%`.

    What carries meaning stays LaTeX. Linear time on capped input; the caller bounds the length.
    """
    text = ascii_math(text).strip()
    text = _TILDE.sub(r"\\neg ", text) if "~" in text else text
    if "\\" in text or "$" in text or "{" in text:
        if "\\\\" in text and "\\begin" not in text:
            text = re.sub(r"\\\\(?=[A-Za-z{}$%])", r"\\", text)
        escaped = text.replace(r"\$", "¤")
        text = _undollared(escaped).strip()
        text = re.sub(r"\s{2,}", " ", text)
        text = _NARROW.sub(",", text)
        for _ in range(3):
            text = _TEXT.sub(r" \1 ", text)
        text = _FRACTION_NAMES.sub(r"\\frac", text)
        text = _SPACES.sub(" ", _DELIMITERS.sub(" ", text).replace(r"\!", ""))
        text = _amounts(text)
        text = _SHORT_FRACTION.sub(lambda m: rf"\frac{{{m[1] or m[3] or m[5]}}}{{{m[2] or m[4] or m[6]}}}", text)
        if not _CIRCULAR.search(text):
            # under a sine they are part of the value and no unit of it
            text = _DEGREES.sub(" degrees", text)
    if "%" in text or "p" in text or "P" in text:
        text = _PERCENT_WORDS.sub("%", text)
    if "t" in text or "d" in text:
        text = _ORDINAL.sub("", text)
    if text.endswith("\\") and not text.endswith("\\\\"):
        text = text[:-1]  # `42\ ` whose blank is gone
    if len(text) < 2:
        return text.strip()
    text = re.sub(r"\s+", " ", text)
    text = text if _INCHES.fullmatch(text) else text.strip(' *`"')
    text = text if text.startswith("_{") else text.strip(" *_`")  # an index alone is no number: ₅
    return text.strip("'") if text[:1] == "'" else text  # one at the end alone is a prime: x' is not x


_CURRENCY = {
    "$": "dollar", "€": "euro", "£": "pound", "¥": "yen", "₹": "rupee", "₽": "ruble", "₩": "won", "¢": "cent",
    "฿": "baht",
}  # fmt: skip
_CURRENCY_CODES = r"(?:[A-Z]{1,3}\$|USD|EUR|GBP|JPY|CNY|RMB|INR|CHF|CAD|AUD|HKD|SGD|NZD|Rs\.?|RM)"
_CODED = {
    "US$": "us dollar", "USD": "us dollar", "C$": "ca dollar", "CA$": "ca dollar", "A$": "au dollar", "AU$": "au dollar",
    "HK$": "hk dollar", "S$": "sg dollar", "NZ$": "nz dollar", "EUR": "euro", "GBP": "pound", "JPY": "yen", "CNY": "yuan", "RMB": "yuan",
    "INR": "rupee",    "Rs": "rupee", "Rs.": "rupee", "CHF": "franc", "RM": "ringgit", "CAD": "ca dollar", "AUD": "au dollar", "HKD": "hk dollar",
    "SGD": "sg dollar", "NZD": "nz dollar",
}  # fmt: skip
_SCALE = {
    "dozen": 12, "hundred": 100, "thousand": 1000, "lakh": 10**5, "million": 10**6, "crore": 10**7, "billion": 10**9,
    "trillion": 10**12, "quadrillion": 10**15,
}  # fmt: skip
_SCALE_LETTERS = {"k": "thousand", "K": "thousand", "M": "million", "mn": "million", "B": "billion", "bn": "billion"}
"""Read so after an amount of money only: `5 M` may be anything."""
_NUMERAL = (
    r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d{1,2}(?:,\d{2})+,\d{3}(?:\.\d+)?|\d{1,3}(?:\.\d{3}){2,}(?:,\d+)?|\d{1,3}(?:\.\d{3})+,\d+"
    r"|\d{1,3}(?:[ '_]\d{3})+(?:[.,]\d+)?|\d+(?:[.,]\d+)?\.?|\.\d+)"
)
_LITERAL = re.compile(
    rf"(?P<sign>[+-]|minus |negative )?\s?(?P<currency>[{''.join(_CURRENCY)}]|{_CURRENCY_CODES})?\s?(?P<sign2>-)?"
    rf"(?:(?P<whole>\d+)(?:\s|(?=\\frac))(?=\\frac|\d+\s?/))?"
    rf"(?:\\frac\{{\s?(?P<fsign>-)?\s?(?P<fnum>{_NUMERAL})\s?\}}\s?\{{\s?(?P<fden>{_NUMERAL})\s?\}}|(?P<num>{_NUMERAL})(?:\s?/\s?(?P<den>\d+(?:,\d{{3}})*(?:\.\d+)?))?)"
    rf"(?:[eE](?P<exp>[+-]?\d+)|\s?(?:\\times|\\cdot|\*|x)\s?10\s?(?:\^|\*\*)\s?(?:\{{\s?(?P<pow>-?\s?\d+)\s?\}}|\(?(?P<pow2>-?\s?\d+)\)?))?"
    r"(?:\s?(?P<percent>%))?(?P<rest>.*)",
    re.DOTALL,
)  # fmt: skip
_UNIT_WORD = r"(?:(?=[a-z'-]*[aeiouy])[A-Za-z][A-Za-z'-]{2,}|USD|EUR|GBP|MPH|of|in|a|an|to|the|at|on|by|sq|cu|C|F)\.?"
_POWER = r"(?:\s?\^\s?\{?[23]\}?)?"
_SHORT = r"km/h|m/s|km|cm|mm|nm|kg|mg|ml|mL|ft|mph|kph|GB|MB|kB|KB|TB|lbs?|oz|hrs?|mins?|secs?|yrs?|yd|mi|kWh|kW|Hz|rad|deg|cents?"
_UNIT = re.compile(
    rf"\s?(?P<currency>[{''.join(_CURRENCY)}])|\s?(?:{_SHORT}){_POWER}\.?|m\^\{{[23]\}}|\s(?:sq\.? |cu\.? )?(?:[mghsL]|in){_POWER}\.?"
    rf"|\s(?:square |cubic )?{_UNIT_WORD}{_POWER}(?:(?:\s|/|\s/\s){_UNIT_WORD}){{0,5}}"
)
_NOT_UNITS = frozenset(
    re.findall(
        r"\w+",
        "or and mod pi sqrt sin cos tan log exp inf infinity plus minus times over divided squared cubed maybe perhaps possibly "
        "probably guess unsure not but wait between either neither ish approx ln if when where for is are was were equals than "
        "least most factorial choose power base imaginary else otherwise actually hmm no correction instead sorry alternatively also "
        "half halves thirds fourths fifths sixths sevenths eighths ninths tenths twelfths hundredths thousandths millionths mille "
        "permille promille bps bp ppm ppb basis ones tens many few max maximum minimum below hex hexadecimal octal binary",
    )
)


def _numeral(text: str) -> tuple[Fraction, int | None]:
    """Value and decimals of one unsigned numeral of the grammar above."""
    text = text.replace(" ", "").replace("'", "").replace("_", "").rstrip(".")
    if "," in text and "." in text:
        # the later mark is the decimal one
        text = text.replace(".", "").replace(",", ".") if text.rfind(",") > text.rfind(".") else text.replace(",", "")
    elif "," in text:
        head, _, tail = text.partition(",")
        grouped = re.fullmatch(r"[1-9]\d{0,2}(?:,\d{3})+", text)
        text = text.replace(",", "") if grouped or "," in tail else f"{head}.{tail}"
    elif text.count(".") > 1:
        text = text.replace(".", "")
    _, dot, tail = text.partition(".")
    return Fraction(text), len(tail) if dot else None


def read_number(text: str, *, made_plain: bool = False) -> Number | None:
    """The number that the whole text is, or None. `made_plain` says that `plain` has been applied already."""
    if fast := _SIMPLE.fullmatch(text):
        return Number(Fraction(text), len(fast[1]) if fast[1] else None)
    if len(text) > 3 * MAX_DIGITS or not any(ch.isnumeric() for ch in text):
        return None
    text = text if made_plain else plain(text)
    match = _LITERAL.fullmatch(text.rstrip(".,;: "))
    return _from_match(match) if match else None


def _from_match(match: re.Match[str]) -> Number | None:
    rest = match["rest"]
    if match["currency"]:
        rest = " " + _SCALE_LETTERS.get(rest.strip(), rest.strip()) if rest.strip() else ""
    unit = _unit(rest, match["currency"] or "")
    if unit is None or sum(ch.isdigit() for ch in match[0]) > MAX_DIGITS:
        return None
    numerator, decimals = _numeral(match["fnum"] or match["num"])
    below = match["fden"] or match["den"]
    exponent = int((match["exp"] or match["pow"] or match["pow2"] or "0").replace(" ", "")[:6])
    if abs(exponent) > MAX_DIGITS:
        return None
    value = numerator
    if below:
        denominator, decimals_below = _numeral(below)
        if denominator == 0 or (match["whole"] and (decimals is not None or decimals_below is not None)):
            return None
        value, decimals = numerator / denominator, None
    elif match["whole"]:
        return None
    value += int(match["whole"] or 0)
    negative = [match["sign"] not in (None, "+"), bool(match["sign2"]), bool(match["fsign"])]
    if sum(negative) > 1 or (match["fsign"] and match["whole"]):
        return None
    scale, unit = _scaled(unit)
    if any(word.removesuffix("s") in _SCALE for word in unit.split()):
        return None  # `5 per thousand` is a part of a thousand, and no 5
    value = value * Fraction(10) ** exponent * scale
    rounded = None if decimals is None else max(0, decimals - exponent - len(str(scale)) + 1)
    return Number(-value if any(negative) else value, rounded or None, bool(match["percent"]), unit)


def _scaled(unit: str) -> tuple[int, str]:
    """The magnitude words at the start of a unit, or after its currency, multiplied out, and the unit without them."""
    scale, words = 1, unit.split(" ")
    at = 1 if len(words) > 1 and words[0] in _CURRENCY.values() else 0
    while at < len(words) and (size := _SCALE.get(words[at].removesuffix("s"))):
        scale *= size
        del words[at]
        if words[at : at + 1] == ["of"]:
            del words[at]
    return scale, " ".join(words)


def _unit(rest: str, currency: str) -> str | None:
    """The unit named before or after the number; None where what follows is no unit but more of an expression."""
    named = _CURRENCY.get(currency) or _CODED.get(currency) or currency.lower().replace("$", " dollar")
    rest = rest.rstrip()
    if not rest:
        return named
    match = _UNIT.fullmatch(rest)
    if not match:
        return None
    words = re.sub(r"[\s{}]+", " ", rest.lower().replace(".", "")).strip()
    if _NOT_UNITS.intersection(re.split(r"[^a-z]+", words)):
        return None
    return (_CURRENCY.get(words, words) if not named else f"{named} {words}".strip()) if words else named


_ONES = {
    word: i
    for i, words in enumerate(
        [
            "zero/zeroth",
            "one/first",
            "two/second",
            "three/third",
            "four/fourth",
            "five/fifth",
            "six/sixth",
            "seven/seventh",
            "eight/eighth",
            "nine/ninth",
            "ten/tenth",
            "eleven/eleventh",
            "twelve/twelfth",
            "thirteen/thirteenth",
            "fourteen/fourteenth",
            "fifteen/fifteenth",
            "sixteen/sixteenth",
            "seventeen/seventeenth",
            "eighteen/eighteenth",
            "nineteen/nineteenth",
        ]
    )
    for word in words.split("/")
}
_TENS = {
    word: 10 * i
    for i, words in enumerate(
        [
            "twenty/twentieth",
            "thirty/thirtieth",
            "forty/fortieth/fourty",
            "fifty/fiftieth",
            "sixty/sixtieth",
            "seventy/seventieth",
            "eighty/eightieth",
            "ninety/ninetieth",
        ],
        start=2,
    )
    for word in words.split("/")
}


def spelled_number(text: str) -> int | None:
    """The whole number that English words give (`forty-two`, `one hundred and five`, `a dozen`, `third`), else None."""
    words = [word for word in re.split(r"[\s-]+", text.casefold()[:200]) if word != "and"]
    if words[:1] in (["minus"], ["negative"]):
        below = spelled_number(" ".join(words[1:]))
        return None if below is None else -below
    total, part, last = 0, None, ""
    for word in words:
        size = _SCALE.get(word.removesuffix("s"))
        if word in _ONES and (part is None or last == "hundred" or (last in _TENS and 0 < _ONES[word] < 10)):
            part = (part or 0) + _ONES[word]
        elif word in _TENS and (part is None or last == "hundred"):
            part = (part or 0) + _TENS[word]
        elif word == "a" and last == "":
            part = 1
        elif size == 100 and part:
            part *= 100
        elif size and part:
            total, part = total + part * size, None
        else:
            return None
        last = word
    return None if last in ("", "a") else total + (part or 0)
