"""The pages in a real headless Chromium: charts are there and legible, nothing runs, nothing is fetched."""

import http.server
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from selfplay.report import svg, write_compare, write_report
from selfplay.store.traces import read_traces
from tests.support.browser import Browser, chromium
from tests.support.run_folders import HOSTILE, write_run

LAYOUT = """(() => {
  const found = {charts: 0, empty: 0, outside: [], overlaps: [], width: document.documentElement.scrollWidth};
  for (const chart of document.querySelectorAll('svg.sp-chart')) {
    found.charts += 1;
    const frame = chart.getBoundingClientRect();
    if (frame.width < 50 || frame.height < 20) found.empty += 1;
    const texts = [...chart.querySelectorAll('text')].map(t => [t.textContent, t.getBoundingClientRect()]);
    for (const [words, box] of texts)
      if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1 || box.bottom > frame.bottom + 1)
        found.outside.push(words);
    for (let i = 0; i < texts.length; i++) for (let k = i + 1; k < texts.length; k++) {
      const [a, b] = [texts[i][1], texts[k][1]];
      const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const tall = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (wide > 1 && tall > 0.35 * Math.min(a.height, b.height)) found.overlaps.push(texts[i][0] + ' / ' + texts[k][0]);
    }
  }
  return found;
})()"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for the file's tests."""
    with chromium(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A report of each arm, their comparison, and one run's rounds."""
    base = tmp_path_factory.mktemp("runs")
    arms = [write_run(base / "quick", attempts=160), write_run(base / "quick-unverified", verified=False, attempts=160)]
    return {
        "report": write_report(arms[0], read_traces),
        "collapsed": write_report(arms[1], read_traces),
        "compare": write_compare([*arms, write_run(base / "quick-s1", seed=1, attempts=40)], base / "compare.html"),
        "rounds": write_compare(arms[:1], base / "rounds.html"),
        "one_round": write_report(write_run(base / "short", rounds=0), read_traces),
    }


TILES = """[...document.querySelectorAll('.figures > div')].map(tile => {
  const range = document.createRange();
  range.selectNodeContents(tile.querySelector('dd'));
  const lines = new Set([...range.getClientRects()].map(box => Math.round(box.top))).size;
  const note = tile.querySelector('.note').textContent;
  return [tile.querySelector('dd').textContent, lines, note];
})"""


@pytest.mark.parametrize("name", ["report", "collapsed", "compare", "rounds"])
def test_tile_on_a_phone_has_its_figure_on_one_line_and_breaks_no_interval(
    browser: Browser, pages: dict[str, Path], name: str
) -> None:
    browser.open(pages[name], 390)
    tiles = browser.evaluate(TILES)
    assert tiles and all(lines == 1 for _, lines, _ in tiles), tiles
    assert not [
        note for _, _, note in tiles if re.search(r"\[[^]]*[ ][^]]*\]", note)
    ]  # a plain blank may become a line's end


@pytest.mark.parametrize("width", [1200, 390])
@pytest.mark.parametrize("name", ["report", "collapsed", "compare", "rounds", "one_round"])
def test_charts_are_there_and_legible_and_nothing_is_fetched(
    browser: Browser, pages: dict[str, Path], name: str, width: int
) -> None:
    browser.open(pages[name], width)
    found = browser.evaluate(LAYOUT)
    least = {"report": 20, "collapsed": 20, "compare": 8, "rounds": 1, "one_round": 5}[name]
    assert found["charts"] >= least and found["empty"] == 0
    assert found["outside"] == [] and found["overlaps"] == []
    assert found["width"] <= width
    assert browser.fetched == [pages[name].resolve().as_uri()]
    assert browser.complaints == []


def test_dark_follows_the_reader(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["report"], 1200)
    colors = "[getComputedStyle(document.documentElement).backgroundColor, getComputedStyle(document.querySelector('svg.sp-chart text')).fill]"
    seen = {}
    for scheme in ("light", "dark"):
        browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        seen[scheme] = browser.evaluate(colors)
    browser.call("Emulation.setEmulatedMedia", features=[])
    assert (
        seen["light"][0] == "rgb(255, 255, 255)"
        and seen["dark"][0] != seen["light"][0]
        and seen["dark"][1] != seen["light"][1]
    )


def test_what_a_model_wrote_neither_runs_nor_fetches(browser: Browser, tmp_path: Path) -> None:
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        bad = HOSTILE.replace(":9/", f":{server.server_port}/")
        row = {
            "task_id": bad,
            "attempt": bad,
            "round": 1,
            "text": bad,
            "prompt": bad,
            "decision": "accepted",
            "outcome": bad,
            "reason": bad,
        }
        row |= {
            "tags": [f"operation:{bad}{i}" for i in range(6)],
            "verdicts": [{"verifier": bad, "evidence": bad, "outcome": bad}],
        }
        folder = write_run(tmp_path / "bad", rounds=2, attempts=20)
        told = {
            "action": bad,
            "reason": bad,
            "round": 2,
            "metrics": {f"collapse_tails/{bad}": 1.0, "collapse_alarm/first_metric": bad},
        }
        told["metrics"] |= {
            "collapse_alarm/level": 1,
            "data/sampled": 3,
            f"data/dropped_{bad}": 2,
            f"eval_{bad}/{bad}": 0.5,
        }
        (folder / "rounds/002/COMMIT").write_text(json.dumps(told))
        (folder / "metrics.jsonl").unlink()
        (folder / "config.yaml").write_text(json.dumps({bad: bad}))
        page = write_report(folder, lambda path: [row])
        browser.open(page, 1200)
        other = write_compare([folder], tmp_path / "other.html")
        title = browser.evaluate("document.title")
        scripts = browser.evaluate("document.querySelectorAll('script, img, iframe, form, object').length")
        fetched, complaints = list(browser.fetched), list(browser.complaints)
        browser.open(other, 1200)
        server.shutdown()
    assert title == "bad \u00b7 selfplay report" and scripts == 0
    assert fetched == [page.resolve().as_uri()] and complaints == [] and browser.complaints == []
    assert asked == []


def test_a_fetch_and_an_error_would_have_been_seen(browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "control.html"
    page.write_text("<title>x</title><img src='gone.png'><script>console.error('seen')</script>")
    browser.open(page, 800)
    browser.evaluate("1")
    assert any(url.endswith("gone.png") for url in browser.fetched) and any(
        "seen" in line for line in browser.complaints
    )


def test_many_series_and_long_names_keep_their_labels_apart(browser: Browser, tmp_path: Path) -> None:
    def same(n: int) -> dict[str, list[svg.Point]]:
        return {
            f"series with a long name number {i}": [(x, 0.5 + 0.001 * i, 0.4, 0.6) for x in range(4)] for i in range(n)
        }

    drawn = [svg.line_chart(same(n), f"{n} lines", "round", "share") for n in (1, 2, 7, 8, 9, 23)]
    drawn.append(
        svg.bar_chart(
            {f"group {i}": {f"part {k}": k + 1.0 for k in range(9)} for i in range(30)},
            "Bars",
            "group",
            "seconds",
            stacked=True,
        )
    )
    drawn.append(
        svg.funnel([("sampled", 9, ""), ("accepted by everybody", 3, "because " * 40), ("none", 0, "")], "Funnel")
    )
    drawn.append(
        svg.scatter(
            {"a": [(1, 1, "first"), (1, 1, "last")], "b": [(1.0, 1.0, "first"), (1.01, 1.0, "last")]},
            "Path",
            "x",
            "y",
            connect=True,
        )
    )
    drawn.append(svg.histogram([1, 2, 3], [0, 0.001, 0.002, 0.003], "Histogram", "seconds"))
    names = [f"operation_with_a_long_name_{i}" for i in range(24)]
    drawn.append(
        svg.bar_matrix(
            {n: [0.1, 0.2] for n in names}, ["round 1", "round 2"], dict.fromkeys(names, "rare"), "Matrix", "share"
        )
    )
    page = tmp_path / "charts.html"
    page.write_text(f"<style>{svg.STYLE}body{{width:480px;margin:0}}</style>{''.join(drawn)}", encoding="utf-8")
    browser.open(page, 500)
    found = browser.evaluate(LAYOUT)
    assert found["charts"] == len(drawn) and found["outside"] == [] and found["overlaps"] == []
