"""Defines the metrics that the gate computes from the metrics of all rounds: the alarms."""

from typing import ClassVar

from selfplay.config.metrics import Definition
from selfplay.runtime.metrics.base import COUNT, Metric

HOLM = "https://www.jstor.org/stable/4615733"


class Alarms(Metric):
    """`collapse_alarm/...`."""

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
    }
