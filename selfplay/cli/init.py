"""`selfplay init`: writes a folder that runs as it stands, from one of the starts that ship with the package."""

import json
import re
from pathlib import Path

from selfplay.config.near_words import nearest
from selfplay.errors import ConfigError
from selfplay.store import write_whole

STARTS = Path(__file__).parent.parent / "starts"
"""A folder for each start, with config.yaml and what it reads. `configs/` of the repository links to them."""
SHARED = ("README.md", "accelerate_config.yaml", "accelerate_fsdp2.yaml")
"""Files that every start gets, where it has none of its own."""


def init_command(folder: Path, start: str) -> None:
    """Writes the start into a new or empty folder and prints the next commands. Raises ConfigError if it cannot."""
    source = _source(start)
    _check_empty(folder)
    name = re.sub(r"[^\w.\-]", "-", folder.resolve().name).lstrip("-.")[:100] or "run"
    own = {path.name: path for path in sorted(source.iterdir()) if path.is_file()}
    for file, path in {**{shared: STARTS / shared for shared in SHARED}, **own}.items():
        write_whole(folder / file, _named(file, path.read_text(encoding="utf-8"), name))
    print(f"{folder}: {', '.join(sorted({*own, *SHARED}))}")
    print(f"next: {'' if folder == Path() else f'cd {folder} && '}{_command(source)}")


def _source(start: str) -> Path:
    """The folder of a start. Raises ConfigError if there is none of this name."""
    known = sorted(path.parent.name for path in STARTS.glob("*/config.yaml"))
    if start in known:
        return STARTS / start
    near = nearest(start, known)
    raise ConfigError(
        f"--from: is {start!r}, but there is no such start; {f'did you mean {near}? ' if near else ''}known: {', '.join(known)}"
    )


def _check_empty(folder: Path) -> None:
    """Raises ConfigError where a file, or a folder with anything in it, has the name."""
    try:
        inside = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    except OSError as error:
        raise ConfigError(f"{folder}: is no folder to write to ({error.strerror}); give another name") from None
    if inside:
        more = f" and {len(inside) - 3} more" if len(inside) > 3 else ""
        raise ConfigError(
            f"{folder}: is not empty ({', '.join(inside[:3])}{more}); give a new name, nothing was written"
        )


def _named(file: str, text: str, name: str) -> str:
    """The text of a file of a start, with the name of the run."""
    if file == "README.md":
        return text.replace("NAME", name)
    if file == "config.yaml":
        quoted = name if re.fullmatch(r"[a-z][a-z_\-]{3,}", name) else json.dumps(name, ensure_ascii=False)
        return re.sub(r"^name: \S+", lambda _: f"name: {quoted}", text, count=1, flags=re.M)
    return text


def _command(source: Path) -> str:
    """The command that a start is for; it may have to get its model first."""
    text = (source / "config.yaml").read_text(encoding="utf-8")
    if not re.search("^student:", text, re.M):
        return "selfplay synthesize config.yaml"
    return "python get_model.py && selfplay run" if (source / "get_model.py").is_file() else "selfplay run"
