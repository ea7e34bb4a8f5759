"""`selfplay validate`: lists every fault of a configuration and of its task files at once, without importing torch."""

import re
import sys
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

from selfplay.config.faults import positioned
from selfplay.config.load import Examined, examine
from selfplay.errors import ConfigError
from selfplay.runtime.distributed import Ranks
from selfplay.runtime.prompt_lengths import length_notes
from selfplay.runtime.resources import RunResources
from selfplay.runtime.set_up import check_fault, model_faults, row_faults, source_faults, verifier_faults, warmup_fault
from selfplay.training.methods.base import method_of
from selfplay.training.trl_arguments import argument_faults

_PLACE = re.compile(r"(?P<file>.+?):(?P<line>\d+):(?:(?P<column>\d+):)? ")
_MORE = re.compile(r"and (\d+) more")


def validate_command(config: Path, overrides: Sequence[str], tasks: bool = True) -> None:
    """Prints that the configuration is valid, or raises ConfigError with every fault, sorted by file and line, and their number.

    `tasks`: also reads the task files.
    """
    found = examine(config, overrides)
    faults = [*map(str, found.faults), *trainer_faults(found)]
    if found.config is not None:
        folder = config.resolve().parent
        runs = Path(found.config.runs_dir)
        with closing(
            RunResources(found.config, folder, Ranks(), runs, lambda text: print(text, file=sys.stderr))
        ) as resources:
            faults += _model_faults(found, resources)
            faults += _task_faults(found, resources) if tasks else []
    if lines := _in_order((positioned(fault, found.marks, str(config)) for fault in faults), str(config)):
        raise ConfigError("\n".join(lines))
    assert found.config is not None
    rounds = found.config.rounds
    shape = f"{found.config.tasks.source}, {found.config.student.kind} student, {rounds} round{'s' * (rounds != 1)}"
    print(f"{config}: valid ({shape})")


def trainer_faults(found: Examined) -> list[str]:
    """Keys of train.args that TRL does not have, or that another key sets, each with its position."""
    train = getattr(found.config, "train", None)
    if train is None:
        return []
    method = method_of(train)
    faults = argument_faults(method.args, method.trl_config, method.reserved_args)
    return [f"{found.where('train', 'args', key)}: {fault}" for key, fault in faults]


def _model_faults(found: Examined, resources: RunResources) -> list[str]:
    """Models that cannot be had, and files of replies or texts that cannot be read; those of faulty sections are not looked at."""
    if not hasattr(found.config, "student"):
        return []
    faults = [f"{found.where(*key)}: {fault}" if key else fault for key, fault in model_faults(resources, ask_hub=True)]
    return [*faults, *(f"{found.where('tasks')}: {fault}" for fault in source_faults(resources))]


def _task_faults(found: Examined, resources: RunResources) -> list[str]:
    """What is wrong with the task rows and `verify.check`; if nothing is, why their verifiers cannot be opened."""
    rows, untried = row_faults(resources, look=True)
    if untried:
        print(f"{untried} answers of the tasks were not checked by the symbolic worker, which took too long")
    if fault := check_fault(resources, look=True):
        rows.append(f"{found.where('verify', 'check')}: {fault}")
    if rows or found.faults:
        return rows
    for note in length_notes(resources):
        print(note, file=sys.stderr)
    fault = warmup_fault(resources) if hasattr(resources.config, "train") else ""
    return [*([f"{found.where('train', 'warmup')}: {fault}"] if fault else []), *verifier_faults(resources)]


def _in_order(faults: Iterable[str], config: str) -> list[str]:
    """The faults, each once, sorted by file and line, those of the configuration first; then their number."""
    lines = [line for fault in dict.fromkeys(faults) for line in fault.splitlines()]
    more = sum(int(cut[1]) for line in lines if (cut := _MORE.fullmatch(line)))
    shown = sorted((line for line in lines if not _MORE.fullmatch(line)), key=lambda line: _order(line, config))
    if not shown:
        return []
    count = len(shown) + more
    rest = f", of which {len(shown)} are shown" if more else ""
    return [*shown, f"{count} fault{'s' * (count != 1)}{rest}"]


def _order(line: str, config: str) -> tuple[bool, str, int, int]:
    place = _PLACE.match(line)
    if place is None:
        return True, Path(line.partition(":")[0]).name, 0, 0
    return place["file"] != config, Path(place["file"]).name, int(place["line"]), int(place["column"] or 0)
