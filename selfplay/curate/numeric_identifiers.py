"""Identifiers that are digits and separators: dates, addresses, cards, phone numbers. Pure.

They are tried on clumps of digits only. What stands in a sum (`2700-600 = 2100`) is no identifier.
"""

import re

from selfplay.curate import checksums as check
from selfplay.curate.identifiers import Check, Pattern, words

CLUMP = re.compile(r"\d(?:[ ().:/+-]{0,3}\d){4,}")
"""Five digits or more with at most three separators between two of them: each identifier below is inside one, and a text
without any has no IBAN, VIN or ZIP code either."""

LEAST_DIGITS = 6
"""Digits of the shortest identifier that stands without letters: 1/1/1980."""

LETTERED_CLUMP = re.compile(r"\b(?=[A-Z]*\d)[A-HJ-NPR-Z0-9]{17}\b|\b[A-Z]{2}\s+\d{5}\b")
"""What the patterns of LETTERED can match."""

_ABROAD = (
    r"ph|mob|[mtph](?=: )|telef[oó]n\w{0,2}|t[ée]l[ée]?f?(?:phone)?|tlf|teléfono|móvil|celular|cellulare|handy|rufnummer|portable|numéro|"
    r"telefonnummer|telefoon|puhelin|телефон|тел|电话|手机|電話|携帯|전화"
)
"""Short labels (`Ph`, `M:`) and the word in other languages."""
_PHONE_WORDS = words(
    r"phones?|telephone|tel|call(?:ed|ing)?|fax|mobile|cell(?:ular|phone)?|contact|number(?! of)|reach(?:ed)?|dial(?:ed|ling|ing)?|ring|"
    r"text(?:ed)?|messages?|sms|whatsapp|answer(?:ing|ed)?|registered|office|desk|home|work|hotline|voice ?mail|pager|"
    r"direct|toll|ext(?:ension)?|rsvp|speak|callback|lines?|landline|handset|switchboard|" + _ABROAD
)
_CALL_WORDS = words(
    r"phone|telephone|tel|call|fax|mobile|cell|dial|sms|whatsapp|messages?|reach|answering|registered|ring|contact me|"
    r"(?:my|his|her|their|our) (?:new )?number|" + _ABROAD
)
_CARD_WORDS = words(
    r"cards?|cc|credit|debit|visa|master ?card|amex|american express|discover|maestro|diners|jcb|payments?|charged?|atm"
)
_VERSION = re.compile(r"(?:\bv|version|release|section|chapter|build)[ :=]*$", re.IGNORECASE)
_SUM_BEFORE = re.compile(r"[=<>+*/$%×÷−][ ]*$")
_SUM_AFTER = re.compile(r"[ ]*[=*+<>%×÷−]|[ ]*/(?![ ]*[A-Z][a-z])")
_END = r"(?!\w)(?![-.]\d)"
_STATES = r"(?:A[LKZR]|C[AOT]|D[CE]|FL|GA|HI|I[DLNA]|K[SY]|LA|M[EDAINSOT]|N[EVHJMYCD]|O[HKR]|PA|RI|S[CD]|T[NX]|UT|V[TA]|W[AVIY])"  # the 50 and DC


_EXTENSION = r"[ ,;]{0,2}(?:[Xx]|[Ee]xt\.?|[Ee]xtension|#)[ .:]{0,2}\d{1,6}"
EXTENSION = re.compile(_EXTENSION)
"""What may follow a phone number and belongs to it: `x123`, `ext. 45`."""


def _number(
    rule: str, number: int, regex: str, ok: Check | None = None, context: re.Pattern[str] | None = None
) -> Pattern:
    return Pattern(rule, number, re.compile(regex), frozenset(), ok, context, _SUM_BEFORE, _SUM_AFTER)


def _phone(regex: str, context: re.Pattern[str] | None = None, ok: Check = check.is_phone) -> Pattern:
    return _number("phone", 4, regex + rf"(?:{_EXTENSION})?" + _END, ok, context)


_GROUPS = r"(?<![\w.+-])(?<!\d )(?<!\w\()\(?\d{1,5}\)?(?:[ .-]\(?\d{2,8}\)?){1,5}(?! \d)"
"""Groups of digits that are no argument of a call and no part of a longer row of numbers."""


FIXED: tuple[Pattern, ...] = (
    _number("ssn", 7, rf"(?<![\w.-])\d{{3}}-\d{{2}}-\d{{4}}{_END}", check.is_ssn),
    Pattern(
        "ip",
        15,
        re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?!\w)(?!\.\d)"),
        frozenset(),
        check.is_ipv4,
        None,
        _VERSION,
    ),
    _number("date", 3, r"(?<![\w/.-])(?:0?[1-9]|[12]\d|3[01])([/.-])(?:0?[1-9]|[12]\d|3[01])\1(?:19|20)\d{2}(?![\w/])"),
    _number(
        "date",
        3,
        r"(?<![\w/-])(?:19|20)\d{2}([-/.])(?:0[1-9]|1[0-2])\1(?:0[1-9]|[12]\d|3[01])(?:[T ]\d{2}:\d{2}(?::\d{2})?)?(?![\w/-])",
    ),
)
"""One shape each."""

CARDS: tuple[Pattern, ...] = (
    _number("card", 10, rf"(?<![\w.-])\d(?:[ -]?\d){{11,18}}{_END}", check.is_card, _CARD_WORDS),
    _number(
        "card",
        10,
        rf"(?<![\w.-])(?:\d{{15,16}}|\d{{4}}([ -])\d{{4}}\1\d{{4}}\1\d{{4}}|\d{{4}}([ -])\d{{6}}\2\d{{5}}){_END}",
        check.is_plain_card,
    ),
)
"""Payment cards: any length where a card is spoken of, else the two common lengths of known issuers."""

PHONES: tuple[Pattern, ...] = (
    _phone(r"(?<![\w.])\+\d{1,3}(?:[ .-]?\(\d{1,4}\))?(?:[ ./-]?\d){6,13}"),
    _phone(r"(?<![\w.)])(?<![\d ] )(?:[178][ -])?\(\d{2,5}\)[ -]?\d{2,5}(?:[ .-]\d{2,4}){1,3}"),
    _phone(r"(?<![\w.-])0\d(?:\.\d{2}){4}"),
    _phone(r"(?<![\w.-])(?:1[ .-])?\(?[2-9]\d{2}\)?([-.])\d{3}\1\d{4}"),
    _phone(r"(?<![\w.-])0\d{1,4}[ /-]\d{2,4}(?:[ -]\d{2,4}){1,3}"),
    _phone(r"(?<![\w.-])0\d{2,4}[ /-]\d{6,8}"),
    _phone(r"(?<![\w.-])\d{2}(?:-\d{2}){3,4}"),
    _phone(_GROUPS, _PHONE_WORDS, check.is_grouped_phone),
    _phone(_GROUPS, _CALL_WORDS),
    _phone(r"(?<![\w.+-])(?<!\w\()\d{7,12}", _CALL_WORDS),
)
"""Phone numbers: the first seven by shape alone, the others where someone is called."""

LETTERED: tuple[Pattern, ...] = (
    Pattern("vehicle", 12, re.compile(r"(?<![\w-])[A-HJ-NPR-Z0-9]{17}(?![\w-])"), frozenset(), check.is_vin),
    Pattern("zip", 2, re.compile(rf"\b{_STATES}\s+(?P<v>\d{{5}}(?:-\d{{4}})?)(?!\w)")),
)
"""Digits with letters of their own."""
