"""What may be published of a run's own words: no path of this machine, no host, no user, no key."""

import getpass
import os
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

_SECRET_KEY = re.compile(r"(?:^|_)(?:token|secret|password|passwd|credentials?|key|key_env)$", re.IGNORECASE)
_URL = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s'\"<>)\]]+", re.IGNORECASE)
_PATH = re.compile(
    r"(?<![\w.:/\\])(?:~?/|[A-Za-z]:[\\/]|\\\\|\.\.[/\\])(?:[^\s'\"/\\:,;()<>]+[/\\])*[^\s'\"/\\:,;()<>]*"
)
_TOKEN = re.compile(r"\b(?:hf_[A-Za-z0-9]{20,}|sk-[A-Za-z0-9_-]{20,}|ghp_[A-Za-z0-9]{20,}|AKIA[A-Z0-9]{16})\b")
SERVER: Final = "http://localhost:8000/v1"
"""Stands for the address of any server."""
_OPERATION: Final = ("runs_dir", "tracking", "keep", "launch", "phase_subprocess")
"""Parts of a configuration that say nothing of what a run finds, but much of the machine."""
_SECRET_VARIABLE = re.compile(r"(TOKEN|SECRET|PASSWORD|API_?KEY|CREDENTIAL)S?$")


def public_text(text: str) -> str:
    """The text on one line, with the last part of every path, and without addresses and keys."""
    text = _TOKEN.sub("[key]", _URL.sub("[address]", text))
    return " ".join(_PATH.sub(lambda found: _last_part(found[0]), text).split())


def public_name(name: str) -> str:
    """A model's or a file's name; a path becomes its last part."""
    return _last_part(name) if _PATH.fullmatch(name) else public_text(name)


def public_config(plain: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration as it can be published and loaded again: what concerns this machine is left out or replaced."""
    return {key: _public(value) for key, value in plain.items() if key not in _OPERATION}


def _public(value: Any) -> Any:
    if isinstance(value, Mapping):
        kept = {key: item for key, item in value.items() if not _SECRET_KEY.search(str(key))}
        return {key: _public(item) for key, item in kept.items()}
    if isinstance(value, list | tuple):
        return [_public(item) for item in value]
    if not isinstance(value, str):
        return value
    if _URL.fullmatch(value):
        return SERVER
    if _PATH.fullmatch(value) and (len(re.findall(r"[/\\]", value)) > 1 or Path(value).exists()):
        return _last_part(value)
    return _TOKEN.sub("[key]", _URL.sub("[address]", value))


def _last_part(path: str) -> str:
    return re.split(r"[/\\]", path.rstrip("/\\"))[-1] or "."


def secrets_in(folder: Path, names: Sequence[str]) -> Iterator[str]:
    """Sentences on the named files of a folder that name this machine or hold a key, as `FILE holds ...`; the value is not repeated."""
    for file in (folder / name for name in names if (folder / name).is_file()):
        text = file.read_text(encoding="utf-8", errors="replace")
        for word, what in _private_words():
            if re.search(rf"(?<![\w.-]){re.escape(word)}(?![\w-])", text):
                yield f"{file.name} holds {what}"
        if _TOKEN.search(text):
            yield f"{file.name} holds what looks like a key"


def _private_words() -> Iterator[tuple[str, str]]:
    """What must not appear in a published file, with what it is. Words too short to be told from others are left out."""
    for name, value in os.environ.items():
        if _SECRET_VARIABLE.search(name) and len(value) >= 8:
            yield value, f"the value of ${name}"
    with suppress(OSError, RuntimeError):
        yield str(Path.home()), "the path of your home folder"
    host = socket.gethostname()
    if len(host) >= 5 and re.search(r"[\d.-]", host):  # a plain word would be found in any text
        yield host, "the name of this machine"
    with suppress(OSError, KeyError):
        user = getpass.getuser()
        yield f"/{user}/", "a path with your user name"
