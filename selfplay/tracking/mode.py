"""In which mode W&B starts: online, offline or disabled."""

import configparser
import netrc
import os
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

Mode = Literal["online", "offline", "disabled"]
_MODES: dict[str, Mode] = {"online": "online", "run": "online", "shared": "online", "disabled": "disabled"}
CLOUD = {"api.wandb.ai", "api.forge.coreweave.com", "forge.coreweave.com"}
"""Names of W&B's own server: a key for one is a key for all. From wandb 0.31 on `wandb login` writes the second into netrc."""


def choose_mode(asked: Literal["auto", "online", "offline", "disabled"] = "auto") -> tuple[Mode, str]:
    """The mode to start in, and why. WANDB_MODE wins over `asked`; online without a key becomes offline."""
    named = os.environ.get("WANDB_MODE", "").strip().lower()
    wanted, by = (named, f"WANDB_MODE={named}") if named else (asked, f"tracking mode {asked}")
    if wanted == "auto":
        return ("online", "a key is set") if _has_key() else ("offline", "no key is set")
    mode = _MODES.get(wanted, "offline")
    if mode == "online" and not _has_key():
        return "offline", f"{by}, but no key is set"
    return mode, by


def _has_key() -> bool:
    """Whether wandb would find a key, without reading it: environment or netrc."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    host = urlsplit(_server()).hostname
    hosts = CLOUD if host in CLOUD else {host}
    named = os.environ.get("NETRC")
    for path in [Path(named)] if named else [Path.home() / ".netrc", Path.home() / "_netrc"]:
        try:
            if path.is_file() and not hosts.isdisjoint(netrc.netrc(path).hosts):
                return True
        except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
            continue
    return False


def _server() -> str:
    """The address of the server that wandb would use: environment, then its settings files, then W&B's own."""
    folder = Path(os.environ.get("WANDB_CONFIG_DIR") or Path.home() / ".config" / "wandb")
    read = configparser.ConfigParser(interpolation=None)
    try:
        read.read([folder / "settings", Path("wandb") / "settings"], encoding="utf-8")
        written = read.get("default", "base_url", fallback="")
    except (OSError, configparser.Error, UnicodeDecodeError):
        written = ""
    return os.environ.get("WANDB_BASE_URL") or written or "https://api.wandb.ai"
