"""The trace browser, clicked through in a real Chromium as a reader does it."""

from collections.abc import Iterator

import pytest

from tests.support.browser import Browser, chromium
from tests.support.trace_pages import HOSTILE, served, trace, write_round

SEEN = """(() => ({
  title: document.title,
  rows: [...document.querySelectorAll('.list tbody tr')].map(row => row.querySelector('th').textContent),
  status: (document.querySelector('[role=status]') || {}).textContent,
  diff: [...document.querySelectorAll('.diff span')].map(line => line.className + ':' + line.textContent.slice(2).trim()),
  foreign: document.querySelectorAll('script, img, iframe, object').length,
  wide: document.documentElement.scrollWidth,
}))()"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for the file's tests."""
    with chromium(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A server over two rounds, with a failed attempt whose every line is hostile."""
    run = tmp_path_factory.mktemp("runs") / "mine"
    write_round(run, 1, [trace(f"t-{n}", 0, 1) for n in range(60)])
    first = trace("odd/1 & co?", 0, 2, text="x = 1\ny = 2")
    failed = trace("odd/1 & co?", 1, 2, "fail", f"x = 1\n{HOSTILE}", "failed")
    write_round(run, 2, [first, failed, trace("evil", 0, 2, text=HOSTILE)])
    return served(run)


@pytest.mark.parametrize("width", [1280, 390])
def test_a_reader_filters_opens_a_task_and_compares_two_attempts(browser: Browser, address: str, width: int) -> None:
    browser.open(address, width)
    seen = browser.evaluate(SEEN)
    assert len(seen["rows"]) == 50 and "of 63 traces" in seen["status"]
    browser.evaluate("document.querySelector('select[name=outcome]').value = 'fail'")
    browser.click("button[type=submit]")
    seen = browser.evaluate(SEEN)
    assert seen["rows"] == ["odd/1 & co?"] and "of 1 trace" in seen["status"]
    browser.click(".list tbody a")
    assert browser.evaluate(SEEN)["title"].startswith("odd/1 & co?")
    browser.click("article.accepted .meta a")
    assert browser.evaluate(SEEN)["diff"] == []
    browser.click("article.dropped .meta a")
    seen = browser.evaluate(SEEN)
    shown = [line for line in seen["diff"] if "script" not in line]
    assert shown == ["same:x = 1", "removed:y = 2"] and len(seen["diff"]) == 3
    assert "added:</pre><script>alert(1)</script>" in seen["diff"][-1]
    assert seen["foreign"] == 0 and seen["wide"] <= width
    assert browser.complaints == []


def test_hostile_text_is_shown_and_does_not_run(browser: Browser, address: str) -> None:
    for page in ("?task_id=evil", "task?id=evil", "?text=script"):
        browser.open(f"{address}{page}", 1280)
        browser.evaluate("1")
        assert browser.evaluate("document.body.textContent.includes('<script>alert(1)</script>')")
        assert browser.evaluate(SEEN)["foreign"] == 0
        assert browser.complaints == [] and all(url.startswith(address) for url in browser.fetched)
