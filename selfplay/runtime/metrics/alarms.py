"""Defines the metrics that the gate computes from the metrics of all rounds: alarms and the loss of variety."""

from typing import ClassVar

from selfplay.config.metrics import Definition
from selfplay.runtime.metrics.base import COUNT, Metric

LOSS = "Least squares on the logarithm of heterozygosity, over four rounds or more; 95 % t interval."
WRIGHT = "https://doi.org/10.1093/genetics/16.2.97"
HOLM = "https://www.jstor.org/stable/4615733"


class Alarms(Metric):
    """`collapse_alarm/...` and the rate at which variety is lost."""

    definitions: ClassVar = {
        "round": Definition(
            "Round", "Number of the round; round 0 trains on the anchor.", "Counted.", COUNT, headline=True
        ),
        "collapse_alarm/level": Definition(
            "Alarm level",
            "0: quiet. 1: an interval is bad in one round. 2: in two rounds, or a hard rule is broken. 3: the verifiers accepted a wrong "
            "canary, or level 2 came again after a roll-back.",
            "Rules of selfplay/collapse/rules.json; Holm-corrected over the alarm metrics.",
            "0 to 3",
            HOLM,
            headline=True,
        ),
        "collapse_alarm/n_active": Definition(
            "Active alarms",
            "Number of metrics and hard rules that are bad in the round.",
            "Holm-corrected over the alarm metrics.",
            COUNT,
            HOLM,
        ),
        "collapse_alarm/first_metric": Definition(
            "First to move",
            "The metric that was bad first in this run; empty if none was.",
            "As found.",
            "a key",
            headline=True,
        ),
        "collapse_diversity/loss_rate": Definition(
            "Loss of variety per round",
            "Decrease per round of the logarithm of heterozygosity, over the round and its ancestors: 1/N_e.",
            LOSS,
            "per round",
            WRIGHT,
        ),
        "collapse_diversity/half_life_rounds": Definition(
            "Half-life of variety",
            "Rounds until half of the variety among right solutions is lost: ln 2 over the loss per round.",
            f"{LOSS} Left out if no loss is shown.",
            "rounds, above 0",
            WRIGHT,
            headline=True,
        ),
    }
