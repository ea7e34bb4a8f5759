"""Own tasks in the tables that people have: CSV, parquet, JSON, hub data sets, and what selfplay itself wrote."""

import gzip
import json
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from selfplay.cli.synthesize import synthesize_command
from selfplay.config import load_config
from selfplay.errors import ConfigError, DataError
from selfplay.records import Task
from selfplay.tasks import Source
from selfplay.tasks.jsonl import JsonlTasks
from tests.support import ROOT

FIELDS = {"prompt": "question", "answer": "result"}
BOM = b"\xef\xbb\xbf"


def opened(folder: Path, train: str, **more: Any) -> Source:
    return JsonlTasks(source="jsonl", train=train, **more).open(seed=0, eval_seed=1, folder=folder)


def tasks_of(source: Source) -> list[Task]:
    """All tasks but the test set's, in the order of their ids."""
    return sorted([*source.fixed.dev, *source.pool], key=lambda task: task.id)


def read(folder: Path, content: bytes | str, name: str = "t.csv", **more: Any) -> list[Task]:
    """The tasks of a table of two rows and more."""
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return tasks_of(opened(folder, name, **{"fields": FIELDS, **more}))


TABLE = "question,result\nWhat is 2 + 2?,4\nWhat is 3 + 3?,6\n"
RELATIVES: dict[str, tuple[str, bytes]] = {
    "plain": ("t.csv", TABLE.encode()),
    "byte order mark": ("t.csv", BOM + TABLE.encode()),
    "CRLF": ("t.csv", TABLE.replace("\n", "\r\n").encode()),
    "gzip": ("t.csv.gz", gzip.compress(TABLE.encode(), mtime=0)),
    "gzip without the ending": ("t.csv", gzip.compress(TABLE.encode(), mtime=0)),
    "tabs": ("t.tsv", TABLE.replace(",", "\t").encode()),
    "semicolons": ("t.csv", TABLE.replace(",", ";").encode()),
    "blank lines": ("t.csv", TABLE.replace("\n", "\n\n,\n").encode()),
    "capital ending": ("t.CSV", TABLE.encode()),
    "index column without a name": (
        "t.csv",
        b",question,result,topic\n0,What is 2 + 2?,4,sums\n1,What is 3 + 3?,6,sums\n",
    ),
    "JSON array": ("t.json", b'[{"question": "What is 2 + 2?", "result": "4"}, {"question": "What is 3 + 3?", "result": "6"}]'),
    "JSON lines": ("t.jsonl", b'{"question": "What is 2 + 2?", "result": "4"}\n{"question": "What is 3 + 3?", "result": "6"}\n'),
}  # fmt: skip


@pytest.mark.parametrize("kind", RELATIVES)
def test_tables_of_the_same_rows_give_the_same_tasks(tmp_path: Path, kind: str) -> None:
    name, content = RELATIVES[kind]
    found = read(tmp_path, content, name)
    assert [(task.id, task.prompt, task.check) for task in found] == [
        ("t-1", "What is 2 + 2?", {"type": "math", "answer": "4"}),
        ("t-2", "What is 3 + 3?", {"type": "math", "answer": "6"}),
    ]


def test_quoted_cell_holds_line_breaks_separators_and_quotation_marks_and_the_lines_still_count(tmp_path: Path) -> None:
    text = 'question,result\n"One,\r\ntwo ""three""\n\nfour?",4\nx,1\n'
    assert read(tmp_path, text)[0].prompt == 'One,\r\ntwo "three"\n\nfour?'
    with pytest.raises(DataError, match=r"t\.csv:6: has 1 cells, but there are 2 columns"):
        read(tmp_path, text.replace("x,1", "x"))


def test_unicode_and_a_huge_cell_are_kept_as_they_are(tmp_path: Path) -> None:
    huge, greek = "x" * 1_000_000, "Wieviel ist π·2 in 日本語 \u2028 🙂?"
    found = read(tmp_path, f"question,result\n{greek},2π\n{huge},1\n")
    assert found[0].prompt == greek and found[0].check["answer"] == "2π" and found[1].prompt == huge


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("qestion,result\nx,1\n", r"t\.csv: tasks\.fields\.prompt is 'question', but no row has a value there; did you mean 'qestion'\?"),
        ("a,b\nx,1\n", r"(?s)fields\.prompt is 'question'.*its columns: a, b.*fields\.answer is 'result'"),
        ("question,result\n", r"t\.csv: is empty; give a file with one JSON object a line, or a table with rows"),
        ("", r"t\.csv: is empty"),
        ("question,result\nx,1\n\nx,,2\n", r"t\.csv:4: has 3 cells, but there are 2 columns; put a text that holds"),
        ("question,result\nx,1\nx\n", r"t\.csv:3: has 1 cells, but there are 2 columns"),
        ("question,result\nx,1\n,2\n", r"t\.csv:3: the line needs exactly one of prompt and messages"),
        ("question,result\nx,1\ny,\n", r"t\.csv:3: task has no verifier; add answer, verifier: .*tasks\.verifier for all rows"),
        ('question,result\nx,1\n"y,2\n', r"t\.csv:3: is not CSV \(unexpected end of data\); write a quotation mark inside"),
        ('question,result\n"x"y,1\n', r"t\.csv:2: is not CSV"),
        ("question,result,result\nx,1,2\n", r"t\.csv:1: two columns are named 'result'; rename one of them"),
        (b"question,result\nx,1\ncaf\xe9,2\n", r"t\.csv:3: is not UTF-8 \(0xe9 at byte 3\); save the table as CSV in UTF-8"),
        ("question,result\nx,1\n".encode("utf-16"), r"t\.csv:1: is not UTF-8 \(it is UTF-16\)"),
        (b"question,result\nx\x00,1\n", r"t\.csv:2: holds a NUL character, which cannot be stored; remove it"),
        (gzip.compress(b"question,result\n" * 90, mtime=0)[:30], r"t\.csv:\d+: the gzip file is broken"),
    ],
)  # fmt: skip
def test_bad_csv_is_told_with_line_column_and_remedy(tmp_path: Path, content: bytes | str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        read(tmp_path, content)


def test_columns_named_as_the_keys_need_no_mapping_and_any_other_is_a_fault(tmp_path: Path) -> None:
    text = (
        'id,prompt,answer,tags,difficulty,verifier\na,x,1,"[""topic:sums""]",3,\n'
        'b,y,,odd,,"{""type"": ""python:checks:f"", ""floor"": 90}"\n'
    )
    found = read(tmp_path, text, fields={})
    assert found[0].tags == ("topic:sums", "difficulty:3") and found[0].check == {"type": "math", "answer": "1"}
    assert found[1].tags == ("odd",) and found[1].check == {"type": "python:checks:f", "floor": 90}
    with pytest.raises(DataError, match=r"t\.csv:2: promt is 'x', but there is no such key; did you mean prompt\?"):
        read(tmp_path, text.replace("prompt", "promt"), fields={})
    with pytest.raises(DataError, match=r"t\.csv:3: column 'verifier' should hold JSON: is not JSON"):
        read(tmp_path, text.replace("90}", "90"), fields={})


def test_a_verifier_for_all_rows_takes_its_keys_from_columns(tmp_path: Path) -> None:
    fields = {"prompt": "question", "verifier.floor": "least", "answer": "result", "id": "number"}
    text = "number,question,result,least\n7,x,084,90\n8,y,,\n"
    found = read(tmp_path, text, fields=fields, verifier={"type": "python:checks:f"})
    assert [task.id for task in found] == ["7", "8"]
    assert found[0].check == {"type": "python:checks:f", "floor": 90, "answer": "084"}
    assert found[1].check == {"type": "python:checks:f"}
    with pytest.raises(DataError, match=r"t\.csv:2: verifier\.floor is given beside the verifier's own floor"):
        read(tmp_path, text, fields=fields, verifier={"type": "python:checks:f", "floor": 1})
    with pytest.raises(DataError, match=r"t\.csv:3: the id '7' is used twice, first at .*t\.csv:2"):
        read(tmp_path, text.replace("8,y", "7,y"), fields=fields, verifier={"type": "python:checks:f"})


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ("{promt: a}", r"c\.yaml:2:\d+: tasks\.fields has the key 'promt', which no task has; did you mean 'prompt'\?"),
        ("{floor: a}", r"which no task has; the left side names a key of a task"),
        ("{verifier.: a}", r"has the key 'verifier\.'"),
        ("[a]", r"tasks\.fields is \['a'\]"),
    ],
)
def test_bad_mapping_is_a_fault_of_the_configuration(tmp_path: Path, fields: str, says: str) -> None:
    (tmp_path / "c.yaml").write_text(
        f"train: {{epochs: 1}}\ntasks: {{source: jsonl, train: t.csv, fields: {fields}}}\nstudent: {{kind: scripted}}\n"
    )
    with pytest.raises(ConfigError, match=says):
        load_config(tmp_path / "c.yaml")


def test_parquet_gives_chats_numbers_and_columns_inside_objects(tmp_path: Path) -> None:
    turns = [
        {"role": "system", "content": "Be brief.", "name": None},
        {"role": "user", "content": "2 + 2?", "name": "u"},
    ]
    rows = [
        {"n": n, "chat": [{**turn, "name": None} for turn in turns], "reward": {"truth": 4.0 + n, "list": ["z", "q"]}}
        for n in range(2)
    ]
    pq.write_table(pa.Table.from_pylist([{**row, "image": b"\x00\xff"} for row in rows]), tmp_path / "t.parquet")
    fields = {"id": "n", "messages": "chat", "answer": "reward.truth", "verifier.unit": "reward.list.1"}
    found = tasks_of(opened(tmp_path, "t.parquet", fields=fields, verifier={"type": "python:checks:f"}))
    assert [task.id for task in found] == ["0", "1"]
    assert [(m.role, m.content) for m in found[0].messages or ()] == [(t["role"], t["content"]) for t in turns]
    assert found[1].check == {"type": "python:checks:f", "answer": 5.0, "unit": "q"}
    (tmp_path / "broken.parquet").write_bytes((tmp_path / "t.parquet").read_bytes()[:200])
    with pytest.raises(DataError, match=r"broken\.parquet: cannot be read as parquet \(.*\); write the file again"):
        opened(tmp_path, "broken.parquet")
    pq.write_table(pa.table({"chat": ["x", "y"]}), tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"t\.parquet: row 1: column 'chat' should hold JSON"):
        opened(tmp_path, "t.parquet", fields={"messages": "chat"})


OPENAI = [
    {"role": "developer", "content": "Be brief.", "name": "d"},
    {"role": "user", "content": [{"type": "text", "text": "2 + "}, {"type": "text", "text": "2?"}]},
    {"role": "assistant", "content": "4", "weight": 1, "tool_calls": None},
]
SHAREGPT = [
    {"from": "system", "value": "Be brief."},
    {"from": "human", "value": "2 + 2?"},
    {"from": "gpt", "value": "4"},
]
ASKED = [("system", "Be brief."), ("user", "2 + 2?")]


@pytest.mark.parametrize(("column", "chat"), [("messages", OPENAI), ("conversations", SHAREGPT)])
@pytest.mark.parametrize("table", [False, True])
def test_last_turn_of_the_assistant_is_the_reference_or_the_answer_where_fields_says_so(
    tmp_path: Path, column: str, chat: list[dict[str, Any]], table: bool
) -> None:
    name, rows = ("t.parquet" if table else "t.jsonl"), [{column: chat, "other": n} for n in range(2)]
    if table:  # a column of objects as text, as parquet files of chats often have it
        pq.write_table(pa.Table.from_pylist([{**row, column: json.dumps(chat)} for row in rows]), tmp_path / name)
    else:
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = tasks_of(opened(tmp_path, name, fields={"messages": column, "reference": column, "answer": column}))
    assert [(m.role, m.content) for m in found[0].messages or ()] == ASKED
    assert found[0].reference == "4" and found[0].check == {"type": "math", "answer": "4"}
    # without a key that takes it, the reply is left out
    found = tasks_of(opened(tmp_path, name, fields={"messages": column}, verifier={"type": "python:checks:f"}))
    assert [(m.role, m.content) for m in found[0].messages or ()] == ASKED and found[0].reference is None


def test_worked_turns_stay_in_the_prompt_and_what_follows_the_last_reply_is_left_out(tmp_path: Path) -> None:
    chat = [*SHAREGPT[1:], {"from": "human", "value": "3 + 3?"}, {"from": "gpt", "value": "6"}]
    fields, rows = {"messages": "conversations", "reference": "conversations", "answer": "n"}, []
    rows = [{"conversations": [*chat, {"from": "human", "value": "thanks"}], "n": 6}, {"conversations": chat, "n": 6}]
    found = read(tmp_path, "".join(json.dumps(row) + "\n" for row in rows), "t.jsonl", fields=fields)
    for task in found:
        assert [m.content for m in task.messages or ()] == ["2 + 2?", "4", "3 + 3?"] and task.reference == "6"
    with pytest.raises(
        DataError, match=r"t\.jsonl:1: column 'conversations' has no turn of the assistant, which tasks"
    ):
        read(tmp_path, json.dumps({"conversations": SHAREGPT[:2], "n": 6}), "t.jsonl", fields=fields)


@pytest.mark.parametrize("row", [{"messages": OPENAI, "answer": "4"}, {"conversations": SHAREGPT, "answer": "4"}])
def test_chat_that_ends_with_the_answer_is_told_how_it_becomes_the_reference(
    tmp_path: Path, row: dict[str, Any]
) -> None:
    said = r"t\.jsonl:1: messages end with a turn of the assistant; give its text as reference, or set tasks\.fields"
    with pytest.raises(DataError, match=said):
        read(tmp_path, json.dumps(row), "t.jsonl", fields={})


def test_turn_of_a_tool_is_refused_by_its_role(tmp_path: Path) -> None:
    chat = [*SHAREGPT[:2], {"from": "observation", "value": "x"}, {"from": "human", "value": "?"}]
    with pytest.raises(
        DataError, match=r"messages\.2\.role is 'observation', should be 'system', 'user' or 'assistant'"
    ):
        read(tmp_path, json.dumps({"conversations": chat, "answer": "4"}), "t.jsonl", fields={})


# ---- several files ----


def lines_of(*prompts: str, **more: Any) -> str:
    return "".join(json.dumps({"prompt": prompt, "answer": "1", **more}) + "\n" for prompt in prompts)


def test_several_files_are_one_set_and_each_is_in_the_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "a.jsonl").write_text(lines_of("p", "q"))
    (tmp_path / "x" / "a.jsonl").write_text(lines_of("r"))
    (tmp_path / "b.csv").write_text("prompt,answer\ns,1\n")
    source = opened(tmp_path, ["a.jsonl", "x/a.jsonl", "b.csv"])  # type: ignore[arg-type]
    assert [task.id for task in tasks_of(source)] == sorted(
        [f"{tmp_path.name}-a-1", f"{tmp_path.name}-a-2", "x-a-1", "b-1"]
    )
    assert source.fixed.files.keys() == {"a.jsonl", "x/a.jsonl", "b.csv"}
    own = opened(tmp_path, "a.jsonl", dev=["b.csv", "x/a.jsonl"])
    assert [task.id for task in own.fixed.dev] == ["b-dev-1", "a-dev-1"]


def test_faults_of_several_files_come_together(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(lines_of("p", id="1"))
    (tmp_path / "b.jsonl").write_text(lines_of("q", id="1") + lines_of("r", id="2", promt="x"))
    with pytest.raises(DataError) as found:
        opened(tmp_path, ["a.jsonl", "b.jsonl", "c.jsonl"])  # type: ignore[arg-type]
    said = str(found.value).splitlines()
    assert "c.jsonl: no such file" in said[0]
    assert f"b.jsonl:1: the id '1' is used twice, first at {tmp_path}/a.jsonl:1; ids must be unique" in said[1]
    assert "b.jsonl:2: promt is 'x', but there is no such key; did you mean prompt?" in said[2]
    with pytest.raises(DataError, match=r"x: is a folder; name its files, as in \[x/a\.jsonl, x/b\.jsonl\]"):
        (tmp_path / "x").mkdir()
        opened(tmp_path, "x")


@pytest.mark.parametrize("given", ["[]", "[1]", "{a: b}", "3"])
def test_what_is_no_file_and_no_list_of_files_is_a_fault_of_the_configuration(tmp_path: Path, given: str) -> None:
    text = f"train: {{epochs: 1}}\ntasks: {{source: jsonl, train: {given}}}\nstudent: {{kind: scripted}}\n"
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(
        ConfigError, match=r"c\.yaml:2:\d+: tasks\.train.* is .*; write a file, or a list of files"
    ) as found:
        load_config(tmp_path / "c.yaml")
    assert str(found.value).count("tasks.train") == 1


def test_faults_name_the_column_that_the_value_came_from(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"t\.jsonl:1: prompt \(column 'question'\) is 5, should be a valid string"):
        read(tmp_path, '{"question": 5, "result": "4"}\n', "t.jsonl")


def test_workbook_is_refused_with_what_to_save_it_as(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"t\.xlsx: is a \.xlsx file, which is not read; save it as CSV \(UTF-8\) or"):
        read(tmp_path, b"PK\x03\x04", "t.xlsx")


def test_what_synthesize_wrote_is_read_as_tasks(tmp_path: Path) -> None:
    small = ["seed_tasks=6", "tasks.anchor=20", "tasks.per_length=4", "sandbox.workers=1"]
    assert synthesize_command(ROOT / "configs" / "synthesize_data.yaml", small, tmp_path / "out") == 0
    rows = pq.read_table(tmp_path / "out" / "data.parquet").to_pylist()
    accepted = {row["task_id"]: row["text"] for row in rows if row["decision"] == "accepted"}
    found = tasks_of(opened(tmp_path, "out/data.parquet"))
    assert {task.id for task in found} == set(accepted) and all(task.check["type"] == "code_tests" for task in found)
    assert all(task.reference for task in found) and opened(tmp_path, "out/data.parquet").fixed.anchor
    dropped = pa.Table.from_pylist([{**row, "decision": "dropped"} for row in rows])
    pq.write_table(dropped, tmp_path / "none.parquet")
    with pytest.raises(DataError, match=r"none\.parquet: none of its \d+ rows is accepted; synthesize more"):
        opened(tmp_path, "none.parquet")


def test_hub_data_set_is_mapped_and_its_split_may_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def loaded(name: str, configuration: str | None, split: str) -> datasets.Dataset:
        asked.append((name, configuration, split))
        row = {"question": f"{split} 2 + 2?", "result": 4, "topic": "sums"}
        return datasets.Dataset.from_list([row, row, row])

    monkeypatch.setattr(datasets, "load_dataset", loaded)
    source = opened(
        tmp_path, "a/sums:train[:3]", dev="a/sums", test="a/sums", hub_config="main", fields={**FIELDS, "reference": "result"}
    )  # fmt: skip
    assert asked == [("a/sums", "main", "train[:3]"), ("a/sums", "main", "validation"), ("a/sums", "main", "test")]
    assert [task.id for task in source.pool] == ["sums-1", "sums-2", "sums-3"]
    assert [task.id for task in source.fixed.test] == ["sums-test-1", "sums-test-2", "sums-test-3"]
    assert source.pool[0].check == {"type": "math", "answer": 4} and source.pool[0].reference == "4"


def test_hub_that_cannot_be_reached_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"nobody/nothing: is no file here and cannot be had from the hub \(.*give a file"
    ):
        opened(tmp_path, "nobody/nothing")


def test_hub_data_set_in_the_cache_is_read_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "cache/nobody___sums/default/0.0.0/0123456789abcdef"
    rows = datasets.Dataset.from_list([{"question": "What is 2 + 2?", "result": "4"}] * 3)
    rows.save_to_disk(tmp_path / "saved")
    place.mkdir(parents=True)
    (tmp_path / "saved/data-00000-of-00001.arrow").rename(place / "sums-train.arrow")
    info = datasets.DatasetInfo(
        features=rows.features, builder_name="parquet", dataset_name="sums", config_name="default", version="0.0.0"
    )
    info.splits = datasets.SplitDict({"train": datasets.SplitInfo("train", num_examples=3, dataset_name="sums")})
    info.write_to_directory(str(place))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    assert len(tasks_of(opened(tmp_path, "nobody/sums", fields=FIELDS))) == 3
