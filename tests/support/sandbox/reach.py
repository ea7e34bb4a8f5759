"""Which isolation a test may ask for on this machine, and an arena run as an ordinary user."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from selfplay.sandbox.probe import try_tier

ARENA = Path(__file__).with_name("arena.py")
PACKAGES = str(Path(np.__file__).parent.parent)
"""A folder that has numpy: the interpreter of an ordinary user may have none."""


def require(tier: int) -> None:
    """Skips the test where this machine does not reach the tier."""
    reach = try_tier(tier)
    if not reach.holds:
        pytest.skip(f"tier {tier} lacks {reach.missing}: {reach.reason}")


def as_a_user(tier: int, more: list[str], script: Path = ARENA) -> dict[str, object]:
    """What an arena prints when an ordinary user runs it; skips the test where that is not possible."""
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin")
    if os.getuid() != 0 or python is None or not script.stat().st_mode & 0o004:
        pytest.skip("needs root, and an interpreter and a checkout that an ordinary user can read")
    command = [python, "-W", "ignore", str(script), str(tier), *more]
    user = {"user": 65534, "group": 65534, "extra_groups": [], "env": {"PATH": "/usr/bin:/bin"}, "cwd": "/"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, **user)
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(json.loads(done.stdout))
