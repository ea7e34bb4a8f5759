"""Defines the metrics of time and cost, which the loop computes."""

from typing import ClassVar

from selfplay.config.metrics import Definition
from selfplay.runtime.metrics.base import COUNT, EXACT, SHARE, Metric

WALL = "Wall clock of one run on this machine."
SECONDS = "seconds"
BACKENDS = "As counted by the backends."


class Cost(Metric):
    """`time/...`, `cost/...`."""

    definitions: ClassVar = {
        "time/round_seconds": Definition(
            "Time of the round", "Wall time of all its phases.", WALL, SECONDS, headline=True
        ),
        "time/work_seconds": Definition(
            "Time at work", "Wall time inside generation, training and the sandbox's executor.", WALL, SECONDS
        ),
        "time/overhead_share": Definition(
            "Overhead",
            "Share of the round's wall time outside generation, training and the sandbox's executor.",
            WALL,
            SHARE,
        ),
        "time/*": Definition("Time of a phase", "Wall time of the phase.", WALL, SECONDS),
        "cost/money": Definition(
            "Money", "What servers were paid, by the prices in the configuration.", BACKENDS, "0 or more", headline=True
        ),
        "cost/prompt_tokens": Definition("Prompt tokens", "Tokens sent to servers.", BACKENDS, COUNT),
        "cost/completion_tokens": Definition("Completion tokens", "Tokens received from servers.", BACKENDS, COUNT),
        "cost/requests": Definition("Requests", "Requests sent to servers.", BACKENDS, COUNT),
        "cost/train_oom_backoffs": Definition(
            "Memory back-offs", "How often training halved its micro-batch because memory ran out.", EXACT, COUNT
        ),
    }
