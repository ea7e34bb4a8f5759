"""How far a phase is while it works: by the tokens and rows of an engine, and never more than there is."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from selfplay.config import load_config
from selfplay.loop import run
from selfplay.models.base import Backend
from selfplay.models.openai.client import Http
from selfplay.models.transformers.backend import Embedded
from selfplay.records import Completion, Message, Outcome, Request, Row, Sampling
from selfplay.runtime import progress as progress_module
from selfplay.runtime.attempts import complete_all, passed
from selfplay.runtime.pace import Pace
from selfplay.runtime.progress import Progress
from tests.support.runs import CONFIG
from tests.support.servers import ScriptedServer, echo
from tests.support.tiny_models import make_tiny

Event = tuple[str, dict[str, Any]]


@pytest.fixture(scope="module")
def phases(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, list[Event]]]:
    """The events of each phase of a run: (phase, events), in order."""
    folder = tmp_path_factory.mktemp("heard")
    (folder / "c.yaml").write_text(CONFIG)
    heard: list[tuple[str, list[Event]]] = []

    def hear(event: str, figures: dict[str, Any]) -> None:
        if event == "phase":
            heard.append((figures["name"], []))
        if heard:
            heard[-1][1].append((event, figures))

    run(load_config(folder / "c.yaml", [f"runs_dir={folder / 'runs'}"]), listener=hear)
    return heard


def test_rows_that_are_done_add_up_to_the_total_of_a_phase(phases: list[tuple[str, list[Event]]]) -> None:
    chunked = {"generate", "verify", "evaluate"}
    for name, events in phases:
        if name in chunked:
            assert sum(figures["items"] for event, figures in events if event == "advance") == events[0][1]["total"]
    assert chunked < {name for name, _ in phases}


def test_share_of_right_attempts_counts_judged_attempts_only(phases: list[tuple[str, list[Event]]]) -> None:
    """An evaluation answers a dev task several times and scores texts: counted by tasks, 110 % of them were right."""
    for name, events in phases:
        for _, figures in (one for one in events if one[0] == "advance"):
            assert 0 <= figures["accepted"] <= figures["judged"] <= figures["items"], name
            assert figures["judged"] == 0 or name != "generate", "nobody judged them yet"
    samples = [f["judged"] for name, events in phases if name == "evaluate" for e, f in events if e == "advance"]
    assert 8 * 4 in samples, "eight tasks with four samples each"


def test_what_nobody_could_judge_is_neither_right_nor_wrong() -> None:
    assert [passed(one) for one in Outcome] == [True, False, False, None, None]


def test_rows_in_hand_grow_with_the_tokens_and_end_at_the_number_of_rows() -> None:
    pace, seen = Pace(), [0.0]
    pace.begin(4, 100)
    for step in range(1, 101):
        live = 4 - (step > 20) - (step > 30) - (step > 60)
        pace.write(live, step in (20, 30, 60, 100))
        seen.append(pace.rows)
    assert all(a <= b for a, b in pairwise(seen)) and 0 < seen[1] < 0.2 and seen[-1] <= 4
    assert 2.9 < seen[60] < 3.6, "three rows have ended, and the mean length is known"
    pace.settle()
    assert pace.rows == 4 and pace.tokens == 210
    pace.begin(2, 100)
    pace.write(2, 0)
    assert 4 < pace.rows < 4.2
    pace.next_chunk()
    assert pace.rows == 0


@pytest.mark.parametrize("calls", [[(0, 10)], [(3, 0)], [(0, 0)]])
def test_calls_without_rows_or_tokens_have_an_end(calls: list[tuple[int, int]]) -> None:
    pace = Pace()
    for rows, limit in calls:
        pace.begin(rows, limit)
        pace.write(0, 0)
        assert 0 <= pace.rows <= rows
        pace.settle()
    assert pace.rows == sum(rows for rows, _ in calls)


def test_texts_that_are_scored_count_by_their_number_and_not_toward_the_mean_length() -> None:
    pace = Pace()
    pace.begin(8, 0)
    pace.write(0, 2)
    assert pace.rows == 2
    pace.settle()
    pace.begin(4, 50)
    pace.write(40, 0)
    assert pace.rows == pytest.approx(8 + 4 * 40 / 200), "no completion has ended: each may write to its limit"


class Slow(Backend):
    """Tells of its work token by token."""

    identity = "slow"

    def complete(self, requests: Any, *, n: int, sampling: Sampling, seed: int) -> list[list[Completion]]:
        for step in range(10):
            self.on_tokens(len(requests) * n, 0 if step < 9 else len(requests) * n)
        return [[Completion(text="x", finish_reason="stop")] * n for _ in requests]


def test_engine_moves_the_display_between_two_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_module, "WORKING_SECONDS", 0.0)
    heard: list[Event] = []
    progress = Progress(lambda event, figures: heard.append((event, figures)))
    backend = Slow()
    backend.on_tokens = progress.written
    progress.phase("generate", 8)
    requests = [Request(task_id=f"t{i}", prompt="q") for i in range(2)]
    complete_all(backend, requests, 4, Sampling(max_new_tokens=20), 0, progress)
    rows = [figures["rows"] for event, figures in heard if event == "working"]
    assert len(rows) == 11 and rows[0] == 0.0 and rows == sorted(rows) and rows[5] == pytest.approx(8 * 5 / 20)
    assert heard[-1][1]["tokens"] == 80
    progress.advance(8)
    complete_all(backend, requests, 4, Sampling(max_new_tokens=20), 0)
    assert heard[-1][1]["rows"] == 0.0, "a call that nobody declared counts its tokens alone"


def told(backend: Backend) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    backend.on_tokens = lambda tokens, rows: found.append((tokens, rows))
    return found


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    with Embedded(make_tiny(tmp_path_factory.mktemp("tiny")), template="plain", device="cpu", dtype="fp32") as opened:
        yield opened


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_model_in_this_process_tells_of_every_token_and_every_row(tiny: Embedded, temperature: float) -> None:
    found = told(tiny)
    requests = [Request(task_id=f"t{i}", prompt="abc" * (i + 1)) for i in range(5)]
    made = tiny.complete(requests, n=3, sampling=Sampling(max_new_tokens=12, temperature=temperature), seed=1)
    drawn = [row[:1] if temperature == 0 else row for row in made]
    assert sum(tokens for tokens, _ in found) == sum(len(c.completion_ids or ()) for row in drawn for c in row)
    assert sum(rows for _, rows in found) == sum(map(len, drawn)) and len(found) >= 12


def test_scoring_tells_of_every_text(tiny: Embedded) -> None:
    found = told(tiny)
    tiny.likelihood([Row(input_ids=(1, 2, 3), labels=(-100, 2, 3)) for _ in range(7)])
    assert sum(rows for _, rows in found) == 7 and not any(tokens for tokens, _ in found)


def test_server_tells_of_every_reply(tmp_path: Path) -> None:
    with ScriptedServer(echo) as server, Http(server.url, "m", privacy="none") as backend:
        found = told(backend)
        requests = [Request(task_id=f"t{i}", messages=(Message(role="user", content=f"q{i}"),)) for i in range(6)]
        backend.complete(requests, n=2, sampling=Sampling(max_new_tokens=20), seed=1)
    assert sum(rows for _, rows in found) == 12 and all(tokens > 0 for tokens, _ in found)
