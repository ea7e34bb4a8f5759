"""The first screen of the report, its size, its folds, and the failed attempts in it."""

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from selfplay.report import write_report
from selfplay.report.failed_tests import facts
from selfplay.report.run_data import read_run
from selfplay.report.story import remarks, spans
from selfplay.report.trace_stats import tally
from selfplay.store.traces import skim_traces
from tests.support.run_folders import HOSTILE, write_run


class Folds(HTMLParser):
    """Charts that are seen at once, and charts below a fold."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.depth = self.open = self.folded = 0
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.depth += tag == "details"
        self.open += tag == "svg" and not self.depth
        self.folded += tag == "svg" and self.depth > 0

    def handle_endtag(self, tag: str) -> None:
        self.depth -= tag == "details"


def change_commit(folder: Path, number: int, **more: Any) -> None:
    """Changes a COMMIT, and its metrics by `metrics`."""
    path = folder / "rounds" / f"{number:03d}" / "COMMIT"
    commit = json.loads(path.read_text())
    commit["metrics"] |= more.pop("metrics", {})
    path.write_text(json.dumps(commit | more))
    (folder / "metrics.jsonl").unlink(missing_ok=True)


@pytest.mark.parametrize(("rounds", "verified"), [(6, True), (50, True), (50, False)])
def test_at_most_12_charts_are_open_and_the_page_stays_small(tmp_path: Path, rounds: int, verified: bool) -> None:
    page = write_report(write_run(tmp_path / "a", rounds=rounds, verified=verified, attempts=60), skim_traces)
    found = Folds(page)
    assert 8 <= found.open <= 12 and found.folded >= 10 and found.depth == 0
    assert page.stat().st_size <= 250_000


def test_the_story_is_told_before_the_first_chart(tmp_path: Path) -> None:
    page = write_report(write_run(tmp_path / "a", verified=False), skim_traces)
    told = {
        part["label"]: part["text"] for part in json.loads(page.with_suffix(".json").read_text())["headline"]["story"]
    }
    assert list(told) == ["What is left of round 0", "Tails", "Dropped, and why", "Gate"]
    assert "rare word pairs are at 0." in told["What is left of round 0"]
    assert told["Tails"].startswith("Rare item coverage: 0.8 at round 0, 0.") or "at round 6" in told["Tails"]
    assert told["Dropped, and why"].startswith("Round 6 sampled 240 attempts; ")
    assert "The gate went on after rounds 0 and 1 and warned after rounds 2 to 6." in told["Gate"]
    text = page.read_text()
    assert all(text.index(label) < text.index("<svg") for label in told)


def test_remarks_and_notes_of_the_audit_stand_with_their_rounds(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", rounds=4, attempts=20)
    for number in (1, 2, 4):
        change_commit(folder, number, remarks=[f"{number}7 of 20 attempts failed, for example:\n  {HOSTILE}"])
    change_commit(folder, 3, remarks=["no attempt was accepted"])
    (folder / "rounds/004/audit").mkdir()
    (folder / "rounds/004/audit/DONE").write_text(json.dumps({"metrics": {}, "notes": ["audit: J is left out"]}))
    found = remarks(read_run(folder))
    assert [(one["rounds"], one["text"].partition("\n")[0], one["last"]) for one in found] == [
        ("1, 2 and 4", "47 of 20 attempts failed, for example:", True),
        ("4", "audit: J is left out", True),
        ("3", "no attempt was accepted", False),
    ]
    page = write_report(folder, skim_traces).read_text()
    assert (
        "<b>Rounds 1, 2 and 4.</b> 47 of 20 attempts failed" in page and "<b>Round 4.</b> audit: J is left out" in page
    )
    assert "1 earlier remark<" in page and "<script>document" not in page


def test_the_keys_of_the_alarm_are_in_a_folded_table(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", rounds=2, attempts=20)
    change_commit(folder, 1, metrics={"collapse_alarm/p_dev_accuracy": 0.004})
    seen = {"p_dev_accuracy": 0.31, "minimum_detectable_fall": 0.06, "minimum_detectable_fall_task_rate": 0.05}
    blind = "human_text: there is no human text; variety: 3 tasks, 20 are needed"
    change_commit(folder, 2, metrics={f"collapse_alarm/{k}": v for k, v in (seen | {"blind": blind}).items()})
    page = write_report(folder, skim_traces).read_text()
    table = page[page.index("By key, in round 2") :]
    rows = [row.split("</tr>")[0] for row in table.split("<tr>")[2:6]]
    assert "dev accuracy" in rows[0] and "0.31" in rows[0] and "0.004, round 1" in rows[0] and "0.06" in rows[0]
    assert "task rate" in rows[1] and "0.05" in rows[1]
    assert "there is no human text<" in rows[2] and "3 tasks, 20 are needed<" in rows[3]


def test_rounds_in_words() -> None:
    assert spans([0, 1, 2, 3, 5, 7, 8]) == "0 to 3, 5, 7 and 8" and spans([4]) == "4" and spans([]) == ""


CODE = {"type": "code_tests", "entry_point": "f", "cases": [[[[1, 2], 3], [2, 1]], [["a"], None]]}


@pytest.mark.parametrize(
    ("check", "evidence", "wanted"),
    [
        (CODE, "case 0: got [0]", [("input", "f([1, 2], 3)"), ("expected", "[2, 1]"), ("got", "[0]")]),
        (CODE, "case 1: got 3", [("input", "f('a')"), ("expected", "None"), ("got", "3")]),
        ({"type": "all", "checks": [{"type": "math"}, CODE]}, "case 0: raised KeyError", [
            ("input", "f([1, 2], 3)"), ("expected", "[2, 1]"), ("got", "raised KeyError")]),
        ({"type": "code_tests", "stdio": [["2\n", "4\n"]]}, "case 0: printed '5'", [
            ("input", "2\n"), ("expected", "4\n"), ("got", "printed '5'")]),
        ({"type": "code_tests", "source": "assert f(1) == 2"}, "f(1) gave 3", [("got", "f(1) gave 3")]),
        (CODE, "case 9: got 1", [("got", "case 9: got 1")]),
        (CODE, "", []),
        ({"type": "code_tests", "cases": "x"}, "case 0: got 1", [("got", "case 0: got 1")]),
        (None, "case 0: got 1", [("got", "case 0: got 1")]),
    ],
)  # fmt: skip
def test_a_failed_program_is_shown_with_input_expected_and_got(
    check: Any, evidence: str, wanted: list[tuple[str, str]]
) -> None:
    verdict = {"verifier": "code_tests/1", "outcome": "fail", "reason": "wrong_answer", "evidence": evidence}
    assert facts({"verifier": check}, verdict) == wanted
    assert facts({"verifier": check}, verdict | {"outcome": "pass"}) == []


def test_a_wrong_answer_is_shown_beside_the_right_one() -> None:
    verdict = {"verifier": "math/1", "outcome": "fail", "reason": "wrong_answer", "evidence": "answered 41"}
    assert facts({"verifier": {"type": "math", "answer": "42"}}, verdict) == [("expected", "42"), ("got", "41")]
    assert facts({"verifier": {"type": "math"}, "reference": "42"}, verdict)[0] == ("expected", "42")


def test_examples_have_roles_input_expected_and_got(tmp_path: Path) -> None:
    task = {
        "messages": [{"role": "system", "content": "Be short."}, {"role": "user", "content": HOSTILE}],
        "verifier": CODE,
    }
    verdict = {"verifier": "code_tests/1", "outcome": "fail", "reason": "wrong_answer", "evidence": "case 0: got [0]"}
    row = {"task_id": "t", "attempt": 0, "decision": "dropped", "reason": "failed", "outcome": "fail", "text": "x"}
    row |= {"prompt": "joined", "task": json.dumps(task), "verdicts": json.dumps([verdict])}
    [example] = tally(1, [row]).examples
    assert [message["role"] for message in example["messages"]] == ["system", "user"]
    page = write_report(write_run(tmp_path / "a", rounds=1, attempts=20), lambda path: [row]).read_text()
    assert '<p class="role">system</p><pre>Be short.</pre><p class="role">user</p>' in page
    assert "<dt>input</dt><dd>f([1, 2], 3)</dd><dt>expected</dt><dd>[2, 1]</dd><dt>got</dt><dd>[0]</dd>" in page
    assert "<script>document" not in page and "joined" not in page
    for broken in ("{", "[]", None, json.dumps({"messages": [1], "verifier": [[]]})):
        assert tally(1, [row | {"task": broken}]).examples[0]["messages"] == []
