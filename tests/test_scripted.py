"""The shipped backends without a model: a function, and a file of recorded attempts."""

import gzip
import json
from pathlib import Path

import pytest

from selfplay.errors import DataError
from selfplay.models.recorded import Recorded
from selfplay.models.scripted import Scripted
from selfplay.records import Completion, Request, Sampling

ASKED = [Request(task_id="a", prompt="1 + 1 = "), Request(task_id="b", prompt="2 + 2 = ")]


def write(path: Path, *rows: object) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, encoding="utf-8")
    return path


def test_scripted_answers_in_order_of_requests_and_samples() -> None:
    with Scripted(lambda request, index, seed: f"{request.task_id}{index}") as backend:
        replies = backend.complete(ASKED, n=2, sampling=Sampling(), seed=1)
    assert [[c.text for c in row] for row in replies] == [["a0", "a1"], ["b0", "b1"]]
    assert backend.calls == 4


def test_scripted_seed_differs_by_task_sample_and_call_and_repeats() -> None:
    backend = Scripted(lambda request, index, seed: str(seed))

    def seeds(seed: int) -> list[str]:
        return [c.text for row in backend.complete(ASKED, n=3, sampling=Sampling(), seed=seed) for c in row]

    assert len(set(seeds(1) + seeds(2))) == 12
    assert seeds(1) == seeds(1)


def test_scripted_passes_a_completion_on_as_it_is() -> None:
    outage = Completion(text="", finish_reason="error", error="down")
    backend = Scripted(lambda request, index, seed: outage)
    assert backend.complete(ASKED[:1], n=1, sampling=Sampling(), seed=0) == [[outage]]


@pytest.mark.parametrize("name", ["r.jsonl", "r.jsonl.gz"])
def test_recorded_plays_lines_of_one_task_in_file_order(tmp_path: Path, name: str) -> None:
    path = write(
        tmp_path / name,
        {"q": "a", "out": "first\u2028line"},
        {"q": "b", "out": ["x", "y"]},
        {"q": "a", "out": "second", "finish_reason": "length"},
    )
    with Recorded(path, id_field="q", text_field="out") as backend:
        replies = backend.complete(ASKED, n=2, sampling=Sampling(), seed=9)
    assert [[c.text for c in row] for row in replies] == [["first\u2028line", "second"], ["x", "y"]]
    assert replies[0][1].finish_reason == "length"


def test_recorded_identity_follows_the_content_not_the_folder(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    one = Recorded(write(tmp_path / "r.jsonl", {"task_id": "a", "text": "1"}))
    same = Recorded(write(tmp_path / "other" / "r.jsonl", {"task_id": "a", "text": "1"}))
    changed = Recorded(write(tmp_path / "other" / "r.jsonl", {"task_id": "a", "text": "2"}))
    assert one.identity == same.identity != changed.identity


def test_recorded_names_file_and_task_that_is_missing(tmp_path: Path) -> None:
    backend = Recorded(write(tmp_path / "r.jsonl", {"task_id": "a", "text": "1"}))
    with pytest.raises(DataError, match=r"r\.jsonl: has no recorded attempt of task 'b'"):
        backend.complete(ASKED, n=1, sampling=Sampling(), seed=0)
    with pytest.raises(DataError, match=r"task 'a' has 1 recorded attempts, 2 were asked for"):
        backend.complete(ASKED[:1], n=2, sampling=Sampling(), seed=0)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", r"r\.jsonl:1: is not JSON"),
        ("[1]", r"r\.jsonl:1: is a list, not an object"),
        ('{"task_id": "a"}', r"r\.jsonl:1: has no text, only task_id"),
        ('{"task_id": "a", "text": 3}', r"r\.jsonl:1: text is no text"),
        ("\n", r"r\.jsonl: holds no recorded attempts"),
        ("[" * 100_000, r"r\.jsonl:1: is nested 100000 deep"),
    ],
)
def test_recorded_refuses_a_malformed_file_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=says):
        Recorded(path)


def test_recorded_reads_half_a_surrogate_pair_as_a_question_mark(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text('{"task_id": "a", "text": "x\\ud800"}\n')
    assert Recorded(path).complete(ASKED[:1], n=1, sampling=Sampling(), seed=0)[0][0].text == "x?"


def test_recorded_refuses_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file; give a file"):
        Recorded(tmp_path / "none.jsonl")
