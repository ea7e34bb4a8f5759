"""Check digits and ranges that distinguish an identifier from a number of the same shape. Pure."""

import ipaddress
import math
import re
from collections import Counter

SECRET_BITS = 3.0
"""Least entropy per character of a labelled secret, in bits: words and placeholders are below it, random keys above 3.5."""

_CARD_PREFIX = re.compile(r"4|5[0-8]|6|3[04-9]|2131|1800|2[2-7]")
_VIN_VALUES = dict(
    zip("ABCDEFGHJKLMNPRSTUVWXYZ", [1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 7, 9, 2, 3, 4, 5, 6, 7, 8, 9], strict=True)
)
_VIN_WEIGHTS = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
_IBAN_COUNTRIES = {
    15: "NO",
    16: "BE BI",
    18: "DK FI FO GL NL FK SD",
    19: "MK SI",
    20: "AT BA EE KZ LT LU XK MN",
    21: "CH CR HR LI LV",
    22: "BG BH DE GB GE IE ME RS VA",
    23: "AE GI IL IQ TL OM SO",
    24: "AD CZ ES MD PK RO SA SE SK TN VG",
    25: "PT ST LY",
    26: "IS TR",
    27: "BF CI DJ FR GR IT MC MG ML MR SM SN CM MZ BJ",
    28: "AL AZ BY CY DO GT HU LB PL SV NI",
    29: "BR EG PS QA UA",
    30: "JO KW MU YE",
    31: "SC MT",
    32: "LC",
    33: "RU",
}
_IBAN_LENGTHS = {country: length for length, countries in _IBAN_COUNTRIES.items() for country in countries.split()}
"""Country -> length of its IBAN (SWIFT's IBAN registry)."""


def digits_of(value: str) -> str:
    """The ASCII digits of a value."""
    return re.sub(r"[^0-9]", "", value)


def luhn(value: str) -> bool:
    """The check digit of payment cards and IMEIs (ISO/IEC 7812-1)."""
    digits = [int(c) for c in digits_of(value)][::-1]
    doubled = sum(sum(divmod(2 * d, 10)) for d in digits[1::2])
    return (sum(digits[0::2]) + doubled) % 10 == 0


def is_card(value: str) -> bool:
    """12 to 19 digits with a right check digit, for where a context word names a card."""
    digits = digits_of(value)
    return 12 <= len(digits) <= 19 and len(set(digits)) > 1 and luhn(digits)


def is_plain_card(value: str) -> bool:
    """15 or 16 digits of an issuer's range with a right check digit: one number in thirty passes by chance."""
    digits = digits_of(value)
    return len(digits) in {15, 16} and _CARD_PREFIX.match(digits) is not None and is_card(digits)


def iban_end(text: str, start: int) -> int | None:
    """Where the IBAN that starts here ends, by its country's length and its checksum (ISO 7064 mod 97-10), or None."""
    wanted = _IBAN_LENGTHS.get(text[start : start + 2].upper())
    if wanted is None:
        return None
    compact, place = "", start
    while place < len(text) and len(compact) < wanted and place - start < 2 * wanted:
        character = text[place]
        if character.isascii() and character.isalnum():
            compact += character.upper()
        elif character not in " -" or not compact:
            return None
        place += 1
    if len(compact) < wanted or text[place : place + 1].isalnum():
        return None
    return place if int("".join(str(int(c, 36)) for c in compact[4:] + compact[:4])) % 97 == 1 else None


def is_ipv4(value: str) -> bool:
    """Four numbers up to 255; not 0.x.x.x, nor the range kept for examples (RFC 5737)."""
    parts = [int(part) for part in value.split(".")]
    return all(part <= 255 for part in parts) and parts[0] > 0 and parts[:3] != [192, 0, 2]


def is_ipv6(value: str) -> bool:
    """A valid address that is no slice (`1::2`) or scope (`std::`): three groups, or one of three digits with a number."""
    try:
        address = ipaddress.IPv6Address(value)
    except ValueError:
        return False
    groups = [group for group in value.split(":") if group]
    telling = len(groups) >= 3 or any(len(group) >= 3 and any(c.isdigit() for c in group) for group in groups)
    return telling and len(groups) >= 2 and address not in ipaddress.IPv6Network("2001:db8::/32")


def is_ssn(value: str) -> bool:
    """Nine digits that can have been issued (SSA, since 2011): no block of zeros, and no area 000, 666 or 900 to 999."""
    digits = digits_of(value)
    issued = digits[:3] not in {"000", "666"} and digits[0] != "9"
    return issued and digits[3:5] != "00" and digits[5:] != "0000"


def is_phone(value: str) -> bool:
    """7 to 15 digits (E.164) that are not all one; not a number kept for examples (202-555-01xx), nor a social security
    number's shape, which is one or nothing."""
    digits = digits_of(value)
    kept = re.fullmatch(r"1?20255501\d\d|00000\d{4}", digits) or re.fullmatch(r"\d{3}-\d{2}-\d{4}", value)
    return 7 <= len(digits) <= 15 and len(set(digits)) > 1 and kept is None


def is_grouped_phone(value: str) -> bool:
    """A phone number with a group of three digits: `10 11 12 13` counts as a list unless a word says that it is a phone number."""
    return is_phone(value) and re.search(r"\d{3}", value) is not None


def is_vin(value: str) -> bool:
    """17 letters and digits with the right check digit (49 CFR 565)."""
    total = sum(
        w * (int(c) if c.isdigit() else _VIN_VALUES[c]) for w, c in zip(_VIN_WEIGHTS, value.upper(), strict=True)
    )
    mixed = any(c.isdigit() for c in value) and any(c.isalpha() for c in value)
    return mixed and "0123456789X"[total % 11] == value[8].upper()


def is_random(value: str) -> bool:
    """Letters and digits mixed, with the entropy of a key."""
    counts = Counter(value)
    bits = -sum(n / len(value) * math.log2(n / len(value)) for n in counts.values())
    return bits >= SECRET_BITS and any(c.isdigit() for c in value) and any(c.isalpha() for c in value)


def has_digits(value: str) -> bool:
    """At least three digits, so that what follows a label is a number and not the next word."""
    return len(digits_of(value)) >= 3


def is_old(value: str) -> bool:
    """An age over 89, which Safe Harbor counts as an identifier."""
    return 89 < int(value) < 130


def is_real_mail(value: str) -> bool:
    """An address outside the domains reserved for examples (RFC 2606), and not a matrix product with a method (`Q@K.mean`, `X@W.T`)."""
    name, _, domain = value.partition("@")
    last = domain.lower().rpartition(".")[2]
    operands = _OPERAND.fullmatch(name) and _OPERAND.fullmatch(domain.partition(".")[0])
    product = _METHODS.fullmatch(last) or (operands and not _MAIL_ENDS.fullmatch(last))
    return not product and not value.lower().endswith(("@example.com", "@example.org"))


_METHODS = re.compile(
    "astype|real|imag|conj|dot|sum|mean|std|var|min|max|argmin|argmax|transpose|swapaxes|reshape|view|permute|flatten|ravel|"
    "squeeze|unsqueeze|clone|copy|detach|cpu|cuda|numpy|item|tolist|float|half|double|long|bool|todense|toarray|inverse|inv|det|"
    "trace|norm|softmax|relu|sigmoid|tanh|exp|log|sqrt|abs|sign|round|clip|clamp|expand|repeat|data|grad|shape|size|ndim|values|"
    "weight|bias|matmul|bmm|contiguous|type|cumsum|sort|diagonal|dtype|device|array|matrix|eval"
)
"""Attributes of an array; none of them is a top-level domain."""
_OPERAND = re.compile(r"[A-Z]{1,2}\d?")
"""A matrix by its usual name."""
_MAIL_ENDS = re.compile(
    "com|org|net|edu|gov|mil|info|biz|de|uk|fr|it|es|nl|be|ch|at|se|no|dk|fi|pl|cz|us|ca|au|eu|io|me|co"
)
"""Ends after which even `A@B.com` is an address."""


def is_real_url(value: str) -> bool:
    """A URL outside the domains reserved for examples (RFC 2606)."""
    return re.match(r"(?:https?://)?(?:www\.)?example\.(?:com|org)(?:/|$)", value, re.IGNORECASE) is None
