"""`selfplay collapse FILE`: any parquet, and input as bad as it comes, by the command and by the functions."""

import gzip
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import selfplay.collapse as c
from selfplay.cli.collapse import collapse
from selfplay.collapse.rounds import profile
from selfplay.errors import ConfigError, DataError, EmptyMetric
from selfplay.store.traces import READ_ROWS, read_parquet
from tests.support import ROOT

Row = dict[str, Any]


def written(words: int, texts: int, seed: int) -> list[str]:
    """Texts over a vocabulary of so many words, Zipf."""
    rng = np.random.default_rng(seed)
    shares = 1 / np.arange(1, words + 1)
    return [" ".join(f"w{x:x}" for x in rng.choice(words, size=40, p=shares / shares.sum())) for _ in range(texts)]


def report(file: Path, capsys: pytest.CaptureFixture[str], **options: Any) -> Row:
    assert collapse(file, as_json=True, **options) == 0
    found: Row = json.loads(capsys.readouterr().out)
    return found


def lines(path: Path, rows: list[Row]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    line = [sys.executable, "-m", "selfplay", "collapse", *arguments]
    return subprocess.run(line, capture_output=True, text=True, check=False, env=env)


# ---- parquet ----

ROWS = [
    {"step": t, "answer": x, "task": f"t{i // 4}", "ok": i % 3 == 0}
    for t in range(3)
    for i, x in enumerate(written(300, 40, t))
]


def test_any_parquet_is_read_by_its_fields_and_says_what_the_jsonl_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = pa.Table.from_pylist([{**row, "vector": [1.0, 2.0], "more": {"a": 1}} for row in ROWS])
    table = table.set_column(0, "step", table["step"].cast(pa.int16())).set_column(
        1, "answer", table["answer"].dictionary_encode()
    )
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=17)
    fields = {"round_field": "step", "text_field": "answer", "group_field": "task", "correct_field": "ok"}
    ours, theirs = (report(f, capsys, **fields) for f in (tmp_path / "a.parquet", lines(tmp_path / "a.jsonl", ROWS)))
    assert ours["rounds"] == theirs["rounds"]
    assert "eval/pass_at_1_delta" in ours["rounds"][2]


def test_parquet_serves_as_reference_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pq.write_table(pa.table({"answer": written(3000, 60, 9)}), tmp_path / "human.parquet")
    poor = lines(tmp_path / "a.jsonl", [{"round": t, "answer": x} for t in (1, 2) for x in written(40, 60, t)])
    assert report(poor, capsys, text_field="answer", reference=str(tmp_path / "human.parquet"))["level"] == 2


def test_one_batch_of_one_field_is_in_memory_at_a_time(tmp_path: Path) -> None:
    count = 5 * READ_ROWS + 3
    pq.write_table(
        pa.table({"round": [1] * count, "text": ["x" * 50] * count, "big": ["y" * 9000] * count}),
        tmp_path / "a.parquet",
    )
    before = pa.total_allocated_bytes()
    most, seen = 0, 0
    for row in read_parquet(tmp_path / "a.parquet", ["round", "text"]):
        assert set(row) == {"round", "text"}
        most, seen = max(most, pa.total_allocated_bytes() - before), seen + 1
    assert seen == count and most < 30 * READ_ROWS * 50, "the whole file is 180 MB"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"step": [1], "text": ["a"]}, r"no field 'round', it has fields \['step', 'text'\]"),
        ({"round": [1], "words": ["a"]}, "no field 'text'"),
        ({"round": [1, 1], "text": [7, 8]}, "row 1: no text in field 'text', it is a int; give --text-field"),
        ({"round": [1, None], "text": ["a", "b"]}, "row 2: no round in field 'round', None is not a whole number"),
        ({"round": ["one"], "text": ["a"]}, "'one' is not a whole number"),
        ({"round": [1], "text": [None]}, "it is a NoneType"),
        ({"round": pa.array([], pa.int64()), "text": pa.array([], pa.string())}, "has no row"),
    ],
)
def test_parquet_of_another_shape_is_refused_with_its_place(table: Row, message: str, tmp_path: Path) -> None:
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=message):
        collapse(tmp_path / "a.parquet")


def test_torn_or_foreign_parquet_is_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"round": [1] * 999, "text": [str(i) for i in range(999)]}), tmp_path / "a.parquet")
    whole = (tmp_path / "a.parquet").read_bytes()
    for torn in (whole[: len(whole) // 2], b"not parquet", b""):
        (tmp_path / "b.parquet").write_bytes(torn)
        with pytest.raises(DataError, match=r"b\.parquet: cannot be read as parquet"):
            collapse(tmp_path / "b.parquet")


# ---- rules of one's own ----


def test_rules_of_a_file_are_used_and_a_bad_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = lines(tmp_path / "a.jsonl", [{"round": t, "text": x} for t in (1, 2) for x in written(300, 60, t)])
    strict = {"alpha": 0.01, "hard": [{"key": "collapse_drift/len_mean", "below": 1e6, "say": "short"}]}
    (tmp_path / "rules.json").write_text(json.dumps(strict))
    assert report(file, capsys)["level"] == 0
    assert report(file, capsys, rules=tmp_path / "rules.json")["level"] == 2
    with pytest.raises(ConfigError, match="cannot be read"):
        collapse(file, rules=tmp_path / "none.json")


# ---- bad input, by the command ----


@pytest.mark.parametrize(
    ("content", "arguments", "says"),
    [
        (b"", [], "has no row"),
        (b'{"round": 1, "text": "\xff\xfe"}\n', [], "is not UTF-8"),
        (b'{"round": 1, "text": "a b"}\n', ["--text-field", "answer"], "no text in field 'answer', it has fields"),
        (b'{"round": 1, "text": "a b"}\n', ["--correct-field", "ok"], "no row has the field 'ok'"),
        (b'{"round": 1, "text": "a b"}\n', ["--group-field", "task"], "no task in field 'task'"),
        (b'{"round": 1, "text": ""}\n', [], ""),
        (b'{"round": 1, "text": "only one"}\n', [], ""),
    ],
)
def test_command_ends_with_a_remedy_or_with_a_table_and_never_with_a_traceback(
    content: bytes, arguments: list[str], says: str, tmp_path: Path
) -> None:
    (tmp_path / "a.jsonl").write_bytes(content)
    done = command(str(tmp_path / "a.jsonl"), *arguments)
    assert "Traceback" not in done.stderr and done.returncode == (2 if says else 0), done.stderr
    assert " ".join(says.split()) in " ".join(done.stderr.split())


def levels(file: Path, capsys: pytest.CaptureFixture[str], **options: Any) -> list[int]:
    return [row["collapse_alarm/level"] for row in report(file, capsys, **options)["rounds"]]


def test_missing_rounds_and_unequal_n_are_no_alarm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = {3: 60, 7: 200, 20: 90}
    rows = [{"round": t, "text": x} for t, n in sizes.items() for x in written(400, n, t)]
    file = lines(tmp_path / "a.jsonl", rows)
    assert levels(file, capsys) == [0, 0, 0]
    assert [row["round"] for row in report(file, capsys)["rounds"]] == [3, 7, 20]


def test_round_of_one_text_is_not_compared_and_one_of_empty_strings_rings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"round": t, "text": x} for t in (1, 2) for x in written(400, 60, t)]
    one = report(lines(tmp_path / "a.jsonl", [*rows, {"round": 3, "text": "just one"}]), capsys)["rounds"][2]
    assert one["collapse_alarm/level"] == 0 and one["collapse_data/compared_tokens"] == 0
    assert not [key for key in one if "distinct" in key and "fixed" in key], "a 0 would read as collapse"
    empty = lines(tmp_path / "b.jsonl", [*rows, *[{"round": 3, "text": " "}] * 60])
    assert levels(empty, capsys) == [0, 0, 2]


def test_identical_texts_sit_at_the_floor_and_different_ones_at_the_ceiling() -> None:
    same, different = ["the same few words here"] * 50, [f"a{i} b{i} c{i} d{i} e{i} f{i}" for i in range(50)]
    for texts, distinct, dup, collide in ((same, 1 / 50, 0.98, 0.5), (different, 1.0, 0.0, 0.0)):
        row = c.measure(texts)
        assert row["collapse_diversity/distinct_2"] == pytest.approx(distinct)
        assert row["collapse_diversity/exact_dup_rate"] == pytest.approx(dup)
        assert row["collapse_diversity/ngram4_collision_u"] >= collide * 0.9
    assert c.rke_u(c.hashed_features(same)) == pytest.approx(1.0)
    assert c.self_bleu(same) == pytest.approx(1.0) and c.self_bleu(different) < 0.05


def test_text_of_ten_megabytes_and_odd_characters_are_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    huge = " ".join(f"w{i % 977}" for i in range(2_000_000))
    assert len(huge) > 9_000_000
    odd = ["\ud800 lone", "nul \x00 in it", "\u202ertl", "a\u0301" * 40, "\U0001f600 " * 30, "\u2028\u2029 \x85 x"]
    rows = [{"round": t, "text": x} for t in (1, 2, 3) for x in [*written(300, 60, t), *odd]]
    with gzip.open(tmp_path / "a.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in [*rows, {"round": 3, "text": huge}])
    collapse(tmp_path / "a.jsonl.gz", as_json=True, html=tmp_path / "a.html")
    found = json.loads(capsys.readouterr().out)["rounds"]
    assert [row["collapse_alarm/level"] for row in found] == [0, 0, 0]
    assert found[2]["collapse_data/tokens_total"] > 2_000_000


def test_scores_that_are_no_number_are_not_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"round": t, "text": x, "task": i // 4, "ok": (float("nan"), None, 1, 0.0)[i % 4]}
        for t in (1, 2)
        for i, x in enumerate(written(300, 40, t))
    ]
    found = report(lines(tmp_path / "a.jsonl", rows), capsys, correct_field="ok", group_field="task")["rounds"]
    assert [row["eval/pass_at_1"] for row in found] == [0.5, 0.5]
    unjudged = [{**row, "ok": None} for row in rows]
    plain = report(lines(tmp_path / "b.jsonl", unjudged), capsys, correct_field="ok")["rounds"]
    assert all("eval/pass_at_1" not in row for row in plain)


# ---- bad input, by the functions ----

NOTHING: list[Any] = [
    lambda: c.distinct_n([], 2),
    lambda: c.distinct_n(["", " "], 1),
    lambda: c.distinct_n(["one"], 2),
    lambda: c.ead([""], 3, 1000),
    lambda: c.ngram_collision_u(["a b"], 2),
    lambda: c.compression_ratio(["", ""]),
    lambda: c.exact_dup_rate([]),
    lambda: c.near_dup_rate([]),
    lambda: c.self_bleu([]),
    lambda: c.vendi(np.empty((0, 0))),
    lambda: c.rke_u(np.ones((1, 4))),
    lambda: c.hill0_rarefied([], 1),
    lambda: c.hill1([]),
    lambda: c.hill2_u([1]),
    lambda: c.entropy_bits([]),
    lambda: c.good_turing_unseen([]),
    lambda: c.effective_population([0.4]),
    lambda: c.nll_cvar([]),
    lambda: c.nll_quantile([[math.nan]], 0.9),
    lambda: c.token_entropy([]),
    lambda: c.kl_from_samples([], []),
    lambda: c.pass_at_k([], [], 1),
    lambda: c.polarisation([4], [4]),
    lambda: c.support_retention([0], [1]),
    lambda: c.support_expansion([], []),
    lambda: c.majority_at_k([], [], 1),
    lambda: c.wilson(0, 0),
    lambda: c.mean_of([math.nan]),
    lambda: c.vocabulary_kept([], ["a"]),
]


@pytest.mark.parametrize("call", NOTHING, ids=lambda call: call.__code__.co_names[1])
def test_where_there_is_nothing_to_measure_there_is_no_number(call: Any) -> None:
    with pytest.raises(EmptyMetric):
        call()


def test_functions_over_rounds_leave_unknown_keys_out() -> None:
    assert c.measure([]) == {"collapse_data/texts": 0}
    assert c.likelihood_metrics([]) == {} and c.provenance_metrics([], [], now=1) == {}
    assert c.dev_set_metrics(c.dev_set_of([], [])) == {}
    rows = profile({0: written(300, 60, 0), 1: [], 2: written(300, 60, 2)})
    assert rows[1]["collapse_alarm/level"] == 0 and rows[1]["collapse_data/texts"] == 0
    with pytest.raises(DataError, match="no round has a text"):
        profile({0: [], 1: []})


def test_number_that_is_no_number_in_a_kernel_is_refused_and_in_a_row_not_judged() -> None:
    with pytest.raises(DataError, match="not finite"):
        c.vendi([[1.0, math.nan], [math.nan, 1.0]])
    rows = [{"round": t, **{f"eval/pass_at_1{e}": math.nan for e in ("", "_lo", "_hi")}} for t in range(3)]
    assert [alarm["level"] for alarm in c.alarms(rows)] == [0, 0, 0]


# ---- what so few texts can show ----

DIST2, RARE = "collapse_diversity/distinct_2_fixed", "collapse_tails/rare_item_coverage"


def test_few_texts_without_an_alarm_say_what_they_could_have_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"round": n, "text": " ".join(text.split()[:12])} for n in range(2) for text in written(300, 10, n)]
    file, page = lines(tmp_path / "t.jsonl", rows), tmp_path / "t.html"
    told = report(file, capsys)["rounds"]
    assert told[0]["smallest_changes"] == {} and told[1]["smallest_changes"][RARE] is None
    bound = told[1]["smallest_changes"][DIST2]
    assert 0.5 < bound / told[0][DIST2] < 0.8
    assert collapse(file, html=page) == 0
    said = capsys.readouterr().out
    assert (
        "no alarm in the last round\n10 texts in round 1 show a change (80 % power) only from here on: char4 at "
        in said
    )
    assert f"dist2 at {bound:.3g}" in said and "; blind to any change of: rare" in said
    assert f"dist2 at {bound:.3g}" in page.read_text()
    many = [{"round": n, "text": text} for n in range(2) for text in written(300, 300, n)]
    told = report(lines(tmp_path / "many.jsonl", many), capsys)["rounds"]
    assert (
        told[1]["smallest_changes"][DIST2] / told[0][DIST2] > 0.82 and told[1]["smallest_changes"][RARE]
    )  # of smaller falls


def test_one_round_alone_is_not_called_quiet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert collapse(lines(tmp_path / "t.jsonl", [{"round": 0, "text": "a b c"}])) == 0
    said = capsys.readouterr().out
    assert "nothing was compared: the file has one round" in said and "no alarm" not in said


def test_the_change_that_texts_are_said_to_show_is_one_that_the_alarm_sees() -> None:
    """Texts of ever fewer words: the alarm on word pairs is certain below the bound, and seldom above it."""

    def drawn(vocabulary: int, seed: int) -> list[str]:
        rng = np.random.default_rng(seed)
        return [" ".join(f"w{x}" for x in rng.choice(vocabulary, size=15)) for _ in range(20)]

    seen: dict[int, list[tuple[bool, float]]] = {}
    for vocabulary in (24, 11):
        for seed in range(4):
            row = profile({0: drawn(400, seed), 1: drawn(vocabulary, 100 + seed)})[1]
            alarmed = any(reason.startswith(DIST2) for reason in row["reasons"])
            seen.setdefault(vocabulary, []).append((alarmed, row[DIST2] - row["smallest_changes"][DIST2]))
    assert all(alarmed and beyond < 0 for alarmed, beyond in seen[11])
    assert all(beyond > 0 for _, beyond in seen[24]) and not any(alarmed for alarmed, _ in seen[24])
