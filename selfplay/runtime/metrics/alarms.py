"""Defines the metrics that the gate computes: alarms over the round and its ancestors, and the best round."""

from typing import ClassVar

from selfplay.config.metrics import Definition
from selfplay.runtime.metrics.base import COUNT, SHARE, Metric

RULES = "Rules over dev tasks (selfplay/collapse/dev_rules.py), corrected over keys and planned rounds; see docs/collapse.md."
P = "One-sided p, Bonferroni over the comparisons of the key (round 0 and the incumbent, one round and the mean of three)."
SMALLEST = "With 80 % power; it is left out if no fall could be shown."
MCNEMAR, BONFERRONI = "https://doi.org/10.1007/BF02295996", "https://doi.org/10.1093/biomet/70.3.659"
CHOSEN = "Cross-fitting over five folds of dev tasks: the round that the other folds choose is scored on the fold."


class Alarms(Metric):
    """`collapse_alarm/...` and `eval/best_...`."""

    definitions: ClassVar = {
        "round": Definition(
            "Round", "Number of the round; round 0 trains on the anchor.", "Counted.", COUNT, headline=True
        ),
        "collapse_alarm/level": Definition(
            "Alarm level",
            "0: quiet. 1: a key is bad in this round. 2: the same key is bad in two rounds running, or one is clearly bad at once, or the "
            "verifier keeps wrong attempts rather than right ones. 3: the verifiers accepted a wrong canary, or level 2 came again after a "
            "roll-back.",
            RULES,
            "0 to 3",
            BONFERRONI,
            headline=True,
        ),
        "collapse_alarm/n_active": Definition(
            "Active alarms", "Number of keys that are bad in the round.", RULES, COUNT, BONFERRONI
        ),
        "collapse_alarm/first_metric": Definition(
            "First to move",
            "The metric that was bad first in this run; empty if none was.",
            "As found.",
            "a key",
            headline=True,
        ),
        "collapse_alarm/blind": Definition(
            "Blind keys",
            "The keys of the alarm that cannot be judged in this round, each with the reason; empty if all can. A blind key is not a quiet one.",
            "As found.",
            "text",
            headline=True,
        ),
        "collapse_alarm/incumbent": Definition(
            "Incumbent",
            "The round from which the next one starts after a roll-back: the last that was clearly better than the incumbent before it and at "
            "which no key was bad; round 0 if there was none.",
            "Exact sign test on the dev tasks, p at most 0.005.",
            COUNT,
            MCNEMAR,
        ),
        "collapse_alarm/minimum_detectable_fall": Definition(
            "Smallest fall seen",
            "The smallest lasting fall of the dev accuracy that this dev set shows.",
            f"Exact power of the sign test, with the share of outcomes that differed between rounds so far. {SMALLEST}",
            SHARE,
            MCNEMAR,
            headline=True,
        ),
        "collapse_alarm/minimum_detectable_fall_*": Definition(
            "Smallest fall seen, by key",
            "The smallest lasting fall that a key of the alarm shows: of the mean pass rate (task_rate), of the share of human texts "
            "(human_text), of the share of the variety of right solutions (variety).",
            f"Exact power of the sign test (texts), normal law with the spread over tasks (others). {SMALLEST}",
            SHARE,
            MCNEMAR,
        ),
        "collapse_alarm/p_dev_accuracy": Definition(
            "p of the dev accuracy",
            "How surprising the loss of dev tasks is for a student that lost nothing.",
            f"Larger one of an exact sign test and a paired t test with a margin of 0.01. {P}",
            SHARE,
            MCNEMAR,
        ),
        "collapse_alarm/p_task_rate": Definition(
            "p of the pass rates",
            "How surprising the fall of the pass rates at temperature 1 is for a student that lost nothing.",
            f"Paired t test over sampled dev tasks with a margin of 0.01. {P}",
            SHARE,
        ),
        "collapse_alarm/p_human_text": Definition(
            "p of human text",
            "How surprising it is that so many human texts became clearly less likely, beside those that became likelier.",
            "Exact sign test on the texts that moved by more than 0.1 nats per token and 10 %, against the human text's own incumbent.",
            SHARE,
            MCNEMAR,
        ),
        "collapse_alarm/p_variety": Definition(
            "p of the variety",
            "How surprising the variety of right solutions is for a student that kept half of it.",
            f"Paired t test over tasks with two right samples in both rounds. {P}",
            SHARE,
        ),
        "eval/best_round": Definition(
            "Best round",
            "The earliest round that is not clearly worse on the dev set than the one with the highest accuracy. Rolled-back rounds do not count.",
            "Exact sign test on the dev tasks, one-sided p above 0.05.",
            COUNT,
            MCNEMAR,
        ),
        "eval/best_unbiased": Definition(
            "Dev accuracy of the best round, without selection",
            "Dev accuracy that the choice of the best round gives, without the optimism of choosing and scoring on the same tasks.",
            f"{CHOSEN} 95 % Wilson interval; the change to round 0 is paired over tasks (interval of Bonett and Price).",
            SHARE,
            "https://doi.org/10.1002/sim.4780",
            headline=True,
        ),
    }
