"""The phase `gate`, the last one: decides from the round's metrics whether the run continues, warns, rolls back or stops.

Runs on rank 0 alone. Reads the metrics in the `DONE` files of `audit`, `curate` and `train`, `synthesize/metrics.json`,
`evaluate/metrics.json`, and the COMMITs of earlier rounds. Writes `gate/DONE`: the decision, its reason, the next parent, the
state of the next round, and all metrics of this one. No decision reads a metric of the test set.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from selfplay.collapse import Rules, alarms, load_rules
from selfplay.config.metrics import SCORE
from selfplay.config.tree import Gate
from selfplay.phases.synthesize import synthesis_metrics
from selfplay.runtime.context import RoundContext
from selfplay.store import Commit, RoundState, read_json, write_json
from selfplay.tasks.levels import next_level

KL = "collapse_drift/kl_fwd_seq"

Action = Literal["continue", "warn", "roll_back", "stop"]


def gate(ctx: RoundContext) -> None:
    """Collects the round's metrics, decides, and writes both to `gate/DONE`; on rank 0 alone."""
    ctx.on_main_rank("gate", lambda: _gate(ctx))


def _gate(ctx: RoundContext) -> None:
    metrics = metrics_of(ctx)
    decision = decide(ctx.config.gate, ctx.number, ctx.parent, metrics, ctx.commits, ctx.state)
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


def _next_state(ctx: RoundContext, decision: "GateDecision") -> RoundState:
    """The state of the next round. After a roll-back the curriculum's level stays as it was before the abandoned round."""
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
    """Metrics that the gate adds: `collapse_alarm/...`."""
    state: RoundState = field(default_factory=RoundState)
    """The state of the next round: that of this one, plus the changes of a roll-back, which add up over roll-backs."""


def decide(
    section: Gate,
    number: int,
    parent: int | None,
    row: Mapping[str, Any],
    commits: Sequence[Commit],
    state: RoundState,
) -> GateDecision:
    """Decides about round `number`. `row`: its metrics; `commits`: the rounds before it; `state`: what it started with."""
    rows = [_visible(commit.row(), commit.parent, commit.action) for commit in commits]
    alarm = alarms([*rows, _visible(row, parent, "")], rules=rules_of(section))[-1]
    alarm_level, reasons = int(alarm["level"]), list(alarm["reasons"])
    figures = {
        "collapse_alarm/level": alarm_level,
        "collapse_alarm/n_active": alarm["n_active"],
        "collapse_alarm/first_metric": alarm["first_metric"],
    }
    if section.action == "observe" or alarm_level < 2:
        plateau = _plateau(section, number, row, commits)
        kept = bool(row.get("train/weights_kept"))
        if kept:
            reasons.append("the weights did not change: there was too little to train on")
        action: Action = "stop" if plateau else ("warn" if alarm_level or kept else "continue")
        return GateDecision(action, plateau or "; ".join(reasons), number, figures, state)
    why = f"collapse alarm level {alarm_level}: {'; '.join(reasons)}"
    if alarm_level >= 3 or section.action == "stop" or parent is None:
        return GateDecision("stop", why, number, figures, state)
    back = section.roll_back
    changed = {
        "temperature_add": state.temperature_add + back.temperature_add,
        "anchor_add": state.anchor_add + back.anchor_add,
        "cap_scale": state.cap_scale * back.cap_scale,
    }
    return GateDecision("roll_back", why, parent, figures, state.model_copy(update=changed))


def rules_of(section: Gate) -> Rules:
    """The package's alarm rules, plus a hard rule for `gate.kl_budget` if it is set."""
    rules = load_rules()
    if section.kl_budget is None:
        return rules
    say = f"forward KL to round 0 above the budget of {section.kl_budget} nats per sequence"
    return replace(rules, hard=(*rules.hard, {"key": KL, "above": section.kl_budget, "say": say}))


def _visible(row: Mapping[str, Any], parent: int | None, action: str) -> dict[str, Any]:
    """The metrics that a decision may read: all but those of the test set."""
    kept = {key: value for key, value in row.items() if not key.startswith("test")}
    return {**kept, "parent": parent, "gate/action": action}


def _plateau(section: Gate, number: int, row: Mapping[str, Any], commits: Sequence[Commit]) -> str:
    """The reason to stop if dev accuracy has not risen for `gate.plateau_rounds` rounds; "" otherwise.

    A round that was rolled back sets no mark: accuracy often rises while a student narrows.
    """
    score = row.get(SCORE)
    scores = {c.round: c.metrics[SCORE] for c in commits if c.action != "roll_back" and SCORE in c.metrics}
    if section.plateau_rounds is None or score is None or not scores:
        return ""
    best = max(scores.values())
    at = min(round for round, known in scores.items() if known == best)
    if score > best or number - at < section.plateau_rounds:
        return ""
    return f"plateau: no better dev accuracy than {best:.3f} of round {at} in {section.plateau_rounds} rounds"
