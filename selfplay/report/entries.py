"""Floor 2: an entry of the glossary, and those of collapse metrics of quality, drift, data and alarms."""

from typing import NamedTuple


class Entry(NamedTuple):
    """One metric in words."""

    title: str
    meaning: str
    estimator: str
    """How it is estimated, from how many samples, and what interval stands beside it."""
    link: str = ""
    """The source of the formula, an address."""


def arxiv(number: str) -> str:
    """Address of a paper."""
    return f"https://arxiv.org/abs/{number}"


TASKS = "95 % interval by bootstrap over tasks"
PANEL = f"n samples a panel task at temperature 1 and top-p 1, n = eval.samples; {TASKS}"
HUMAN = (
    "human text that is never trained on (eval's likelihood part), mean nats a token of each text; bootstrap over texts"
)
DRAW = "one draw of the panel samples' words, its size frozen at round 0"
JACK = "95 % interval by leaving out one text at a time"
CHEN, HURLBERT = arxiv("2107.03374"), "https://doi.org/10.2307/1934145"
FENG, DANG, BSTAR = arxiv("2406.07515"), arxiv("2504.10478"), arxiv("2412.17256")
SIMPSON = "https://doi.org/10.1038/163688a0"

QUALITY = {
    "pass_gap": Entry(
        "pass@n minus pass@1",
        "What more attempts still add. It closes when the student grows sure, rightly or wrongly.",
        f"Difference of the two estimates a task; {PANEL}.",
        arxiv("2504.13837"),
    ),
    "human_nll": Entry(
        "Human likelihood",
        "Mean negative log-likelihood of human solutions under the student, in nats a token. Rises as human ways get lost.",
        f"Mean over {HUMAN}. Only changes can be read.",
        arxiv("2305.17493"),
    ),
    "known_wrong_accepted": Entry(
        "Known wrong, accepted",
        "Planted wrong solutions that the verifiers passed. One is enough for level 3.",
        "Count over the canaries of the round.",
    ),
    "known_wrong": Entry("Known wrong", "Planted wrong solutions that were judged.", "Count; audit.canaries."),
    "known_right_dropped": Entry(
        "Known right, dropped", "Planted right solutions that the verifiers failed.", "Count over the canaries."
    ),
    "known_right": Entry("Known right", "Planted right solutions that were judged.", "Count; audit.canaries."),
    "known_undecided": Entry(
        "Known, undecided", "Planted solutions that no verifier had a word on.", "Count over the canaries."
    ),
    "verifier_phi": Entry(
        "Right ones kept (phi)",
        "Chance that the round's verifiers keep a right attempt.",
        "Attempts judged again more strongly, weighed by stratum; Wilson interval.",
        FENG,
    ),
    "verifier_psi": Entry(
        "Wrong ones kept (psi)",
        "Chance that the round's verifiers keep a wrong attempt: what visible tests let through.",
        "Attempts judged again more strongly, weighed by stratum; Wilson interval.",
        FENG,
    ),
    "verifier_pstar": Entry(
        "Breakdown point p*",
        "Share of wrong attempts up to which training on what the verifiers keep still helps: 1/(1 + psi/phi).",
        "From phi and psi of the audited attempts.",
        FENG,
    ),
    "verifier_pstar_margin": Entry(
        "Margin to the breakdown point",
        "p* minus the share of wrong attempts before the filter. Below 0, verified training makes things worse.",
        "From phi, psi and the error; the interval joins their worst and best ends, so it is wider than 95 %.",
        FENG,
    ),
    "verifier_error": Entry(
        "Wrong before the filter",
        "Share of the round's attempts that are wrong.",
        "Audited attempts, weighed by stratum.",
    ),
    "verifier_precision": Entry(
        "Right among the kept", "Share of what the verifiers kept that a stronger check passes.", "Wilson interval."
    ),
    "verifier_checked": Entry("Judged again", "Attempts that a stronger check had a word on.", "Count."),
    "verifier_overturned": Entry("Overturned", "Verdicts that the stronger check turned round.", "Count."),
}

DRIFT = {
    "kl_fwd_seq": Entry(
        "Forward KL to round 0, a sample",
        "Mean of log p_0 - log p_now over round 0's own samples, in nats a sample: what round 0 said that the student no longer would.",
        f"One frozen sample a panel task, first 512 tokens; unbiased, may come out below 0; {TASKS}.",
    ),
    "kl_fwd_tok": Entry(
        "Forward KL to round 0, a token",
        "The same over the samples' tokens.",
        f"Ratio of sums; {TASKS}.",
    ),
    "token_entropy_free": Entry(
        "Token entropy, own samples",
        "Entropy of the next token along the student's own samples, in nats. Can rise while answers grow alike.",
        f"Mean -log p of sampled tokens at temperature 1; {TASKS}.",
        arxiv("2505.22617"),
    ),
    "token_entropy_ref_prefix": Entry(
        "Token entropy, round 0's prefixes",
        "Entropy of the next token at every place of round 0's samples, in nats: the same places every round.",
        f"From the whole distribution; one frozen sample a panel task; {TASKS}.",
        arxiv("2505.22617"),
    ),
    "len_mean": Entry(
        "Mean length",
        "Mean length of panel samples in tokens. Length confounds every metric of texts.",
        f"All panel samples; {TASKS}.",
    ),
    "len_p95": Entry(
        "Length, 95th percentile", "Tokens that 95 of 100 panel samples stay below.", "All panel samples."
    ),
    "trunc_rate": Entry(
        "Truncated", "Share of panel samples cut off at the token limit.", "Wilson interval over samples."
    ),
    "js_to_reference_bits": Entry(
        "Jensen-Shannon to the reference",
        "Divergence of the words from the reference's, in bits, 0 to 1.",
        "Equal draws, half a count added to each word.",
        "https://doi.org/10.1109/18.61115",
    ),
}

DATA = {
    "rows": Entry("Training rows", "Rows that the round trained on.", "Exact count."),
    "tokens_total": Entry("Training tokens", "Tokens of these rows, prompts included.", "Exact count."),
    "real_share": Entry(
        "Human share of tokens",
        "Share of the training tokens that comes from the anchor.",
        "Exact.",
        arxiv("2404.01413"),
    ),
    "synthetic_age_mean": Entry(
        "Mean age",
        "Mean age in rounds of the student's own training rows, weighed by tokens.",
        "Exact.",
        arxiv("2410.16713"),
    ),
    "tasks_covered": Entry("Tasks covered", "Different tasks among the training rows.", "Exact count."),
    "per_task_gini": Entry(
        "Concentration", "Gini coefficient of training rows over the tasks that have one: 0 is even.", "Exact."
    ),
    "capped_share": Entry(
        "Over the cap",
        "Share of otherwise accepted attempts dropped by the cap a task.",
        "Wilson interval.",
        arxiv("2312.06585"),
    ),
    "teacher_share": Entry(
        "Written by the teacher", "Share of the accepted attempts that the teacher wrote.", "Wilson interval."
    ),
    "eval_contam_rate": Entry(
        "Overlaps held-out tasks",
        "Share of the sampled attempts dropped as contaminated by panel or test.",
        "Wilson interval; curation's n-gram rule.",
    ),
    "seed_overlap_13gram": Entry(
        "Overlaps the anchor",
        "Share of the accepted attempts with 13 words in a row that an anchor solution has too.",
        "Wilson interval.",
        arxiv("2005.14165"),
    ),
    "sampler_tau": Entry(
        "Sampling temperature", "Temperature of the round's attempts: a cold sampler narrows by itself.", "As set."
    ),
    "sampler_top_p": Entry("Sampling top-p", "Top-p of the round's attempts.", "As set."),
    "compared_tokens": Entry(
        "Words drawn", "Size of the draw that the wording's figures come from, frozen at round 0.", "Exact."
    ),
}

ALARM = {
    "level": Entry(
        "Alarm level",
        "0 quiet, 1 an interval is bad in one round, 2 in two rounds or a hard rule at once, 3 a known-wrong trace accepted or level 2 again.",
        "Rules of selfplay/collapse/rules.json; Holm-corrected over the family of alarm metrics.",
        "https://www.jstor.org/stable/4615733",
    ),
    "n_active": Entry(
        "Active alarms",
        "Number of metrics and hard rules that are bad in the round.",
        "Holm-corrected over the family.",
    ),
    "first_metric": Entry(
        "First to move", "The metric that was bad first in this run; empty while none was.", "As found."
    ),
}
