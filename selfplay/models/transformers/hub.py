"""Asks the disk, the local cache, then the hub, whether a pretrained model can be had. Imports neither torch nor transformers."""

import importlib.util
from pathlib import Path
from typing import Final

from huggingface_hub import HfApi, constants, try_to_load_from_cache
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

constants.HF_HUB_DISABLE_TELEMETRY = True  # it would send more than the question

SECONDS: Final = 3.0
"""How long the hub may take to answer."""


GGUF: Final = b"GGUF"
"""The first bytes of a gguf file."""


def gguf_fault(folder: Path | None, gguf_file: str) -> str:
    """Why a student cannot be read from `gguf_file`, as `is ..., problem; remedy`; "" if nothing is known against it.

    `folder`: that of the file; None for a model at the hub. Reads the first bytes of the file.
    """
    if importlib.util.find_spec("gguf") is None:
        return f"is {gguf_file!r}, and transformers reads such a file with the package gguf, which is missing; pip install 'selfplay[gguf]'"
    if folder is None:
        return ""
    file = folder / gguf_file
    if not file.is_file():
        there = ", ".join(sorted(path.name for path in folder.glob("*.gguf"))) or "none"
        return f"is {gguf_file!r}, and {folder} has no such file (its gguf files: {there}); correct the name"
    with file.open("rb") as stream:
        if stream.read(len(GGUF)) != GGUF:
            return f"is {gguf_file!r}, and the file does not begin with GGUF as a gguf file does; get it again"
    return ""


def hub_fault(model: str, revision: str | None, file: str = "config.json") -> str:
    """Why neither the cache nor the hub has a model; "" if one does. Raises OSError if that is unknown: the hub does not answer.

    `file`: the file of it that the cache must have.
    """
    if isinstance(try_to_load_from_cache(model, file, revision=revision), str):
        return ""
    if constants.HF_HUB_OFFLINE:
        return (
            f"is {model!r}, which is neither a folder nor in the cache {constants.HF_HUB_CACHE}, and HF_HUB_OFFLINE is set; correct "
            "the name, or download the model first"
        )
    try:
        HfApi().model_info(model, revision=revision, timeout=SECONDS)
    except GatedRepoError:
        return f"is {model!r}, which needs access; accept its terms at the hub, and set HF_TOKEN"
    except RevisionNotFoundError:
        return f"is {model!r}, which has no revision {revision!r} at the hub; correct the revision"
    except RepositoryNotFoundError:
        return f"is {model!r}, and the hub has no such model (or a private one); correct the name, or set HF_TOKEN"
    except Exception as error:  # the boundary: a network fails in many ways, each of another library's class
        raise OSError(f"{type(error).__name__}: {str(error).splitlines()[0][:100]}") from None
    return ""
