"""Defines the metrics of a round's training and of its curve, which the phase `train` writes."""

from typing import ClassVar

from selfplay.config.metrics import Definition
from selfplay.runtime.metrics.base import COUNT, EXACT, SHARE, Metric

LOSS = "Nats per token of completion; with dpo and kto the loss of the method."
LOGGED = "Mean since the last logged step."
ANY = "any number"
TENTH = "Over the training pairs of the first or last tenth of the round's steps."

ROUND = {
    "train/loss_first": Definition(
        "First training loss", f"Loss of the first step. {LOSS}", "One optimizer step.", ANY
    ),
    "train/loss_last": Definition(
        "Last training loss",
        f"Loss at the end of the round's training. {LOSS}",
        "The trainer's last logged mean.",
        ANY,
        headline=True,
    ),
    "train/steps": Definition("Optimizer steps", "Optimizer steps of the round.", EXACT, COUNT),
    "train/tokens": Definition(
        "Tokens seen", "Tokens that the round's training read, repetitions included.", EXACT, COUNT
    ),
    "train/micro_batch_size": Definition(
        "Micro-batch size", "Rows of one forward pass on one rank during training.", "After any back-off.", COUNT
    ),
    "train/weights_kept": Definition(
        "Weights kept",
        "1 if the round had too little to train on and ended with the weights that it began with.",
        "Exact.",
        "0 or 1",
    ),
    "train/rows_left_out": Definition("Rows left out", "Rows that training could not use.", EXACT, COUNT),
    "train/pairs": Definition("Pairs trained on", "Different pairs of a right and a wrong attempt.", EXACT, COUNT),
    "train/rewards_margin_last": Definition(
        "Reward margin, last",
        "beta times how much more the student has come to prefer right attempts to wrong ones than the weights that the round began with.",
        f"dpo: mean over pairs; kto: mean of the right minus mean of the wrong sides. {TENTH}",
        "nats",
        headline=True,
    ),
    "train/rewards_margin_*": Definition(
        "Reward margin",
        "beta times how much more the student has come to prefer right attempts to wrong ones than the weights that the round began with. "
        "It is 0 at the first step.",
        f"dpo: mean over pairs; kto: mean of the right minus mean of the wrong sides. {TENTH}",
        "nats",
    ),
    "train/rewards_accuracy_*": Definition(
        "Preference accuracy",
        "dpo: share of pairs whose right side has gained more than the wrong one. kto: share of sides that have gained more (right) or less "
        "(wrong) than the student has moved on the whole.",
        f"{TENTH} A tie counts as wrong for a right side.",
        SHARE,
    ),
}
CURVE = {
    "train/step": Definition("Step", "Optimizer step, counted on over all rounds.", EXACT, COUNT, headline=True),
    "train/loss": Definition("Training loss", LOSS, LOGGED, ANY, headline=True),
    "train/learning_rate": Definition(
        "Learning rate", "Learning rate of the step.", "Exact.", "0 or more", headline=True
    ),
    "train/grad_norm": Definition(
        "Gradient norm", "Norm of the gradient before clipping.", LOGGED, "0 or more", headline=True
    ),
    "train/rewards_margin": Definition(
        "Reward margin",
        "beta times how much more the student has come to prefer right sides to wrong ones than the weights that the round began with.",
        LOGGED,
        "nats",
        headline=True,
    ),
    "train/*": Definition(
        "Training", "A figure that the trainer logs under this name.", "As the trainer logs it.", ANY
    ),
}


class Training(Metric):
    """`train/...`."""

    definitions: ClassVar = {**ROUND, **CURVE}
