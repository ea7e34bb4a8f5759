"""vLLM's calls beside completions: health, adapters, reloading weights, sleep. Plain HTTP to a server on loopback or a trusted address."""

import http.client
import json
import urllib.error
import urllib.request
from typing import Any

HEALTH_SECONDS = 5.0
CALL_SECONDS = 900.0
"""For loading weights, from sending to the last byte."""
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Refused(Exception):
    """The server answered a call with an error; the text is its own, cut short."""


def answers(url: str) -> bool:
    """Whether the server's engine is up: `/health` answers 200."""
    try:
        with _OPENER.open(f"{url}/health", timeout=HEALTH_SECONDS) as reply:
            return bool(reply.status == 200)
    except (OSError, http.client.HTTPException):
        return False


def get(url: str, path: str) -> Any:
    """The JSON body at a path. Raises Refused, also where the server cannot be reached."""
    return _call(urllib.request.Request(f"{url}{path}"), HEALTH_SECONDS)


def post(url: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """Posts a JSON body; returns the reply's JSON, or its text where it is none. Raises Refused as `get`."""
    data = json.dumps(body or {}).encode()
    request = urllib.request.Request(f"{url}{path}", data=data, headers={"Content-Type": "application/json"})
    return _call(request, CALL_SECONDS)


def _call(request: urllib.request.Request, seconds: float) -> Any:
    try:
        with _OPENER.open(request, timeout=seconds) as reply:
            text = reply.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        text = error.read().decode("utf-8", "replace")[:400]
        raise Refused(f"{request.selector} was refused with HTTP {error.code}: {text}") from None
    except (OSError, http.client.HTTPException) as error:
        raise Refused(f"{request.selector} failed, {type(error).__name__}: {error}") from None
    try:
        return json.loads(text)
    except ValueError:
        return text
