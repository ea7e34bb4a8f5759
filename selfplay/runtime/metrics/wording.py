"""Variety and repetition of words in the dev set's samples, in a draw of fixed size, which round 0 sets."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import ClassVar

import numpy as np

from selfplay.collapse import Budget, budget_of, drawn, reference_of
from selfplay.config.metrics import Definition
from selfplay.runtime.metrics.base import COUNT, SHARE, SHUMAILOV, SIMPSON, Json, Measured, Metric, RoundView
from selfplay.textstats.ngrams import units_of

SPARE = 0.8
"""Share of round 0's text that every round draws, so that a round of somewhat shorter texts can still be compared."""
DRAW = "One draw of the words of the dev samples, whose size is fixed at round 0"
JACKKNIFE = "95 % jackknife interval over texts"
ALL_SAMPLES = "All dev samples, equally many in each round"
LI, VENDI, ZSTD = (
    "https://aclanthology.org/N16-1014",
    "https://arxiv.org/abs/2210.02410",
    "https://arxiv.org/abs/2403.00553",
)
FROM_ONE = "1 or more"


class Wording(Metric):
    """Keys of `selfplay.collapse.drawn`; `selfplay collapse FILE` writes them too."""

    definitions: ClassVar = {
        "collapse_diversity/distinct_2_fixed": Definition(
            "Distinct 2-grams",
            "Different pairs of words over all pairs, in one draw. It falls as the student repeats itself.",
            f"{DRAW}; {JACKKNIFE}.",
            SHARE,
            LI,
            headline=True,
        ),
        "collapse_diversity/distinct_*_fixed": Definition(
            "Distinct n-grams",
            "Different word n-grams over all, in one draw. It falls as the student repeats itself.",
            f"{DRAW}; {JACKKNIFE}.",
            SHARE,
            LI,
        ),
        "collapse_diversity/char_distinct_*_fixed": Definition(
            "Distinct character n-grams",
            "Different character n-grams over all, in one draw.",
            f"{DRAW}; {JACKKNIFE}.",
            SHARE,
            LI,
        ),
        "collapse_diversity/ead_3": Definition(
            "Distinct n-grams, adjusted",
            "Different 3-grams over the number expected from a uniform vocabulary of 2^20.",
            f"{DRAW}; no interval.",
            "0 or more",
            "https://arxiv.org/abs/2202.13587",
        ),
        "collapse_diversity/ngram2_collision_u": Definition(
            "Two 2-grams agree",
            "Chance that 2-grams of two different samples are the same.",
            f"{DRAW}; U-statistic over pairs of texts, which does not depend on size; {JACKKNIFE}.",
            SHARE,
            SIMPSON,
        ),
        "collapse_diversity/ngram4_collision_u": Definition(
            "Two 4-grams agree",
            "Chance that two 4-grams of the draw are the same. It takes the place of self-BLEU.",
            f"{DRAW}; U-statistic, which does not depend on size; no interval.",
            SHARE,
            SIMPSON,
        ),
        "collapse_diversity/seq_rep_4": Definition(
            "Repetition within a sample",
            "Mean share of 4-grams that the same sample contained before.",
            f"{DRAW}; no interval.",
            SHARE,
            "https://arxiv.org/abs/1908.04319",
        ),
        "collapse_diversity/vendi_fixed_n": Definition(
            "Vendi score",
            "Effective number of different texts, by hashed words.",
            "At most 500 samples, the same number in each round because the plug-in value grows with n; jackknife over tenths.",
            FROM_ONE,
            VENDI,
        ),
        "collapse_diversity/rke_u": Definition(
            "RKE, unbiased",
            "Effective number of different texts of order 2, by hashed words.",
            f"U-statistic, which does not depend on n; {JACKKNIFE}.",
            FROM_ONE,
            VENDI,
        ),
        "collapse_diversity/exact_dup_rate": Definition(
            "Exact duplicates",
            "Share of the dev samples that equal an earlier one, white space apart. Samples of an easy task often agree.",
            f"{ALL_SAMPLES}; {JACKKNIFE}.",
            SHARE,
            "https://arxiv.org/abs/2107.06499",
            headline=True,
        ),
        "collapse_diversity/near_dup_rate": Definition(
            "Near duplicates",
            "Share of the dev samples that nearly equal an earlier one (Jaccard index of their 5-grams 0.8 or more).",
            f"{ALL_SAMPLES}; MinHash candidates, exact Jaccard index; {JACKKNIFE}.",
            SHARE,
            "https://arxiv.org/abs/2107.06499",
        ),
        "collapse_diversity/zstd_ratio": Definition(
            "Compression ratio",
            "Bytes over compressed bytes, with a window over the whole text. It rises with repetition.",
            "A fixed number of bytes in each round; no interval.",
            FROM_ONE,
            ZSTD,
        ),
        "collapse_diversity/zlib_ratio": Definition(
            "Compression ratio (zlib)",
            "Bytes over compressed bytes if zstandard is not installed: a window of 32 KiB.",
            "A fixed number of bytes in each round; no interval.",
            FROM_ONE,
            ZSTD,
        ),
        "collapse_tails/ref_ngram_lost": Definition(
            "Lost words of round 0",
            "Share of the words that are frequent in round 0's draw (five times or more) and missing from an equal draw now.",
            f"{DRAW}; {JACKKNIFE}.",
            SHARE,
            SHUMAILOV,
        ),
        "collapse_data/compared_tokens": Definition(
            "Words drawn", "Size of the draw that the figures of wording come from, fixed at round 0.", "Exact.", COUNT
        ),
        "collapse_drift/js_to_reference_bits": Definition(
            "Jensen-Shannon divergence from the reference",
            "Divergence of the distribution of words from that of the reference.",
            "Equal draws, half a count added to each word.",
            "bits, 0 to 1",
            "https://doi.org/10.1109/18.61115",
        ),
    }

    def compute(self, view: RoundView) -> Measured:
        """Round 0 keeps the size of the draw and its frequent tokens as `wording`."""
        texts = [row["text"] for row in view.judged("samples")[0]]
        first = None if view.baseline is None else view.baseline.get("wording")
        fixed: Json = dict(first or (_fixed(texts) if view.baseline is None else {}))
        kept = {"wording": fixed if view.baseline is None and texts else {}}
        if not fixed or not texts:
            return Measured({}, kept)
        common = np.asarray(fixed["common"], dtype=np.uint64)
        return Measured(drawn(texts, Budget(**fixed["budget"]), fixed["units"], common), kept)


def _fixed(texts: Sequence[str]) -> Json:
    """The size of the draw and the frequent tokens that round 0 sets for all rounds; {} if its texts are too short."""
    if not any(text.split() for text in texts):
        return {}
    units = units_of(texts)
    whole = budget_of([texts], units)
    budget = Budget(int(SPARE * whole.tokens), whole.cut, int(SPARE * whole.characters), whole.cut_characters)
    if budget.tokens < 2:
        return {}
    common = reference_of(texts, budget, units=units).common()
    return {"units": units, "budget": asdict(budget), "common": [int(x) for x in common]}
