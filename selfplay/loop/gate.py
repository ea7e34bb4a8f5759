"""The last phase: rules on the round by its metrics: continue, warn, roll back or stop. The test set has no say."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from selfplay.collapse import Rules, alarms, half_life_rounds, load_rules, slope
from selfplay.config.metrics import SCORE
from selfplay.config.tree import Gate
from selfplay.phases.synthesize import synthesis_metrics
from selfplay.runtime.context import RoundContext
from selfplay.store import Commit, RoundState, read_json, write_json
from selfplay.store.run import chain
from selfplay.tasks.levels import next_level

KL = "collapse_drift/kl_fwd_seq"

Action = Literal["continue", "warn", "roll_back", "stop"]


def gate(ctx: RoundContext) -> None:
    """Gathers the round's metrics, rules on them, and writes both as DONE; rank 0 alone."""
    ctx.on_main_rank("gate", lambda: _gate(ctx))


def _gate(ctx: RoundContext) -> None:
    metrics = metrics_of(ctx)
    ruling = rule(ctx.config.gate, ctx.number, ctx.parent, metrics, ctx.commits, ctx.state)
    summary = {**asdict(ruling), "state": _next_state(ctx, ruling).model_dump()}
    write_json(ctx.at("gate") / "DONE", {**summary, "metrics": {**metrics, **ruling.figures}})


def metrics_of(ctx: RoundContext) -> dict[str, Any]:
    """The round's flat metrics, as its phases left them."""
    found: dict[str, Any] = synthesis_metrics(ctx) if ctx.number else {}
    for name in ("audit", "curate", "train"):
        place = ctx.at(name) / "DONE"
        found |= read_json(place)["metrics"] if place.is_file() else {}
    found |= read_json(ctx.at("evaluate") / "metrics.json")
    return found


def _next_state(ctx: RoundContext, ruling: "Ruling") -> RoundState:
    """What the next round is told: after a roll-back the level stays where the abandoned round found it."""
    if ruling.action == "roll_back":
        return ruling.state
    curriculum = ctx.config.propose.curriculum
    if curriculum is None:
        return ruling.state
    level = curriculum.start if ctx.state.level is None else ctx.state.level
    by_difficulty = read_json(ctx.at("curate") / "DONE")["by_difficulty"]
    counts = {int(n): (right, of) for n, (right, of) in by_difficulty.items()}
    level = next_level(curriculum, level, counts) if ctx.number else curriculum.start
    return ruling.state.model_copy(update={"level": level})


@dataclass(frozen=True)
class Ruling:
    """The gate's decision on one round."""

    action: Action
    reason: str
    next_parent: int
    figures: dict[str, Any] = field(default_factory=dict)
    """`collapse_alarm/...` keys of the round's row."""
    state: RoundState = field(default_factory=RoundState)
    """The state of the next round: this one's, and changed by a roll-back, on top of earlier ones."""


def rule(
    section: Gate,
    number: int,
    parent: int | None,
    row: Mapping[str, Any],
    commits: Sequence[Commit],
    state: RoundState,
) -> Ruling:
    """Rules on round `number`, whose row of metrics is `row`; `commits` are the rounds before it."""
    rows = [_visible(commit.row(), commit.parent, commit.action) for commit in commits]
    alarm = alarms([*rows, _visible(row, parent, "")], rules=rules_of(section))[-1]
    level, reasons = int(alarm["level"]), list(alarm["reasons"])
    figures = {
        "collapse_alarm/level": level,
        "collapse_alarm/n_active": alarm["n_active"],
        "collapse_alarm/first_metric": alarm["first_metric"],
        **half_life([*commits], row, parent),
    }
    if section.action == "observe" or level < 2:
        plateau = _plateau(section, number, row, commits)
        kept = bool(row.get("train/weights_kept"))
        if kept:
            reasons.append("the weights stayed as they were: there was too little to train on")
        action: Action = "stop" if plateau else ("warn" if level or kept else "continue")
        return Ruling(action, plateau or "; ".join(reasons), number, figures, state)
    why = f"collapse alarm level {level}: {'; '.join(reasons)}"
    if level >= 3 or section.action == "stop" or parent is None:
        return Ruling("stop", why, number, figures, state)
    back = section.roll_back
    changed = {
        "temperature_add": state.temperature_add + back.temperature_add,
        "anchor_add": state.anchor_add + back.anchor_add,
        "cap_scale": state.cap_scale * back.cap_scale,
    }
    return Ruling("roll_back", why, parent, figures, state.model_copy(update=changed))


def rules_of(section: Gate) -> Rules:
    """The package's rules, and the KL budget as a hard rule where there is one."""
    rules = load_rules()
    if section.kl_budget is None:
        return rules
    say = f"forward KL to round 0 above the budget of {section.kl_budget} nats a sequence"
    return replace(rules, hard=(*rules.hard, {"key": KL, "above": section.kl_budget, "say": say}))


VARIETY = "collapse_diversity/heterozygosity"
FEWEST = 4
"""Rounds before a rate of loss is fitted: with three its interval would rest on one degree of freedom."""


def half_life(commits: Sequence[Commit], row: Mapping[str, Any], parent: int | None) -> dict[str, float]:
    """How fast variety goes along the rounds that this one stands on: slope of log heterozygosity (1/N_e a round).

    `collapse_diversity/half_life_rounds` only where its interval is finite: where no loss is shown it is left out.
    """
    rows = [commit.metrics for commit in chain(list(commits), parent)] + [row]
    seen = [float(r[VARIETY]) for r in rows if isinstance(r.get(VARIETY), int | float)]
    if len(seen) < FEWEST or min(seen) <= 0:
        return {}
    rate = slope([math.log(h) for h in seen])
    out = {
        f"collapse_diversity/loss_rate{end}": -x for end, x in (("", rate.value), ("_lo", rate.hi), ("_hi", rate.lo))
    }
    life = half_life_rounds(seen)
    if rate.hi < 0:
        out |= {
            f"collapse_diversity/half_life_rounds{end}": x
            for end, x in (("", life.value), ("_lo", life.lo), ("_hi", life.hi))
        }
    return {key: round(value, 6) for key, value in out.items()}


def _visible(row: Mapping[str, Any], parent: int | None, action: str) -> dict[str, Any]:
    """What decisions may see: no key of the test set."""
    kept = {key: value for key, value in row.items() if not key.startswith("test")}
    return {**kept, "parent": parent, "gate/action": action}


def _plateau(section: Gate, number: int, row: Mapping[str, Any], commits: Sequence[Commit]) -> str:
    """Why the run has stopped getting better, or ""."""
    patience = section.plateau_rounds
    score = row.get(SCORE)
    if patience is None or score is None or not commits:
        return ""
    scores = [(commit.metrics.get(SCORE, 0.0), -commit.round) for commit in commits]
    best, at = max([*scores, (score, -number)])
    return (
        f"plateau: no better dev accuracy than {best:.3f} of round {-at} in {patience} rounds"
        if number + at >= patience
        else ""
    )
