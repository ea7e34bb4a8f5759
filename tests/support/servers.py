"""A scripted OpenAI-compatible server on loopback, for everything that can go wrong between us and a real one.

A script is a function from (body, number of the request from 0) to an `Act`; it runs in the server's threads.
"""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Body = dict[str, Any]


@dataclass(frozen=True)
class Act:
    """What the server does with one request."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    wait: float = 0.0
    """Seconds before the first byte; the server's end cuts it short."""
    cut: bool = False
    """Sends half of the body, then closes the connection."""
    drip: float = 0.0
    """Seconds between single bytes."""
    silent: bool = False
    """Closes the connection without a byte."""


def prompt_of(body: Body) -> str:
    """The last message, or the bare prompt."""
    return str(body["messages"][-1]["content"] if "messages" in body else body["prompt"])


def reply(body: Body, *texts: str, finish: str = "stop", **more: Any) -> Act:
    """A well-formed reply with one choice a text; 7 prompt tokens and 3 a choice."""
    chat = "messages" in body
    choices = [
        {"index": i, "finish_reason": finish}
        | ({"message": {"role": "assistant", "content": text}} if chat else {"text": text})
        for i, text in enumerate(texts)
    ]
    usage = {"prompt_tokens": 7, "completion_tokens": 3 * len(texts), "total_tokens": 7 + 3 * len(texts)}
    return Act(body=json.dumps({"choices": choices, "usage": usage} | more).encode())


def echo(body: Body, number: int) -> Act:
    """The honest server: `n` choices that depend on the prompt and the seed."""
    return reply(body, *(f"{prompt_of(body)}|{body.get('seed')}|{i}" for i in range(body.get("n", 1))))


def echo_one(body: Body, number: int) -> Act:
    """As `echo`, but ignores `n`, as `transformers serve` does."""
    return echo({**body, "n": 1}, number)


def failure(status: int, message: str = "no", **headers: str) -> Act:
    """An error in OpenAI's form; `retry_after="2"` becomes a header."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Act(status, json.dumps({"error": {"message": message, "type": "error", "code": None}}).encode(), named)


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # 5 by default: a burst of connections would then wait a second for TCP to try again


class ScriptedServer:
    """Serves a script on a free loopback port while the `with` lasts; keeps what came in."""

    def __init__(self, script: Callable[[Body, int], Act]) -> None:
        self.script = script
        self.bodies: list[Body] = []
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._server = _Listener(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        """The address that a backend takes."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _took(self, handler: BaseHTTPRequestHandler) -> tuple[Body, int]:
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        with self._lock:
            number = len(self.bodies)
            self.bodies.append(body)
            self.paths.append(handler.path)
            self.headers.append({k.lower(): v for k, v in handler.headers.items()})
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        return body, number

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                act = server.script(*server._took(self))
                try:
                    server._perform(self, act)
                except OSError:
                    self.close_connection = True  # the client went away: that is what several tests are about
                finally:
                    with server._lock:
                        server._at_once -= 1

            def log_message(self, format: str, *args: Any) -> None:
                """Quiet."""

        return Handler

    def _perform(self, handler: BaseHTTPRequestHandler, act: Act) -> None:
        if act.wait and self._over.wait(act.wait):
            handler.close_connection = True
            return
        if act.silent:
            handler.close_connection = True
            return
        handler.send_response(act.status)
        for name, value in {"Content-Type": "application/json", **act.headers}.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(act.body)))
        handler.end_headers()
        if act.cut:
            handler.wfile.write(act.body[: len(act.body) // 2])
            handler.close_connection = True
        elif act.drip:
            for byte in act.body:
                handler.wfile.write(bytes([byte]))
                if self._over.wait(act.drip):
                    return
        else:
            handler.wfile.write(act.body)


def wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    """Polls until it holds; whether it did in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return condition()
