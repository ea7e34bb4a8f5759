"""The trace browser's server, on loopback only. This is the only file that imports starlette and uvicorn."""

import json
import socket
from collections.abc import Callable, Mapping
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Route

from selfplay.errors import ConfigError
from selfplay.records import Task
from selfplay.report.html import written
from selfplay.view.browse import FILTERS, MAX_TASK_ATTEMPTS, PAGE_ROWS, Browser, Json, Query, line_diff

HOST = "127.0.0.1"
MOST_TASKS = 50
"""Tasks that the page for the beginning of an id lists."""


def serve(run: Path, port: int, announce: Callable[[str], None]) -> None:
    """Serves the traces of a run until it is interrupted; calls `announce` with the address once the port is open.

    `port`: 0 takes a free one. Raises ConfigError if the port is in use.
    """
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError as error:
            raise ConfigError(f"--port {port}: cannot be opened, {error.strerror}; give another port, or 0") from None
        listener.listen()
        announce(f"http://{HOST}:{listener.getsockname()[1]}/")
        server = uvicorn.Server(uvicorn.Config(application(run), log_level="warning", lifespan="off"))
        server.run(sockets=[listener])


def application(run: Path) -> Starlette:
    """The pages of one run: `/` lists its traces, `/task?id=...` shows the attempts at one task.

    Only requests that name this machine as their host are answered, so that no page of another site can read the traces.
    """
    browser = Browser(run)
    routes = [
        Route("/", lambda request: _traces(browser, request)),
        Route("/task", lambda request: _task(browser, request)),
    ]
    hosts = Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])
    return Starlette(routes=routes, middleware=[hosts])


def _traces(browser: Browser, request: Request) -> Response:
    asked = request.query_params
    wanted = {name: asked[name] for name in FILTERS if asked.get(name)}
    start = asked.get("start", "")
    first = int(start) if start.isascii() and start.isdigit() and len(start) < 16 else 0
    query = Query(wanted, asked.get("task_id", ""), asked.get("text", ""), first)
    values: Json = {"menus": browser.menus(query), "wanted": wanted, "task": query.task, "text": query.text}
    values |= {
        "page_rows": PAGE_ROWS,
        "earlier": None,
        "later": None,
        "link": lambda at: _address("/", {**asked, "start": at}),
    }
    if query.text:
        values |= {"rows": browser.search(query), "sentence": f"Traces that contain “{query.text}”, as they are found:"}
    else:
        total, rows, later = browser.page(query)
        earlier = max(0, query.start - PAGE_ROWS) if query.start else None
        shown = f"{query.start + 1:,} to {query.start + len(rows):,} of {total:,} traces" if rows else "0 traces"
        values |= {"rows": rows, "sentence": shown, "earlier": earlier, "later": later}
    pieces = written("traces", run=browser.run.name, title="Traces", torn=browser.torn, **values)
    return StreamingResponse(pieces, media_type="text/html; charset=utf-8")


def _task(browser: Browser, request: Request) -> Response:
    asked = request.query_params
    start = asked.get("id", "")
    found = browser.tasks(start) if start else []
    task_id = found[0] if len(found) == 1 else start
    rows = [{**row, "name": f"round {row['round']} attempt {row['attempt']}"} for row in browser.attempts(task_id)]
    if not rows:
        title = "Which task?" if found else "No such task"
        shown = {"found": found[:MOST_TASKS], "count": len(found), "link": lambda one: _address("/task", {"id": one})}
        page = written("missing", run=browser.run.name, title=title, task_id=start, torn=browser.torn, **shown)
        return HTMLResponse("".join(page), status_code=200 if found else 404)
    by_name = {row["name"]: row for row in rows}
    pair = [name for name in (asked.get("a"), asked.get("b")) if name in by_name]
    values: Json = {"pair": pair, "other": pair[0] if len(pair) == 1 else None, "diff": None}
    if len(pair) == 2:
        values |= {"diff": line_diff(by_name[pair[0]]["text"], by_name[pair[1]]["text"])}
    values |= {"torn": browser.torn, "link": _pair_link(task_id)}
    page = written("task", run=browser.run.name, title=task_id, **_shown(rows), **values)
    return HTMLResponse("".join(page))


def _pair_link(task_id: str) -> Callable[[str, str | None], str]:
    def link(a: str, b: str | None) -> str:
        return _address("/task", {"id": task_id, "a": a, **({"b": b} if b else {})}) + ("#diff" if b else "")

    return link


def _shown(rows: list[Json]) -> Json:
    """What the page of a task shows beside the comparison."""
    task: Json = rows[-1]["task"]
    rounds = []
    for number, members in groupby(rows, itemgetter("round")):
        found = list(members)
        accepted = [row for row in found if row["decision"] == "accepted"]
        rounds.append((number, accepted, [row for row in found if row["decision"] != "accepted"]))
    passed = sum(row["outcome"] == "pass" for row in rows)
    sentence = f"{len(rows)} attempts in {len(rounds)} rounds, {passed} of them passed."
    if len(rows) == MAX_TASK_ATTEMPTS:
        sentence = f"The first {sentence} The page shows no more."
    check = json.dumps(task["verifier"], indent=1, ensure_ascii=False)
    turns = [{"role": turn.role, "content": turn.content} for turn in Task.model_validate(task).turns]
    return {"rounds": rounds, "sentence": sentence, "check": check, "tags": task["tags"], "turns": turns}


def _address(path: str, query: Mapping[str, Any]) -> str:
    return f"{path}?{urlencode({name: value for name, value in query.items() if value != ''})}"
