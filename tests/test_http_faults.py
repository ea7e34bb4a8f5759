"""The HTTP backend against a server that refuses, fails, hangs, lies, cuts off and drips."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from selfplay.errors import BudgetError, ConfigError
from selfplay.models.openai.client import Http
from selfplay.models.openai.limits import Budget, Patience, Prices
from selfplay.records import Completion, Request, Sampling
from tests.support.servers import Act, Body, ScriptedServer, echo, echo_one, failure, prompt_of, reply, wait_for

FAST = Patience(deadline_seconds=5, initial_backoff_seconds=0.01, max_wait_seconds=2)
SHORT = Patience(deadline_seconds=0.3, initial_backoff_seconds=0.01, retries=1)
SAMPLING = Sampling(max_new_tokens=20)


def asked(count: int) -> list[Request]:
    return [Request(task_id=f"t{i}", prompt=f"q{i}") for i in range(count)]


def get(backend: Http, count: int, n: int = 1) -> list[Completion]:
    return [c for row in backend.complete(asked(count), n=n, sampling=SAMPLING, seed=1) for c in row]


def first_fail(count: int, act: Act) -> Callable[[Body, int], Act]:
    """A script that acts so for the first requests, and is honest after."""
    return lambda body, number: act if number < count else echo(body, number)


WELL_FORMED = reply({"messages": []}, "cut short").body
FAULTS = {
    "429": failure(429),
    "500": failure(500),
    "502 of a proxy": Act(502, b"<html>Bad Gateway</html>"),
    "503": failure(503),
    "garbage": Act(body=b"\x00\xff{{{{"),
    "json of another kind": Act(body=b"[1, 2]"),
    "no choices": Act(body=b'{"choices": []}'),
    "choice without text": Act(body=b'{"choices": [{"message": 3}]}'),
    "deeply nested": Act(body=b"[" * 200_000),
    "error wrapped in a 200": Act(body=b'{"error": {"code": 502, "message": "upstream"}}'),
    "cut stream": Act(body=WELL_FORMED, cut=True),
    "closed without a byte": Act(silent=True),
    "no JSON type": Act(body=b"", headers={"Content-Type": "text/html"}),
}


@pytest.mark.parametrize("name", FAULTS)
def test_passing_fault_is_tried_again_and_leaves_no_mark(name: str) -> None:
    with (
        ScriptedServer(first_fail(2, FAULTS[name])) as server,
        Http(server.url, "m", privacy="none", patience=FAST) as b,
    ):
        [only] = get(b, 1)
    assert (only.error, only.text.split("|")[0]) == (None, "q0")
    assert len(server.bodies) == 3


@pytest.mark.parametrize("name", FAULTS)
def test_lasting_fault_is_an_error_and_never_an_answer(name: str) -> None:
    patience = Patience(deadline_seconds=5, initial_backoff_seconds=0.01, retries=2)
    with (
        ScriptedServer(lambda body, number: FAULTS[name]) as server,
        Http(server.url, "m", privacy="none", patience=patience) as backend,
    ):
        [only] = get(backend, 1)
        assert len(backend.cache) == 0
    assert (only.finish_reason, only.text) == ("error", "")
    assert only.error
    assert len(server.bodies) == 3


@pytest.mark.parametrize("act", [Act(wait=60), Act(body=WELL_FORMED, drip=0.05)], ids=["hang", "slow drip"])
def test_deadline_is_for_the_whole_exchange(act: Act) -> None:
    started = time.monotonic()
    with (
        ScriptedServer(lambda body, number: act) as server,
        Http(server.url, "m", privacy="none", patience=SHORT) as backend,
    ):
        [only] = get(backend, 1)
        assert backend.spent.estimated == 2, "a reply that was lost may have been paid for"
    assert only.error == "lost: no whole reply within 0.3 s"
    assert time.monotonic() - started < 5


def test_hanging_request_does_not_hold_up_the_others() -> None:
    def script(body: Body, number: int) -> Act:
        return Act(wait=60) if prompt_of(body) == "q0" else echo(body, number)

    with ScriptedServer(script) as server, Http(server.url, "m", privacy="none", patience=SHORT) as backend:
        replies = get(backend, 10)
    assert [c.error is None for c in replies] == [False] + [True] * 9


def test_retry_after_is_waited_for() -> None:
    script = first_fail(1, failure(429, retry_after="0.4"))
    with ScriptedServer(script) as server, Http(server.url, "m", privacy="none", patience=FAST) as backend:
        started = time.monotonic()
        [only] = get(backend, 1)
    assert only.error is None
    assert time.monotonic() - started >= 0.4


def test_retry_after_as_a_date_is_waited_for() -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=2)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    with (
        ScriptedServer(first_fail(1, failure(503, retry_after=soon))) as server,
        Http(server.url, "m", privacy="none", patience=FAST) as backend,
    ):
        started = time.monotonic()
        [only] = get(backend, 1)
    assert only.error is None
    assert time.monotonic() - started >= 0.9


def test_pause_beyond_patience_is_an_outage_at_once() -> None:
    late = failure(429, retry_after="86400")
    with ScriptedServer(lambda *_: late) as server, Http(server.url, "m", privacy="none", patience=FAST) as backend:
        started = time.monotonic()
        [only] = get(backend, 1)
    assert only.finish_reason == "error"
    assert time.monotonic() - started < 3
    assert len(server.bodies) == 1


def test_concurrency_falls_to_what_the_server_takes_and_every_request_is_answered() -> None:
    lock, busy = threading.Lock(), [0, 0]

    def script(body: Body, number: int) -> Act:
        with lock:
            if busy[0] >= 2:
                busy[1] += 1
                return failure(429)
            busy[0] += 1
        time.sleep(0.02)
        with lock:
            busy[0] -= 1
        return echo(body, number)

    with (
        ScriptedServer(script) as server,
        Http(server.url, "m", privacy="none", patience=FAST, max_concurrency=16) as backend,
    ):
        replies = get(backend, 60)
        assert backend.limit.value < 8
    assert all(c.error is None for c in replies)
    assert busy[1] < 60, "far fewer refusals than requests"


def test_concurrency_stays_below_the_limit() -> None:
    def script(body: Body, number: int) -> Act:
        time.sleep(0.01)
        return echo(body, number)

    with ScriptedServer(script) as server, Http(server.url, "m", privacy="none", max_concurrency=3) as backend:
        get(backend, 20)
    assert 2 <= server.most_at_once <= 3


def test_dead_server_fails_a_long_call_soon_and_is_tried_once_by_the_next() -> None:
    patience = Patience(deadline_seconds=5, initial_backoff_seconds=0.01, retries=1, give_up_after=2)
    alive: list[bool] = []

    def script(body: Body, number: int) -> Act:
        return echo(body, number) if alive else failure(500)

    with (
        ScriptedServer(script) as server,
        Http(server.url, "m", privacy="none", patience=patience, max_concurrency=1) as backend,
    ):
        assert all(c.finish_reason == "error" for c in get(backend, 50))
        tried = len(server.bodies)
        assert tried <= 8
        get(backend, 50)
        assert len(server.bodies) - tried <= 4
        alive.append(True)
        assert all(c.error is None for c in get(backend, 50))


def test_server_that_is_not_there_is_an_error_of_every_item() -> None:
    with ScriptedServer(echo) as server:
        url = server.url
    patience = Patience(initial_backoff_seconds=0.01, retries=1)
    with Http(url, "m", privacy="none", patience=patience) as backend:
        replies = get(backend, 5)
    assert all(c.finish_reason == "error" for c in replies)
    assert "cannot connect" in str(replies[0].error)


@pytest.mark.parametrize("status", [401, 404])
def test_wrong_key_address_or_model_is_a_config_error(status: int) -> None:
    with (
        ScriptedServer(lambda body, number: failure(status, "who?")) as server,
        Http(server.url, "m", privacy="none") as backend,
        pytest.raises(ConfigError, match=r"who.*check key"),
    ):
        get(backend, 3)


def test_redirect_is_not_followed_and_the_key_stays() -> None:
    with ScriptedServer(echo) as other:
        moved = failure(302, location=other.url + "/chat/completions")
        with ScriptedServer(lambda body, number: moved) as server, Http(server.url, "m", privacy="none") as backend:
            [only] = get(backend, 1)
    assert "HTTP 302" in str(only.error)
    assert other.bodies == []


def test_reply_without_end_is_not_read_to_its_end() -> None:
    endless = Act(body=b" " * 300_000)
    with (
        ScriptedServer(lambda body, number: endless) as server,
        Http(server.url, "m", privacy="none", max_reply_bytes=100_000) as backend,
    ):
        [only] = get(backend, 1)
    assert only.error == "never: a reply above 100000 bytes (max_reply_bytes)"


def test_compressed_reply_is_refused_before_it_is_unpacked() -> None:
    bomb = Act(body=b"\x1f\x8b", headers={"Content-Encoding": "gzip"})
    with ScriptedServer(lambda body, number: bomb) as server, Http(server.url, "m", privacy="none") as backend:
        [only] = get(backend, 1)
    assert "a reply in 'gzip'" in str(only.error)
    assert server.headers[0]["accept-encoding"] == "identity"


def test_resumed_call_pays_only_for_what_is_owed(tmp_path: Path) -> None:
    down: list[bool] = [True]

    def script(body: Body, number: int) -> Act:
        return failure(400) if down and prompt_of(body) in ("q3", "q5") else echo_one(body, number)

    with ScriptedServer(script) as server:
        with Http(server.url, "m", privacy="none", cache=tmp_path / "replies.db", patience=FAST) as backend:
            first = get(backend, 8, n=2)
        down.clear()
        paid = len(server.bodies)
        with Http(server.url, "m", privacy="none", cache=tmp_path / "replies.db", patience=FAST) as backend:
            second = get(backend, 8, n=2)
            resumed = len(server.bodies) - paid
            get(backend, 8, n=2)
            assert len(server.bodies) - paid == resumed
            assert backend.spent.requests == 16
    assert sum(c.error is not None for c in first) == 4
    assert all(c.error is None for c in second)
    assert [b for a, b in zip(first, second, strict=True) if a.error is None] == [a for a in first if a.error is None]
    assert resumed <= 5


def test_samples_of_one_prompt_are_different_entries_and_more_samples_keep_the_first(tmp_path: Path) -> None:
    with ScriptedServer(echo_one) as server, Http(server.url, "m", privacy="none", cache=tmp_path / "r.db") as backend:
        two = get(backend, 1, n=2)
        four = get(backend, 1, n=4)
    assert four[:2] == two
    assert len({c.text for c in four}) == 4


def test_one_model_name_with_other_weights_does_not_see_the_others_replies(tmp_path: Path) -> None:
    with ScriptedServer(lambda body, number: reply(body, str(number))) as server:
        for identity in ("round-1", "round-2"):
            with Http(server.url, "m", identity=identity, privacy="none", cache=tmp_path / "r.db") as backend:
                get(backend, 1)
    assert len(server.bodies) == 2


def test_equal_prompts_in_one_call_are_paid_once() -> None:
    with ScriptedServer(echo) as server, Http(server.url, "m", privacy="none") as backend:
        request = Request(task_id="a", prompt="q")
        same = backend.complete([request, request.model_copy(update={"task_id": "b"})], n=1, sampling=SAMPLING, seed=1)
    assert same[0] == same[1]
    assert len(server.bodies) == 1


def test_budget_in_tokens_is_never_passed_and_a_higher_one_goes_on(tmp_path: Path) -> None:
    def run(most: int) -> list[Completion]:
        budget = Budget(max_tokens=most)
        with Http(server.url, "m", privacy="none", cache=tmp_path / "r.db", budget=budget) as backend:
            try:
                return get(backend, 12)
            finally:
                assert backend.spent.tokens <= most

    with ScriptedServer(echo) as server:
        with pytest.raises(BudgetError, match=r"budget is used up, \d+ of 70 tokens"):
            run(70)
        paid = len(server.bodies)
        assert 0 < paid < 12
        assert len(run(1000)) == 12
        assert len(server.bodies) == 12, "nothing was paid for twice"
    assert BudgetError("").exit_code == 3


def test_budget_in_money_is_never_passed(tmp_path: Path) -> None:
    budget = Budget(max_money=0.001, prices=Prices(prompt_per_million=10, completion_per_million=20))
    with ScriptedServer(echo) as server, Http(server.url, "m", privacy="none", budget=budget) as backend:
        with pytest.raises(BudgetError, match=r"of 0\.001 in money"):
            get(backend, 50)
        assert 0 < backend.spent.money <= 0.001
        assert backend.spent.money == pytest.approx(len(server.bodies) * (7 * 10 + 3 * 20) / 1e6)


def test_used_up_quota_of_the_provider_stops_the_call() -> None:
    body = json.dumps({"error": {"message": "pay up", "code": "insufficient_quota"}}).encode()
    with (
        ScriptedServer(lambda _, number: Act(429, body)) as server,
        Http(server.url, "m", privacy="none") as backend,
        pytest.raises(BudgetError, match="pay up"),
    ):
        get(backend, 20)
    assert len(server.bodies) <= 16


def test_killed_process_keeps_every_reply_it_paid_for(tmp_path: Path) -> None:
    program = (
        "import sys; from selfplay.models.openai.client import Http; from selfplay.records import Request, Sampling\n"
        "b = Http(sys.argv[1], 'm', privacy='none', cache=sys.argv[2], max_concurrency=2)\n"
        "r = [Request(task_id=str(i), prompt=f'q{i}') for i in range(500)]\n"
        "b.complete(r, n=1, sampling=Sampling(max_new_tokens=20), seed=1)\n"
    )

    def script(body: Body, number: int) -> Act:
        time.sleep(0.005)
        return echo(body, number)

    with ScriptedServer(script) as server:
        child = subprocess.Popen([sys.executable, "-c", program, server.url, str(tmp_path / "r.db")])
        while len(server.bodies) < 20 and child.poll() is None:
            time.sleep(0.01)
        child.send_signal(signal.SIGKILL)
        child.wait()
        sent = len(server.bodies)
        assert 20 <= sent < 500
        with Http(server.url, "m", privacy="none", cache=tmp_path / "r.db") as backend:
            assert sent - 2 <= len(backend.cache) <= sent, "only the two in flight may be lost"


def test_interrupt_ends_a_call_to_a_hanging_server_at_once(tmp_path: Path) -> None:
    program = (
        "import signal, sys; from selfplay.models.openai.client import Http; from selfplay.records import Request, Sampling\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it\n"
        "with Http(sys.argv[1], 'm', privacy='none') as b:\n"
        "    b.complete([Request(task_id='t', prompt='q')], n=1, sampling=Sampling(), seed=1)\n"
    )
    with ScriptedServer(lambda body, number: Act(wait=60)) as server:
        child = subprocess.Popen([sys.executable, "-c", program, server.url], stderr=subprocess.PIPE, text=True)
        assert wait_for(lambda: len(server.bodies) == 1 or child.poll() is not None, 30)
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=20)
    assert "KeyboardInterrupt" in said
    assert "Task was destroyed" not in said
