"""What a run says of itself before its first round ends: its model, and how long a round will take."""

from collections.abc import Iterable, Mapping
from typing import Any

from selfplay.config import Loaded
from selfplay.store import Commit, RunFolder


def student_line(loaded: Loaded, folder: RunFolder) -> str:
    """`student: /models/smollm2, 134.5M parameters, float32 on cpu, 2 threads`; "" for one without a model, or where it cannot be read.

    Reads the shape of `rounds/000/initial`, and no weights. Loads torch, which the phase that comes next does anyway.
    """
    config = loaded.config
    if config.student.kind == "scripted" or config.phase_subprocess:
        return ""
    import torch

    from selfplay.models.transformers.library import pick_device, pick_dtype
    from selfplay.plan.shape import place_of, shape_of

    initial = folder.round(0) / "initial"
    try:
        count, (name, _) = shape_of(initial).parameters, place_of(initial)
    except Exception:  # what a run says of itself must not end it
        return ""
    device = pick_device(config.launch.device)
    dtype = str(pick_dtype(getattr(config.student, "dtype", "auto"), device)).removeprefix("torch.")
    threads = torch.get_num_threads()
    where = (
        f"{device.type}, {threads} thread{'s' * (threads > 1)}"
        if device.type == "cpu"
        else torch.cuda.get_device_name(device)
    )
    kind = f"{config.student.kind} model" if name == str(initial) else name
    lora = f", LoRA of rank {config.train.lora.rank}" if config.train.lora is not None else ""
    served = "" if config.generate.backend.is_student else f"; {config.generate.backend.kind} writes the attempts"
    return f"student: {kind}, {in_short(count)} parameters{lora}, {dtype} on {where}{served}"


def in_short(count: int) -> str:
    """`134.5M` of 134515008."""
    for size, letter in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            return f"{count / size:.3g}{letter}" if count < 100 * size else f"{count / size:.0f}{letter}"
    return str(count)


def projected_seconds(loaded: Loaded, first: Commit) -> float | None:
    """Seconds of a later round: what `selfplay plan` expects of it, at the speed of round 0. None where the plan knows no seconds.

    The plan's own seconds are right within an order of magnitude, so each phase is scaled by what it took in round 0 against its plan; one
    that round 0 does not have is scaled as `evaluate`, which samples and verifies.
    """
    if loaded.config.student.kind == "scripted" or loaded.config.phase_subprocess:
        return None
    from selfplay.plan.estimate import plan_run

    try:
        plan = plan_run(loaded.config, loaded.path.resolve().parent)
    except Exception:  # what a run says of itself must not end it
        return None
    return scaled(_by_phase(plan.first), _by_phase(plan.later), first.time)


def scaled(first: Mapping[str, float], later: Mapping[str, float], measured: Mapping[str, float]) -> float | None:
    """Seconds of a later round from the plan of round 0, the plan of a later round, and the `time/` figures of round 0."""
    taken = {name: measured.get(f"time/{name}_seconds", 0.0) for name in first}
    slower = {name: taken[name] / first[name] for name in first if first[name] > 0 and taken[name] > 0}
    if "evaluate" not in slower:
        return None
    return sum(seconds * slower.get(name, slower["evaluate"]) for name, seconds in later.items())


def _by_phase(phases: Iterable[Any]) -> dict[str, float]:
    """Planned seconds by phase; phases of unknown length are left out."""
    found: dict[str, float] = {}
    for one in phases:
        if one.seconds is not None:
            found[one.work.phase] = found.get(one.work.phase, 0.0) + one.seconds
    return found
