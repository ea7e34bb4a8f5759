"""Checks the set-up of a run before any model is loaded: tasks, verifiers, models, servers."""

import logging
from collections.abc import Iterator
from pathlib import Path

from selfplay.config.sections import EngineSettings, StudentSettings
from selfplay.errors import ConfigError, DataError, OutageError
from selfplay.runtime.resources import RunResources
from selfplay.tasks.levels import check_curriculum
from selfplay.verify.base import PYTHON, check_verifiers, verifier_class
from selfplay.verify.faults import RowFaults

LOG = logging.getLogger("selfplay")


def row_faults(resources: RunResources, *, look: bool = False) -> tuple[list[str], int]:
    """What is wrong with the rows of the task files, a line each, and how many of their gold answers were not tried.

    Must be called before anything else opens the source. `look`: looks for the users' functions too, without importing them.
    """
    rows, faults = RowFaults(resources.folder, look=look), list[str]()
    resources.fault_of = rows.fault
    try:
        source, curriculum = resources.source, resources.config.propose.curriculum
        if curriculum is not None:
            check_curriculum(curriculum, source)
    except DataError as error:
        faults = str(error).splitlines()
    return faults, rows.untried


def check_fault(resources: RunResources, *, look: bool = False) -> str:
    """What is wrong with `verify.check`; "" if nothing is, or if it is not set. `look`: as in `row_faults`."""
    check = resources.config.verify.check
    fault = "" if check is None else RowFaults(resources.folder, look=look).fault(check, own=True)
    return f"verify.check: {fault}" if fault else ""


def verifier_faults(resources: RunResources) -> list[str]:
    """Why verifiers that the tasks name cannot be opened, such as a judge that is not configured. The tasks must be sound."""
    faults = []
    for kind in sorted(resources.kinds):
        try:
            check_verifiers({kind}, resources.options(resources.config.audit))
        except ConfigError as error:
            faults.append(str(error))
    return faults


def warmup_fault(resources: RunResources) -> str:
    """Why round 0 has nothing to be trained on; "" if it has, or is not trained. The tasks must be sound."""
    if resources.config.train.warmup is None or resources.source.fixed.anchor:
        return ""
    return (
        "train.warmup trains round 0 on the anchor, but no training task has a reference; add reference to tasks, or remove "
        "train.warmup and start from a pretrained student"
    )


def check_tasks(resources: RunResources) -> int:
    """Checks every task of the task files, without model and sandbox; must be called before anything else opens the source.

    Returns the number of gold answers that were not checked because the symbolic worker took too long. Raises DataError with
    all faulty rows at once, and ConfigError if `verify.check` is faulty, or if a judge is needed and not configured.
    """
    if fault := check_fault(resources):
        raise ConfigError(fault)
    faults, untried = row_faults(resources)
    if faults:
        raise DataError("\n".join(faults))
    if faults := verifier_faults(resources):
        raise ConfigError("\n".join(faults))
    return untried


def check_set_up(resources: RunResources) -> None:
    """Checks the set-up before any model is loaded. Raises if a task is faulty or needs a verifier that is not available."""
    if untried := check_tasks(resources):
        LOG.warning("%d answers of the tasks were not checked by the symbolic worker, which took too long", untried)
    launch_faults = resources.config.train.launch_faults(sharded=resources.ranks.sharded)
    if faults := [*source_faults(resources), *(fault for _, fault in model_faults(resources)), *launch_faults]:
        raise ConfigError("\n".join(faults))
    if fault := warmup_fault(resources):
        raise ConfigError(fault)
    for kind in sorted(resources.kinds):
        if kind.startswith(f"{PYTHON}:"):
            resources.functions.load(kind)
    if resources.config.phase_subprocess:  # each phase has a process of its own for them
        resources.functions.close()
    if any(verifier_class(kind).needs_sandbox for kind in resources.kinds):
        with resources.checkers():  # not the judge, whose model need not be loaded
            pass


def source_faults(resources: RunResources) -> list[str]:
    """Why no run can train on the source."""
    if not resources.config.tasks.evaluation_only:
        return []
    return [
        f"tasks.source is {resources.config.tasks.source}, an evaluation set, which no run may train on (`selfplay check` reads it); "
        "name a source with training tasks"
    ]


def model_faults(resources: RunResources, *, ask_hub: bool = False) -> Iterator[tuple[tuple[str, ...], str]]:
    """Key and fault of every model and engine that cannot be had, and of files of texts or replies that cannot be read.

    The key is () for a fault that names its own file and line. `ask_hub`: see `StudentSettings.model_fault`; a hub that does not
    answer is noted.
    """
    student = resources.config.student
    models: list[tuple[tuple[str, ...], StudentSettings | EngineSettings]] = [
        (("student",), student),
        *resources.engines(),
    ]
    for key, part in models:
        try:
            fault = part.model_fault(resources.folder, ask_hub=ask_hub)
        except OSError as error:
            resources.note(f"{'.'.join(key)}.model was not looked up, since the hub does not answer ({error})")
            continue
        if fault:
            yield (*key, "model"), f"{'.'.join(key)}.model {fault}"
    engine, model = student.served_by, getattr(student.located(resources.folder), "model", "")
    if engine is not None and (fault := engine.student_fault(Path(model))):
        yield ("student", "engine"), f"student.engine: {fault}"
    for key, engine in resources.engines():
        try:
            engine.check(resources.folder)
        except ConfigError as error:
            yield key, f"{'.'.join(key)}: {error}"
        except DataError as error:
            yield (), str(error)
    try:
        _ = resources.text_table
    except DataError as error:
        yield (), str(error)


def check_servers(resources: RunResources) -> None:
    """Raises OutageError if a server of a teacher or judge cannot be reached, before a round is run in vain."""
    for key, engine in resources.engines():
        if why := engine.unreachable(resources.opening()):
            raise OutageError(f"{'.'.join(key)}: {why}; start the server or correct its url, and run the same command")
