"""The parts of the HTTP backend that need no server: reading replies, pacing, the cache file, the budget."""

import asyncio
import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfplay.errors import ConfigError, StoreError
from selfplay.models.openai.cache import ReplyCache
from selfplay.models.openai.limits import Budget, Gate, Limit, Patience, Prices, Spent, retry_after
from selfplay.models.openai.wire import Ask, Kind, Reply, Trouble, concession, read
from selfplay.records import Completion

ASK = Ask("chat/completions", {"model": "m", "max_tokens": 10, "messages": [{"role": "user", "content": "q"}]})
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "message", "content", "text", "usage", "error", "code", "logprobs", "token_ids", "x"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=15,
)


@settings(derandomize=True, deadline=None, max_examples=500)
@given(st.integers(100, 599), st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_reply_is_read_without_an_exception(status: int, payload: bytes) -> None:
    found = read(status, payload, ASK, 2)
    assert isinstance(found, Reply | Trouble)
    if isinstance(found, Reply):
        assert 1 <= len(found.completions) <= 2
        assert found.spent.tokens >= 0
    else:
        assert len(found.text) < 500


def test_more_choices_than_asked_for_are_cut() -> None:
    choices = [{"message": {"content": str(i)}, "finish_reason": "stop"} for i in range(5)]
    found = read(200, json.dumps({"choices": choices}).encode(), ASK, 2)
    assert isinstance(found, Reply)
    assert [c.text for c in found.completions] == ["0", "1"]


@pytest.mark.parametrize(
    ("logprobs", "expected"),
    [
        ({"content": [{"logprob": -1}, {"logprob": 0}]}, (-1.0, 0.0)),
        ({"token_logprobs": [-1.5, -2]}, (-1.5, -2.0)),
        ({"content": [{"logprob": -1}]}, None),
        ({"content": [{"logprob": -1}, {"logprob": None}]}, None),
        ({"content": [{"logprob": -1}, {"logprob": 3.0}]}, None),
        ({"content": [{"logprob": -1}, {"logprob": float("nan")}]}, None),
        ([-1, -2], None),
    ],
)
def test_logprobs_are_one_finite_number_a_token_or_none(logprobs: object, expected: object) -> None:
    ask = Ask(ASK.path, ASK.fields, keep_logprobs=True)
    choice = {"message": {"content": "ab"}, "finish_reason": "stop", "token_ids": [1, 2], "logprobs": logprobs}
    found = read(200, json.dumps({"choices": [choice]}).encode(), ask, 1)
    assert isinstance(found, Reply)
    assert found.completions[0].logprobs == expected


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (429, Kind.BUSY),
        (529, Kind.BUSY),
        (500, Kind.DOWN),
        (504, Kind.DOWN),
        (408, Kind.DOWN),
        (400, Kind.REFUSED),
        (401, Kind.SETUP),
        (402, Kind.QUOTA),
        (403, Kind.NEVER),
        (301, Kind.NEVER),
        (413, Kind.NEVER),
    ],
)
def test_status_says_what_to_do_next(status: int, kind: Kind) -> None:
    found = read(status, b"", ASK, 1)
    assert isinstance(found, Trouble)
    assert found.kind is kind


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("Unexpected fields in the request: {'return_token_ids'}", "return_token_ids"),
        ("json_schema is not supported by this model", "response_format"),
        ("Unsupported parameter: 'seed'", "seed"),
        ("the seeds of doubt", None),
        ("This model's maximum context length is 4096 tokens", None),
    ],
)
def test_refusal_names_the_field_to_give_up(text: str, field: str | None) -> None:
    sent = {"return_token_ids": True, "response_format": {"type": "json_schema"}, "seed": 1, "max_tokens": 3}
    assert concession(text, sent) == field


def test_cache_key_differs_by_weights_prompt_parameters_seed_and_sample() -> None:
    other = Ask(ASK.path, ASK.fields | {"temperature": 0.5})
    keys = {ASK.key("a", 1, 0), ASK.key("b", 1, 0), ASK.key("a", 2, 0), ASK.key("a", 1, 1), other.key("a", 1, 0)}
    assert len(keys) == 5
    assert ASK.key("a", 1, 0) in keys


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("3", 3.0),
        ("1.5", 1.5),
        ("-4", 0.0),
        ("Tue, 01 Dec 2026 00:00:30 GMT", 30.0),
        ("Mon, 30 Nov 2026 00:00:00 GMT", 0.0),
        ("soon", None),
        ("inf", None),
        ("Tue, 99 Dec 2026 00:00:30 GMT", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, datetime(2026, 12, 1, tzinfo=UTC)) == seconds


def test_back_off_doubles_is_bounded_and_repeats_with_the_seed() -> None:
    patience = Patience(initial_backoff_seconds=1, max_wait_seconds=8)
    waits = [patience.wait(n, 7, "key") for n in range(1, 9)]
    assert waits == [patience.wait(n, 7, "key") for n in range(1, 9)]
    for n, wait in enumerate(waits):
        assert 0.5 * min(2**n, 8) <= wait <= min(2**n, 8)
    assert patience.wait(1, 7, "key") != patience.wait(1, 7, "other")


def test_limit_halves_once_for_all_requests_of_one_epoch_and_grows_by_one_a_turn() -> None:
    limit = Limit(16)
    epoch = limit.epoch
    assert [limit.shrink(epoch) for _ in range(5)] == [True] + [False] * 4
    assert limit.value == 8
    for _ in range(9):
        limit.grow()
    assert 8.9 < limit.value < 9.2
    for _ in range(10):
        limit.shrink(limit.epoch)
    assert limit.value == 1
    for _ in range(1000):
        limit.grow()
    assert limit.value == 16


def test_gate_lets_a_waiting_request_in_when_one_before_it_was_cancelled() -> None:
    async def scene() -> int:
        gate = Gate(Limit(1))
        await gate.enter()
        waiting = [asyncio.create_task(gate.enter()) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await asyncio.sleep(0)
        gate.leave()
        await asyncio.wait_for(waiting[1], 1)
        gate.leave()
        await asyncio.wait_for(waiting[2], 1)
        return gate.active

    assert asyncio.run(scene()) == 1


def test_cache_keeps_replies_and_ledger_over_a_restart(tmp_path: Path) -> None:
    reply = Completion(
        text="a\u2028\U0001f600", completion_ids=(1, 2), logprobs=(-0.1, -3.0), usage={"prompt_tokens": 1}
    )
    lost = Completion(text="", finish_reason="error", error="down")
    first = ReplyCache(tmp_path / "deep" / "replies.db")
    first.put("m", {"k": reply, "e": lost}, Spent(1, 2, 0.5, 1, 0))
    first.put("m", {}, Spent(1, 2, 0.5, 1, 1))
    first.close()
    first.close()
    second = ReplyCache(tmp_path / "deep" / "replies.db")
    assert second.get(["k", "e", "absent"]) == {"k": reply}
    assert second.spent("m") == Spent(2, 4, 1.0, 2, 1)
    assert second.spent("other") == Spent()
    second.close()


def test_many_keys_are_looked_up_at_once() -> None:
    cache = ReplyCache()
    cache.put("m", {str(i): Completion(text=str(i)) for i in range(1200)}, Spent())
    assert len(cache.get([str(i) for i in range(2000)])) == len(cache) == 1200
    cache.close()


def test_spoilt_entry_is_as_if_it_were_not_there(tmp_path: Path) -> None:
    cache = ReplyCache(tmp_path / "r.db")
    cache.put("m", {"k": Completion(text="x")}, Spent())
    with sqlite3.connect(tmp_path / "r.db") as other:
        other.execute("UPDATE replies SET reply = '{\"text\": 3'")
    other.close()
    assert cache.get(["k"]) == {}
    cache.close()


def test_file_that_is_no_cache_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "r.db").write_bytes(b"not a database, but long enough to be read as one" * 50)
    with pytest.raises(StoreError, match=r"r\.db: the reply cache cannot be used"):
        ReplyCache(tmp_path / "r.db")


def test_two_processes_worth_of_connections_share_one_ledger(tmp_path: Path) -> None:
    one, two = ReplyCache(tmp_path / "r.db"), ReplyCache(tmp_path / "r.db")
    for number in range(50):
        (one, two)[number % 2].put("m", {str(number): Completion(text="x")}, Spent(1, 1, 0.0, 1))
    assert one.spent("m") == two.spent("m") == Spent(50, 50, 0.0, 50)
    one.close()
    two.close()


def test_money_needs_prices_and_tokens_do_not() -> None:
    with pytest.raises(ConfigError, match="there are no prices"):
        Budget(max_money=1.0)
    budget = Budget(max_money=1.0, prices=Prices(2.0, 4.0))
    assert budget.priced(Spent(250_000, 125_000)).money == pytest.approx(1.0)
    assert budget.fits(budget.priced(Spent(250_000, 125_000)))
    assert not budget.fits(budget.priced(Spent(250_001, 125_000)))
    assert Budget(max_tokens=10).describe(Spent(7, 2)) == "9 of 10 tokens"
