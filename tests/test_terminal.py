"""What `selfplay run` shows: a table of 80 columns, what is left, what was gained, and what to do next."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from selfplay.cli import terminal
from selfplay.cli.run import RunDisplay, gained, seconds_left, summary, tracked
from selfplay.cli.run_start import in_short, scaled, student_line
from selfplay.cli.terminal import Display, _Phase, clock, round_line
from selfplay.config import load_config
from selfplay.store import Commit, RunFolder, write_json
from tests.support.runs import CONFIG
from tests.support.tiny_models import make_tiny

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
    assert list(gained(commit(0, 0.2), unsure))[1].endswith("; 0 is in it")


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


def test_note_is_wrapped_between_words_and_is_not_repeated_for_other_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    notes = [
        ("note", {"text": f"round {n}: {n} of 9 were dropped as failed; {'many words ' * 12}\n    r{n}/t/0: 'x'"})
        for n in (1, 2)
    ]
    lines = heard(monkeypatch, True, *notes, ("note", {"text": "another"}))
    assert max(map(len, lines)) <= 80 and lines[-1] == "another" and lines[-2] == "    r1/t/0: 'x'"
    assert all(line.startswith("    ") for line in lines[1:-1]) and len(lines) == 5


# ---- the phase in hand ----


def phase(total: int = 100, done: int = 0) -> _Phase:
    return _Phase("generate", total, done, 0.0)


def working(rows: float, tokens: int = 0) -> dict[str, Any]:
    return {"rows": rows, "tokens": tokens}


def advance(items: int, accepted: int = 0, judged: int = 0) -> dict[str, Any]:
    return {"items": items, "accepted": accepted, "judged": judged}


def test_time_left_is_known_within_a_chunk_and_does_not_count_the_loading_of_the_model() -> None:
    one = phase()
    assert one.said(30.0) == "0/100  0:30 so far"
    one.hear("working", working(0.0), 30.0)
    one.hear("working", working(5.0, 1000), 40.0)
    assert one.left(40.0) == pytest.approx(190.0) and one.said(40.0) == "5/100  100 tok/s  3:10 left"
    one.hear("advance", advance(20), 70.0)
    one.hear("working", working(10.0, 6000), 90.0)
    assert one.said(90.0) == "30/100  100 tok/s  2:20 left"


def test_what_an_earlier_start_finished_does_not_count_as_speed() -> None:
    one = phase(100, done=80)
    one.hear("working", working(0.0), 0.0)
    one.hear("working", working(2.0), 10.0)
    assert one.left(10.0) == pytest.approx(90.0)


def test_rows_in_hand_never_exceed_what_there_is() -> None:
    one = phase(10)
    one.hear("advance", advance(8, 5, 5), 10.0)
    one.hear("working", working(9.0), 20.0)
    assert one.at == 10.0 and one.said(20.0) == "10/10  0:00 left  100% right"


def test_all_that_was_judged_wrong_is_told_and_nothing_where_nobody_judged() -> None:
    one, other = phase(), phase()
    one.hear("advance", advance(5, 0, 5), 10.0)
    other.hear("advance", advance(5), 10.0)
    assert one.said(10.0).endswith("0% right") and "right" not in other.said(10.0)


def test_first_step_of_training_loads_the_model_and_is_no_measure_of_speed() -> None:
    one = phase(1)
    for step, now in ((1, 50.0), (2, 51.0), (3, 52.0), (4, 53.0)):
        one.hear("total", {"total": 41, "done": step - 1}, now)
        one.hear("advance", advance(1), now)
    assert one.left(53.0) == pytest.approx(37.0)


def test_largest_figures_fit_80_columns() -> None:
    one = phase(1_234_567)
    one.hear("working", working(0.0), 0.0)
    one.hear("advance", advance(1_000_000, 9, 9), 10_000.0)
    one.hear("working", working(0.0, 345_670_000), 10_000.0)
    bar, name, gaps = 12, 10, 2
    assert len(one.said(10_000.0)) <= 80 - bar - name - gaps


def test_log_file_gets_a_line_now_and_then_and_ever_more_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(100_000))
    monkeypatch.setattr(terminal.time, "monotonic", lambda: float(next(now)))
    begin = ("round", {"number": 3, "planned": 9}), ("phase", {"name": "generate", "total": 10_000, "done": 0})
    lines = heard(monkeypatch, False, *begin, *(("working", working(n / 2, 10 * n)) for n in range(2000)))
    assert 6 <= len(lines) <= 16 and all(line.startswith("round 3 of 9  generate: ") for line in lines)
    assert "tok/s" in lines[-1] and "left" in lines[-1]


def test_terminal_keeps_the_run_and_its_phase_in_two_lines_of_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80, color_system=None)
    monkeypatch.setattr(terminal, "console", lambda stream=None: console)
    display = Display()
    display.hear("round", {"number": 3, "planned": 9})
    display.hear("phase", {"name": "evaluate", "total": 1608, "done": 0})
    display.hear("advance", advance(461, 3, 5))
    shown = Console(width=80, color_system=None)
    with shown.capture() as got:
        for part in display._lines.get_renderables():
            shown.print(part)
    first, second = got.get().splitlines()
    assert first == "round 3 of 9" and second.startswith("evaluate   ") and "461/1608" in second
    assert second.rstrip().endswith("60% right") and len(second) <= 80


def test_line_of_the_run_has_its_time_left_and_its_gain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG)
    loaded = load_config(tmp_path / "c.yaml", ["rounds=9", f"runs_dir={tmp_path}"])
    now = [1000.0]
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now[0])
    done = [commit(0, 0.2, 30.0), commit(1, 0.3, 60.0), commit(2, 0.5, 60.0)]
    monkeypatch.setattr(RunFolder, "commits", lambda self: done)
    display = RunDisplay(loaded)
    display.hear("round", {"number": 3, "planned": 9})
    assert display.about_run() == "round 3 of 9, 7:00 left of the run, dev accuracy 0.200 -> 0.500 (+0.300)"
    now[0] += 30
    assert "6:30 left of the run" in display.about_run()
    done[1:] = []
    display.hear("round", {"number": 1, "planned": 9})
    assert display.about_run() == "round 1 of 9, dev accuracy 0.200", "a scripted student has no plan in seconds"


@pytest.mark.parametrize(
    ("count", "told"),
    [(134_515_008, "135M"), (7_615_616_512, "7.62B"), (685_312, "685k"), (900, "900"), (1_543_714_304, "1.54B")],
)
def test_parameters_are_told_with_three_digits(count: int, told: str) -> None:
    assert in_short(count) == told


def test_model_of_a_run_is_told_with_parameters_type_and_device(tmp_path: Path) -> None:
    make_tiny(tmp_path / "model")
    (tmp_path / "c.yaml").write_text(CONFIG.replace("kind: scripted", "kind: pretrained, model: model, dtype: float32"))
    loaded = load_config(tmp_path / "c.yaml", ["train.lora.rank=4", "launch.device=cpu"])
    folder = RunFolder(tmp_path / "run")
    assert student_line(loaded, folder) == "", "it is not made yet"
    loaded.config.student.located(tmp_path).make_initial([], folder.round(0) / "initial", 0)
    said = student_line(loaded, folder)
    assert said.startswith(f"student: {tmp_path}/model, ") and " parameters, LoRA of rank 4, float32 on cpu, " in said


def test_length_of_a_round_follows_the_speed_of_round_0_phase_by_phase() -> None:
    measured = {"time/train_seconds": 120.0, "time/evaluate_seconds": 18.0, "time/curate_seconds": 19.0}
    planned = {"generate": 7.0, "train": 9.0, "evaluate": 6.0}
    assert scaled({"train": 30.0, "evaluate": 6.0}, planned, measured) == pytest.approx(7 * 3 + 9 * 4 + 6 * 3)
    assert scaled({"evaluate": 6.0}, planned, measured) == pytest.approx(3 * (7 + 9 + 6))
    assert scaled({}, planned, measured) is None and scaled({"evaluate": 6.0}, planned, {}) is None
