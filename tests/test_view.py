"""The trace browser: what its pages show, how they filter and search, and that text of a model stays text."""

import json
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfplay.records import Message
from selfplay.store.trace_index import TraceIndex
from selfplay.view.browse import DIFF_CHARS, PAGE_ROWS, line_diff
from tests.support.trace_pages import HOSTILE, served, trace, write_round


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real server over a run of two rounds."""
    run = tmp_path_factory.mktemp("runs") / "mine"
    write_round(
        run, 1, [trace(f"t-{n // 2}", n % 2, 1, "pass" if n % 3 else "fail", reason="failed") for n in range(120)]
    )
    odd = [
        trace("odd/1 & co?", 0, 2, text="x = 1\ny = 2"),
        trace("odd/1 & co?", 1, 2, "fail", "x = 1\ny = 3", "failed"),
    ]
    write_round(run, 2, [*odd, trace("evil", 0, 2, text=HOSTILE), trace("t-0", 0, 2, text="A NEEDLE in it")])
    yield served(run)


def get(address: str, host: str | None = None, **query: str | int) -> str:
    """The text of a page; an error's text is its status before its page."""
    full = f"{address}?{urllib.parse.urlencode(query)}" if query else address
    request = urllib.request.Request(full, headers={"Host": host} if host else {})
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            return reply.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return f"{error.code}: {error.read().decode()}"


def behind(address: str, page: str, pattern: str) -> str:
    """The page behind a link of a page."""
    found = re.search(pattern, page)
    assert found is not None
    return get(urllib.parse.urljoin(address, unescape(found.group(1))))


def tasks_in(page: str) -> list[str]:
    return [unescape(found) for found in re.findall(r"<bdi>([^<]*)</bdi></a></th>", page)]


def test_a_page_holds_so_many_rows_and_leads_on_to_the_others(address: str) -> None:
    page = get(address)
    assert f"1 to {PAGE_ROWS} of 124 traces" in page
    seen = tasks_in(page)
    while 'rel="next"' in page:
        page = behind(address, page, 'href="([^"]*)" rel="next"')
        seen += tasks_in(page)
    assert len(seen) == 124 and seen[-1] == "t-0"
    assert f"{PAGE_ROWS + 1} to {2 * PAGE_ROWS} of" in behind(address, page, 'href="([^"]*)" rel="prev"')


def test_filters_select_together_and_their_menus_count_what_the_others_leave(address: str) -> None:
    page = get(address, round=2, outcome="fail")
    assert tasks_in(page) == ["odd/1 & co?"]
    assert "pass (3)" in page and "fail (1)" in page  # outcomes of round 2, whatever outcome is chosen
    assert re.search(r'value="1">1 \(40\)', page)  # failed ones of round 1
    assert "0 traces" in get(address, outcome="abstain") and "No trace matches" in get(address, outcome="abstain")


def test_a_search_finds_text_in_prompts_and_replies_whatever_the_case(address: str) -> None:
    assert tasks_in(get(address, text="needle")) == ["t-0"]
    assert set(tasks_in(get(address, text="solve T-59"))) == {"t-59"}
    page = get(address, text="solve")
    assert len(tasks_in(page)) == PAGE_ROWS
    assert tasks_in(behind(address, page, r'href="([^"]*)">Search on'))[0] == "t-25"


def test_a_task_shows_accepted_beside_dropped_with_reasons_and_a_comparison(address: str) -> None:
    page = get(address + "task", id="odd/1 & co?")
    assert "Accepted: 1" in page and "Dropped: 1" in page and "wrong_answer" in page and "got 5" in page
    page = get(address + "task", id="odd/1 & co?", a="round 2 attempt 0", b="round 2 attempt 1")
    assert re.findall(r'<span class="(\w+)">. ([^\n]*)\n', page) == [
        ("same", "x = 1"), ("removed", "y = 2"), ("added", "y = 3"),
    ]  # fmt: skip


def test_text_of_a_model_stays_text(address: str) -> None:
    for page in (get(address, round=2), get(address + "task", id="evil"), get(address, text="<script>alert")):
        assert "<script" not in page and "<img" not in page and "\u202e" not in page
        assert "&lt;script&gt;alert(1)" in page
        assert "default-src 'none'" in page


def test_an_unknown_task_is_answered_by_a_sentence(address: str) -> None:
    page = get(address + "task", id="<b>none</b>")
    assert page.startswith("404: ")
    assert "No round has an attempt at the task “<bdi>&lt;b&gt;none&lt;/b&gt;</bdi>”" in page


def test_a_page_of_another_site_cannot_read_the_traces_through_its_own_name(address: str) -> None:
    assert get(address, host="evil.example").startswith("400: ")


@pytest.mark.parametrize(
    "query", [{"start": "-1"}, {"start": "x"}, {"start": "9" * 40}, {"round": "abc"}, {"round": "²"}]
)
def test_an_address_that_makes_no_sense_is_no_error(address: str, query: dict[str, str]) -> None:
    assert "selfplay view" in get(address, **query)


def test_a_new_round_appears_without_a_restart(tmp_path: Path) -> None:
    from selfplay.view.browse import Browser, Query

    browser = Browser(tmp_path)
    assert browser.page(Query({})) == (0, [], None)
    write_round(tmp_path, 1, [trace("a", 0, 1)])
    assert browser.page(Query({}))[0] == 1
    write_round(tmp_path, 2, [trace("a", 0, 2), trace("b", 0, 2)])
    assert browser.page(Query({"task_id": "a"}))[0] == 2


def test_texts_too_long_to_compare_are_not_compared() -> None:
    assert line_diff("a" * (DIFF_CHARS + 1), "b") is None
    assert line_diff("", "") == []


def test_beginning_of_an_id_opens_its_task_or_lists_those_that_begin_with_it(address: str) -> None:
    assert "<h1><bdi>odd/1 &amp; co?</bdi></h1>" in get(address + "task", id="od")
    assert "<h1><bdi>t-5</bdi></h1>" in get(
        address + "task", id="t-5"
    )  # the whole id of one, though t-50 begins with it
    page = get(address + "task", id="t-")
    assert "60 tasks begin with “<bdi>t-</bdi>”; the first 50 of them" in page and page.count("<li>") == 50
    assert "<h1><bdi>t-1</bdi></h1>" in behind(address, page, r'href="([^"]*id=t-1)"')
    assert get(address + "task", id="").startswith("404: ")
    assert set(tasks_in(get(address, task_id="t-5"))) == {"t-5", *(f"t-5{n}" for n in range(10))}
    assert tasks_in(get(address, task_id="t-5", round=2)) == [] and tasks_in(get(address, task_id="t-0", round=2)) == [
        "t-0"
    ]


def test_a_chat_is_shown_with_its_roles(tmp_path: Path) -> None:
    chat = (Message(role="system", content="Be <b>brief</b>."), Message(role="user", content="Solve it."))
    one = trace("t", 0, 1)
    task = one.task.model_copy(update={"messages": chat, "prompt": None})
    write_round(tmp_path / "run", 1, [one.model_copy(update={"task": task})])
    page = get(served(tmp_path / "run") + "task", id="t")
    told = re.findall(r'<p class="role">(\w+)</p><pre class="text">([^<]*)</pre>', page)
    assert told == [("system", "Be &lt;b&gt;brief&lt;/b&gt;."), ("user", "Solve it."), ("reply", "t is 0")]


def torn_by(kind: str, good: bytes) -> bytes:
    """A parquet file that was cut, overwritten or replaced."""
    return {"cut": good[: len(good) // 2], "empty": b"", "other": b"PAR1 it is not", "zeros": bytes(len(good))}[kind]


@pytest.mark.parametrize("kind", ["cut", "empty", "other", "zeros", "columns", "text"])
def test_file_that_cannot_be_read_is_a_sentence_and_the_other_rounds_are_shown(tmp_path: Path, kind: str) -> None:
    run = tmp_path / "run"
    write_round(run, 1, [trace(f"t-{n}", 0, 1) for n in range(3)])
    write_round(run, 2, [trace("t-0", n, 2) for n in range(3)])
    torn = run / "rounds/002/traces.parquet"
    if kind == "columns":
        pq.write_table(pa.table({"text": ["x"]}), torn)
    elif kind == "text":  # the columns of the filters can be read, the texts cannot
        group = pq.ParquetFile(torn).metadata.row_group(0)
        column = next(group.column(n) for n in range(group.num_columns) if group.column(n).path_in_schema == "text")
        raw = bytearray(torn.read_bytes())
        start = column.dictionary_page_offset or column.data_page_offset
        raw[start : start + 40] = b"\xff" * 40  # the header of its first page
        torn.write_bytes(raw)
    else:
        torn.write_bytes(torn_by(kind, torn.read_bytes()))
    address = served(run)
    for page in (get(address), get(address + "task", id="t-0"), get(address, text="is 0")):
        assert "rounds/002/traces.parquet cannot be read (" in page and "so traces of its round are left out." in page
    assert tasks_in(get(address)) == ["t-0", "t-1", "t-2"] == tasks_in(get(address, text="is 0"))
    assert "1 attempts in 1 rounds" in get(address + "task", id="t-0")
    write_round(run, 2, [trace("t-9", 0, 2)])  # mended while the page is open
    assert "cannot be read" not in get(address) and "t-9" in get(address)


words = st.sampled_from(["pass", "fail", "error"])
rows = st.lists(st.tuples(st.sampled_from(["a", "b", "ab"]), words, st.text(max_size=8)), max_size=30)


@settings(max_examples=40, deadline=None)
@given(rows, st.integers(1, 9), st.text("ab sé", min_size=1, max_size=2))
def test_the_index_equals_a_plain_loop(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]], group: int, needle: str
) -> None:
    run = tmp_path_factory.mktemp("run")
    traces = [trace(task, n, 1, outcome, text or "-") for n, (task, outcome, text) in enumerate(rows)]
    write_round(run, 1, traces[: len(rows) // 2], group)
    write_round(run, 2, traces[len(rows) // 2 :], group)
    index = TraceIndex(sorted(run.glob("rounds/*/traces.parquet")))
    stored = index.rows(range(len(index)), ["task_id", "outcome", "text", "prompt", "verdicts"])
    assert [(row["task_id"], row["outcome"]) for row in stored] == [(task, outcome) for task, outcome, _ in rows]
    picked = index.select({"task_id": "a", "outcome": "fail"})
    assert picked.tolist() == [n for n, row in enumerate(stored) if (row["task_id"], row["outcome"]) == ("a", "fail")]
    assert index.counts(index.select({}), "task_id") == {
        task: sum(row["task_id"] == task for row in stored) for task in {row["task_id"] for row in stored}
    }
    held = [n for n, row in enumerate(stored) if needle.lower() in (row["text"] + "\n" + row["prompt"]).lower()]
    assert list(index.search(index.select({}), needle)) == held
    assert all(json.loads(row["verdicts"])[0]["verifier"] == "math/1" for row in stored)
    index.close()
