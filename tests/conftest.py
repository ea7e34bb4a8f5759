"""What all tests share: a quiet offline environment and the folder of real data, where it stands."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

os.environ.update(
    HF_HUB_OFFLINE="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    TOKENIZERS_PARALLELISM="false",
    WANDB_MODE="offline",
    OMP_NUM_THREADS=os.environ.get("OMP_NUM_THREADS", "1"),
)

import pytest

from tests.support import ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets: $SELFPLAY_DATA, or ../shared/data beside the checkout; else the test is skipped."""
    folder = Path(os.environ.get("SELFPLAY_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "MANIFEST.json").is_file():
        pytest.skip(f"needs the real data sets, and {folder} holds none; set SELFPLAY_DATA to their folder")
    return folder


@pytest.fixture(autouse=True)
def _subnormal_floats() -> Iterator[None]:
    """A model opened by a test flushes denormals for its whole process; the next test gets ordinary floats again."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)
