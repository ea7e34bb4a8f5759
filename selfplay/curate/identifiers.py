"""The patterns of personal identifiers, each with its Safe Harbor class (45 CFR 164.514(b)(2)(i)). Pure.

A pattern is a shape, with a checksum or a range check where the identifier has one; where the shape alone proves nothing,
words nearby have to confirm it. Patterns of digits and separators alone (dates, addresses, cards, phone numbers) are tried on clumps of
digits only, and a number that stands in a sum (`2700-600 = 2100`) is no identifier. Identifiers with a shape or a label are covered,
names and places in running text are not.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from selfplay.curate import checksums as check

SAFE_HARBOR = {
    1: "names",
    2: "geographic subdivisions smaller than a state",
    3: "dates finer than the year, and ages over 89",
    4: "telephone numbers",
    5: "fax numbers",
    6: "e-mail addresses",
    7: "social security numbers",
    8: "medical record numbers",
    9: "health plan beneficiary numbers",
    10: "account numbers",
    11: "certificate and licence numbers",
    12: "vehicle identifiers and plates",
    13: "device identifiers and serial numbers",
    14: "web addresses",
    15: "IP addresses",
    16: "biometric identifiers",
    17: "full-face photographs",
    18: "any other unique identifier",
}
"""The 18 classes by number."""

CONTEXT_BEFORE = 80
"""Characters before a value in which a context word counts: a label, or the clause around the value."""

CONTEXT_AFTER = 30
"""Characters after it: `...-Fax`, `... (mobile)`."""

Check = Callable[[str], bool]


@dataclass(frozen=True)
class Pattern:
    """One way in which an identifier is written."""

    rule: str
    """The class as the hits name it."""
    safe_harbor: int
    regex: re.Pattern[str]
    """The value is the group `v` where there is one, else the whole match."""
    triggers: frozenset[str] = frozenset()
    """Tried only where the lower-cased text has one of these words; `~x` is a piece of text instead of a word. Empty: tried
    on clumps of digits alone."""
    check: Check | None = None
    """Returns whether the value can be an identifier of this class."""
    context: re.Pattern[str] | None = None
    """Must be found nearby; None: the shape is enough."""
    refused: re.Pattern[str] | None = None
    """Must not end right before the value: `version 1.2.3.4` is no address."""
    refused_after: re.Pattern[str] | None = None
    """Must not begin right after it: `2700-600 = 2100` is not a phone number."""


def words(text: str) -> re.Pattern[str]:
    """Any of the alternatives as a whole word, in any case."""
    return re.compile(rf"(?<![a-z])(?:{text})(?![a-z])", re.IGNORECASE)


def _shaped(rule: str, number: int, regex: str, triggers: str, ok: Check | None = None, context: str = "") -> Pattern:
    near = words(context) if context else None
    return Pattern(rule, number, re.compile(regex, re.IGNORECASE), frozenset(triggers.split("|")), ok, near)


def _cased(rule: str, number: int, regex: str, triggers: str) -> Pattern:
    return Pattern(rule, number, re.compile(regex), frozenset(triggers.split("|")))


_FILLER = r"(?:\s*(?:number|numbers|no|nr|num|id|code|is|are|was|of|for|to|:|#|=|\.|-|\(|\)|my|the)){0,6}\s*"
_VALUE = r"(?P<v>[a-z0-9][a-z0-9/-]{3,24})(?![a-z0-9])"


def _labelled(
    rule: str, number: int, label: str, triggers: str, value: str = _VALUE, ok: Check = check.has_digits
) -> Pattern:
    """A pattern for a value that only its label identifies."""
    return _shaped(rule, number, rf"(?<![a-z])(?:{label}){_FILLER}{value}", triggers, ok)


_MONTH = r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
_MONTHS = "jan|january|feb|february|mar|march|apr|april|may|jun|june|jul|july|aug|august|sep|sept|september|oct|october|nov|november|dec|december"
_DAY = r"\d{1,2}(?:st|nd|rd|th)?"
_YEAR = r"(?:19|20)\d{2}"
_STREETS = r"(?:Street|St|Avenue|Ave|Road|Rd|Lane|Ln|Drive|Boulevard|Blvd|Court|Terrace|Parkway|Highway)"
_STREET_TRIGGERS = "street|st|avenue|ave|road|rd|lane|ln|drive|boulevard|blvd|court|terrace|parkway|highway"

SHAPED: tuple[Pattern, ...] = (
    _shaped(
        "email", 6, r"(?<![\w.+-])[\w.+%-]{1,64}@(?:[\w-]{1,63}\.){1,8}[a-z]{2,24}(?![\w-])", "~@", check.is_real_mail
    ),
    _shaped(
        "url", 14, r"(?<![\w@])(?:https?|ftp)://[^\s<>\"'\\`]{2,400}[^\s<>\"'\\`.,;:!?)\]}]", "~://", check.is_real_url
    ),
    _shaped("url", 14, r"(?<![\w@/.])www\.[\w-]+\.[\w./-]*\w/?", "www", check.is_real_url),
    _shaped("photo", 17, r"data:image/\w+;base64,[a-z0-9+/=]{16,}", "~data:image/"),
    _shaped(
        "photo",
        17,
        r"\b[\w-]{0,40}(?:photo|portrait|selfie|headshot|mugshot)[\w-]{0,40}\.(?:jpe?g|png|heic|bmp)\b",
        "jpg|jpeg|png|heic|bmp",
    ),
    _shaped("secret", 18, r"\b[spr]k[-_](?:live|test|proj|ant)?[-_]?[a-z0-9_-]{20,}", "sk|pk|rk", check.is_random),
    _cased(
        "secret",
        18,
        r"\b(?:gh[pousr]_\w{30,}|github_pat_\w{30,}|xox[abprs]-[\w-]{10,})",
        "ghp|gho|ghu|ghs|ghr|github|~xox",
    ),
    _cased(
        "secret",
        18,
        r"\b(?:hf_[A-Za-z0-9]{20,}|glpat-[\w-]{20,}|(?:AKIA|ASIA)[A-Z0-9]{16}\b|AIza[\w-]{35}\b)",
        "hf|glpat|~akia|~asia|~aiza",
    ),
    _cased("secret", 18, r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}", "~eyj"),
    _cased(
        "secret",
        18,
        r"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----[^-]{0,8000}(?:-----END [A-Z ]{0,20}PRIVATE KEY-----)?",
        "~private key-----",
    ),
    _shaped(
        "secret",
        18,
        r"(?:api[_-]?key|secret|access[_-]?token|auth[_-]?token|password|passwd|bearer)[\"']?\s{0,3}(?:[:=]|is)?\s{0,3}[\"']?"
        r"(?P<v>[^\s\"'<>(){}\[\],;]{12,200})",
        "key|~apikey|~secret|~token|~passw|bearer",
        check.is_random,
    ),
    _shaped("ip", 15, r"(?<![\w:.])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?:%\w+)?(?![\w:])", "~:", check.is_ipv6),
    _shaped("mac", 13, r"(?<![\w:-])(?:[0-9a-f]{2}:){5}[0-9a-f]{2}(?![\w:-])", "~:"),
    _shaped(
        "mac",
        13,
        r"(?<![\w:-])(?=[0-9-]*[a-f])(?:[0-9a-f]{2}-){5}[0-9a-f]{2}(?![\w:-])",
        "mac|bssid|ethernet|device|address",
    ),
    _shaped(
        "date", 3, rf"\b(?:{_MONTH}\.?\s+{_DAY},?\s+{_YEAR}|{_DAY}\s+(?:of\s+)?{_MONTH}\.?,?\s+{_YEAR})\b", _MONTHS
    ),
    _shaped(
        "date",
        3,
        rf"\b{_MONTH}\.?\s+{_DAY}\b",
        "born|birth|birthday|birthdate|dob|admitted|admission|discharged|discharge|died",
        None,
        r"born|birth(?:day|date)?|dob|died|admi(?:tted|ssion)|discharged?",
    ),
    _shaped("age", 3, r"(?<![\w.,-])(?P<v>9\d|1[0-2]\d)[ -]years?[ -]old", "old", check.is_old),
    _cased(
        "street",
        2,
        rf"(?<![\w.-])\d{{1,5}}[ ]+(?:[NSEW]\.?[ ]+)?(?:[A-Z][\w'.-]{{1,30}}[ ]+){{1,3}}{_STREETS}\b",
        _STREET_TRIGGERS,
    ),
    _shaped("street", 2, r"\bp\.?[ ]?o\.?[ ]?box[ ]+\d+", "box|pobox|obox"),
    _cased("name", 1, r"\b[Mm]y name is[ \t]+(?P<v>[A-Z][\w'-]+(?:[ \t]+[A-Z][\w'.-]+){0,3})", "name"),
    _cased(
        "name",
        1,
        r"(?:^|\n)[ \t]*(?:[Pp]atient |[Ff]ull |[Ll]ast |[Ff]irst )?[Nn]ame:[ \t]+(?P<v>[A-Z][\w'-]+(?:[ \t]+[A-Z][\w'.-]+){0,3})",
        "name",
    ),
)
"""Identifiers that are found by their shape anywhere in a text."""

LABELLED: tuple[Pattern, ...] = (
    _labelled("passport", 18, r"passport", "passport"),
    _labelled(
        "mrn",
        8,
        r"mrn|medical record|(?:patient|chart|hospital) (?:id|no|number)",
        "mrn|medical|patient|chart|hospital",
    ),
    _labelled(
        "health_plan",
        9,
        r"(?:member|policy|subscriber|beneficiary|medicare|medicaid|insurance|health plan)\s+(?:id|no|number|#)",
        "member|policy|subscriber|beneficiary|medicare|medicaid|insurance|health",
    ),
    _labelled(
        "licence",
        11,
        r"licen[cs]e\s+(?:no|number|#|id)|certificate\s+(?:no|number|#)|dea\s+(?:no|number|#)|npi",
        "license|licence|certificate|dea|npi",
    ),
    _labelled("vehicle", 12, r"vin|(?:license|licence|number|registration) plate|plate (?:no|number)", "vin|plate"),
    _labelled(
        "device", 13, r"imei|imsi|udid|serial (?:no|number|#)|device (?:id|identifier)", "imei|imsi|udid|serial|device"
    ),
    _labelled(
        "biometric",
        16,
        r"(?:fingerprint|iris|retina|voice ?print|biometric)\s+(?:id|template|hash|scan|code)",
        "fingerprint|iris|retina|voiceprint|voice|biometric",
    ),
    _labelled(
        "ssn",
        7,
        r"ssn|social security|social insurance|tax(?:payer)? id",
        "ssn|social|tax|taxpayer",
        r"(?P<v>\d{3}[ .-]?\d{2}[ .-]?\d{4})(?!\d)",
        check.is_ssn,
    ),
    _labelled(
        "account",
        10,
        r"(?:account|acct|a/c)\s*(?:no|number|#|nr|:)|routing (?:no|number)|sort code",
        "account|acct|c|routing|sort",
        r"(?P<v>\d[\d -]{4,20}\d)(?!\w)",
    ),
    _labelled(
        "age",
        3,
        r"aged|age|turn(?:ed|ing|s)?",
        "age|aged|turn|turns|turned|turning",
        r"(?P<v>9\d|1[0-2]\d)(?![\w/%.,-]|\s*[-/*+=<])",
        check.is_old,
    ),
    _labelled(
        "zip",
        2,
        r"zip|postal|post ?code",
        "zip|postal|postcode|post",
        r"(?P<v>\d{4,5}(?:-\d{3,4})?|\d{3} ?\d{2}|[a-z]{1,2}\d[a-z\d]? ?\d[a-z]{2})(?!\w)",
    ),
)
"""Identifiers that are found by the label before them."""

FAX = words("fax|facsimile")
"""A word that turns a phone number directly before or after it into a fax number."""


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
"""Payment cards: of any length if the text mentions a card, else of the two common lengths of known issuers."""

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
"""Phone numbers: the first seven by shape alone, the others only if the text mentions a call."""

LETTERED: tuple[Pattern, ...] = (
    Pattern("vehicle", 12, re.compile(r"(?<![\w-])[A-HJ-NPR-Z0-9]{17}(?![\w-])"), frozenset(), check.is_vin),
    Pattern("zip", 2, re.compile(rf"\b{_STATES}\s+(?P<v>\d{{5}}(?:-\d{{4}})?)(?!\w)")),
)
"""Digits with letters of their own."""
