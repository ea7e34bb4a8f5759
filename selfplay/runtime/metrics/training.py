"""Defines the metrics of a round's training and of its curve, which the phase `train` writes."""

from typing import ClassVar

from selfplay.config.metrics import Definition
from selfplay.runtime.metrics.base import COUNT, EXACT, SHARE, Metric

LOSS = "Nats per token of completion; with dpo, kto and grpo the loss of the method."
LOGGED = "Mean since the last logged step."
ANY = "any number"
TENTH = "Over the training pairs of the first or last tenth of the round's steps."
BATCH = "All roll-outs of a batch, over all ranks."
ENDS = "Mean over the first or last tenth of the round's steps."
OF_ROLLOUTS = {
    "reward": (
        "Reward",
        "Mean reward of roll-outs; train/reward_TYPE is the same by type of verifier, unweighted.",
        ANY,
    ),
    "entropy": ("Entropy", "Mean entropy of the policy at the tokens that it drew, in nats.", "0 or more"),
    "rollout_length": ("Length of roll-outs", "Mean number of tokens of a roll-out.", "1 or more"),
    "dead_group_share": (
        "Dead groups",
        "Share of the groups whose rewards are equal, or fewer than two: they teach nothing. Their tokens count in the divisor of the loss.",
        SHARE,
    ),
    "kl": (
        "KL to the starting weights",
        "Mean KL of a token, as the loss with beta > 0 estimates it, in nats.",
        "0 or more",
    ),
}
"""What the curve and the round say of roll-outs: title, meaning, range."""

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
    "train/prompts": Definition("Prompts trained on", "Different tasks whose roll-outs were trained on.", EXACT, COUNT),
    **{
        f"train/{name}_*": Definition(title, f"{meaning} At either end of the round's training.", ENDS, range_)
        for name, (title, meaning, range_) in OF_ROLLOUTS.items()
    },
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
    **{
        f"train/{name}": Definition(title, meaning, BATCH, range_, headline=True)
        for name, (title, meaning, range_) in OF_ROLLOUTS.items()
    },
    "train/reward_std": Definition(
        "Spread of the reward", "Standard deviation of the rewards of a batch.", BATCH, "0 or more"
    ),
    "train/clip_share": Definition(
        "Clipped tokens",
        "Share of the tokens whose importance ratio was clipped; 0 while each batch is used once (num_iterations).",
        BATCH,
        SHARE,
        headline=True,
    ),
    "train/rollout_truncated_share": Definition(
        "Roll-outs cut off",
        "Share of the roll-outs that reached the limit of tokens; each is wrong.",
        BATCH,
        SHARE,
        headline=True,
    ),
    "train/rollout_without_reward": Definition(
        "Roll-outs without a reward",
        "Left out of the loss: an outage of ours, or no verifier had an opinion.",
        BATCH,
        COUNT,
    ),
    "train/rollout_tokens": Definition(
        "Tokens of the batch", "Prompts and completions of a batch of roll-outs.", EXACT, COUNT
    ),
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
