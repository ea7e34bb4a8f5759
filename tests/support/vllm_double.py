"""A small double of vLLM's server: `python vllm_double.py ARGUMENTS of vllm serve`; standard library only, on loopback.

It keeps every call in the file that DOUBLE_CALLS names, a line each, and misbehaves as the JSON in DOUBLE_ACTS says:

    exit       [code, text]: prints the text and ends before it answers
    die_at     numbers of completion requests, counted over all starts, at which the process ends
    refuse     paths that are answered with HTTP 400
    no_health  never answers /health
    child      starts a child that sleeps and heeds no SIGTERM, and writes its process id to this file
"""

import json
import os
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

ACTS: dict[str, Any] = json.loads(os.environ.get("DOUBLE_ACTS", "{}"))
CALLS = Path(os.environ.get("DOUBLE_CALLS", os.devnull))
GIVEN = dict(pairwise([*sys.argv[1:], ""]))
COMPLETIONS = "/v1/completions"
REPLY = (70, 71, 1)
"""Token ids of every completion; 1 ends it."""


def keep(call: dict[str, Any]) -> None:
    with CALLS.open("a") as file:
        file.write(json.dumps(call) + "\n")


def calls() -> list[dict[str, Any]]:
    return [json.loads(line) for line in CALLS.read_text().splitlines()]


def completion(body: dict[str, Any]) -> dict[str, Any]:
    prompt = body["prompt"]
    if body.get("prompt_logprobs") is not None:
        scored: list[Any] = [None, *({str(token): {"logprob": -0.5}} for token in prompt[1:])]
        return {"choices": [{"text": "", "finish_reason": "length", "prompt_logprobs": scored}]}
    one = {
        "text": "ab",
        "finish_reason": "stop",
        "token_ids": list(REPLY),
        "prompt_token_ids": prompt,
        "logprobs": {"token_logprobs": [-0.25] * len(REPLY)},
    }
    usage = {"prompt_tokens": len(prompt), "completion_tokens": len(REPLY) * body.get("n", 1)}
    return {"choices": [one] * body.get("n", 1), "usage": usage}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def send(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        if self.path == "/health":
            self.send(503 if ACTS.get("no_health") else 200, {})
        else:
            longest = int(GIVEN.get("--max-model-len", 256))
            self.send(
                200,
                {"data": [{"id": GIVEN["--served-model-name"], "root": GIVEN["--model"], "max_model_len": longest}]},
            )

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
        keep({"path": self.path, **body})
        asked = sum(call["path"] == COMPLETIONS for call in calls())
        if self.path == COMPLETIONS and asked in ACTS.get("die_at", ()):
            os._exit(9)
        if self.path.partition("?")[0] in ACTS.get("refuse", ()):
            self.send(400, {"error": {"message": "not here", "type": "BadRequestError", "code": 400}})
        elif self.path == COMPLETIONS:
            self.send(200, completion(body))
        else:
            self.send(200, {})

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


def main() -> None:
    keep({"path": "start", "arguments": sys.argv[1:]})
    if "exit" in ACTS:
        code, text = ACTS["exit"]
        print(text, flush=True)
        sys.exit(code)
    if "child" in ACTS:
        deaf = (
            "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(10000)"
        )
        child = subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.readline()
        Path(ACTS["child"]).write_text(str(child.pid))
    print("the double serves", flush=True)
    server = ThreadingHTTPServer(("127.0.0.1", int(GIVEN["--port"])), Handler)
    server.daemon_threads = True
    server.serve_forever(poll_interval=0.02)
    time.sleep(0)


if __name__ == "__main__":
    main()
