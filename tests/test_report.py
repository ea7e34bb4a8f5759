"""The report and the comparison: what they say of whole, partial and damaged runs, and that page and JSON agree."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from selfplay.config.metrics import definition, definitions, title
from selfplay.errors import DataError
from selfplay.report import write_compare, write_report
from selfplay.report.compare import group
from selfplay.report.html import define
from selfplay.report.run_data import read_run
from selfplay.report.trace_stats import tally
from selfplay.store.traces import read_traces
from tests.support.run_folders import HOSTILE, write_run


class Page(HTMLParser):
    """The elements of a page, in order, and its text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._hidden = 0
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._hidden += tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag == "style"

    def handle_data(self, data: str) -> None:
        self.text += "" if self._hidden else data


def twin_of(page: Path) -> dict[str, Any]:
    """The JSON beside a page; NaN is refused."""

    def refuse(word: str) -> Any:
        raise AssertionError(f"{word} in {page}")

    found: dict[str, Any] = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"), parse_constant=refuse)
    return found


def test_page_and_json_tell_what_happened_with_the_same_numbers(tmp_path: Path) -> None:
    page = write_report(write_run(tmp_path / "quick"), read_traces)
    twin, text = twin_of(page), Page(page).text
    assert page == tmp_path / "quick" / "report.html"
    assert twin["schema_version"] == 2 and twin["headline"]["best_round"] == 6
    assert twin["headline"]["sentence"] in text and "rose from" in twin["headline"]["sentence"]
    assert "All 6 planned rounds are done." in text
    last = twin["rounds"][-1]
    assert (
        f"{last['test/greedy_accuracy']:.3f} [{last['test/greedy_accuracy_lo']:.3f}, {last['test/greedy_accuracy_hi']:.3f}]"
        in text
    )
    stages = twin["sections"]["selection"]["stages"]["6"]
    assert list(stages) == ["sampled", "verified", "right", "accepted", "trained on"]
    assert stages["sampled"] == 240 and stages["accepted"] < stages["right"] < stages["sampled"]
    assert twin["sections"]["photocopy"]["columns"] == [0, 2, 4, 6]
    assert not twin["notes"]


def test_every_metric_shown_is_defined(tmp_path: Path) -> None:
    page = write_report(write_run(tmp_path / "quick", rounds=2), read_traces)
    for row in twin_of(page)["definitions"]:
        assert row["meaning"] != "This key has no definition." and row["range"], row
    assert define(["other/thing"])[0]["meaning"] == "This key has no definition."
    assert definition("eval/pass_at_16") is not None and title("eval/pass_at_16") == "pass@16"


def test_a_collapsing_run_says_so_with_the_first_metric_that_moved(tmp_path: Path) -> None:
    page = write_report(write_run(tmp_path / "bad", verified=False), read_traces)
    text = Page(page).text
    assert re.search(r"After the last round, 6, it is 0\.0\d\d\.", text)
    assert "The first metric that moved was collapse_tails/rare_item_coverage, in round 2." in text


def _told(folder: Path, level: int, reason: str = "", **alarm: Any) -> dict[str, Any]:
    """The headline of a short run whose last round has this alarm."""
    write_run(folder, rounds=2, attempts=20)
    commit = json.loads((folder / "rounds/002/COMMIT").read_text())
    figures = {f"collapse_alarm/{name}": value for name, value in alarm.items()}
    commit["metrics"] |= {"collapse_alarm/level": level, **figures}
    (folder / "rounds/002/COMMIT").write_text(json.dumps(commit | {"reason": reason}))
    (folder / "metrics.jsonl").unlink()
    found: dict[str, Any] = twin_of(write_report(folder))["headline"]
    return found


def test_the_page_begins_with_the_alarm_its_reason_and_what_the_dev_set_can_see(tmp_path: Path) -> None:
    why = "dev accuracy fell from 0.42 (round 0) to 0.31: 60 tasks lost, 3 gained, p = 1e-9"
    bad = _told(tmp_path / "bad", 2, why, blind="", minimum_detectable_fall=0.04)
    assert f"Alarm level 2 in round 2 (bad in two rounds running, or clearly bad at once): {why}." in bad["alarm"]
    assert "With 300 dev tasks, a lasting fall of the dev accuracy by 0.04 is seen" in bad["alarm"]
    page = Page(tmp_path / "bad" / "report.html").text
    assert (
        page.index(why)
        < page.index("Accuracy by round")
        < page.index("Headline figures")
        < page.index("From sampled to trained on")
    )


def test_blind_is_said_and_is_not_quiet(tmp_path: Path) -> None:
    little = _told(
        tmp_path / "little", 0, blind="variety: no task with two right samples", minimum_detectable_fall=0.25
    )
    assert "Blind to a fall of 0.10: 300 dev tasks show" in little["alarm"] and "only from 0.25 on" in little["alarm"]
    assert "Not judged: variety: no task with two right samples." in little["alarm"]
    none = _told(tmp_path / "none", 0, blind="dev_accuracy: round 2 has no outcome of a dev task")
    assert "Blind: 300 dev tasks can show no fall" in none["alarm"]
    for told in (little, none):
        note = next(figure["note"] for figure in told["figures"] if figure["label"] == "Highest alarm")
        assert "cannot show a fall of 0.10" in note and "quiet" not in note
    old = _told(tmp_path / "old", 0)
    assert "lind" not in old["alarm"] and "dev set" not in old["alarm"]


def test_headline_figures_come_in_their_order(tmp_path: Path) -> None:
    page = write_report(write_run(tmp_path / "a", rounds=1, attempts=20), read_traces)
    text = Page(page).text
    text = text[text.index("Headline figures\n") :]
    places = [
        text.index(title(key))
        for key in (
            "eval/greedy_accuracy",
            "collapse_diversity/unique_correct_at_8",
            "collapse_tails/support_retention",
            "data/accepted",
            "collapse_alarm/level",
        )
    ]
    assert places == sorted(places)


@pytest.mark.parametrize("keep", ["config.yaml", "metrics.jsonl", "rounds"])
def test_partial_runs_give_a_page_of_words(tmp_path: Path, keep: str) -> None:
    whole = write_run(tmp_path / "whole", rounds=1, attempts=20)
    part = tmp_path / "part"
    part.mkdir()
    (whole / keep).rename(part / keep)
    assert Page(write_report(part, read_traces)).text
    assert Page(write_compare([part], tmp_path / "c.html")).text


def test_no_round_one_round_and_no_traces_each_have_their_sentence(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "config.yaml").write_text("rounds: 4\n")
    text = Page(write_report(empty, read_traces)).text
    assert "No round is committed yet" in text and "It has not finished a round." in text
    one = write_report(write_run(tmp_path / "one", rounds=0), read_traces)
    assert "Fewer than two rounds wrote enough" in Page(one).text and "No traces to show." in Page(one).text
    config = (tmp_path / "one" / "config.yaml").read_text().replace("rounds: 0", "rounds: 5")
    (tmp_path / "one" / "config.yaml").write_text(config)
    assert "under way or was interrupted after round 0 of 5" in Page(write_report(tmp_path / "one")).text


def test_damaged_files_and_odd_values_are_said_and_do_not_stop_the_page(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "hurt", rounds=3, attempts=20)
    (folder / "rounds/002/traces.parquet").write_bytes(b"PAR1 not really")
    (folder / "rounds/000/evaluate/dev.json").write_text("[1, 2")
    with (folder / "metrics.jsonl").open("a") as file:
        row = {
            "round": 3,
            "eval/greedy_accuracy": float("nan"),
            "test/greedy_accuracy": "high",
            "collapse_alarm/level": True,
        }
        row |= {
            "time/train_seconds": float("inf"),
            "data/sampled": -5,
            "collapse_tails/x": [1],
            "eval_difficulty/2": None,
        }
        file.write(json.dumps(row) + "\n[1]\nnot json\n")
    page = write_report(folder, read_traces)
    notes = twin_of(page)["notes"]
    assert any("rounds/002/traces.parquet" in note for note in notes) and any("dev.json" in note for note in notes)
    assert any("metrics.jsonl: 1 line could not be read." in note for note in notes)
    assert all(note in Page(page).text for note in notes)


def test_a_stop_by_the_gate_gives_its_reason(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "gate", rounds=2, attempts=20)
    commit = json.loads((folder / "rounds/002/COMMIT").read_text())
    (folder / "rounds/002/COMMIT").write_text(
        json.dumps(commit | {"action": "stop", "reason": "rare items: coverage below 0.8"})
    )
    assert "The gate stopped it after round 2: rare items: coverage below 0.8." in Page(write_report(folder)).text


def test_what_a_model_wrote_stays_text(tmp_path: Path) -> None:
    page = Page(
        write_report(write_run(tmp_path / "x", rounds=1, attempts=60), lambda path: [trace_of(i) for i in range(8)])
    )
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "img", "iframe", "object", "embed", "form", "link", "base"}
    sources = {found.link for found in definitions().values()}
    assert not any(
        name.startswith("on")
        or (name in ("src", "href") and not (value or "").startswith("#") and value not in sources)
        for _, attrs in page.tags
        for name, value in attrs.items()
    )
    assert "<script>document.title='owned'</script>" in page.text
    assert "\x00" not in page.text and "\u202e" not in page.text
    policy = next(attrs["content"] for tag, attrs in page.tags if tag == "meta" and attrs.get("http-equiv"))
    assert policy is not None and policy.startswith("default-src 'none'; style-src 'sha256-")


def trace_of(number: int) -> dict[str, Any]:
    """A trace whose every text is hostile."""
    words = dict.fromkeys(("text", "prompt", "reason", "outcome"), HOSTILE)
    return words | {
        "task_id": HOSTILE,
        "attempt": number,
        "round": 1,
        "decision": ("accepted", "dropped")[number % 2],
        "verdicts": "[{",
    }


def test_examples_do_not_depend_on_the_order_of_traces() -> None:
    rows = [
        {"task_id": f"t{i}", "attempt": 0, "decision": "dropped", "reason": f"r{i % 3}", "text": "x" * 9000}
        for i in range(200)
    ]
    first, again = tally(1, rows), tally(1, reversed(rows))
    assert first.examples == again.examples and len(first.examples) == 4
    assert len({e["reason"] for e in first.examples}) == 3 and len(first.examples[0]["text"]) < 3100
    assert first.reasons == {"r0": 67, "r1": 67, "r2": 66}


def test_a_report_is_written_whole_and_again_alike(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "twice", rounds=2, attempts=40)
    first = (write_report(folder, read_traces).read_bytes(), (folder / "report.json").read_bytes())
    second = (write_report(folder, read_traces).read_bytes(), (folder / "report.json").read_bytes())
    assert first == second and not list(folder.glob(".*tmp"))


def test_runs_and_seeds_of_one_setting_stand_side_by_side(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / f"arm-s{seed}", rounds=3, seed=seed, attempts=40) for seed in range(3)]
    runs.append(write_run(tmp_path / "arm-unverified", rounds=2, verified=False, attempts=40))
    page = write_compare(runs, tmp_path / "out")
    twin, text = twin_of(page), Page(page).text
    assert page == tmp_path / "out" / "compare.html" and list(twin["runs"]) == [run.name for run in runs]
    assert [s.name for s in group([read_run(run) for run in runs])] == ["arm (3 seeds)", "arm-unverified"]
    assert twin["headline"]["sentence"].startswith("After round 2, on the test set: arm (3 seeds) is at")
    mean = twin["sections"]["claim"]["arm (3 seeds)"][-1]
    last = [rows[-1]["test/greedy_accuracy"] for name, rows in twin["runs"].items() if name != "arm-unverified"]
    assert mean[1:] == [pytest.approx(sum(last) / 3), min(last), max(last)]
    pair = next(d for d in twin["sections"]["outcome"]["differences"] if d["runs"] == ["arm-s0", "arm-unverified"])
    value, lo, hi = pair["difference"]
    assert pair["tasks"] == 300 and lo < value < hi and lo > 0
    assert "curate.verified_only" in text and "tracking" not in text


def test_rounds_of_one_run_have_paired_changes_to_round_0_and_to_the_parent(tmp_path: Path) -> None:
    page = write_compare([write_run(tmp_path / "solo", rounds=3, attempts=20)], tmp_path / "solo.html")
    rows = twin_of(page)["sections"]["rounds"]["rounds"]
    assert [(row["round"], row["parent"]) for row in rows] == [(0, None), (1, 0), (2, 1), (3, 2)]
    value, lo, hi = rows[1]["to_parent"]
    assert rows[1]["tasks"] == 300 and lo <= value <= hi and value == pytest.approx(rows[1]["to_round_0"][0], abs=0.005)


def test_compare_refuses_nothing_and_the_same_run_twice(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", rounds=0)
    with pytest.raises(DataError, match="no runs were given; name at least one"):
        write_compare([], tmp_path)
    with pytest.raises(DataError, match="given twice"):
        write_compare([run, run], tmp_path)
    other = write_run(tmp_path / "deeper" / "a", rounds=0, verified=False)
    assert re.findall(r"deeper/a", Page(write_compare([run, other], tmp_path / "x.html")).text)
