"""The HTTP backend against a server that behaves, and against one that does not know all it is asked."""

import json
import logging
from pathlib import Path

import pytest

from selfplay.errors import ConfigError
from selfplay.models.openai.client import Http
from selfplay.models.openai.limits import Patience
from selfplay.records import Completion, Message, Request, Sampling
from tests.support.servers import Act, Body, ScriptedServer, echo, echo_one, failure, prompt_of, reply

FAST = Patience(deadline_seconds=5, initial_backoff_seconds=0.01, max_wait_seconds=2)
SAMPLING = Sampling(max_new_tokens=20)


def asked(*texts: str) -> list[Request]:
    return [Request(task_id=f"t{i}", messages=(Message(role="user", content=text),)) for i, text in enumerate(texts)]


def texts(replies: list[list[Completion]]) -> list[list[str]]:
    return [[c.text for c in row] for row in replies]


def test_completions_keep_the_order_of_requests_and_samples() -> None:
    with ScriptedServer(echo) as server, Http(server.url, "m", privacy="none", patience=FAST) as backend:
        replies = backend.complete(asked(*(f"q{i}" for i in range(20))), n=3, sampling=SAMPLING, seed=1)
    for i, row in enumerate(replies):
        assert [c.text.split("|")[0::2] for c in row] == [[f"q{i}", str(j)] for j in range(3)]
    assert len(server.bodies) == 20
    assert all(body["n"] == 3 and body["max_tokens"] == 20 and body["temperature"] == 1.0 for body in server.bodies)


def test_server_that_ignores_n_is_noticed_and_asked_once_a_sample() -> None:
    with ScriptedServer(echo_one) as server, Http(server.url, "m", privacy="none", patience=FAST) as backend:
        first = backend.complete(asked("q"), n=3, sampling=SAMPLING, seed=1)
        assert backend.use_n is False
        assert [body.get("n", 1) for body in server.bodies] == [3, 1, 1]
        backend.complete(asked("r"), n=3, sampling=SAMPLING, seed=1)
        assert [body.get("n", 1) for body in server.bodies[3:]] == [1, 1, 1]
    assert len(set(texts(first)[0])) == 3


def test_samples_do_not_depend_on_when_ignored_n_was_noticed() -> None:
    def samples(use_n: bool) -> list[list[str]]:
        with ScriptedServer(echo_one) as server, Http(server.url, "m", privacy="none", use_n=use_n) as backend:
            return texts(backend.complete(asked("q", "r"), n=3, sampling=SAMPLING, seed=1))

    assert samples(True) == samples(False)


def test_server_that_refuses_n_is_asked_once_a_sample() -> None:
    def script(body: Body, number: int) -> Act:
        return failure(400, "only one choice is allowed") if "n" in body else echo(body, number)

    with ScriptedServer(script) as server, Http(server.url, "m", privacy="none", patience=FAST) as backend:
        replies = backend.complete(asked("q"), n=3, sampling=SAMPLING, seed=1)
    assert len(set(texts(replies)[0])) == 3
    assert all(c.error is None for c in replies[0])


def test_same_seed_asks_the_same_and_another_seed_does_not() -> None:
    with ScriptedServer(echo) as server:

        def samples(seed: int) -> list[list[str]]:
            with Http(server.url, "m", privacy="none") as backend:
                return texts(backend.complete(asked("q"), n=2, sampling=SAMPLING, seed=seed))

        assert samples(1) == samples(1) != samples(2)


def test_usage_is_the_servers_and_stands_once_a_reply() -> None:
    with ScriptedServer(echo) as server, Http(server.url, "m", privacy="none") as backend:
        [[first, second]] = backend.complete(asked("q"), n=2, sampling=SAMPLING, seed=1)
        assert first.usage == {"prompt_tokens": 7, "completion_tokens": 6}
        assert second.usage == {}
        assert (backend.spent.prompt_tokens, backend.spent.completion_tokens) == (7, 6)
        assert (backend.spent.requests, backend.spent.estimated) == (1, 0)


def test_usage_is_estimated_and_said_to_be_where_the_server_gives_none() -> None:
    def script(body: Body, number: int) -> Act:
        return Act(body=json.dumps({"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}).encode())

    with ScriptedServer(script) as server, Http(server.url, "m", privacy="none") as backend:
        [[only]] = backend.complete(asked("q"), n=1, sampling=SAMPLING, seed=1)
        assert only.usage == {}
        assert backend.spent.estimated == 1
        assert backend.spent.tokens > 0


def test_bare_prompt_is_a_user_message_in_chat_and_itself_in_text_mode() -> None:
    request = [Request(task_id="t", prompt="two plus two")]
    with ScriptedServer(echo) as server:
        with Http(server.url, "m", privacy="none") as backend:
            backend.complete(request, n=1, sampling=SAMPLING, seed=1)
        with Http(server.url, "m", privacy="none", mode="text") as backend:
            backend.complete(request, n=1, sampling=SAMPLING, seed=1)
            with pytest.raises(ConfigError, match="task t0 is a chat and mode is text"):
                backend.complete(asked("q"), n=1, sampling=SAMPLING, seed=1)
    assert server.paths == ["/v1/chat/completions", "/v1/completions"]
    assert server.bodies[0]["messages"] == [{"role": "user", "content": "two plus two"}]
    assert server.bodies[1]["prompt"] == "two plus two"


def test_sampling_is_sent_whole() -> None:
    sampling = Sampling(temperature=0.5, top_p=0.9, top_k=40, max_new_tokens=11, stop=("\n\n", "END"))
    with ScriptedServer(echo) as server, Http(server.url, "m", privacy="none", extra={"min_p": 0.0}) as backend:
        backend.complete(asked("q"), n=1, sampling=sampling, seed=1)
    body = server.bodies[0]
    assert [body[k] for k in ("temperature", "top_p", "top_k", "max_tokens", "stop")] == [
        0.5,
        0.9,
        40,
        11,
        ["\n\n", "END"],
    ]
    assert body["min_p"] == 0.0
    assert 0 <= body["seed"] < 2**31


@pytest.mark.parametrize(
    ("finish", "expected"),
    [("stop", "stop"), ("eos_token", "stop"), ("length", "length"), ("content_filter", "length"), (None, "length")],
)
def test_only_a_plain_stop_counts_as_finished(finish: str, expected: str) -> None:
    with (
        ScriptedServer(lambda body, number: reply(body, "x", finish=finish)) as server,
        Http(server.url, "m", privacy="none") as backend,
    ):
        [[only]] = backend.complete(asked("q"), n=1, sampling=SAMPLING, seed=1)
    assert only.finish_reason == expected


def with_ids(body: Body, number: int) -> Act:
    choice = {
        "message": {"content": "ab"},
        "finish_reason": "stop",
        "token_ids": [5, 6],
        "logprobs": {"content": [{"token": "a", "logprob": -0.5}, {"token": "b", "logprob": -1}]},
    }
    return Act(body=json.dumps({"choices": [choice], "prompt_token_ids": [1, 2, 3]}).encode())


def test_token_ids_and_logprobs_are_kept_where_the_server_gives_them() -> None:
    with (
        ScriptedServer(with_ids) as server,
        Http(server.url, "m", privacy="none", token_ids=True, logprobs="raw") as backend,
    ):
        [[exact]] = backend.complete(asked("q"), n=1, sampling=SAMPLING, seed=1)
        [[warm]] = backend.complete(asked("q"), n=1, sampling=Sampling(temperature=0.7), seed=1)
    assert server.bodies[0]["return_token_ids"] is True
    assert (server.bodies[0]["logprobs"], server.bodies[0]["top_logprobs"]) == (True, 0)
    assert (exact.prompt_ids, exact.completion_ids, exact.logprobs) == ((1, 2, 3), (5, 6), (-0.5, -1.0))
    assert warm.completion_ids == (5, 6)
    assert warm.logprobs is None, "raw log-probabilities are not the sampler's at temperature 0.7"


def test_field_that_a_server_refuses_is_left_out_from_then_on() -> None:
    def script(body: Body, number: int) -> Act:
        unknown = {"return_token_ids", "seed"} & body.keys()
        return (
            Act(422, json.dumps({"detail": f"Unexpected fields: {unknown}"}).encode())
            if unknown
            else echo(body, number)
        )

    with ScriptedServer(script) as server, Http(server.url, "m", privacy="none", token_ids=True) as backend:
        first = backend.complete(asked("q"), n=1, sampling=SAMPLING, seed=1)
        sent = len(server.bodies)
        backend.complete(asked("r"), n=1, sampling=SAMPLING, seed=1)
        assert backend.refused == {"return_token_ids", "seed"}
        assert len(server.bodies) == sent + 1
    assert first[0][0].error is None
    assert first[0][0].completion_ids is None


def test_newer_name_of_max_tokens_is_learnt_from_the_refusal() -> None:
    def script(body: Body, number: int) -> Act:
        if "max_tokens" in body:
            return failure(400, "'max_tokens' is not supported, use 'max_completion_tokens' instead")
        return echo(body, number)

    with ScriptedServer(script) as server, Http(server.url, "m", privacy="none") as backend:
        [[only]] = backend.complete(asked("q"), n=1, sampling=SAMPLING, seed=1)
    assert only.error is None
    assert server.bodies[-1]["max_completion_tokens"] == 20


def test_refusal_of_one_prompt_is_an_error_of_that_prompt_alone() -> None:
    def script(body: Body, number: int) -> Act:
        return failure(400, "prompt is too long") if "long" in prompt_of(body) else echo(body, number)

    with ScriptedServer(script) as server, Http(server.url, "m", privacy="none", patience=FAST) as backend:
        [[good], [bad]] = backend.complete(asked("q", "long"), n=1, sampling=SAMPLING, seed=1)
    assert good.error is None
    assert (bad.finish_reason, bad.text) == ("error", "")
    assert "prompt is too long" in str(bad.error)
    assert len(server.bodies) == 2, "a refused prompt is not sent again"


def test_every_text_passes_the_privacy_filter_before_it_leaves() -> None:
    def hide(text: str) -> str:
        return text.replace("Ada", "[name]")

    messages = (Message(role="system", content="for Ada"), Message(role="user", content="I am Ada"))
    with ScriptedServer(echo) as server:
        with Http(server.url, "m", privacy=hide) as backend:
            backend.complete([Request(task_id="t", messages=messages)], n=1, sampling=SAMPLING, seed=1)
        with Http(server.url, "m", privacy=hide, mode="text") as backend:
            backend.complete([Request(task_id="t", prompt="Ada")], n=1, sampling=SAMPLING, seed=1)
    assert "Ada" not in json.dumps(server.bodies)
    assert server.bodies[0]["messages"][1]["content"] == "I am [name]"


def test_failing_privacy_filter_sends_nothing() -> None:
    def broken(text: str) -> str:
        raise ZeroDivisionError

    with (
        ScriptedServer(echo) as server,
        Http(server.url, "m", privacy=broken) as backend,
        pytest.raises(ZeroDivisionError),
    ):
        backend.complete(asked("q"), n=1, sampling=SAMPLING, seed=1)
    assert server.bodies == []


def test_backend_cannot_be_built_without_a_privacy_filter() -> None:
    with pytest.raises(TypeError, match="privacy"):
        Http("http://127.0.0.1:1/v1", "m")  # type: ignore[call-arg]
    with pytest.raises(ConfigError, match="privacy is None"):
        Http("http://127.0.0.1:1/v1", "m", privacy=None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("localhost:8000", "not an address"),
        ("http://user:secret-word@host/v1", "host has a user, password or query"),
        ("http://host/v1?key=secret-word", "host has a user, password or query"),
    ],
)
def test_unusable_address_is_refused_without_repeating_a_password(url: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        Http(url, "m", privacy="none")
    assert "secret-word" not in str(caught.value)


def test_extra_may_not_set_what_the_backend_sets() -> None:
    with pytest.raises(ConfigError, match="extra sets n, seed"):
        Http("http://127.0.0.1:1/v1", "m", privacy="none", extra={"seed": 1, "n": 2})


def test_key_goes_to_the_server_and_nowhere_else(
    caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest
) -> None:
    import os

    os.environ["SELFPLAY_TEST_KEY"] = "sk-very-secret"
    request.addfinalizer(lambda: os.environ.pop("SELFPLAY_TEST_KEY"))

    def script(body: Body, number: int) -> Act:
        bad = "bad request of sk-very-secret, " + "x" * 254 + " sk-very-secret"  # the second one stands at the cut
        return failure(400, bad) if number else echo(body, number)

    caplog.set_level(logging.DEBUG)
    with (
        ScriptedServer(script) as server,
        Http(server.url, "m", privacy="none", api_key_env="SELFPLAY_TEST_KEY") as backend,
    ):
        backend.complete(asked("q"), n=1, sampling=SAMPLING, seed=1)
        [[bad]] = backend.complete(asked("r"), n=1, sampling=SAMPLING, seed=1)
        assert "sk-very-secret" not in repr(backend)
    assert server.headers[0]["authorization"] == "Bearer sk-very-secret"
    assert str(bad.error).startswith("refused: HTTP 400: bad request of [key], xxx")
    assert "sk-" not in str(bad.error)
    assert caplog.records, "the client library logs at this level"
    assert "sk-very-secret" not in caplog.text


def test_missing_key_is_refused_at_construction_with_the_variables_name() -> None:
    with pytest.raises(ConfigError, match=r"\$SELFPLAY_NO_SUCH_KEY, which is not set"):
        Http("http://127.0.0.1:1/v1", "m", privacy="none", api_key_env="SELFPLAY_NO_SUCH_KEY")


def test_half_surrogate_pairs_do_not_break_prompt_or_reply(tmp_path: Path) -> None:
    def script(body: Body, number: int) -> Act:
        return Act(body=b'{"choices": [{"message": {"content": "a\\ud83d"}, "finish_reason": "stop"}]}')

    with ScriptedServer(script) as server, Http(server.url, "m", privacy=lambda t: t + "\ud800") as backend:
        [[only]] = backend.complete(asked("q"), n=1, sampling=SAMPLING, seed=1)
    assert only.text == "a?"
    assert server.bodies[0]["messages"][0]["content"] == "q?"


def test_backend_works_inside_a_running_event_loop() -> None:
    import asyncio

    async def notebook(url: str) -> list[list[str]]:
        with Http(url, "m", privacy="none") as backend:
            return texts(backend.complete(asked("q"), n=1, sampling=SAMPLING, seed=1))

    with ScriptedServer(echo) as server:
        assert asyncio.run(notebook(server.url))[0][0].startswith("q|")
