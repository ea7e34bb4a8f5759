"""What a request to a teacher costs on our side, a cached reply, and how the number of requests under way adapts.

    python benchmarks/teacher.py [--requests 2000] [--json benchmarks/results/teacher-DATE.json]

The server is scripted, on loopback, in a process of its own, so that its CPU is not counted: it replies at once, or after 20 ms, or
refuses with 429 whatever is above 4 requests at once. CPU seconds are this process's own, cache and ledger included, and
beside them those of the same requests sent by bare httpx2.
"""

import argparse
import asyncio
import importlib.metadata
import json
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2

from selfplay.cores import usable_cores
from selfplay.models.openai.client import Http
from selfplay.models.openai.limits import Patience
from selfplay.records import Request, Sampling

SEATS = 4
"""Requests at once that the crowded server takes."""
SAMPLING = Sampling(temperature=0.7, max_new_tokens=64)


def serve() -> None:
    """The server: `/v1` replies at once, `/slow/v1` after 20 ms, `/crowded/v1` so to 4 at once and 429 to the rest."""
    seats, counts, lock = threading.Semaphore(SEATS), {"asked": 0, "refused": 0, "now": 0, "most": 0}, threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            with lock:
                told = json.dumps(counts).encode()
                counts.update(dict.fromkeys(counts, 0))
            self.say(200, told)

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            crowded = self.path.startswith("/crowded")
            free = not crowded or seats.acquire(blocking=False)
            with lock:
                counts["asked"] += 1
                counts["refused"] += not free
                counts["now"] += 1
                counts["most"] = max(counts["most"], counts["now"])
            if free and not self.path.startswith("/v1"):
                time.sleep(0.02)
            choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "A: 18. " * 20}}
            usage = {"prompt_tokens": 40, "completion_tokens": 60, "total_tokens": 100}
            with lock:
                counts["now"] -= 1
            if crowded and free:
                seats.release()
            reply = {"choices": [choice] * body.get("n", 1), "usage": usage} if free else {"error": {"message": "busy"}}
            self.say(200 if free else 429, json.dumps(reply).encode())

        def say(self, status: int, data: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

    server = Server(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


@contextmanager
def server() -> Iterator[str]:
    """The server in a process of its own; its address."""
    process = subprocess.Popen([sys.executable, __file__, "--serve"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.kill()
        process.wait()


def asked(count: int, start: int = 0) -> list[Request]:
    """Distinct prompts of some 150 bytes."""
    text = "A farmer has {} hens; each lays an egg a day, three are eaten and the rest sold at $2 each. What does she earn? Work step by step."
    return [Request(task_id=f"t{i}", prompt=text.format(i)) for i in range(start, start + count)]


def costs(url: str, count: int, folder: Path) -> dict[str, float]:
    """CPU milliseconds of this process for a live request, a cached reply, and a bare request by httpx2."""
    with Http(f"{url}/v1", "m", privacy="none", cache=folder / "replies.db", max_concurrency=4) as teacher:
        teacher.complete(asked(50, 10**6), n=1, sampling=SAMPLING, seed=0)
        spent = {"live": 0.0, "cached": 0.0, "bare": 0.0}
        for start in range(0, count, 100):  # in alternating blocks, so that load from outside weighs on all alike
            block = asked(min(100, count - start), start)
            for name in ("live", "cached"):
                began = time.process_time()
                teacher.complete(block, n=1, sampling=SAMPLING, seed=0)
                spent[name] += time.process_time() - began
            spent["bare"] += asyncio.run(_bare(url, block))
        if teacher.spent.requests != count + 50:
            raise SystemExit(f"{teacher.spent.requests} requests were paid for, not {count + 50}")
    return {f"{name}_cpu_ms": round(1000 * value / count, 4) for name, value in spent.items()}


async def _bare(url: str, block: list[Request]) -> float:
    began = time.process_time()
    async with httpx2.AsyncClient(trust_env=False) as client:
        waiting = asyncio.Semaphore(4)

        async def one(request: Request) -> None:
            async with waiting:
                body = {"model": "m", "messages": [{"role": "user", "content": request.prompt}], "max_tokens": 64}
                (await client.post(f"{url}/v1/chat/completions", json=body)).json()["choices"][0]["message"]["content"]

        await asyncio.gather(*map(one, block))
    return time.process_time() - began


def slow(url: str, count: int) -> dict[str, Any]:
    """Requests a second from a server that takes 20 ms, by the most that may be under way."""
    found = {}
    for most in (1, 4, 16):
        with Http(f"{url}/slow/v1", "m", privacy="none", max_concurrency=most) as teacher:
            httpx2.get(url)
            began = time.monotonic()
            teacher.complete(asked(count), n=1, sampling=SAMPLING, seed=0)
            wall = time.monotonic() - began
        found[str(most)] = {"requests_a_second": round(count / wall, 1), "most_at_once": httpx2.get(url).json()["most"]}
    return found


def crowded(url: str, count: int) -> dict[str, Any]:
    """A server that takes 4 at once, asked by up to 32: how many it refuses, and that all come through."""
    patience = Patience(initial_backoff_seconds=0.02, max_wait_seconds=2.0)
    with Http(f"{url}/crowded/v1", "m", privacy="none", max_concurrency=32, patience=patience) as teacher:
        httpx2.get(url)
        began = time.monotonic()
        done = teacher.complete(asked(count), n=1, sampling=SAMPLING, seed=0)
        wall = time.monotonic() - began
    told = httpx2.get(url).json()
    lost = sum(one[0].finish_reason == "error" for one in done)
    return {
        "requests": count,
        "lost": lost,
        "refused": told["refused"],
        "refused_share": round(told["refused"] / told["asked"], 3),
        "requests_a_second": round(count / wall, 1),
        "most_possible_a_second": SEATS / 0.02,
    }


def main() -> None:
    """Runs all three and prints (or writes) one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=2000, help="for the costs; the other parts take a fifth")
    parser.add_argument("--json", type=Path, help="write the result there")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve()
    with server() as url, tempfile.TemporaryDirectory() as folder:
        result = {
            "date": time.strftime("%Y-%m-%d"),
            "python": platform.python_version(),
            "cores": usable_cores(),
            "versions": {"httpx2": importlib.metadata.version("httpx2")},
            "prompt_bytes": len(asked(1)[0].prompt or ""),
            "requests": options.requests,
            **costs(url, options.requests, Path(folder)),
            "slow_server": slow(url, options.requests // 5),
            "crowded_server": crowded(url, options.requests // 5),
        }
    text = json.dumps(result, indent=2)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
