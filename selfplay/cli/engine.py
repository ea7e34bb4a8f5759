"""`selfplay engine check`: tries the engines that a configuration owns, step by step, before a run needs them."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from selfplay.config import load_config
from selfplay.errors import ConfigError
from selfplay.models.base import Opening, Weights
from selfplay.models.vllm import VllmEngine, VllmStudentEngine
from selfplay.models.vllm.trial import Step, Trial
from selfplay.records import Request, Sampling
from selfplay.runtime.distributed import Ranks
from selfplay.runtime.resources import RunResources
from selfplay.runtime.set_up import model_faults

PROMPTS = 8


def engine_check_command(path: Path, overrides: list[str]) -> None:
    """Prints a line for each step. Raises ConfigError or OutageError at the first one that fails."""
    loaded = load_config(path, overrides)
    scratch = Path(tempfile.mkdtemp(prefix="selfplay-engine-"))
    resources = RunResources(loaded.config, loaded.path.resolve().parent, Ranks(), scratch, print)
    with closing(resources):
        if faults := [fault for _, fault in model_faults(resources)]:
            raise ConfigError("\n".join(faults))
        tried = 0
        for step in _steps(resources, scratch):
            tried += 1
            print(f"{step.name:<12}{step.seconds:7.1f} s   {step.found}", flush=True)
    shutil.rmtree(scratch)  # it stays where a step fails, with the server's log
    if not tried:
        raise ConfigError(f"{path}: names no engine that a run owns; set student.engine: {{kind: vllm}}")
    print("good")


def _steps(resources: RunResources, scratch: Path) -> Iterator[Step]:
    fixed = resources.source.fixed
    requests = [Request.of(task) for task in [*fixed.dev, *fixed.test][:PROMPTS]]
    engine, config = resources.config.student.served_by, resources.config
    if isinstance(engine, VllmStudentEngine):
        student, lora = resources.student_section, config.train.lora
        student.make_initial(fixed.anchor, scratch / "initial", config.seed)
        weights = Weights(student, scratch / "initial", "0" * 16, None if lora is None else lora.rank)
        yield from Trial(engine, resources.opening(weights), requests, scratch).steps()
    for key, other in resources.engines():
        if isinstance(other, VllmEngine):
            yield _other(".".join(key), other, resources.opening(), requests)


def _other(key: str, engine: VllmEngine, opening: Opening, requests: list[Request]) -> Step:
    """Starts the server of a teacher or judge and has it answer."""
    began = time.perf_counter()
    with engine.open(opening) as backend:
        rows = backend.complete(requests, n=1, sampling=Sampling(max_new_tokens=24), seed=1)
    if lost := [row[0] for row in rows if row[0].finish_reason == "error"]:
        raise ConfigError(f"{key}: {len(lost)} of {len(rows)} requests failed ({lost[0].error}); read the server's log")
    return Step(key, time.perf_counter() - began, f"{engine.model} answers {len(rows)} prompts")
