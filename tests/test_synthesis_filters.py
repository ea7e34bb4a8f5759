"""The filters on replies that were written before them, good and subtly bad; docs/dev/synthesis-filters.md has the same figures."""

import gzip
import importlib.util
import json
import re
import unicodedata
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfplay.synthesis import backtranslate, text_filters, variants
from selfplay.verify.mutants import mutants, probes
from tests.support import ROOT


def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("synthesis_filters", ROOT / "benchmarks" / "synthesis_filters.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


BENCHMARK = benchmark()
NAMES = [*BENCHMARK.FILTERS, "admission"]


@pytest.mark.parametrize("name", NAMES)
def test_a_filter_keeps_the_good_and_drops_the_bad(name: str) -> None:
    found = BENCHMARK.measure(name)
    assert found["replies"] >= 30 and 10 <= found["good"] <= found["replies"] - 10
    assert found["precision"][0] >= 0.9, found["missed"]
    assert found["recall"][0] >= 0.9, found["missed"]


@pytest.mark.parametrize("name", NAMES)
def test_what_a_filter_misses_is_what_the_page_says(name: str) -> None:
    row = next(
        line
        for line in (ROOT / "docs" / "dev" / "synthesis-filters.md").read_text().splitlines()
        if line.startswith(f"| `{name}` |")
    )
    replies, good, kept_good, kept_bad = (int(cell) for cell in row.split("|")[2:6])
    found = BENCHMARK.measure(name)
    assert (replies, good, kept_good, kept_bad) == tuple(
        found[key] for key in ("replies", "good", "kept_good", "kept_bad")
    )


@given(st.text(max_size=300), st.text(max_size=300))
@settings(derandomize=True, deadline=None, max_examples=200)
def test_no_text_makes_a_filter_raise(one: str, other: str) -> None:
    said = [
        text_filters.evolved_fault(one, other, other[:20]),
        text_filters.rare_fault({"topic": one}, other, "1"),
        text_filters.instruction_fault(one, other, 5),
        text_filters.solution_fault(one, other),
        text_filters.section_fault(one[:40], other),
        variants.variant_fault(one, "1", "n0+n1", other, "2"),
        backtranslate.translation_fault(one or "x", other),
    ]
    assert all(re.fullmatch("[a-z_]*", word) for word in said)
    assert variants.evaluate(one, []) is None or one.strip()
    assert len(mutants(one)) <= 12 and len(probes([one, other], "f")) <= 12


@pytest.mark.parametrize(
    "formula",
    [
        "__import__('os').system('x')",
        "n0**n1",
        "n0.real",
        "[n0]",
        "n0 if n1 else n2",
        "n9",
        "n0/(n1-n1)",
        "9" * 500,
        "(" * 300,
    ],
)
def test_a_formula_is_arithmetic_or_nothing(formula: str) -> None:
    assert variants.evaluate(formula, variants.amounts("3 boxes, 12 pencils")) is None


def pairs(shared_data: Path) -> list[dict[str, str]]:
    with gzip.open(shared_data / "tatoeba_fra_eng" / "dev.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def test_masks_come_back_exactly_on_real_sentences(shared_data: Path) -> None:
    texts = [pair[key] for pair in pairs(shared_data) for key in ("fr", "en")]
    assert sum("\u00a0" in text or "\u202f" in text for text in texts) > 0, "no-break spaces are in the set"
    for text in texts:
        masked, kept = backtranslate.mask(text)
        assert backtranslate.restore(masked, kept) == text
        assert not any(c.isdigit() for c in backtranslate.restore(masked, ["x"] * len(kept)) or "1"), text


def test_a_sentence_that_lost_its_accents_is_seen(shared_data: Path) -> None:
    for pair in pairs(shared_data):
        text = pair["fr"]
        bare = "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))
        if sum(a != b for a, b in zip(text, bare, strict=False)) and len(bare) == len(text):
            assert backtranslate.translation_fault(text, bare), text


@pytest.mark.parametrize("text", ["\u27e60\u27e7 and 3", "a \u27e612\u27e7"])
def test_a_text_with_our_marks_is_not_masked(text: str) -> None:
    with pytest.raises(ValueError, match="holds a mark"):
        backtranslate.mask(text)


def test_a_mask_lost_doubled_or_made_up_is_seen() -> None:
    masked, kept = backtranslate.mask("Tom has 3 boxes of 12.")
    assert len(kept) == 3
    assert backtranslate.restore(masked.replace("\u27e61\u27e7", ""), kept) is None
    assert backtranslate.restore(masked + "\u27e61\u27e7", kept) is None
    assert backtranslate.restore(masked.replace("\u27e61\u27e7", "\u27e67\u27e7"), kept) is None


def test_mutants_are_programs_that_differ() -> None:
    code = "def f(xs):\n    return sorted([x + 1 for x in xs if x > 2], reverse=True)[:3]"
    found = mutants(code)
    assert 4 <= len(found) == len(set(found)) and all("def f" in one for one in found)
    assert probes(["assert f([1, 2]) == 3", "assert f(y) == 1"], "f") == [([2, 1],), ([2],), ([1, 2, 1],)]
