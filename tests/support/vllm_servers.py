"""What the tests of vLLM share: settings that start the double, its calls, small models, and where the real vLLM is."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from selfplay.models.base import Opening, Owned, Weights
from selfplay.models.transformers import PretrainedStudent
from selfplay.models.vllm import PYTHON_VARIABLE, VllmStudentEngine
from selfplay.models.vllm.backend import VllmStudent
from tests.support import ROOT

DOUBLE = ROOT / "tests" / "support" / "vllm_double.py"


def double(folder: Path, *, acts: dict[str, Any] | None = None, **more: Any) -> VllmStudentEngine:
    """Settings whose server is the double; its calls are kept in `folder`."""
    environment = {"DOUBLE_CALLS": str(folder / "calls.jsonl"), "DOUBLE_ACTS": json.dumps(acts or {})}
    command = (sys.executable, "-I", str(DOUBLE))
    return VllmStudentEngine(
        kind="vllm", **({"command": command, "environment": environment, "start_seconds": 20} | more)
    )


def calls_of(folder: Path) -> list[dict[str, Any]]:
    """All calls that the double got, its starts included."""
    return [json.loads(line) for line in (folder / "calls.jsonl").read_text().splitlines()]


def paths_of(folder: Path) -> list[str]:
    """Their paths, in order."""
    return [call["path"] for call in calls_of(folder)]


def student_of(
    settings: VllmStudentEngine,
    run: Path,
    model: Path,
    *,
    owned: Owned,
    identity: str = "1" * 16,
    lora_rank: int | None = None,
) -> VllmStudent:
    """The opened student with the weights of a folder, on a CPU."""
    weights = Weights(
        PretrainedStudent(kind="pretrained", model=str(model), template="plain"), model, identity, lora_rank
    )
    return VllmStudent(settings, Opening(run, run / "replies.db", device="cpu", student=weights, owned=owned))


def real_python() -> str:
    """The Python of a real vLLM; the test is skipped without one."""
    made = ROOT / ".vllm"
    python = os.environ.get(PYTHON_VARIABLE) or (str(made / "bin" / "python") if (made / "DONE").is_file() else "")
    if not Path(python).is_file():
        pytest.skip(f"needs a real vLLM: python scripts/vllm_cpu_env.py makes one, or set {PYTHON_VARIABLE}")
    return python
