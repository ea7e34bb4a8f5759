"""Reading one JSON object out of whatever a model replies, and the ladder down to it over HTTP."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfplay.models.openai.client import Http
from selfplay.models.openai.limits import Patience
from selfplay.models.structured import ask, extract
from selfplay.records import Message, Request, Sampling
from selfplay.verify.judge import Grade
from tests.support.servers import Act, Body, ScriptedServer, echo, failure, reply

NINE = '{"reason": "r", "score": 9, "sure": true}'
ASKED = [Request(task_id="t", messages=(Message(role="user", content="JSON?"),))]
FAST = Patience(deadline_seconds=5, initial_backoff_seconds=0.01)


@pytest.mark.parametrize(
    "text",
    [
        NINE,
        f"```json\n{NINE}\n```",
        f"Sure! Here it is: {NINE} I hope this helps {{smile}}.",
        f"<think>perhaps {NINE.replace('9', '2')}</think>{NINE}",
        f"{NINE}\n{NINE}",
        NINE.replace("9", '"9"'),
        '{"score": 9}',
        '{"score": 9.0, "reason": "r", "confidence": 0.3}',
    ],
)
def test_object_is_found_with_fences_thinking_and_courtesies_around_it(text: str) -> None:
    assert extract(text, Grade).score == 9


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nine", "no JSON object"),
        ("", "no JSON object"),
        ('{"score": 9} no, {"score": 2}', "2 JSON objects"),
        ('{"note": 1} ' + NINE, "2 JSON objects"),
        ('{"score": 2, "score": 10}', "a key twice"),
        ('{"score": 11}', "less than or equal to 10"),
        ('{"score": -1}', "greater than or equal to 0"),
        ('{"score": true}', "is true or false, not a number"),
        ('{"score": NaN}', "NaN is no JSON number"),
        ('{"score": 1e999}', "less than or equal to 10"),
        ('{"score": null}', "score"),
        ('{"reason": "r"}', "score: Field required"),
        ("[9]", "no JSON object"),
        (f"<think>{NINE}", "thinking is not closed"),
        ('{"score": 9', "cut off or broken"),
        ("{" * 100_000, "no JSON object"),
        ('{"a":' * 50_000, "cut off or broken"),
        ('{"a":' * 40_000 + "1" + "}" * 40_000, "nested too deeply"),
        ("[" * 100_000 + NINE, "other words"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else None,
)
def test_what_is_not_one_clear_object_is_refused_with_the_reason(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        extract(text, Grade)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(
    st.text() | st.lists(st.sampled_from(['{"score":', "9", "}", "{", '"', "<think>", "</think>", ","])).map("".join)
)
def test_extraction_gives_a_grade_or_a_value_error_on_any_text(text: str) -> None:
    try:
        assert 0 <= extract(text, Grade).score <= 10
    except ValueError as error:
        assert str(error)


def refusing(*kinds: str) -> "list[object]":
    """A script that refuses these response formats, and the kinds it saw."""
    seen: list[str] = []

    def script(body: Body, number: int) -> Act:
        kind = body.get("response_format", {}).get("type", "none")
        seen.append(kind)
        if kind in kinds:
            return failure(400, f"response_format type {kind} is not supported")
        return reply(body, NINE if kind != "none" else f"I think: {NINE}")

    return [script, seen]


@pytest.mark.parametrize(
    ("refused", "seen"),
    [
        ((), ["json_schema", "json_schema"]),
        (("json_schema",), ["json_schema", "json_object", "json_object"]),
        (("json_schema", "json_object"), ["json_schema", "json_object", "none", "none"]),
    ],
)
def test_ladder_steps_down_once_and_stays_there(refused: tuple[str, ...], seen: list[str]) -> None:
    script, kinds = refusing(*refused)
    with ScriptedServer(script) as server, Http(server.url, "m", privacy="none", patience=FAST) as backend:  # type: ignore[arg-type]
        for seed in (1, 2):
            [[answer]] = ask(backend, ASKED, Grade, n=1, sampling=Sampling(), seed=seed)
            assert answer.value is not None
            assert answer.value.score == 9
    assert kinds == seen


def test_schema_that_is_sent_is_closed_and_names_every_field() -> None:
    with (
        ScriptedServer(lambda body, number: reply(body, NINE)) as server,
        Http(server.url, "m", privacy="none") as backend,
    ):
        ask(backend, ASKED, Grade, n=1, sampling=Sampling(), seed=1)
    shape = server.bodies[0]["response_format"]["json_schema"]
    assert shape["strict"] is True
    assert shape["schema"]["additionalProperties"] is False
    assert shape["schema"]["required"] == ["reason", "score", "sure"]


def test_unreadable_reply_is_asked_for_once_more_with_what_was_wrong() -> None:
    def script(body: Body, number: int) -> Act:
        return reply(body, NINE if len(body["messages"]) > 1 else '{"score": 99}')

    with ScriptedServer(script) as server, Http(server.url, "m", privacy="none") as backend:
        [[answer]] = ask(backend, ASKED, Grade, n=1, sampling=Sampling(), seed=1)
    assert answer.value is not None
    assert answer.asked == 2
    assert "less than or equal to 10" in server.bodies[1]["messages"][-1]["content"]
    assert len(server.bodies) == 2


def test_outage_is_not_asked_again_by_the_ladder() -> None:
    patience = Patience(deadline_seconds=5, initial_backoff_seconds=0.01, retries=0)
    with (
        ScriptedServer(lambda body, number: failure(500)) as server,
        Http(server.url, "m", privacy="none", patience=patience) as backend,
    ):
        [[answer]] = ask(backend, ASKED, Grade, n=1, sampling=Sampling(), seed=1)
    assert (answer.value, answer.outage) == (None, True)
    assert len(server.bodies) == 1


def test_bare_prompts_are_asked_again_as_bare_prompts() -> None:
    asked = [Request(task_id="t", prompt="JSON?")]
    with ScriptedServer(echo) as server, Http(server.url, "m", privacy="none", mode="text") as backend:
        [[answer]] = ask(backend, asked, Grade, n=1, sampling=Sampling(), seed=1)
    assert answer.value is None
    assert server.bodies[1]["prompt"].startswith("JSON?\nJSON?|")
    assert json.dumps(server.bodies[1]["prompt"]).endswith('after it.\\n"')


@pytest.mark.parametrize("key", ["Score", "SCORE", "sc\u200bore", "score ", "s_core", "\uff53core"])
def test_key_that_is_nearly_a_field_makes_a_reply_unreadable(key: str) -> None:
    """As where a judge's quotation ends its string early: which of the two scores is meant nobody can say."""
    with pytest.raises(ValueError, match="write the key as 'score'"):
        extract(json.dumps({"reason": "it says: ", "score": 10, "sure": True, key: 0}), Grade)
    assert extract('{"reason": "r", "score": 9, "sure": true, "note": 1}', Grade).score == 9
