"""What `selfplay run` shows: a table of 80 columns, what is left, what was gained, and what to do next."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from selfplay.cli import terminal
from selfplay.cli.run import gained, seconds_left, summary, tracked
from selfplay.cli.terminal import Display, clock, round_line
from selfplay.config import load_config
from selfplay.store import Commit, write_json
from tests.support.runs import CONFIG

SCORE = "eval/greedy_accuracy"


def commit(number: int, score: float | None = None, seconds: float = 60.0, **more: Any) -> Commit:
    metrics: dict[str, Any] = {} if score is None else {SCORE: score, f"{SCORE}_lo": score / 2, f"{SCORE}_hi": 1.0}
    if score is not None and number:
        metrics |= {f"{SCORE}_delta": 0.3, f"{SCORE}_delta_lo": 0.2, f"{SCORE}_delta_hi": 0.4}
    given = {"round": number, "parent": None, "next_parent": number, "time": {"time/round_seconds": seconds}}
    return Commit(**{**given, "metrics": metrics | more.pop("metrics", {}), **more})


def test_line_of_a_long_run_with_large_figures_fits_80_columns() -> None:
    large = {"data/accepted": 9999, "data/sampled": 99999, "test/greedy_accuracy": 1.0, "eval/pass_at_64": 1.0}
    row = commit(120, 1.0, 35_999, metrics={**large, "collapse_alarm/level": 3}, remarks=("x" * 200, "kept; raise it"))
    lines = round_line(row, True, 400, 359_999).splitlines()
    assert max(map(len, lines)) <= 80 and len(lines) == 4
    assert lines[0].split() == ["round", "dev", "gain", "test", "pass@64", "accepted", "alarm", "time", "left"]
    assert lines[1].split()[0] == "120/400" and lines[1].split()[-2:] == ["9:59:59", "99:59:59"]
    assert lines[2].endswith(" ...") and lines[3].strip() == "! kept"


def test_line_of_round_0_says_what_is_known() -> None:
    head, line = round_line(commit(0, 0.2), True, 9).splitlines()
    assert line.split() == ["0/9", "0.200", "[.10,1.0]", "-", "-", "-", "-", "-", "1:00", "-"]
    assert head.index("round") + 5 == line.index("0/9") + 3, "columns are aligned"


def test_pass_at_k_is_that_of_the_largest_k_that_was_measured() -> None:
    head, line = round_line(commit(1, 0.2, metrics={"eval/pass_at_2": 0.3, "eval/pass_at_4": 0.4}), True).splitlines()
    assert "pass@4" in head and "0.400" in line


def test_abandoned_round_says_so_below_its_line() -> None:
    row = commit(2, 0.2, action="roll_back", reason="alarm level 2: variety is lost")
    assert round_line(row, False).splitlines()[1].strip() == "! roll back: alarm level 2: variety is lost"


@pytest.mark.parametrize(
    ("times", "planned", "left"),
    [([9], 3, None), ([9, 60], 3, 120.0), ([9, 600, 60, 60, 60], 6, 120.0), ([9, 60], 1, 0.0), ([9], 0, 0.0)],
)
def test_time_left_follows_the_last_rounds(times: list[float], planned: int, left: float | None) -> None:
    assert seconds_left([commit(n, 0.1, seconds) for n, seconds in enumerate(times)], planned) == left


def test_clock() -> None:
    assert [clock(s) for s in (0.4, 59.6, 312, 11_100)] == ["0:00", "1:00", "5:12", "3:05:00"]


def test_gain_is_told_with_its_paired_interval_and_no_gain_without() -> None:
    first, best = gained(commit(0, 0.2), commit(3, 0.5))
    assert "0.200 -> 0.500 on the dev set, round 0 -> 3" in first
    assert "+0.300 [+0.200, +0.400], 95 % interval, paired over tasks" in best
    [none] = gained(commit(0, 0.2), commit(0, 0.2))
    assert "no later round is clearly better" in none
    assert list(gained(commit(0), commit(0))) == []
    unsure = commit(3, 0.5, metrics={f"{SCORE}_delta_lo": -0.1})
    assert list(gained(commit(0, 0.2), unsure))[1].endswith("; no change is within it")


def test_end_names_what_to_do_next(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG)
    loaded = load_config(tmp_path / "c.yaml", ["rounds=4", "runs_dir=my runs", "seed=3"])
    said = "\n".join(summary(loaded, [commit(0, 0.2), commit(1, 0.5, metrics={"eval/best_round": 1})]))
    assert "my runs/a: 1 of 4 rounds in 2:00" in said and "my runs/a/report.html" in said
    assert "selfplay traces 'my runs/a' --decision accepted" in said
    assert "selfplay export 'my runs/a' --round 1 --out a-model" in said
    assert f"selfplay run {tmp_path}/c.yaml 'runs_dir=my runs' seed=3 rounds=6" in said


def test_place_in_wandb_is_named(tmp_path: Path) -> None:
    assert list(tracked(tmp_path)) == []
    session = {"folder": "wandb/offline-run-1", "mode": "offline"}
    write_json(tmp_path / "tracking.json", {"sessions": [session]})
    assert list(tracked(tmp_path)) == [f"W&B          offline; send it with: wandb sync {tmp_path}/wandb/offline-run-1"]
    write_json(tmp_path / "tracking.json", {"sessions": [session, {**session, "mode": "online", "url": "https://w/r"}]})
    assert list(tracked(tmp_path)) == ["W&B          https://w/r"]


def heard(monkeypatch: pytest.MonkeyPatch, live: bool, *events: tuple[str, dict[str, Any]]) -> list[str]:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=live, width=80, highlight=False, soft_wrap=True, color_system=None)
    monkeypatch.setattr(terminal, "console", lambda stream=None: console)
    display = Display()
    for event, figures in events:
        display.hear(event, figures)
    return screen.getvalue().splitlines()


def test_progress_says_which_round_of_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "PLAIN_SECONDS", -1.0)
    begin = ("round", {"number": 3, "planned": 9}), ("phase", {"name": "generate", "total": 10, "done": 0})
    assert heard(monkeypatch, False, *begin, ("advance", {"items": 4, "accepted": 0, "judged": 0}))[0].startswith(
        "round 3 of 9  generate: 4/10"
    )


def test_note_is_wrapped_between_words_and_is_not_repeated_for_other_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    notes = [
        ("note", {"text": f"round {n}: {n} of 9 were dropped as failed; {'many words ' * 12}\n    r{n}/t/0: 'x'"})
        for n in (1, 2)
    ]
    lines = heard(monkeypatch, True, *notes, ("note", {"text": "another"}))
    assert max(map(len, lines)) <= 80 and lines[-1] == "another" and lines[-2] == "    r1/t/0: 'x'"
    assert all(line.startswith("    ") for line in lines[1:-1]) and len(lines) == 5
