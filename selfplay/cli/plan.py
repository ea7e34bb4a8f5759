"""`selfplay plan`: prints what a run will take, by phase, before it is started."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from selfplay.cli.terminal import print_table, rough_time
from selfplay.config import load_config
from selfplay.plan.estimate import PhasePlan, Plan, plan_run


def plan_command(
    config: Path,
    overrides: list[str],
    *,
    device: str,
    ranks: int,
    hourly: float,
    measure: bool,
    fsdp2: bool,
    as_json: bool,
) -> None:
    """Prints the plan of a run as tables, or as one JSON object. `hourly`: the price of an hour of all ranks."""
    loaded = load_config(config, overrides)
    folder = loaded.path.resolve().parent
    plan = plan_run(loaded.config, folder, device=device, ranks=ranks, measure=measure, fsdp2=fsdp2)
    if as_json:
        print(json.dumps(plan.to_dict()))
        return
    columns = ["phase", "by", "requests", "at most", "tokens", "at most", "time"]
    for title, phases in (("Round 0", plan.first), ("Each later round", plan.later)):
        rows = [_row(phase) for phase in phases if any(_row(phase)[2:])]
        rows.append(["all", "", "", "", "", "", _time(plan.seconds_of(phases))])
        print_table(title, columns, rows)
    for line in _summary(plan, hourly):
        print(line)


def _row(phase: PhasePlan) -> list[str]:
    work = phase.work
    done = work.prompt_tokens + work.completion_tokens + work.trained_tokens + work.scored_tokens
    most = f"{work.most_completion_tokens:,} new" if work.most_completion_tokens else ""
    requests = f"{work.requests:,}" if work.requests else f"{work.programs:,} runs" if work.programs else ""
    requests = requests or (f"{work.steps:,} steps" if work.steps else "")
    bound = f"{work.most_requests:,}" if work.most_requests else ""
    return [work.phase, work.by, requests, bound, f"{done:,}" if done else "", most, _time(phase.seconds)]


def _summary(plan: Plan, hourly: float) -> Iterable[str]:
    later = f"{plan.rounds} later round{'s' * (plan.rounds != 1)}"
    yield f"The run, round 0 and {later}: {_time(plan.seconds) or 'unknown time'}"
    memory, disk = (_size(value) for value in (plan.memory_bytes, plan.disk_bytes))
    yield f"Memory at the peak, per rank: {memory}; disk: {disk}"
    if plan.memory is not None:
        yield "Of it: " + ", ".join(f"{name} {_size(value)}" for name, value in asdict(plan.memory).items())
    money = plan.money
    paid = "unknown, set prompt_price and completion_price" if money is None else f"{money:.2f}"
    if hourly and plan.seconds is not None:
        yield f"Money: {paid} for servers, {hourly * plan.seconds / 3600:.2f} for the machine"
    elif money != 0:
        yield f"Money for servers: {paid}"
    for note in plan.notes:
        yield f"- {note}"


def _time(seconds: float | None) -> str:
    return "" if seconds is None else rough_time(seconds)


def _size(value: int | None) -> str:
    return "unknown" if value is None else f"{value / 2**20:,.0f} MiB" if value < 2**33 else f"{value / 2**30:,.0f} GiB"
