"""The patterns of personal identifiers, each mapped to its Safe Harbor class (45 CFR 164.514(b)(2)(i)). Pure.

A pattern is a shape, where it can a checksum or range check, and where the shape alone proves nothing, context words
nearby. Covered: what has a shape or a label. Not covered: names and places in running text.
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
"""Characters before a value in which a context word counts: a label, or the clause it stands in."""

CONTEXT_AFTER = 30
"""Characters after it: `...-Fax`, `... (mobile)`."""

Check = Callable[[str], bool]


@dataclass(frozen=True)
class Pattern:
    """One way an identifier is written."""

    rule: str
    """The class as the hits name it."""
    safe_harbor: int
    regex: re.Pattern[str]
    """The value is the group `v` where there is one, else the whole match."""
    triggers: frozenset[str] = frozenset()
    """Tried only where the lower-cased text has one of these words; `~x` is a piece of text instead of a word. Empty: tried
    on clumps of digits alone."""
    check: Check | None = None
    """True if the value can be what its shape says."""
    context: re.Pattern[str] | None = None
    """Must be found nearby; None: the shape is enough."""
    refused: re.Pattern[str] | None = None
    """Must not end right before the value: `version 1.2.3.4` is no address."""
    refused_after: re.Pattern[str] | None = None
    """Must not begin right after it: `2700-600 = 2100` is no number to call."""


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
    """A value that only its label gives away."""
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
"""Found by their shape anywhere in a text."""

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
"""Found by what stands before them."""

FAX = words("fax|facsimile")
"""Turns a phone number into a fax number where it stands right before or after it."""
