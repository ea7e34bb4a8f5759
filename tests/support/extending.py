"""Parts in a copy of the package: one file and one line, and a run with it in a process of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from selfplay import open_run
from selfplay.loop.run_view import OpenRun
from tests.support import ROOT


class Part(NamedTuple):
    """A part that a package is extended by, and a configuration that uses it."""

    title: str
    path: str
    file: str
    registry: str
    line: str
    config: str


def extended(folder: Path, part: Part) -> Path:
    """A copy of the package with the part in it: one file and one line."""
    shutil.copytree(ROOT / "selfplay", folder / "selfplay", ignore=shutil.ignore_patterns("__pycache__"))
    assert not (folder / part.path).exists()
    (folder / part.path).write_text(part.file, encoding="utf-8")
    registry = folder / "selfplay" / "config" / "registry.py"
    before, start, rest = registry.read_text(encoding="utf-8").partition(f"\n{part.registry} = Registry(")
    head, brace, tail = rest.partition("{\n")
    registry.write_text(f"{before}{start}{head}{brace}{part.line}{tail}", encoding="utf-8")
    return folder


def played(folder: Path, config: str) -> OpenRun:
    """A run of the configuration with the package in the folder."""
    (folder / "mine.yaml").write_text(config, encoding="utf-8")
    command = [sys.executable, "-P", "-c", "import sys; from selfplay.cli import main; sys.exit(main())", "run"]
    done = subprocess.run(
        [*command, str(folder / "mine.yaml"), "--runs-dir", str(folder / "runs")],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return open_run(folder / "runs" / "extended")
