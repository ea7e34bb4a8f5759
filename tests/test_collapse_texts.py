"""Texts by round: equal draws, bad input, alarms on the recorded runs, the command."""

import gzip
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from benchmarks.collapse_lab.characters import Spec, run
from selfplay.cli.collapse import collapse
from selfplay.collapse import Budget, measure
from selfplay.collapse.rounds import RoundTexts, default_reference, profile
from selfplay.collapse.texts import rank_octaves
from selfplay.errors import ConfigError, DataError

COMPARED = "collapse_diversity/char_distinct_4_fixed"


def written(words: int, texts: int, seed: int) -> list[str]:
    """Texts over a vocabulary of so many words, Zipf."""
    rng = np.random.default_rng(seed)
    shares = 1 / np.arange(1, words + 1)
    return [" ".join(f"w{x:x}" for x in rng.choice(words, size=40, p=shares / shares.sum())) for _ in range(texts)]


def recorded(shared_data: Path, run_name: str) -> dict[int, list[str]]:
    rounds: dict[int, list[str]] = {}
    with gzip.open(shared_data / "collapse_rounds" / f"{run_name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            rounds.setdefault(row["round"], []).append(row["text"])
    return rounds


@pytest.mark.parametrize("name", ["replace-6-1", "narrow-6-1", "accumulate-6-1"])
def test_recorded_runs_ring_where_they_collapse_and_only_there(name: str, shared_data: Path) -> None:
    levels = {row["round"]: row["collapse_alarm/level"] for row in profile(recorded(shared_data, name))}
    if name.startswith("accumulate"):
        assert max(levels.values()) == 0
    else:
        assert max(levels[t] for t in range(6)) == 2


def test_fresh_runs_of_the_character_model_ring_as_they_should(shared_data: Path) -> None:
    with gzip.open(shared_data / "tinyshakespeare" / "input.txt.gz", "rt", encoding="utf-8") as file:
        corpus = file.read()
    for style, collapses in (("replace", True), ("narrow", True), ("accumulate", False), ("fresh", False)):
        rounds = run(Spec(style, order=4, seed=77, rounds=5), corpus)
        levels = [row["collapse_alarm/level"] for row in profile(dict(enumerate(rounds)))]
        assert (max(levels) >= 2) is collapses, (style, levels)


def test_a_shrinking_vocabulary_rings_and_a_steady_one_does_not() -> None:
    shrinking = {t: written(2000 // 3**t, 150, t) for t in range(4)}
    assert [row["collapse_alarm/level"] for row in profile(shrinking, reference=0)][-1] == 2
    steady = {t: written(2000, 150, t) for t in range(6)}
    assert all(row["collapse_alarm/level"] == 0 for row in profile(steady))


def test_the_order_of_rounds_in_time_is_by_number_and_unequal_n_is_drawn_equal() -> None:
    rows = profile({2: written(500, 90, 2), 0: written(500, 300, 0), 1: written(500, 120, 1)})
    assert [row["round"] for row in rows] == [0, 1, 2]
    assert len({row["collapse_data/compared_tokens"] for row in rows}) == 1
    assert rows[0][COMPARED] == pytest.approx(rows[2][COMPARED], rel=0.05)


def test_a_tiny_round_goes_uncompared_and_an_empty_one_unjudged() -> None:
    rows = profile({1: written(500, 100, 1), 2: [], 3: ["one text"], 4: written(500, 100, 4)})
    assert rows[1]["collapse_data/texts"] == 0 and rows[1]["collapse_alarm/level"] == 0
    assert COMPARED not in rows[2] and rows[2]["collapse_alarm/level"] == 0
    assert COMPARED in rows[3]


def test_one_text_empty_strings_and_one_huge_word_are_measured_without_a_fault() -> None:
    assert measure([]) == {"collapse_data/texts": 0}
    one = measure(["just one text"])
    assert one["collapse_data/texts"] == 1 and "collapse_diversity/rke_u" not in one
    empty = measure(["", "", " "])
    assert empty["collapse_data/empty_share"] == 1.0 and "collapse_diversity/distinct_1" not in empty
    assert measure(["x" * 3_000_000, "y"])["collapse_data/units"] == "characters"


def test_all_identical_texts_ring_and_mostly_empty_ones_too() -> None:
    rounds = {0: written(500, 60, 0), 1: written(500, 60, 1), 2: ["the same words again and again"] * 400}
    assert profile(rounds)[-1]["collapse_alarm/level"] == 2
    rounds[2] = written(500, 60, 2) + [""] * 100
    assert profile(rounds)[-1]["collapse_alarm/level"] == 2


def test_scripts_without_spaces_are_counted_in_characters() -> None:
    texts = ["これは文章です" * 8 + chr(0x4E00 + i) for i in range(40)]
    row = measure(texts)
    assert row["collapse_data/units"] == "characters" and row["collapse_drift/len_mean"] == 57


def test_the_sample_is_seeded_and_its_budget_kept() -> None:
    texts = written(500, 200, 0)
    budget = Budget(2000, 40, 5000, 200)
    first = measure(texts, budget=budget)
    assert first == measure(texts, budget=budget)
    assert first["collapse_data/compared_tokens"] == 2000
    assert sum(rank_octaves(texts, budget)) == pytest.approx(1.0)


def test_records_are_read_by_field_and_a_missing_one_is_named() -> None:
    assert measure([{"solution": "a b c"}], text_field="solution")["collapse_data/texts"] == 1
    with pytest.raises(DataError, match=r"row 0: no text in field 'text', it has fields \['solution'\]"):
        measure([{"solution": "a"}])


def test_verdicts_and_tasks_bring_pass_rates_and_silence_the_text_rules() -> None:
    rounds = {}
    for t in range(3):
        rounds[t] = RoundTexts()
        for i in range(200):
            answer = f"answer {i % 7 if t == 0 else 1} of task {i // 8} and a little more to read here"
            rounds[t].add(answer, group=i // 8, correct=i % 2 == 0)
    rows = profile(rounds, reference=0)
    assert rows[2]["eval/pass_at_1"] == 0.5 and "eval/pass_at_1_delta" in rows[2]
    assert rows[2]["collapse_diversity/unique_correct_at_n_delta"] < 0
    assert not any("char_distinct" in reason for reason in rows[2]["reasons"])


def test_the_reference_is_the_second_round_only_where_rounds_start_at_0() -> None:
    assert default_reference([0, 1, 2]) == 1
    assert default_reference([1, 2, 3]) == 1
    assert default_reference([0, 1]) == 0
    with pytest.raises(ConfigError, match="reference round 9"):
        profile({0: written(50, 30, 0)}, reference=9)


def save(path: Path, rows: list[object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_the_command_prints_one_json_object(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"r": t, "out": x} for t in (1, 2) for x in written(300, 40, t)]
    assert collapse(save(tmp_path / "a.jsonl", rows), round_field="r", text_field="out", as_json=True) == 0
    data = json.loads(capsys.readouterr().out)
    assert [row["round"] for row in data["rounds"]] == [1, 2]
    assert all(row["collapse_alarm/level"] == 0 for row in data["rounds"])
    assert data["reference"] == 1


def test_the_command_reads_gzip_and_a_reference_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packed = tmp_path / "a.jsonl.gz"
    with gzip.open(packed, "wt", encoding="utf-8") as file:
        for t in (1, 2):
            file.writelines(json.dumps({"round": str(t), "text": x}) + "\n" for x in written(40, 60, t))
    (tmp_path / "human.txt").write_text("\n".join(written(3000, 60, 9)), encoding="utf-8")
    collapse(packed, reference=str(tmp_path / "human.txt"), as_json=True)
    assert json.loads(capsys.readouterr().out)["level"] == 2
    collapse(packed)
    assert "Collapse profile" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"text": "a"}', r":1: no round in field 'round', it has fields \['text'\]; give --round-field"),
        (b'{"round": 1.5, "text": "a"}', "1.5 is not a whole number"),
        (b'{"round": 1}', ":1: no text in field 'text'"),
        (b"{", ":1: is not JSON"),
        (b"[1]", ":1: is a list, not an object"),
        (b'{"round": 1, "text": "\xff"}', ":1: is not UTF-8"),
        (b"[" * 100_000, ":1: is nested 100000 deep"),
        (b"", "has no row"),
    ],
)
def test_a_bad_line_is_refused_with_its_place(line: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_bytes(line)
    with pytest.raises(DataError, match=message):
        collapse(tmp_path / "bad.jsonl")


def test_odd_verdicts_are_read_or_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [True, 0, "pass", "fail", None, float("nan"), "abstain"]
    rows = [{"round": 1, "text": f"text number {i}", "ok": w} for i, w in enumerate(words)]
    collapse(save(tmp_path / "a.jsonl", rows), correct_field="ok", as_json=True)
    assert json.loads(capsys.readouterr().out)["rounds"][0]["eval/pass_at_1"] == 0.5
    with pytest.raises(DataError, match=r"ok is 0\.7, must be true or false"):
        collapse(save(tmp_path / "b.jsonl", [{"round": 1, "text": "a", "ok": 0.7}]), correct_field="ok")


def test_a_torn_gzip_is_named(tmp_path: Path) -> None:
    whole = gzip.compress(b'{"round": 1, "text": "a"}\n' * 5000)
    (tmp_path / "torn.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="gzip file is broken"):
        collapse(tmp_path / "torn.jsonl.gz")


def test_the_page_holds_its_charts_and_escapes_what_it_shows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"round": t, "text": x} for t in range(3) for x in written(800 // 4**t, 60, t)]
    named = save(tmp_path / "<script>x.jsonl", rows)
    collapse(named, reference="0", html=tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("<svg") >= 7
    assert "<script" not in page and "&lt;script&gt;" in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("needs chromium to open the page, and none is on PATH; install it")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", (tmp_path / "page.html").as_uri()]
    seen = subprocess.run([*command], capture_output=True, timeout=60, check=True, text=True, errors="replace").stdout
    assert seen.count("<polyline") + seen.count("<path") >= 7 and "Tokens by rank, round by round" in seen
