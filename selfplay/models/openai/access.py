"""Where a server is, the key to it and the filter before it, checked before anything is sent; no message shows a secret."""

import os
from collections.abc import Callable
from typing import Literal, Protocol, runtime_checkable
from urllib.parse import urlsplit

from selfplay.curate.privacy import Surrogates, scrub
from selfplay.errors import ConfigError


@runtime_checkable
class PerTrace(Protocol):
    """A filter that remembers within one request: `fresh` gives one for all texts of it."""

    def __call__(self, text: str) -> str: ...

    def fresh(self) -> Callable[[str], str]:
        """A filter for the texts of one request."""
        ...


Privacy = Callable[[str], str] | PerTrace | Literal["none"]
"""Maps each text before it leaves; `none` says in so many words that nothing has to be filtered."""


class Scrub:
    """The privacy filter of what leaves: identifiers become surrogates, the same ones throughout a text."""

    def __call__(self, text: str) -> str:
        """The text with surrogates of its own."""
        return self.fresh()(text)

    def fresh(self) -> Callable[[str], str]:
        """A filter for the texts of one trace: the same value has the same surrogate in all of them."""
        given = Surrogates()
        return lambda text: scrub(text, surrogates=given).text or ""


def checked_url(url: str) -> str:
    """The address without its last slash. Raises ConfigError on none, and on one with secrets in it, unrepeated."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"base_url is {url!r}, not an address; give it as http://host:8000/v1")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigError(
            f"base_url of {parts.hostname} has a user, password or query in it; put the key into an environment "
            "variable and name that in api_key_env"
        )
    return url.rstrip("/")


def key_from(variable: str | None) -> str:
    """The key in this environment variable; empty for None. Raises ConfigError, which never shows the key."""
    if variable is None:
        return ""
    key = os.environ.get(variable, "").strip()
    if not key:
        raise ConfigError(f"api_key_env names ${variable}, which is not set; export it, or leave api_key_env out")
    if not key.isascii() or not key.isprintable():
        raise ConfigError(f"${variable} holds characters that no HTTP header takes; set it again, without line breaks")
    return key
