"""Estimators against brute force, known values, floors and ceilings, and hypothesis' own ideas."""

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import selfplay.collapse as c
from selfplay.errors import DataError, EmptyMetric
from selfplay.textstats.ngrams import gram_hashes, sequence_hashes, stream_of

SAME = ["one two three four five six"] * 20
DIFFERENT = [" ".join(f"w{i}_{j}" for j in range(6)) for i in range(20)]


def drawn_by_hand(labels: list[str | None], k: int) -> list[set[str]]:
    """The different right ones in every way to draw k."""
    return [{x for x in some if x is not None} for some in combinations(labels, k)]


@given(st.lists(st.sampled_from([None, "a", "b", "c", "d"]), min_size=1, max_size=9), st.data())
@settings(derandomize=True, deadline=None, max_examples=60)
def test_pass_unique_and_pass_at_k_s_agree_with_all_draws_by_hand(
    labels: list[str | None], data: st.DataObject
) -> None:
    k = data.draw(st.integers(1, len(labels)))
    s = data.draw(st.integers(1, 4))
    sets, n = drawn_by_hand(labels, k), len(labels)
    counts = [labels.count(x) for x in "abcd" if x in labels]
    right = sum(counts)
    assert c.pass_at_k(n, right, k) == pytest.approx(np.mean([bool(x) for x in sets]))
    assert c.unique_correct_at_k(n, counts, k) == pytest.approx(np.mean([len(x) for x in sets]))
    assert c.pass_at_k_s(n, counts, k, s) == pytest.approx(np.mean([len(x) >= s for x in sets]))
    assert c.pass_hat_k(n, right, k) == pytest.approx(math.comb(right, k) / math.comb(n, k))


def test_pass_at_k_of_arrays_equals_that_of_numbers_and_keeps_its_kind() -> None:
    n, right = np.array([8, 8, 16]), np.array([0, 3, 16])
    got = c.pass_at_k(n, right, 4)
    assert isinstance(got, np.ndarray)
    assert got.tolist() == pytest.approx([c.pass_at_k(int(a), int(b), 4) for a, b in zip(n, right, strict=True)])
    assert isinstance(c.pass_at_k(8, 3, 4), float)


def test_one_right_of_64_is_found_by_64_draws_where_a_bootstrap_finds_it_in_two_of_three() -> None:
    assert c.pass_at_k(64, 1, 64) == 1.0
    assert c.pass_at_k(64, 1, 32) == pytest.approx(0.5)


@pytest.mark.parametrize("bad", [(4, 5, 1), (4, 1, 5), (4, 1, 0), (4, -1, 1)])
def test_impossible_counts_are_refused_with_their_values(bad: tuple[int, int, int]) -> None:
    with pytest.raises(DataError, match="must lie in"):
        c.pass_at_k(*bad)


def test_polarisation_is_near_0_for_one_rate_and_1_for_all_or_nothing() -> None:
    rng = np.random.default_rng(0)
    assert abs(c.polarisation(16, rng.binomial(16, 0.4, 4000))) < 0.01
    assert c.polarisation(16, [0, 16] * 50) == pytest.approx(1.0)
    with pytest.raises(EmptyMetric):
        c.polarisation(16, [0, 0])


def test_expected_retention_is_met_by_an_unchanged_student() -> None:
    rng = np.random.default_rng(1)
    rates = rng.beta(0.5, 1, 4000)
    first, now = rng.binomial(8, rates), rng.binomial(8, rates)
    assert c.support_retention(first, now) == pytest.approx(c.expected_retention(8, first, now), abs=0.02)
    assert c.support_expansion([0, 0, 2, 2], [1, 0, 0, 1]) == 0.25


def test_hill_numbers_on_known_counts() -> None:
    assert c.hill1([5] * 7) == pytest.approx(7)
    assert c.hill2_u([5] * 7) == pytest.approx(35 * 34 / (7 * 20))
    assert c.hill0_rarefied([5] * 7, 35) == pytest.approx(7)
    assert c.hill0_rarefied([5] * 7, 1) == pytest.approx(1)
    assert c.hill2_u([1, 1]) == math.inf
    assert c.good_turing_unseen([1, 1, 2]) == 0.5
    assert c.chao1([1, 1, 1, 2]) == pytest.approx(4 + 3 * 2 / (2 * 2))
    assert c.entropy_miller_madow([4, 4]) == pytest.approx(math.log(2) + 1 / 16)


def test_rke_u_is_flat_in_n_where_the_plug_in_grows() -> None:
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((60, 64))

    def points(n: int) -> np.ndarray:
        return centres[rng.integers(60, size=n)] + 0.3 * rng.standard_normal((n, 64))

    small = np.mean([c.rke_u(points(50)) for _ in range(40)])
    large = c.rke_u(points(4000))
    assert small == pytest.approx(large, rel=0.03)
    x = points(50)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    assert c.rke(x @ x.T) < 0.75 * large
    assert c.vendi(x @ x.T, 2) == pytest.approx(c.rke(x @ x.T))
    assert c.vendi_dual(x) == pytest.approx(c.vendi(x @ x.T))


def test_rke_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    centres = np.eye(20)
    hits = 0
    for _ in range(200):
        e = c.rke_estimate(centres[rng.integers(20, size=150)])
        hits += e.lo <= 20 <= e.hi
    assert hits >= 180


def test_population_size_is_recovered_from_wright_fisher_decay() -> None:
    rng = np.random.default_rng(0)
    for size in (8, 32):
        runs = []
        for _ in range(60):
            p, h = np.full(40, 1 / 40), []
            for _ in range(8):
                h.append(1 - float((p**2).sum()))
                p = rng.multinomial(size, p) / size
            runs.append(h)
        ne = c.effective_population(np.mean(runs, axis=0).tolist())
        assert ne == pytest.approx(size, rel=0.15)
    assert c.effective_population([0.5, 0.5, 0.5]) == math.inf


def test_all_the_same_text_hits_each_floor_and_all_different_each_ceiling() -> None:
    assert c.distinct_n(SAME, 2) == pytest.approx(1 / 20)
    assert c.distinct_n(DIFFERENT, 2) == 1.0
    assert c.self_bleu(SAME) == pytest.approx(1.0)
    assert c.self_bleu(DIFFERENT) == 0.0
    assert c.exact_dup_rate(SAME) == pytest.approx(19 / 20)
    assert c.exact_dup_rate(DIFFERENT) == 0.0
    assert c.near_dup_rate(SAME) == pytest.approx(19 / 20)
    assert c.near_dup_rate(DIFFERENT) == 0.0
    assert c.collision_estimate(SAME, 2).value == pytest.approx(1 / 5)
    assert c.collision_estimate(DIFFERENT, 2).value == 0.0
    assert c.rke_u(c.hashed_features(SAME)) == pytest.approx(1.0)
    assert c.compression_ratio(SAME * 5) > 5 * c.compression_ratio(DIFFERENT)


def test_ngrams_never_cross_from_one_text_into_the_next() -> None:
    assert c.distinct_n(["a b", "b a"], 2) == 1.0
    hashes, counts = gram_hashes(stream_of(["a b c", "", "d", "a b"]), 2)
    assert counts.tolist() == [2, 0, 0, 1]
    assert hashes[0] == hashes[2] != hashes[1]


@given(st.lists(st.lists(st.sampled_from("abc"), max_size=6), max_size=8), st.integers(1, 5))
@settings(derandomize=True, deadline=None, max_examples=150)
def test_ngrams_and_texts_are_hashed_by_their_words_alone(texts: list[list[str]], n: int) -> None:
    stream = stream_of([" ".join(words) for words in texts])
    grams = [tuple(words[i : i + n]) for words in texts for i in range(len(words) - n + 1)]
    hashes, counts = gram_hashes(stream, n)
    assert counts.tolist() == [max(0, len(words) - n + 1) for words in texts]
    assert len(set(zip(grams, hashes.tolist(), strict=True))) == len(set(grams)) == len(set(hashes.tolist()))
    whole = sequence_hashes(stream).tolist()
    assert len(set(zip(map(tuple, texts), whole, strict=True))) == len(set(map(tuple, texts))) == len(set(whole))


@given(st.lists(st.text(max_size=30), min_size=1, max_size=8))
@settings(derandomize=True, deadline=None, max_examples=150)
def test_the_stream_splits_any_text_as_python_does(texts: list[str]) -> None:
    stream = stream_of(texts)
    words = [t.split() for t in texts]
    assert stream.lengths.tolist() == [len(w) for w in words]
    flat = [w for row in words for w in row]
    assert len({(w, int(h)) for w, h in zip(flat, stream.tokens, strict=True)}) == len(set(flat))
    assert len(set(stream.tokens.tolist())) == len(set(flat))


def test_surrogates_and_long_texts_are_read() -> None:
    assert stream_of(["\ud800 a \udfff", "a"]).lengths.tolist() == [3, 1]
    long = "ab cd " * 700_000
    assert stream_of([long, "x"]).lengths.tolist() == [1_400_000, 1]
    with pytest.raises(DataError, match="int, must be a string"):
        stream_of([3])  # type: ignore[list-item]


def test_seq_rep_reads_texts_token_lists_and_one_text() -> None:
    assert c.seq_rep_n(["a b a b a b"], 2) == pytest.approx(1 - 2 / 5)
    assert c.seq_rep_n([["a", "b", "a", "b", "a", "b"], ["x"]], 2) == pytest.approx((1 - 2 / 5) / 2)
    assert c.seq_rep_n([1, 2, 1, 2, 1, 2], 2) == pytest.approx(1 - 2 / 5)
    assert c.seq_rep_n(["a", "b", "a", "b", "a", "b"], 2) == pytest.approx(1 - 2 / 5)


def test_near_duplicates_agree_with_every_pair_by_hand() -> None:
    rng = np.random.default_rng(2)
    texts = []
    for i in range(120):
        words = [f"w{x}" for x in rng.integers(500, size=60)]
        texts.append(" ".join(words))
        if i % 4 == 0:
            changed = list(words)
            for j in rng.integers(60, size=i // 40):
                changed[j] = "changed"
            texts.append(" ".join(changed))
    grams = [{tuple(t.split()[i : i + 5]) for i in range(len(t.split()) - 4)} for t in texts]
    wanted = {
        j for j in range(len(texts)) for i in range(j) if len(grams[i] & grams[j]) / len(grams[i] | grams[j]) >= 0.8
    }
    found = c.near_duplicates(texts)
    assert {later for _, later, _ in found} == wanted
    for i, j, alike in found:
        assert alike == pytest.approx(len(grams[i] & grams[j]) / len(grams[i] | grams[j]))


def test_long_window_compression_sees_copies_that_gzip_does_not() -> None:
    rng = np.random.default_rng(0)
    texts = [" ".join(f"{x:05x}" for x in rng.integers(1 << 20, size=300)) for _ in range(60)]
    twice = c.compression_ratio(texts + texts) / c.compression_ratio(texts)
    long = c.compression_ratio(texts + texts, "long") / c.compression_ratio(texts, "long")
    assert twice < 1.05
    assert long > 1.7 or c.long_window_codec() == "zlib"


def test_lost_ngrams_and_kept_vocabulary() -> None:
    reference = ["common rare1 common", "common common common"]
    assert c.ngram_lost(reference, ["something else"], 1) == 1.0
    assert c.ngram_lost(reference, ["common"], 1) == 0.0
    with pytest.raises(EmptyMetric):
        c.ngram_lost(["a b"], ["a"], 1)
    assert c.vocabulary_kept(reference, ["common"]) == 0.5


def test_kl_from_samples_is_unbiased_and_never_negative() -> None:
    rng = np.random.default_rng(0)
    p, q = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.3, 0.5])
    x = rng.choice(3, size=20_000, p=p)
    e = c.kl_from_samples(np.log(p[x]), np.log(q[x]))
    assert e.lo < float((p * np.log(p / q)).sum()) < e.hi
    assert c.kl_from_samples([-1.0], [-1.0]).value == 0.0


def test_far_apart_k3_misses_what_the_plain_mean_has() -> None:
    x = np.random.default_rng(0).normal(0, 1, 5000)
    log_p, log_q = -(x**2) / 2, -((x - 6) ** 2) / 2
    assert np.mean(log_p - log_q) == pytest.approx(18, abs=0.3)
    assert c.kl_from_samples(log_p, log_q).value == pytest.approx(17, abs=0.3), "no sample met where q is large"


def test_scores_of_hashed_features_end_near_their_number() -> None:
    texts = [" ".join(f"w{i}_{j}" for j in range(30)) for i in range(1000)]
    assert c.rke_u(c.hashed_features(texts, 1, 64)) == pytest.approx(64, rel=0.02)


def test_likelihood_tails_move_while_the_mean_hardly_does() -> None:
    rng = np.random.default_rng(0)
    first = [rng.exponential(1.0, 50) for _ in range(100)]
    now = [np.where(row > 3, row * 1.5, row * 0.97) for row in first]
    keys = c.likelihood_metrics(now, first)
    assert abs(keys["collapse_quality/human_nll_delta"]) < 0.15
    assert keys["collapse_tails/nll_p99_delta"] > 1.0 and "collapse_tails/nll_p99_delta_lo" not in keys
    assert keys["collapse_tails/nll_cvar10_lo"] > keys["collapse_quality/human_nll_hi"]
    assert keys["collapse_tails/nll_cvar10_delta"] > 0.5 and "collapse_tails/nll_cvar10_delta_lo" not in keys
    assert keys["collapse_tails/nll_p90"] == pytest.approx(c.nll_quantile(now, 0.9), abs=0.05)
    assert c.nll_cvar(now) == pytest.approx(keys["collapse_tails/nll_cvar10"], rel=0.02)
    assert c.likelihood_metrics([]) == {}


def test_token_entropy_of_uniform_samples() -> None:
    assert c.token_entropy([[-math.log(8)] * 5, [-math.log(8)]]).value == pytest.approx(math.log(8))
    assert c.entropy_of_distributions([[0.0, 0.0], [0.0, -1e9]]).tolist() == pytest.approx([math.log(2), 0.0])


def test_balance_is_one_where_enough_different_answers_are_all_that_was_selected() -> None:
    assert c.balance_score([8, 4], [8, 8]).value == pytest.approx((1 + 0.5 * 0.5) / 2)


def test_provenance_counts_real_age_and_concentration() -> None:
    keys = c.provenance_metrics([None, 2, 3, 3], ["a", "b", "b", "c"], [2.0, 1.0, 1.0, 0.0], now=4, tasks_total=10)
    assert keys["collapse_data/human_data_share"] == pytest.approx(0.5)
    assert keys["collapse_data/synthetic_age_mean"] == pytest.approx(1.5)
    assert keys["collapse_data/tasks_covered"] == 3
    assert keys["collapse_data/per_task_gini"] > 0.7
    assert c.provenance_metrics([], [], now=1) == {}
    assert c.gini([1, 1, 1]) == pytest.approx(0)


def test_holm_slope_and_intervals() -> None:
    assert c.holm([0.001, 0.04, 0.03, math.nan], 0.05) == [True, False, False, False]
    fit = c.slope([0, 1.1, 1.9, 3.05, 4.0])
    assert fit.lo < 1 < fit.hi and fit.hi - fit.lo < 0.3
    assert c.wilson(0, 10).lo == 0.0 and float(c.wilson(5, 10)) == 0.5
    with pytest.raises(EmptyMetric):
        c.wilson(0, 0)
    assert c.paired_delta([1, 2, 3], [1, 1, 1]).value == 1.0


def test_jackknife_of_distinct_covers_resampled_texts() -> None:
    rng = np.random.default_rng(0)
    shares = 1 / np.arange(1, 2001)
    shares /= shares.sum()

    def texts() -> list[str]:
        return [" ".join(f"w{x}" for x in rng.choice(2000, size=30, p=shares)) for _ in range(100)]

    values = [c.distinct_n(texts(), 1) for _ in range(60)]
    e = c.distinct_estimate(texts(), 1)
    assert (e.hi - e.lo) / 2 / 1.96 == pytest.approx(np.std(values), rel=0.5)


@pytest.mark.parametrize(
    "empty",
    [
        lambda: c.distinct_n([], 1),
        lambda: c.distinct_n(["a"], 2),
        lambda: c.self_bleu(["a b"]),
        lambda: c.entropy_bits([]),
        lambda: c.compression_ratio(["", ""]),
        lambda: c.vendi([]),
        lambda: c.exact_dup_rate([]),
        lambda: c.js_divergence_bits([], ["a"]),
        lambda: c.seq_rep_n([], 4),
        lambda: c.majority_at_k([], [], 1),
        lambda: c.mean_of([math.nan]),
    ],
)
def test_nothing_to_measure_raises_instead_of_reading_as_collapse(empty: object) -> None:
    with pytest.raises(EmptyMetric):
        empty()  # type: ignore[operator]


def test_every_public_name_is_there() -> None:
    assert all(hasattr(c, name) for name in c.__all__)
