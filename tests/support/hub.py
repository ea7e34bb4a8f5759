"""A hub on loopback: the requests that huggingface_hub makes when it asks for an account, creates repositories and uploads."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LARGE = (".safetensors", ".parquet")
"""Endings of files that are uploaded by the protocol for large files."""


@dataclass
class FakeHub:
    """What the hub holds. Repositories are named `models/me/x` and `datasets/me/x`."""

    url: str = ""
    token: str = "hf_loopback"
    repos: dict[str, dict[str, bytes]] = field(default_factory=dict)
    private: dict[str, bool] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    """Method and path of each request."""
    refuse: dict[str, int] = field(default_factory=dict)
    """Part of a path -> status with which requests to it are answered."""
    large: dict[str, bytes] = field(default_factory=dict)
    """Contents by their sha256."""


@contextmanager
def serving() -> Iterator[FakeHub]:
    """The hub while the block runs; `me` is the account of its token, which is also a member of `lab`."""
    hub = FakeHub()

    class Handler(_Handler):
        state = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    state: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._answer("GET")

    def do_HEAD(self) -> None:
        self._answer("HEAD")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_PUT(self) -> None:
        self._answer("PUT")

    def _answer(self, method: str) -> None:
        hub, path = self.state, self.path.partition("?")[0]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        hub.asked.append(f"{method} {path}")
        status = next((code for part, code in hub.refuse.items() if part in path), 0)
        if not status and "/lfs-put/" not in path and self.headers.get("Authorization") != f"Bearer {hub.token}":
            status = 401
        if status:
            self._send(status, {"error": f"the test answers {status}"})
            return
        self._send(*self._handle(method, path, body))

    def _handle(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        hub = self.state
        if path == "/api/whoami-v2":
            return 200, {"type": "user", "name": "me", "orgs": [{"type": "org", "name": "lab"}], "auth": {}}
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}
        if found := re.fullmatch(r"/lfs-put/(\w+)", path):
            assert hashlib.sha256(body).hexdigest() == found[1]
            hub.large[found[1]] = body
            return 200, {}
        if path.endswith("/objects/batch"):
            upload = [
                {
                    "oid": one["oid"],
                    "size": one["size"],
                    "actions": {"upload": {"href": f"{hub.url}/lfs-put/{one['oid']}"}},
                }
                for one in json.loads(body)["objects"]
            ]
            return 200, {"transfer": "basic", "objects": upload}
        found = re.fullmatch(r"/api/((?:models|datasets|spaces)/[\w.-]+/[\w.-]+)(?:/(\w+)/main)?", path)
        if not found or found[1] not in hub.repos:
            return 404, {"error": "Repository not found"}
        files = hub.repos[found[1]]
        if found[2] == "tree":
            return 200, [
                {"type": "file", "path": name, "size": len(data), "oid": "0" * 40} for name, data in files.items()
            ]
        if found[2] == "preupload":
            return 200, {"files": [_mode(one["path"]) for one in json.loads(body)["files"]]}
        if found[2] == "commit":
            self._commit(found[1], body)
            return 200, {"commitUrl": f"{hub.url}/{found[1]}/commit/1", "commitOid": "1" * 40}
        about = {"id": found[1].partition("/")[2], "private": hub.private[found[1]], "sha": "1" * 40, "tags": []}
        return 200, {**about, "siblings": [{"rfilename": name} for name in files]}

    def _create(self, asked: dict[str, Any]) -> tuple[int, Any]:
        hub, kind = self.state, f"{asked.get('type', 'model')}s"
        name = f"{kind}/{asked.get('organization') or 'me'}/{asked['name']}"
        address = f"{hub.url}/{name.removeprefix('models/')}"
        if name in hub.repos:
            return 409, {"error": "exists already", "url": address}
        hub.repos[name] = {".gitattributes": b""}
        hub.private[name] = asked.get("visibility") == "private"
        return 200, {"url": address}

    def _commit(self, name: str, body: bytes) -> None:
        files = self.state.repos[name]
        for line in body.decode().splitlines():
            one = json.loads(line)
            value = one["value"]
            if one["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif one["key"] == "lfsFile":
                files[value["path"]] = self.state.large[value["oid"]]
            elif one["key"] == "deletedFile":
                del files[value["path"]]

    def _send(self, status: int, value: Any) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if status == 404:
            self.send_header("X-Error-Code", "RepoNotFound")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def _mode(path: str) -> dict[str, Any]:
    return {"path": path, "uploadMode": "lfs" if path.endswith(LARGE) else "regular", "shouldIgnore": False}
