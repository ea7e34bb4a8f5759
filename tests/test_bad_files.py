"""Files as people hand them in, broken ones and hostile ones: each is read, or refused in a sentence with its place and a remedy."""

import gzip
import json
import resource
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from selfplay import jsonlines
from selfplay.cli.collapse import collapse
from selfplay.config import load_config
from selfplay.errors import ConfigError, DataError
from selfplay.jsonlines import read_json_objects
from selfplay.models.recorded import Recorded
from selfplay.records import Request, Sampling
from selfplay.tasks import table_files
from selfplay.tasks.table_files import read_table

BOM = b"\xef\xbb\xbf"
GOOD = b'{"id": "a", "text": "x"}\n'
CONFIG = """\
tasks: {source: arithmetic}
student: {kind: scripted}
propose: {tasks_per_round: 4}
train: {steps: 1}
"""


def rows_of(folder: Path, content: bytes, name: str = "f.jsonl", text: jsonlines.Text = "strict") -> list[Any]:
    (folder / name).write_bytes(content)
    return [row for _, row in read_json_objects(folder / name, text)]


def nested(depth: int) -> bytes:
    return b'{"id": ' + b"[" * depth + b"]" * depth + b"}\n"


# ---- JSON Lines ----


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'{"id": 1', r"f\.jsonl:1: is not JSON \(.*character \d+\); give one object a line"),
        (GOOD + b'\n{"id": "b", "te', r"f\.jsonl:3: is not JSON"),
        (b"[1]\n", r"f\.jsonl:1: is a list, not an object; give one object a line"),
        (b"null\n", r"f\.jsonl:1: is null, not an object"),
        (b'"x"\n', r"f\.jsonl:1: is a text, not an object"),
        (b"7\n", r"f\.jsonl:1: is a number, not an object"),
        (GOOD[:-1] + b" " + GOOD, r"f\.jsonl:1: is not JSON \(Extra data"),
        (nested(150), r"f\.jsonl:1: is nested 151 deep; nest at most 100 deep"),
        (b"[" * 200_000, r"f\.jsonl:1: is nested 200000 deep"),
        (b'{"a":' * 30_000, r"f\.jsonl:1: is nested 30000 deep"),
        (b'{"id": ' + b"9" * 5_000 + b"}\n", r"f\.jsonl:1: is not JSON \(a number of 5000 digits, over 1000; write it as text"),
        (b'{"id": 1e999}\n', r"the number 1e999 is too large, or too long; write it as text"),
        (b'{"id": 0.' + b"1" * 5_000 + b"}\n", r"the number 0\.1111.* is too large, or too long"),
        (b'{"id": NaN}\n', r"f\.jsonl:1: is not JSON \(NaN is not a JSON number; write null"),
        (b'{"id": -Infinity}\n', r"-Infinity is not a JSON number"),
        (b'{"id": 1, "id": 2}\n', r"f\.jsonl:1: .*the key 'id' is given twice in one object; remove one of them"),
        (b'{"a": {"b": 1, "b": 1}}\n', r"the key 'b' is given twice"),
        (b'{"id": "\\ud83d"}\n', r"f\.jsonl:1: holds half of a surrogate pair .*write the whole character"),
        (b'{"\\uDC00": 1}\n', r"holds half of a surrogate pair"),
        (b'{"id": "\\u0000"}\n', r"f\.jsonl:1: holds a NUL character .*remove it"),
        (b'{"id": "a\x00b"}\n', r"f\.jsonl:1: is not JSON \(Invalid control character"),
        (GOOD + b'{"id": "\xe9"}\n', r"f\.jsonl:2: is not UTF-8 \(.*0xe9 at byte 8\); convert the file to UTF-8"),
        ('{"id": 1}\n'.encode("utf-16"), r"f\.jsonl:1: is not UTF-8 \(it is UTF-16\); convert the file"),
        (b"id,text\na,x\n", r"f\.jsonl:1: is not JSON"),
        (b'{"a": [' + b"1," * 1_000_001 + b"1]}", r"f\.jsonl:1: holds over 1000000 values in one line; split it"),
        (b'{"a": [' + b'"",' * 4_000_001 + b'""]}', r"holds over 1000000 values in one line"),
        (b'{"a": "' + b"x" * 50_000_000 + b'"}', r"f\.jsonl:1: has over 50000000 bytes in one line; split it"),
    ],
)  # fmt: skip
def test_bad_json_line_is_refused_with_file_line_and_remedy(tmp_path: Path, content: bytes, says: str) -> None:
    with pytest.raises(DataError, match=says) as refused:
        rows_of(tmp_path, content)
    assert "\n" not in str(refused.value) and len(str(refused.value)) < len(str(tmp_path)) + 300


@pytest.mark.parametrize(
    "content",
    [
        GOOD,
        BOM + GOOD,
        GOOD + BOM + GOOD,
        BOM + b"\r\n" + GOOD.replace(b"\n", b"\r\n"),
        b"\n \n\t\n" + GOOD + b"\n\n",
        GOOD[:-1],
        nested(90),
        b'{"id": "\\ud83d\\ude00 \\\\u0000 \\\\ud83d"}\n',
        b'{"id": "' + b"[" * 5_000 + b'", "b": "' + b'\\"{,' * 300_000 + b'"}\n',
        b'{"id": ' + b"9" * 900 + b"}\n",
        '{"id": "a\u2028b\x85c", "b": "\ufeff"}\n'.encode(),
    ],
)  # fmt: skip
def test_odd_but_sound_json_lines_are_read(tmp_path: Path, content: bytes) -> None:
    plain = rows_of(tmp_path, content)
    assert plain and all(isinstance(row, dict) for row in plain)
    assert rows_of(tmp_path, gzip.compress(content), "f.jsonl.gz") == plain
    assert rows_of(tmp_path, gzip.compress(content), "named_wrong.jsonl") == plain


@pytest.mark.parametrize(
    ("content", "name", "says"),
    [
        (b'[{"id": 1}, 2]', "f.json", r"f\.json: item 2 is a number, not an object; give an array of objects"),
        (b"[" * 5_000, "f.json", r"f\.json: is nested 5000 deep"),
        (b'\n [{"id": 1}', "f.json", r"f\.json: is not JSON"),
        (b"[" + (b'"x",' * 1_000 + b"\n") * 12_600, "f.json", r"f\.json: is one array of over 50000000 bytes; write it as JSON Lines"),
        (b'[{"id": 1}]', "f.jsonl", r"is a list, not an object; .*an array of objects is read from a file named \.json"),
    ],
)  # fmt: skip
def test_bad_json_array_is_refused(tmp_path: Path, content: bytes, name: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        rows_of(tmp_path, content, name)


def test_json_array_is_read_with_byte_order_mark_and_packed(tmp_path: Path) -> None:
    content = BOM + b'\n[{"id": 1},\n {"id": 2}]\n'
    assert rows_of(tmp_path, content, "f.json") == [{"id": 1}, {"id": 2}]
    assert rows_of(tmp_path, gzip.compress(content), "f.json.gz") == [{"id": 1}, {"id": 2}]


def test_what_another_system_wrote_is_mended_where_it_cannot_be_stored(tmp_path: Path) -> None:
    [row] = rows_of(tmp_path, b'{"a\\ud800": ["x\\udfffy", {"b": NaN}], "n": "\\u0000"}\n', text="replace")
    assert row["a?"][0] == "x?y" and row["a?"][1]["b"] != row["a?"][1]["b"] and row["n"] == "\x00"


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: whole[: len(whole) // 2],
        lambda whole: whole[:-4],
        lambda whole: whole + b"garbage",
        lambda whole: whole[:-8] + b"\x00" * 8,
        lambda whole: whole[:10] + b"\x07" * 50,
        lambda whole: b"",
        lambda whole: GOOD,
    ],
)
def test_broken_gzip_is_refused_with_its_line(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    content = damage(gzip.compress(GOOD * 300, mtime=0))
    (tmp_path / "f.jsonl.gz").write_bytes(content)
    says = r"f\.jsonl\.gz:\d+: the gzip file is broken \(.*\); fetch it again" if content else r"f\.jsonl\.gz: is empty"
    with pytest.raises(DataError, match=says):
        read_table("f.jsonl.gz", tmp_path)


@pytest.mark.parametrize("what", ["folder", "missing", "unreadable name"])
def test_what_is_no_file_is_refused(tmp_path: Path, what: str) -> None:
    (tmp_path / "folder").mkdir()
    name = "x" * 300 if what == "unreadable name" else what
    with pytest.raises(DataError, match=r"is a folder; give a file|no such file|cannot be read"):
        list(read_json_objects(tmp_path / name))


def packed(path: Path, pieces: Iterable[bytes]) -> None:
    with gzip.open(path, "wb", compresslevel=9) as file:
        for piece in pieces:
            file.write(piece)


@pytest.mark.parametrize("kind", ["one long line", "many lines", "one array", "no line end"])
def test_small_gzip_file_that_unpacks_to_gigabytes_is_refused_in_little_memory(tmp_path: Path, kind: str) -> None:
    block = b"x" * 2**20
    pieces = {
        "one long line": [b'{"id": "', *[block] * 400, b'"}\n'],
        "many lines": [(b"{" + b" " * 4_096 + b"}\n") * 256] * 400,
        "one array": [b"[", *[b'"x",' * 2**18] * 200, b"1]"],
        "no line end": [block] * 400,
    }[kind]
    name = "bomb.json.gz" if kind == "one array" else "bomb.jsonl.gz"
    packed(tmp_path / name, pieces)
    code = (
        "import sys, resource; from pathlib import Path; from selfplay.errors import DataError\n"
        "from selfplay.tasks.table_files import read_table\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: read_table(sys.argv[1], Path('.'))\n"
        "except DataError as error: print(error)\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)\n"
    )
    bound = lambda: resource.setrlimit(resource.RLIMIT_CPU, (60, 60))  # noqa: E731
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / name)], capture_output=True, text=True, check=True, preexec_fn=bound
    )
    said, megabytes = done.stdout.splitlines()
    assert any(word in said for word in ("bytes in one line; split it", "unpack it", "JSON Lines"))
    assert int(megabytes) < 300


def test_large_but_honest_gzip_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonlines, "FREE_BYTES", 1_000)
    lines = b"".join(json.dumps({"id": n, "text": f"{n * 7919 % 1009} apples"}).encode() + b"\n" for n in range(3_000))
    assert len(rows_of(tmp_path, gzip.compress(lines), "f.jsonl.gz")) == 3_000
    with pytest.raises(DataError, match=r"gzip file of \d+ bytes holds .*more than 100 times as many; .*unpack it"):
        rows_of(tmp_path, gzip.compress(b"{}\n" * 100_000), "f.jsonl.gz")


def test_table_of_too_many_rows_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_files, "MAX_ROWS", 3)
    (tmp_path / "f.jsonl").write_bytes(GOOD * 3)
    assert len(read_table("f.jsonl", tmp_path).rows) == 3
    (tmp_path / "f.jsonl").write_bytes(GOOD * 4)
    with pytest.raises(DataError, match=r"f\.jsonl: holds over 3 rows, which are held in memory; give a part of them"):
        read_table("f.jsonl", tmp_path)


# ---- recorded replies, and files of texts by round ----


def test_recorded_replies_are_read_with_byte_order_mark_and_half_characters(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_bytes(BOM + b'{"task_id": "a", "text": "x\\ud800", "score": NaN}\r\n\r\n{"task_id": "a", "text": "y"}')
    with Recorded(path) as backend:
        [texts] = backend.complete([Request(task_id="a", prompt="")], n=2, sampling=Sampling(), seed=0)
    assert [one.text for one in texts] == ["x?", "y"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (nested(150), r"r\.jsonl:1: is nested 151 deep"),
        (b'{"task_id": "a", "text": "x", "text": "y"}', r"r\.jsonl:1: .*given twice"),
        (b'{"task_id": "a", "text": 7}', r"r\.jsonl:1: text is no text, \[7\]; give a string"),
        (b'{"task_id": "a"}', r"r\.jsonl:1: has no text, only task_id; name the field"),
        (b"\n\n", r"r\.jsonl: holds no recorded attempts"),
    ],
)
def test_bad_recorded_replies_are_refused(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "r.jsonl").write_bytes(content)
    with pytest.raises(DataError, match=says):
        Recorded(tmp_path / "r.jsonl")


def texts_by_round(rounds: Iterable[str]) -> bytes:
    return "".join(
        f'{{"round": {number}, "text": "a b c d {place} e f g"}}\n' for place, number in enumerate(rounds)
    ).encode()


SOUND = texts_by_round(["0"] * 40 + ["1"] * 40)


@pytest.mark.parametrize(
    "content",
    [
        BOM + SOUND,
        SOUND.replace(b"\n", b"\r\n"),
        SOUND.replace(b"\n", b"\n\n \n"),
        SOUND[:-1],
        texts_by_round(['"0"'] * 40 + ['" 1 "'] * 40),
        texts_by_round(["0.0"] * 40 + ["1.0"] * 40),
    ],
)
def test_collapse_reads_files_as_people_have_them(
    tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "t.jsonl").write_bytes(content)
    assert collapse(tmp_path / "t.jsonl", as_json=True) == 0
    assert [row["round"] for row in json.loads(capsys.readouterr().out)["rounds"]] == [0, 1]


@pytest.mark.parametrize(
    ("last", "says"),
    [
        (texts_by_round(["-1"]), r"t\.jsonl:81: the round in field 'round' is -1, but rounds count from 0"),
        (texts_by_round(['"-3"']), r"t\.jsonl:81: the round .* is -3"),
        (texts_by_round(["1" + "0" * 30]), r"t\.jsonl:81: the round .* but rounds count from 0 to 1000000"),
        (texts_by_round(["1e300"]), r"t\.jsonl:81: the round .* but rounds count from 0"),
        (texts_by_round(["NaN"]), r"t\.jsonl:81: no round in field 'round', nan is not a whole number; give --round-field"),
        (texts_by_round(["Infinity"]), r"t\.jsonl:81: no round .* inf is not a whole number"),
        (texts_by_round(["1.5"]), r"1\.5 is not a whole number"),
        (texts_by_round(["null"]), r"None is not a whole number"),
        (texts_by_round(["true"]), r"True is not a whole number"),
        (texts_by_round(['"--3"']), r"'--3' is not a whole number"),
        (texts_by_round(['"\u00b2"']), r"is not a whole number"),
        (texts_by_round(["[1]"]), r"\[1\] is not a whole number"),
        (b'{"text": "x"}\n', r"t\.jsonl:81: no round in field 'round', it has fields \['text'\]; give --round-field"),
        (b'{"round": 1, "text": 5}\n', r"t\.jsonl:81: no text in field 'text', it is a int; give --text-field"),
        (b'{"round": 1, "te', r"t\.jsonl:81: is not JSON"),
        (nested(200), r"t\.jsonl:81: is nested 201 deep"),
    ],
)  # fmt: skip
def test_collapse_refuses_a_bad_row_with_its_line(tmp_path: Path, last: bytes, says: str) -> None:
    (tmp_path / "t.jsonl").write_bytes(SOUND + last)
    with pytest.raises(DataError, match=says):
        collapse(tmp_path / "t.jsonl")


@pytest.mark.parametrize("content", [b"", BOM, b"\n\r\n"])
def test_collapse_says_that_a_file_is_empty(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.jsonl").write_bytes(content)
    with pytest.raises(DataError, match=r"t\.jsonl: has no row"):
        collapse(tmp_path / "t.jsonl")


# ---- configurations ----


def doubled(levels: int) -> str:
    """Each list holds the one before ten times."""
    return "".join(f"k{n}: &k{n} [{', '.join([f'*k{n - 1}' if n else 'x'] * 10)}]\n" for n in range(levels))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (doubled(12), r"c\.yaml:\d+:\d+: is one of more than 20000 values, counting those of an alias .* at each use"),
        ("a: &a [*a]\n", r"c\.yaml:1:\d+: is nested more than 40 levels deep, or contains itself through an alias; nest it less"),
        ("a: &a {b: *a}\n", r"c\.yaml:1:\d+: is nested more than 40 levels deep"),
        ("a: " + "[" * 240_000, r"c\.yaml: is nested too deeply; nest at most 40 levels"),
        ("a: " + "{b: " * 60_000, r"c\.yaml: is nested too deeply"),
        ("".join(" " * n + "a:\n" for n in range(60)), r"c\.yaml:42:42: is nested more than 40 levels deep"),
        (CONFIG + "x: " + "y" * 300_000, r"c\.yaml: has more than 256000 bytes, too many for a configuration; give the path of"),
        (CONFIG + "rounds: " + "9" * 5_000, r"c\.yaml:5:9: rounds is 9{20}\.\.\. of 5000 characters, which is not a usable number"),
        (CONFIG + "rounds: 0x" + "f" * 5_000, r"rounds is 0xf+\.\.\. of 5002 characters, which is not a usable number"),
        (CONFIG + "seed: 1e999", r"c\.yaml:5:7: seed is 1e999, which is not a usable number; write a smaller number"),
        (CONFIG + "seed: .nan", r"seed is \.nan, which is not a usable number"),
        (CONFIG + "seed: -.inf", r"seed is -\.inf, which is not a usable number"),
        (CONFIG + 'seed: !!int "&a [*a]"', r"seed is &a \[\*a\], which is not a usable number"),
        (CONFIG + "seed: !!python/object/apply:os.getcwd []", r"seed is \[\], must be a valid integer"),
        (CONFIG + "eval: &e {samples: 2}\ncorrect: {<<: *e}", r"c\.yaml:6:11: correct\.<< is a merge key.*; write the keys out"),
        (CONFIG + "? [a, b]\n: 1\n", r"c\.yaml:5:3: has a key that is not plain text; write plain keys"),
        (CONFIG + 'name: "a\0"', r"c\.yaml: is not valid YAML \(unacceptable character"),
        (CONFIG + "name: 1:30", r"name is '1:30', string should match"),
    ],
)  # fmt: skip
def test_bad_configuration_is_refused_with_place_and_remedy(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=says):
        load_config(path)


def test_all_bad_numbers_of_a_configuration_are_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG + "seed: .inf\nrounds: 1e999\n", encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        load_config(tmp_path / "c.yaml")
    assert [line.split(": ")[1].split()[0] for line in str(refused.value).splitlines()] == ["seed", "rounds"]


def test_configuration_with_byte_order_mark_and_small_aliases_is_read(tmp_path: Path) -> None:
    text = CONFIG + "generate: {samples_per_task: &n 2}\neval: {samples: *n}\n"
    (tmp_path / "c.yaml").write_bytes(BOM + text.replace("\n", "\r\n").encode())
    config = load_config(tmp_path / "c.yaml").config
    assert (config.generate.samples_per_task, config.eval.samples) == (2, 2)


@pytest.mark.parametrize("value", ["[" * 3_000, "[" * 3_000 + "]" * 3_000, "9" * 5_000, "&a [*a]", ".inf"])
def test_bad_override_is_refused(tmp_path: Path, value: str) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"^command line"):
        load_config(tmp_path / "c.yaml", [f"seed={value}"])
