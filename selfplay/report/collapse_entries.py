"""Floor 2: what each collapse metric means: title, definition, estimator, sample size, and where it comes from."""

from selfplay.report.entries import (
    ALARM,
    BSTAR,
    CHEN,
    DANG,
    DATA,
    DRAW,
    DRIFT,
    HUMAN,
    HURLBERT,
    JACK,
    PANEL,
    QUALITY,
    SIMPSON,
    TASKS,
    Entry,
    arxiv,
)

DIVERSITY = {
    "unique_correct_at_*": Entry(
        "Unique correct solutions",
        "Expected number of different right solutions among k samples of a task (different by canonical code, or answer and path).",
        f"Rarefaction, sum over solutions of 1 - C(n-c, k)/C(n, k), without replacement; {PANEL}.",
        HURLBERT,
    ),
    "pass_at_k_s": Entry(
        "Two different right solutions",
        "Chance that n samples of a task hold at least two different right solutions (Pass@K-S, K = n, S = 2).",
        f"Exact, by the polynomial's terms below y^2; {PANEL}.",
        BSTAR,
    ),
    "heterozygosity": Entry(
        "Chance that two right ones differ",
        "Chance that two right samples of one task are different solutions: 1 - 1/N for N equally common ones (Hill number of order 2).",
        f"Unbiased, pairs without replacement, tasks with two right samples in both rounds; {TASKS}.",
        SIMPSON,
    ),
    "hill0_rarefied": Entry(
        "Different ones among four right",
        "Number of different solutions among four right samples of a task (Hill number of order 0).",
        f"Rarefaction; tasks with four right samples in both rounds; {TASKS}.",
        HURLBERT,
    ),
    "hill2_u": Entry(
        "Effective number (order 2)",
        "1 over the chance that two draws are the same.",
        "U-statistic, unbiased in its inverse at every n; slow to see a lost tail.",
        SIMPSON,
    ),
    "behaviour_entropy": Entry(
        "Entropy of four right ones",
        "Shannon entropy, in nats, of the solutions among four right samples of a task (log of the Hill number of order 1).",
        f"Exact expectation under rarefaction; tasks with four right samples in both rounds; {TASKS}.",
        arxiv("2507.14843"),
    ),
    "unconditional_hill1": Entry(
        "Different answers, right or wrong",
        "Effective number of different answers among all samples of a task. A student that learns gives up wrong ones: read it "
        "beside the right ones' figures.",
        f"exp of the entropy at equal draws; {PANEL}.",
        arxiv("2504.12522"),
    ),
    "loss_rate": Entry(
        "Loss of variety a round",
        "Slope of the logarithm of heterozygosity over the rounds that this one stands on, with the sign turned: 1/N_e.",
        "Least squares over four rounds or more; t interval.",
        "https://doi.org/10.1093/genetics/16.2.97",
    ),
    "half_life_rounds": Entry(
        "Half-life of variety",
        "Rounds until half of the variety among right solutions is gone: ln 2 over the loss a round.",
        "As the loss a round; left out where no loss is shown.",
        "https://doi.org/10.1093/genetics/16.2.97",
    ),
    "balance_score": Entry(
        "Balance of exploring and exploiting",
        "Mean over the round's tasks of min(u/cap, 1) * u/s, with u different accepted solutions among s accepted.",
        "All proposed tasks, 0 where nothing was accepted; bootstrap over tasks.",
        BSTAR,
    ),
    "distinct_*_fixed": Entry(
        "Distinct n-grams",
        "Different word n-grams over all, in one draw. Falls as the student repeats itself.",
        f"{DRAW}; {JACK}.",
        "https://aclanthology.org/N16-1014",
    ),
    "char_distinct_*_fixed": Entry(
        "Distinct character n-grams",
        "Different character n-grams over all, in one draw.",
        f"{DRAW}; {JACK}.",
        "https://aclanthology.org/N16-1014",
    ),
    "ead_3": Entry(
        "Distinct n-grams, adjusted",
        "Different n-grams over the number expected of a uniform vocabulary of 2^20.",
        f"{DRAW}; no interval.",
        arxiv("2202.13587"),
    ),
    "ngram2_collision_u": Entry(
        "Two 2-grams agree",
        "Chance that 2-grams of two different samples are the same.",
        f"U-statistic over pairs of texts, flat in size; {DRAW}; {JACK}.",
        SIMPSON,
    ),
    "ngram4_collision_u": Entry(
        "Two 4-grams agree",
        "Chance that two 4-grams of the draw are the same; in place of self-BLEU.",
        f"U-statistic, flat in size; {DRAW}; no interval.",
        SIMPSON,
    ),
    "seq_rep_4": Entry(
        "Repetition inside a sample",
        "Mean share of n-grams that the same sample had before.",
        f"{DRAW}; no interval.",
        arxiv("1908.04319"),
    ),
    "vendi_fixed_n": Entry(
        "Vendi score",
        "Effective number of different texts, by hashed words.",
        "At most 500 samples, the same number each round: the plug-in value grows with n; jackknife over tenths.",
        arxiv("2210.02410"),
    ),
    "rke_u": Entry(
        "RKE, unbiased",
        "Effective number of different texts of order 2, by hashed words.",
        f"U-statistic, flat in n; {JACK}.",
        arxiv("2210.02410"),
    ),
    "exact_dup_rate": Entry(
        "Exact duplicates",
        "Share of the panel's samples that an earlier one equals, white space apart. Samples of an easy task often agree.",
        f"All panel samples, equally many each round; {JACK}.",
        arxiv("2107.06499"),
    ),
    "near_dup_rate": Entry(
        "Near duplicates",
        "Share of the panel's samples that an earlier one nearly equals (Jaccard of 5-grams 0.8 or more).",
        f"MinHash candidates, exact Jaccard; all panel samples; {JACK}.",
        arxiv("2107.06499"),
    ),
    "zstd_ratio": Entry(
        "Compression ratio",
        "Bytes over compressed bytes, with a window over the whole text. Rises with repetition.",
        "A fixed number of bytes each round; no interval.",
        arxiv("2403.00553"),
    ),
    "zlib_ratio": Entry(
        "Compression ratio (zlib)",
        "Bytes over compressed bytes where zstandard is missing: a window of 32 KiB.",
        "A fixed number of bytes each round; no interval.",
        arxiv("2403.00553"),
    ),
}

TAILS = {
    "rare_item_coverage": Entry(
        "Rare item coverage",
        "Share of the rare items, frozen at round 0, that some right sample still shows: the tail, counted in items, since its "
        "mass stays while its items go.",
        "Rare tags of the anchor, or rare tasks where there are none; equal n each round; bootstrap over items.",
        arxiv("2402.07043"),
    ),
    "rare_strata_pass_at_n": Entry(
        "pass@n on rare tasks", "Share of rare panel tasks that any of n samples solves.", f"{PANEL}.", CHEN
    ),
    "pass_at_n_in_*": Entry(
        "pass@n in a stratum", "Share of the stratum's panel tasks that any of n samples solves.", f"{PANEL}.", CHEN
    ),
    "support_retention": Entry(
        "Support kept",
        "Of the panel tasks solved at round 0, the share that is solved now.",
        f"Tasks solved by any of n samples, at equal n; its change is held against chance; {TASKS}.",
        arxiv("2507.14843"),
    ),
    "support_retention_expected": Entry(
        "Support kept, by chance",
        "What support kept would be of two draws of one unchanged student.",
        "Exact, from the pooled counts of both rounds, which are taken as exchangeable.",
        arxiv("2507.14843"),
    ),
    "support_expansion": Entry(
        "Support gained",
        "Share of panel tasks solved now that were not at round 0.",
        f"As support kept; {TASKS}.",
        arxiv("2507.14843"),
    ),
    "good_turing_unseen": Entry(
        "Unseen mass",
        "Estimated chance that the next right solution is one that the n samples did not show.",
        f"Good-Turing: solutions seen once over right samples, pooled; {TASKS}.",
        "https://doi.org/10.1093/biomet/40.3-4.237",
    ),
    "unsolved_answer_diversity": Entry(
        "Spread on unsolved tasks",
        "Number of different answers among n samples, on tasks that round 0 never solved. Falls when the student is stuck in one wrong answer.",
        f"Rarefaction; {PANEL}.",
        arxiv("2509.06941"),
    ),
    "polarisation": Entry(
        "Polarisation",
        "How far tasks are either always or never solved: variance of pass rates over its largest possible value.",
        f"E[rho^2] from c(c-1)/n(n-1), so that chance is not read as spread; {PANEL}.",
        DANG,
    ),
    "frac_all_fail": Entry(
        "Never solved", "Share of panel tasks that none of n samples solves.", f"Depends on n; {PANEL}.", DANG
    ),
    "frac_all_pass": Entry(
        "Always solved", "Share of panel tasks that all n samples solve.", f"Depends on n; {PANEL}.", DANG
    ),
    "nll_p90": Entry(
        "Human likelihood, 90th percentile",
        "Negative log-likelihood that nine tenths of the human solutions stay below, in nats a token.",
        f"Quantile over {HUMAN}.",
        arxiv("2305.17493"),
    ),
    "nll_p99": Entry(
        "Human likelihood, 99th percentile",
        "Negative log-likelihood that 99 of 100 human solutions stay below, in nats a token.",
        f"Quantile over {HUMAN}; with few texts it is the worst one.",
        arxiv("2305.17493"),
    ),
    "nll_cvar10": Entry(
        "Human likelihood, worst tenth",
        "Mean negative log-likelihood of the tenth of human solutions that the student finds hardest, in nats a token.",
        f"Conditional value at risk over {HUMAN}.",
        arxiv("2305.17493"),
    ),
    "ref_ngram_lost": Entry(
        "Lost words of round 0",
        "Share of the words frequent in round 0's draw (five times or more) that an equal draw no longer shows.",
        f"{DRAW}; {JACK}.",
        arxiv("2305.17493"),
    ),
}

COLLAPSE: dict[str, Entry] = {
    f"collapse_{family}/{name}": entry
    for family, entries in (
        ("quality", QUALITY),
        ("diversity", DIVERSITY),
        ("tails", TAILS),
        ("drift", DRIFT),
        ("data", DATA),
        ("alarm", ALARM),
    )
    for name, entry in entries.items()
}
