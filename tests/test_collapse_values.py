"""Every metric agrees with the table of reference values, row by row."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import selfplay.collapse as collapse

Given = dict[str, Any]
CALLS: dict[str, Callable[[Given], Any]] = {
    "pass_at_k": lambda g: collapse.pass_at_k(g["n"], g["c"], g["k"]),
    "pass_hat_k": lambda g: collapse.pass_hat_k(g["n"], g["c"], g["k"]),
    "distinct_n": lambda g: collapse.distinct_n(g["texts"], g["n"]),
    "self_bleu": lambda g: collapse.self_bleu(g["texts"]),
    "entropy_bits": lambda g: collapse.entropy_bits(g["texts"]),
    "type_token_ratio": lambda g: collapse.type_token_ratio(g["texts"]),
    "seq_rep_n": lambda g: collapse.seq_rep_n(g["texts"], g["n"]),
    "compression_ratio": lambda g: collapse.compression_ratio(g["texts"]),
    "vendi": lambda g: collapse.vendi(g["K"], g["q"]),
    "js_divergence_bits": lambda g: collapse.js_divergence_bits(g["first"], g["second"], g["alpha"]),
    "kl_divergence_bits": lambda g: collapse.kl_divergence_bits(g["first"], g["second"], g["alpha"]),
    "vocabulary_kept": lambda g: collapse.vocabulary_kept(g["first"], g["second"]),
    "rouge_l": lambda g: collapse.rouge_l(g["reference"], g["candidate"]),
    "shingle_jaccard": lambda g: collapse.shingle_jaccard(g["first"], g["second"], g["n"]),
    "ngram_overlap": lambda g: collapse.ngram_overlap(g["texts"], g["text"], g["n"]),
    "wilson": lambda g: (lambda e: [e.lo, e.hi])(collapse.wilson(g["k"], g["n"])),
    "mcc": lambda g: collapse.mcc(g["table"]),
    "cohen_kappa": lambda g: collapse.cohen_kappa(g["table"]),
    "majority_at_k": lambda g: collapse.majority_at_k(g["answers"], g["gold"], g["k"]),
}


def rows(shared_data: Path) -> list[Given]:
    lines = (shared_data / "metric_values" / "values.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("metric", CALLS)
def test_metric_agrees_with_the_reference_values(metric: str, shared_data: Path) -> None:
    mine = [row for row in rows(shared_data) if row["metric"] == metric]
    assert mine
    for row in mine:
        got = CALLS[metric](row["given"])
        wanted = row["value"]
        pairs = list(zip(got, wanted, strict=True)) if isinstance(wanted, list) else [(got, wanted)]
        for have, want in pairs:
            assert have == pytest.approx(want, abs=row["tolerance"]), row["id"]


def test_no_metric_of_the_table_is_left_out(shared_data: Path) -> None:
    assert {row["metric"] for row in rows(shared_data)} == set(CALLS)


def test_entropy_reads_counts_as_well_as_texts(shared_data: Path) -> None:
    assert collapse.entropy_bits([1, 1, 1, 1]) == pytest.approx(2.0)
    assert collapse.entropy_bits({"a": 8}) == 0.0
