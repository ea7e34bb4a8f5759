"""Variety and repetition of words in the dev set's samples, in draws of a fixed size, which round 0 sets."""

from dataclasses import asdict
from typing import ClassVar

import numpy as np

from selfplay.collapse import Budget, drawn, freeze_draws
from selfplay.collapse.draws import DRAWS, Frozen
from selfplay.config.metrics import Definition
from selfplay.runtime.metrics.base import COUNT, EXACT, SHARE, SHUMAILOV, SIMPSON, Json, Measured, Metric, RoundView
from selfplay.textstats.ngrams import units_of

DRAW = f"Mean over up to {DRAWS} draws of the words of the dev samples; a draw is 1/{DRAWS} of round 0's words in every round"
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
            "Different pairs of words over all pairs, in a draw of fixed size. It falls as the student repeats itself.",
            f"{DRAW}; {JACKKNIFE}.",
            SHARE,
            LI,
            headline=True,
        ),
        "collapse_diversity/distinct_*_fixed": Definition(
            "Distinct n-grams",
            "Different word n-grams over all, in a draw of fixed size. It falls as the student repeats itself.",
            f"{DRAW}; {JACKKNIFE}.",
            SHARE,
            LI,
        ),
        "collapse_diversity/char_distinct_*_fixed": Definition(
            "Distinct character n-grams",
            "Different character n-grams over all, in a draw of fixed size.",
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
            "Chance that two 4-grams of a draw are the same. It takes the place of self-BLEU.",
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
            "1 to about 256, the number of hashed features",
            VENDI,
        ),
        "collapse_diversity/exact_dup_rate": Definition(
            "Exact duplicates",
            "Share of the dev samples that equal an earlier one, white space apart. Samples of an easy task often agree.",
            f"{ALL_SAMPLES}; {JACKKNIFE}.",
            SHARE,
            "https://arxiv.org/abs/2107.06499",
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
            f"Mean over up to {DRAWS} pieces of a fixed size in every round; no interval.",
            FROM_ONE,
            ZSTD,
        ),
        "collapse_diversity/zlib_ratio": Definition(
            "Compression ratio (zlib)",
            "Bytes over compressed bytes if zstandard is not installed: a window of 32 KiB.",
            f"Mean over up to {DRAWS} pieces of a fixed size in every round; no interval.",
            FROM_ONE,
            ZSTD,
        ),
        "collapse_tails/ref_ngram_lost": Definition(
            "Lost words of round 0",
            "Share of round 0's common words (five times or more in a draw, on average) that a draw of the round does not show.",
            f"{DRAW}; no interval.",
            SHARE,
            SHUMAILOV,
        ),
        "collapse_data/compared_tokens": Definition(
            "Words of a draw",
            "Size of the draws that the figures of wording come from, fixed at round 0. 0: the round has less text than one draw, and these "
            "figures are left out.",
            EXACT,
            COUNT,
        ),
        "collapse_data/compared_draws": Definition(
            "Draws",
            "Number of draws of different samples that the round has text for; the figures of wording are means over them.",
            EXACT,
            f"0 to {DRAWS}",
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
        """Round 0 keeps the size of a draw and its common tokens as `wording`."""
        texts = [row["text"] for row in view.judged("samples")[0]]
        if view.baseline is not None:
            frozen = _read(view.baseline.get("wording") or {})
            return Measured(drawn(texts, frozen) if frozen and texts else {}, {"wording": {}})
        frozen = freeze_draws(texts, units_of(texts)) if texts else None
        if frozen is None:
            return Measured({}, {"wording": {}})
        kept = {"units": frozen.units, "budget": asdict(frozen.budget), "common": [int(x) for x in frozen.common]}
        return Measured(drawn(texts, frozen), {"wording": kept})


def _read(kept: Json) -> Frozen | None:
    """What round 0 kept; None if its texts were too few."""
    if not kept:
        return None
    return Frozen(Budget(**kept["budget"]), kept["units"], np.asarray(kept["common"], dtype=np.uint64))
