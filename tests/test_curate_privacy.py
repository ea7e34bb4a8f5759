"""Identifiers found, left alone, replaced; never a value in a repr."""

import gzip
import json
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfplay.curate import privacy
from selfplay.curate.checksums import iban_end, luhn
from selfplay.curate.identifiers import SAFE_HARBOR
from selfplay.errors import ConfigError

FOUND = {
    "mail me at anna.b+x@mail.company.co.uk.": ("email", "anna.b+x@mail.company.co.uk"),
    "see https://www.shop.fr/a?b=1).": ("url", "https://www.shop.fr/a?b=1"),
    "IBAN gb29 nwbk 6016 1331 9268 19 to pay": ("iban", "gb29 nwbk 6016 1331 9268 19"),
    "to DE89370400440532013000.": ("iban", "DE89370400440532013000"),
    "my card 4111 1111 1111 1111 ends": ("card", "4111 1111 1111 1111"),
    "pay with 5500005555555559": ("card", "5500005555555559"),
    "host 10.20.30.40 is down": ("ip", "10.20.30.40"),
    "at fe80::1ff:fe23:4567:890a now": ("ip", "fe80::1ff:fe23:4567:890a"),
    "ssn: 536-22-1234": ("ssn", "536-22-1234"),
    "my social security number is 536221234": ("ssn", "536221234"),
    "call (212) 555-7890 now": ("phone", "(212) 555-7890"),
    "ring +44 20 7946 0958": ("phone", "+44 20 7946 0958"),
    "fax: 030 1234567": ("phone_fax", "030 1234567"),
    "reach me on 78 651 450 please": ("phone", "78 651 450"),
    "MRN: A123456": ("mrn", "A123456"),
    "member id 99-88-7766": ("health_plan", "99-88-7766"),
    "account number 12345678": ("account", "12345678"),
    "licence number D1234567": ("licence", "D1234567"),
    "VIN 1HGCM82633A004352 sold": ("vehicle", "1HGCM82633A004352"),
    "imei 490154203237518": ("device", "490154203237518"),
    "mac 00:1A:2B:3C:4D:5E": ("mac", "00:1A:2B:3C:4D:5E"),
    "fingerprint id 55AA77BB": ("biometric", "55AA77BB"),
    "see anna_photo_1.jpg": ("photo", "anna_photo_1.jpg"),
    "passport no X1234567": ("passport", "X1234567"),
    "key ghp_abcdefghijklmnopqrstuvwxyz0123456789": ("secret", "ghp_abcdefghijklmnopqrstuvwxyz0123456789"),
    "password = 'h7Gk29sLq0Zx'": ("secret", "h7Gk29sLq0Zx"),
    "born on 4/5/1990": ("date", "4/5/1990"),
    "on 3 March 1987 he": ("date", "3 March 1987"),
    "she is 97 years old": ("age", "97"),
    "zip code 90210": ("zip", "90210"),
    "at 12 North Oak Street": ("street", "12 North Oak Street"),
    "Hi, my name is Ada Byron, hello": ("name", "Ada Byron"),
}
CLEAN = [
    "",
    "3 + 4 = 7 and 2700-600 = 2100",
    "a[::2] and std::vector<int> x; 12:34:56",
    "The 25 cats ran 1,234,567 miles in 1977",
    "version 1.2.3.4 of 2024.10",
    "[60 56 85 91] sorted is [56 60 85 91]",
    "call on the numbers 1 2 3 4 5 6 7 8 9 10 11 12",
    "sort the numbers 10 11 12 13",
    "call f(1234567) with 12345678901234567890",
    "the remaining number of eggs is 1800-400",
    "decorator @property, mail a@b",
    "12345678901234567 is a big integer 4111111111111112",
    "my name is not known; Name: unknown",
    "password: changeme please",
    "He turned 20 and is 45 years old",
]


@pytest.mark.parametrize("text", FOUND)
def test_each_class_is_found_with_its_span(text):
    rule, value = FOUND[text]
    hits = privacy.find([text])
    assert [(hit.rule, text[slice(*hit.span)]) for hit in hits] == [(rule, value)]
    assert hits[0].safe_harbor in SAFE_HARBOR and value not in repr(hits)


def test_every_safe_harbor_class_has_a_pattern():
    assert {privacy.SAFE_HARBOR_OF[rule] for rule in privacy.RULES} == set(SAFE_HARBOR) == set(range(1, 19))
    assert {rule for rule, _ in FOUND.values()} == set(privacy.RULES)


@pytest.mark.parametrize("text", CLEAN)
def test_what_is_no_identifier_is_left_alone(text):
    assert privacy.find([text]) == []


def test_check_digits():
    assert luhn("79927398713") and not luhn("79927398710")
    assert iban_end("DE89370400440532013000", 0) == 22 and iban_end("DE88370400440532013000", 0) is None


def test_surrogates_are_typed_consistent_in_a_trace_and_never_found_again():
    given_once = privacy.Surrogates()
    first = privacy.scrub("Call 212-555-7890 or mail jo@corp.com; (212) 555-7890!", surrogates=given_once)
    assert first.text == "Call 202-555-0100 or mail user1@example.com; 202-555-0100!"
    assert first.counts == {"phone": 2, "email": 1}
    second = privacy.scrub("mail al@corp.com, then JO@corp.com", surrogates=given_once)
    assert second.text == "mail user2@example.com, then user1@example.com"
    assert privacy.find([first.text or "", second.text or ""]) == []
    assert "jo@" not in repr(given_once) + repr(first) and "555" not in repr(first)


@pytest.mark.parametrize("text", FOUND)
def test_no_surrogate_is_an_identifier(text):
    scrubbed = privacy.scrub(text)
    assert scrubbed.text is not None and FOUND[text][1] not in scrubbed.text
    assert privacy.find([scrubbed.text]) == []


def test_drop_and_quarantine_keep_nothing_in_sight():
    assert privacy.scrub("a@corp.com", "drop").text is None
    held = privacy.scrub("a@corp.com", "quarantine")
    assert held.text is None and held.quarantined == "a@corp.com" and "corp" not in repr(held)
    assert privacy.scrub("nothing", "drop").text == "nothing"
    with pytest.raises(ConfigError, match=r"privacy\.action is 'hide'"):
        privacy.scrub("x", "hide")
    with pytest.raises(ConfigError, match="no class nose"):
        privacy.find(["x"], ["nose"])


APART = " " + "." * 120 + " "  # further than any context word reaches
PIECES = st.sampled_from([*FOUND, *CLEAN, "x", "\n", "12", "-", "\x00", "漢字"])


@settings(derandomize=True, deadline=None, max_examples=80)
@given(st.lists(PIECES, max_size=6).map(APART.join))
def test_hits_never_overlap_and_scrubbing_leaves_none(text):
    spans = [hit.span for hit in privacy.find([text])]
    assert all(a[1] <= b[0] for a, b in pairwise(spans))
    assert all(0 <= low < high <= len(text) for low, high in spans)
    once = privacy.scrub(text).text or ""
    assert privacy.find([once]) == []


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.text(max_size=120))
def test_any_text_is_read(text):
    assert privacy.scrub(text, "quarantine").counts == dict(Counter(hit.rule for hit in privacy.find([text])))


@pytest.mark.parametrize(
    "unit",
    ["1-", "a@", "0 1 ", "::", "www.", "name is ", "-----BEGIN PRIVATE KEY-----", "(1) ", "A1 ", "password ", "12 A "],
)
def test_a_hostile_megabyte_takes_linear_time(unit):
    assert isinstance(privacy.find([unit * (300_000 // len(unit))]), list)


def test_long_texts_are_read_in_pieces_without_loss():
    text = "word " * 1_999_990 + "jo@corp.com" + " word" * 10
    (hit,) = privacy.find([text])
    assert text[slice(*hit.span)] == "jo@corp.com"


def test_marked_rows_are_found_and_clean_ones_are_not(shared_data):
    with gzip.open(shared_data / "pii" / "presidio_dev.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    hits: dict[int, list[privacy.Hit]] = {}
    for hit in privacy.find([row["full_text"] for row in rows]):
        hits.setdefault(hit.row, []).append(hit)
    total, found = Counter(), Counter()
    for index, row in enumerate(rows):
        for span in row["spans"]:
            inside = any(
                h.span[0] <= span["start_position"] and span["end_position"] <= h.span[1] for h in hits.get(index, ())
            )
            total[span["entity_type"]] += 1
            found[span["entity_type"]] += inside
    for kind, least in {
        "EMAIL_ADDRESS": 0.97,
        "IBAN_CODE": 0.97,
        "IP_ADDRESS": 0.97,
        "PHONE_NUMBER": 0.97,
        "CREDIT_CARD": 0.93,
    }.items():
        assert found[kind] >= least * total[kind] > 0
    clean = [i for i, row in enumerate(rows) if not row["spans"]]
    assert sum(i in hits for i in clean) <= 0.03 * len(clean)


def test_word_problems_hold_next_to_no_identifiers(shared_data):
    with gzip.open(shared_data / "gsm8k" / "train.jsonl.gz", "rt", encoding="utf-8") as lines:
        texts = [f"{row['question']}\n{row['answer']}" for row in map(json.loads, lines)]
    assert len({hit.row for hit in privacy.find(texts)}) <= 0.003 * len(texts)


@pytest.mark.parametrize(
    ("text", "rule", "value"),
    [
        ("ssn 536‑22‑1234", "ssn", "536‑22‑1234"),
        ("my ssn: ５３６-２２-１２３４", "ssn", "５３６-２２-１２３４"),
        ("mail anna＠mail.company.de", "email", "anna＠mail.company.de"),
        ("call 212‑555‑7890 now", "phone", "212‑555‑7890"),
        ("call 212–555–7890 now", "phone", "212–555–7890"),
        ("tel ０３０ ９０１８２０", "phone", "０３０ ９０１８２０"),
        ("phone ٢١٢-٥٥٥-٧٨٩٠", "phone", "٢١٢-٥٥٥-٧٨٩٠"),
        ("card 4111‑1111‑1111‑1111", "card", "4111‑1111‑1111‑1111"),
        ("reach jo＠corp．com", "email", "jo＠corp．com"),
        ("key ｇhp_abcdefghijklmnopqrstuvwxyz0123456789", "secret", "ｇhp_abcdefghijklmnopqrstuvwxyz0123456789"),
    ],
)
def test_identifier_in_other_hyphens_digits_and_widths_is_found_with_its_own_characters(text, rule, value):
    assert [(hit.rule, text[slice(*hit.span)]) for hit in privacy.find([text])] == [(rule, value)]


@pytest.mark.parametrize(
    "text",
    [
        "s = (Q@K.swapaxes(-1,-2))/d",
        "y = X@W.astype(float)",
        "X@W.T",
        "A@B.mean",
        "h = x@self.weight.t()",
        "W@x.reshape(-1)",
        "q@k.transpose(0,1).softmax",
        "P@Q.fit",
        "loss = (y@z.conj)",
        "3–4–5 and 2020–2021",
        "−1 −2 −3 4444 5555 6666 7777",
    ],
)
def test_matrix_products_and_dashes_in_mathematics_are_no_identifiers(text):
    assert privacy.find([text]) == []


@pytest.mark.parametrize(
    "value", ["900-12-3456", "987-65-4321", "666-12-3456", "000-12-3456", "123-00-4567", "123-45-0000"]
)
@pytest.mark.parametrize("text", ["Compute {} (minus signs).", "id {}", "ssn: {}", "phone {}"])
def test_social_security_number_that_was_never_issued_is_none_and_no_phone_number(value, text):
    assert privacy.find([text.format(value)]) == []


PHONES = [
    "+1-555-234-5678x890",
    "+1 (415) 555-2671 ext. 12",
    "(555)123-4567x123",
    "555.123.4567",
    "001-555-123-4567",
    "555-123-4567 ext 44",
    "+44 (0)20 7946 0958",
    "+49/30/901820",
    "030/901820",
    "06.12.34.56.78",
    "+86 138 0013 8000",
    "98765 43210",
    "8 (800) 555-35-35",
    "1 (800) 555 0123",
    "+55 (11) 91234-5678",
    "(11) 91234-5678",
    "612 34 56 78",
    "467 3395",
    "78 651 450",
    "(99) 645-791",
    "9469 9966",
    "21 284 698 2548",
    "02 12345678",
]


@pytest.mark.parametrize("value", PHONES)
@pytest.mark.parametrize(
    "text",
    [
        "Please have the manager call me at {} today.",
        "my number is {}",
        "M: {}",
        "Ph {}",
        "Home: {} / Work: none",
        "Telefon: {}",
        "Teléfono {}",
        "携帯：{}",
        "You can reach our office on {}",
    ],
)
def test_phone_number_is_found_whole_where_someone_is_called(value, text):
    start = text.index("{}")
    spans = [hit.span for hit in privacy.find([text.format(value)]) if hit.rule == "phone"]
    assert any(low <= start and start + len(value) <= high for low, high in spans)


@pytest.mark.parametrize("piece", ["+1 ", "0 ", "(", "1-", "1x", "Q@", "x@y.", "1/", "ext ", "１"])
def test_long_rows_of_pieces_of_identifiers_are_read_in_bounded_time(piece):
    hits = privacy.find([piece * (100_000 // len(piece))])
    assert all(hit.span[1] <= 100_000 for hit in hits)
