"""The phase `gate`, the last one: decides from the round's metrics whether the run continues, warns, rolls back or stops.

Runs on rank 0 alone. Reads the metrics in the `DONE` files of `audit`, `curate` and `train`, `synthesize/metrics.json`,
`evaluate/metrics.json`, the COMMITs of earlier rounds, and what this round and its ancestors keep about the dev tasks
(`evaluate/dev.json`). Writes `gate/DONE`: the decision, its reason, the next parent, the state of the next round, and all
metrics of this one. No decision reads a metric of the test set.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from selfplay.collapse import DevAlarm, DevRound, alarm_of, best_round_of, best_unbiased
from selfplay.collapse.dev_rules import KEYS, METRIC_OF
from selfplay.collapse.estimate import Estimate
from selfplay.collapse.reward_rules import dev_change, precision_fell, reward_without_dev
from selfplay.config import Config
from selfplay.config.metrics import BEST, SCORE
from selfplay.config.tree import Gate
from selfplay.phases.evaluate import FROZEN
from selfplay.phases.synthesize import synthesis_metrics
from selfplay.runtime.context import RoundContext
from selfplay.runtime.metrics.base import interval, rounded
from selfplay.runtime.metrics.rollouts import PRECISION, RISE
from selfplay.store import Commit, RoundState, read_json, write_json
from selfplay.store.run import chain
from selfplay.tasks.levels import next_level

KL = "collapse_drift/kl_fwd_seq"
YOUDEN = "collapse_quality/verifier_youden_j"
CANARY = "collapse_quality/canary_false_accepts"
AUDITED = "collapse_quality/verifier_precision"
BACK = "collapse_alarm/incumbent"
"""Metric: the round to which a roll-back of the next round returns; its weights are kept."""

Action = Literal["continue", "warn", "roll_back", "stop"]


def gate(ctx: RoundContext) -> None:
    """Collects the round's metrics, decides, and writes both to `gate/DONE`; on rank 0 alone."""
    ctx.on_main_rank("gate", lambda: _gate(ctx))


def _gate(ctx: RoundContext) -> None:
    metrics = metrics_of(ctx)
    rounds = [dev_round(ctx, commit.round, commit.metrics) for commit in ctx.chain]
    rounds.append(dev_round(ctx, ctx.number, metrics))
    decision = decide(ctx.config, ctx.parent, metrics, ctx.commits, rounds, ctx.state)
    summary = {**asdict(decision), "state": _next_state(ctx, decision).model_dump()}
    write_json(ctx.at("gate") / "DONE", {**summary, "metrics": {**metrics, **decision.figures}})


def metrics_of(ctx: RoundContext) -> dict[str, Any]:
    """The round's metrics by key, from the files that its phases wrote."""
    metrics: dict[str, Any] = synthesis_metrics(ctx) if ctx.number else {}
    for name in ("audit", "curate", "train"):
        done = ctx.at(name) / "DONE"
        metrics |= read_json(done)["metrics"] if done.is_file() else {}
    metrics |= read_json(ctx.at("evaluate") / "metrics.json")
    return metrics


def dev_round(ctx: RoundContext, number: int, metrics: Mapping[str, Any]) -> DevRound:
    """What a round keeps about its dev tasks. A round without a dev accuracy, after too many errors, has no greedy outcomes."""
    kept = dict(read_json(ctx.run.phase(number, "evaluate") / FROZEN))
    return DevRound.read(number, kept if SCORE in metrics else {**kept, "dev": {}})


def _next_state(ctx: RoundContext, decision: "GateDecision") -> RoundState:
    """The state of the next round. After a roll-back the curriculum's level is as the round left it that is returned to."""
    if decision.action == "roll_back":
        return decision.state
    curriculum = ctx.config.propose.curriculum
    if curriculum is None:
        return decision.state
    level = curriculum.start if ctx.state.level is None else ctx.state.level
    if ctx.number:
        by_difficulty = read_json(ctx.at("curate") / "DONE")["by_difficulty"]
        counts = {int(difficulty): (right, of) for difficulty, (right, of) in by_difficulty.items()}
        level = next_level(curriculum, level, counts)
    return decision.state.model_copy(update={"level": level})


@dataclass(frozen=True)
class GateDecision:
    """What the gate decided about one round."""

    action: Action
    reason: str
    next_parent: int
    figures: dict[str, Any] = field(default_factory=dict)
    """Metrics that the gate adds: `collapse_alarm/...`, the best round, and its accuracy without selection."""
    state: RoundState = field(default_factory=RoundState)
    """The state of the next round: that of this one, plus the changes of a roll-back, which add up over roll-backs."""


def decide(
    config: Config,
    parent: int | None,
    row: Mapping[str, Any],
    commits: Sequence[Commit],
    rounds: Sequence[DevRound],
    state: RoundState,
) -> GateDecision:
    """Decides about a round. `row`: its metrics; `commits`: all rounds before it; `state`: what it started with.

    `rounds`: the dev tasks of its ancestors, oldest first, and its own, last.
    """
    section, number = config.gate, rounds[-1].number
    alarm = alarm_of(rounds, planned=config.rounds)
    parent_round = next((one for one in rounds if one.number == parent), None)
    level, reasons, keys = _with_hard_rules(config, alarm, row, _reward_rules(parent_round, rounds[-1], row))
    if level == 2 and any(commit.action == "roll_back" for commit in commits):
        level, reasons = 3, [*reasons, "level 2 again after a roll-back"]
    abandoned = level >= 2 and section.action != "observe"
    counted = rounds[:-1] if abandoned and len(rounds) > 1 else rounds
    figures = _figures(level, keys, alarm, commits) | _best_figures(counted)
    figures[BACK] = alarm.back if abandoned else alarm.next_back
    if not abandoned:
        plateau = _plateau(section, row, chain(commits, parent), number, figures.get(BEST))
        kept = bool(row.get("train/weights_kept"))
        if kept:
            reasons.append("the weights did not change: there was too little to train on")
        action: Action = "stop" if plateau else ("warn" if level or kept else "continue")
        return GateDecision(action, plateau or "; ".join(reasons), number, figures, state)
    why = f"collapse alarm level {level}: {'; '.join(reasons)}"
    if level >= 3 or section.action == "stop" or parent is None:
        return GateDecision("stop", why, number, figures, state)
    back = section.roll_back
    changed = {
        "level": commits[alarm.back].state.level,
        "temperature_add": state.temperature_add + back.temperature_add,
        "anchor_add": state.anchor_add + back.anchor_add,
        "cap_scale": state.cap_scale * back.cap_scale,
    }
    return GateDecision("roll_back", why, alarm.back, figures, state.model_copy(update=changed))


def _reward_rules(parent: DevRound | None, now: DevRound, row: Mapping[str, Any]) -> list[tuple[int, str, str]]:
    """Level, metric and reason of what speaks against the reward of the round's training."""
    rise, precision, audited = (_estimate(row, key) for key in (RISE, PRECISION, AUDITED))
    change = None if parent is None else dev_change(parent, now)
    said = ((RISE, reward_without_dev(rise, change)), (PRECISION, precision_fell(audited, precision)))
    return [(1, key, why) for key, why in said if why]


def _with_hard_rules(
    config: Config, alarm: DevAlarm, row: Mapping[str, Any], more: Sequence[tuple[int, str, str]]
) -> tuple[int, list[str], list[str]]:
    """Level, reasons and bad metrics of the dev tasks, the verifier, the KL budget, the canaries and `more` together."""
    found = [(alarm.level, METRIC_OF[key], why) for key, why in zip(alarm.keys, alarm.reasons, strict=True)]
    found += more
    j, low, high = (_number(row, YOUDEN + end) for end in ("", "_lo", "_hi"))
    if config.curate.verified_only and j is not None and low is not None and high is not None and low <= 0:
        said = f"the verifier's J is {j:.2f} [{low:.2f}, {high:.2f}]"
        what = "it keeps wrong attempts rather than right ones" if high < 0 else "it may not tell right from wrong"
        found.append((2 if high < 0 else 1, YOUDEN, f"{said}: {what}"))
    kl, budget = _number(row, f"{KL}_lo"), config.gate.kl_budget
    if budget is not None and kl is not None and kl > budget:
        found.append(
            (2, KL, f"forward KL to round 0 is above the budget of {budget} nats per sequence: at least {kl:.1f}")
        )
    if (accepted := _number(row, CANARY)) is not None and accepted > 0:
        found.append((3, CANARY, f"the verifiers accepted a canary that is known to be wrong ({accepted:.0f} in all)"))
    found.sort(key=lambda one: -one[0])
    return max((one[0] for one in found), default=0), [one[2] for one in found], [one[1] for one in found]


def _estimate(row: Mapping[str, Any], key: str) -> Estimate | None:
    """A metric with its interval; None where one of the three is missing."""
    value, low, high = (_number(row, key + end) for end in ("", "_lo", "_hi"))
    return None if value is None or low is None or high is None else Estimate(value, low, high)


def _number(row: Mapping[str, Any], key: str) -> float | None:
    value = row.get(key)
    usable = isinstance(value, int | float) and math.isfinite(value)
    return float(value) if usable and value is not None else None


def _figures(level: int, keys: Sequence[str], alarm: DevAlarm, commits: Sequence[Commit]) -> dict[str, Any]:
    """The metrics of the alarm."""
    moved = (str(commit.metrics.get("collapse_alarm/first_metric") or "") for commit in commits)
    figures: dict[str, Any] = {
        "collapse_alarm/level": level,
        "collapse_alarm/n_active": len(keys),
        "collapse_alarm/first_metric": next(filter(None, [*moved, *keys]), ""),
        "collapse_alarm/blind": "; ".join(f"{key}: {why}" for key, why in alarm.blind.items()),
    }
    for key in KEYS:
        name = "" if key == "dev_accuracy" else f"_{key}"
        if key in alarm.p:
            figures[f"collapse_alarm/p_{key}"] = float(f"{alarm.p[key]:.3g}")
        if key in alarm.smallest_fall:
            figures[f"collapse_alarm/minimum_detectable_fall{name}"] = alarm.smallest_fall[key]
    return figures


def _best_figures(rounds: Sequence[DevRound]) -> dict[str, Any]:
    """The best of the rounds that count, and its accuracy by cross-fitting."""
    best = best_round_of(rounds)
    if best is None:
        return {}
    found = best_unbiased(rounds)
    if found is None:
        return {BEST: best}
    figures = interval("eval/best_unbiased", found.accuracy) | interval("eval/best_unbiased_delta", found.change)
    return {BEST: best, **{key: rounded(key, value) for key, value in figures.items()}}


def _plateau(section: Gate, row: Mapping[str, Any], ancestors: Sequence[Commit], number: int, best: int | None) -> str:
    """The reason to stop if no round is clearly better than the best one for `gate.plateau_rounds` rounds; "" otherwise.

    Only rounds count that this one stands on and that changed the weights; rolled-back ones are none of them.
    """
    if section.plateau_rounds is None or best is None:
        return ""
    metrics = {**{one.round: one.metrics for one in ancestors}, number: row}
    since = [one for one, found in metrics.items() if one > best and not found.get("train/weights_kept")]
    if len(since) < section.plateau_rounds:
        return ""
    score = _number(metrics[best], SCORE)
    told = "" if score is None else f" (dev accuracy {score:.3f})"
    return f"plateau: no round was significantly better on the dev set than round {best}{told} in {len(since)} rounds"
