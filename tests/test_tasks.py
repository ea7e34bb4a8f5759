"""Task sources: bad files are told with their place, held-out parts stay apart, real data sets are read as published."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from selfplay.errors import DataError
from selfplay.models.recorded import Recorded
from selfplay.records import Attempt, Outcome
from selfplay.tasks import Source
from selfplay.tasks.arithmetic import Arithmetic
from selfplay.tasks.gsm8k import Gsm8k, Gsm8kRecorded
from selfplay.tasks.humaneval import HumanEval
from selfplay.tasks.jsonl import JsonlTasks
from selfplay.tasks.mbpp import Mbpp
from selfplay.tasks.table_files import read_table
from selfplay.verify import admit, code_tests, verify
from selfplay.verify.math_answer import MathAnswer

LINE: dict[str, Any] = {
    "id": "a",
    "prompt": "2 + 2\n",
    "verifier": {"type": "math", "answer": "4"},
    "reference": "A: 4",
}


def lines(*rows: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def numbered(count: int, **more: Any) -> bytes:
    return lines(*({**LINE, "id": f"t{n}", **more} for n in range(count)))


def opened(folder: Path, content: bytes | None, name: str = "t.jsonl", **more: str) -> Source:
    if content is not None:
        (folder / name).write_bytes(content)
    return JsonlTasks(source="jsonl", train=name, **more).open(seed=0, eval_seed=1, folder=folder)


def without(key: str) -> bytes:
    return lines(LINE, {k: v for k, v in {**LINE, "id": "b"}.items() if k != key})


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, r"t\.jsonl: no such file \(looked in .*correct the path"),
        (b"", r"t\.jsonl: is empty; give a file with one JSON object a line"),
        (b"\n \n", r"t\.jsonl: is empty"),
        (without("verifier"), r"t\.jsonl:2: task has no verifier; add answer, verifier"),
        (without("prompt"), r"t\.jsonl:2: the line needs exactly one of prompt and messages; correct the line"),
        (without("id"), r"t\.jsonl:2: id is missing; add it"),
        (lines({**LINE, "verifier": {"answer": "4"}}), r"t\.jsonl:1: .*verifier has no type; give verifier"),
        (lines({**LINE, "promt": "x"}), r"t\.jsonl:1: promt is 'x', but there is no such key; did you mean prompt\?"),
        (lines({**LINE, "split": "panel"}), r"t\.jsonl:1: split is 'panel', should be 'train', "),
        (numbered(2) + b'{"id": \n', r"t\.jsonl:3: is not JSON"),
        (b"[" * 100_000 + b"\n", r"t\.jsonl:1: is nested 100000 deep; nest at most 100 deep"),
        (b"[1]\n", r"t\.jsonl:1: is a list, not an object"),
        (lines(LINE, LINE), r"t\.jsonl:2: the id 'a' is used twice, first at .*t\.jsonl:1; ids must be unique"),
        (numbered(30) + b'{"id": "\xff"}\n', r"t\.jsonl:31: is not UTF-8 .*convert the file"),
        (numbered(1), r"t\.jsonl: leaves no training task beside the dev set; add tasks"),
        (
            numbered(20, reference=None) + lines({**LINE, "split": "anchor", "reference": None}),
            "anchor task 'a' has no reference",
        ),
    ],
)
def test_bad_task_file_is_told_with_its_place(tmp_path: Path, content: bytes | None, says: str) -> None:
    with pytest.raises(DataError, match=says):
        opened(tmp_path, content)


@pytest.mark.parametrize("broken", ["no gzip at all", "cut short", "no deflate inside"])
def test_broken_gzip_is_told(tmp_path: Path, broken: str) -> None:
    whole = gzip.compress(numbered(300), mtime=0)
    damaged = {
        "no gzip at all": numbered(3),
        "cut short": whole[: len(whole) // 2],
        "no deflate inside": whole[:10] + b"\x07" * 50,
    }
    with pytest.raises(DataError, match=r"t\.jsonl\.gz:\d+: the gzip file is broken .*fetch it again"):
        opened(tmp_path, damaged[broken], "t.jsonl.gz")
    with pytest.raises(DataError, match=r"t\.jsonl\.gz:\d+: the gzip file is broken"):
        Recorded(tmp_path / "t.jsonl.gz", id_field="id", text_field="prompt")


def test_text_may_hold_odd_line_ends(tmp_path: Path) -> None:
    row = {**LINE, "prompt": "a\u2028b\x85c\n"}
    content = json.dumps(row, ensure_ascii=False).encode() + b"\r\n" + numbered(3)
    assert opened(tmp_path, content).propose(None, None, 0).tasks[0].text in ("a\u2028b\x85c\n", "2 + 2\n")
    assert len(opened(tmp_path, content).fixed.dev) == 1


def test_every_tenth_line_is_the_panel_unless_the_lines_say_so(tmp_path: Path) -> None:
    source = opened(tmp_path, numbered(25))
    assert [task.id for task in source.fixed.dev] == ["t0", "t10", "t20"]
    assert len(source.propose(None, None, 0).tasks) == 22
    marked = opened(tmp_path, numbered(5) + lines({**LINE, "split": "dev"}, {**LINE, "id": "b", "split": "test"}))
    assert [task.id for task in marked.fixed.dev] == ["a"] and [task.id for task in marked.fixed.test] == ["b"]
    assert {task.split for task in (*marked.fixed.dev, *marked.fixed.test)} == {"dev", "test"}


def test_task_of_the_panel_file_is_never_trained_on(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_bytes(numbered(2))
    source = opened(tmp_path, numbered(6), dev="p.jsonl")
    assert [task.id for task in source.propose(None, None, 0).tasks] == ["t2", "t3", "t4", "t5"]
    assert {task.id for task in source.fixed.anchor} == {"t2", "t3", "t4", "t5"}
    assert set(source.fixed.files) == {"t.jsonl", "p.jsonl"}


def test_fingerprint_of_a_source_follows_the_content_of_its_files(tmp_path: Path) -> None:
    before = opened(tmp_path, numbered(6)).fixed.files
    assert opened(tmp_path, numbered(6)).fixed.files == before != opened(tmp_path, numbered(7)).fixed.files


def test_draw_is_the_same_for_a_seed_and_never_repeats_a_task(tmp_path: Path) -> None:
    source = opened(tmp_path, numbered(60))
    first, again, other = (source.propose(20, None, seed).tasks for seed in (1, 1, 2))
    ids = [task.id for task in first]
    assert first == again != other and ids == sorted(set(ids)) and len(ids) == 20
    assert len(source.propose(1000, None, 1).tasks) == 54


def test_difficulty_of_a_task_line_becomes_its_tag(tmp_path: Path) -> None:
    content = numbered(12, difficulty=3, tags={"topic": "sums"}) + lines(
        {**LINE, "tags": ["difficulty:7"]}, {**LINE, "id": "b"}
    )
    source = opened(tmp_path, content)
    assert source.pool[0].tags == ("topic:sums", "difficulty:3") and source.levels == {3, 7}
    assert [task.difficulty for task in source.pool[-2:]] == [7, None]
    tasks = source.propose(4, {3: 0.5, 7: 0.5}, 0).tasks
    assert [task.difficulty for task in tasks if task.difficulty == 7] == [7] and len(tasks) == 4


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (
            {"difficulty": "hard"},
            r't\.jsonl:1: difficulty is "hard", should be a whole number from 1 to 1000; correct it',
        ),
        ({"difficulty": 0}, "difficulty is 0, should be"),
        ({"difficulty": 2.5}, "difficulty is 2.5, should be"),
        ({"difficulty": True}, "difficulty is true, should be"),
        ({"difficulty": 1001}, "difficulty is 1001, should be"),
        ({"tags": ["difficulty:hard"]}, "difficulty is hard, should be"),
        ({"difficulty": 2, "tags": {"difficulty": 3}}, "difficulty is given as 2 and as 3; give it once"),
    ],
)
def test_difficulty_that_is_no_level_is_refused_with_its_place(tmp_path: Path, row: dict[str, Any], says: str) -> None:
    with pytest.raises(DataError, match=says):
        opened(tmp_path, lines({**LINE, **row}))


def arithmetic(seed: int = 0, eval_seed: int = 1, **more: int) -> Source:
    return Arithmetic(source="arithmetic", **more).open(seed=seed, eval_seed=eval_seed, folder=Path())


def test_arithmetic_is_deterministic_and_its_held_out_tasks_hang_on_the_eval_seed_alone() -> None:
    one, same, other = arithmetic(), arithmetic(), arithmetic(seed=5)
    assert one.fixed == same.fixed and one.propose(30, None, 9) == same.propose(30, None, 9)
    assert (one.fixed.dev, one.fixed.test) == (other.fixed.dev, other.fixed.test)
    assert one.fixed.anchor != other.fixed.anchor and one.fixed.dev != arithmetic(eval_seed=2).fixed.dev


def test_arithmetic_held_out_tasks_are_never_trained_on_and_refusals_are_counted() -> None:
    source = arithmetic(max_operations=1, held_out=1500, anchor=300)
    held = {task.id for task in (*source.fixed.dev, *source.fixed.test)}
    proposal = source.propose(400, None, 3)
    assert len(held) == 3000
    assert not held & {task.id for task in (*proposal.tasks, *source.fixed.anchor)}
    assert proposal.filtered > 0


def test_arithmetic_shares_by_operation_count_are_met() -> None:
    tasks = arithmetic().propose(400, {2: 0.75, 4: 0.25}, 3).tasks
    counts = [task.tag("difficulty") for task in tasks]
    assert set(counts) == {"2", "4"} and abs(counts.count("2") / 400 - 0.75) < 0.08


def test_arithmetic_tasks_hold_to_their_own_verifier() -> None:
    source = arithmetic()
    tasks = [*source.fixed.anchor, *source.fixed.dev]
    assert all(a.admitted for a in admit(tasks, [source.near_misses(t) for t in tasks], {"math": MathAnswer()}))


def test_gsm8k_is_read_as_published_and_its_parts_are_disjoint(shared_data: Path) -> None:
    section = Gsm8k(
        source="gsm8k", train="gsm8k/train.jsonl.gz", test="gsm8k/test_first500.jsonl.gz", anchor=100, dev=50
    )
    source = section.open(seed=0, eval_seed=1, folder=shared_data)
    train = source.propose(None, None, 0).tasks
    assert (len(train), len(source.fixed.dev), len(source.fixed.test)) == (7473 - 50, 50, 500)
    assert not {t.text for t in train} & {t.text for t in source.fixed.dev}
    assert all(task.reference is None for task in (*train, *source.fixed.dev))
    assert {task.difficulty for task in train} == set(source.levels) == set(range(2, 9))
    assert all(task.difficulty == min(8, str(task.reference).count("\n")) for task in source.fixed.anchor)
    assert not any("<<" in (task.reference or "") for task in (*source.fixed.anchor, *source.fixed.test))
    some = [*source.fixed.anchor[:60], *source.fixed.test]
    verdicts = admit(some, [source.near_misses(task) for task in some], {"math": MathAnswer()})
    assert [a for a in verdicts if not a.admitted] == []


def test_recorded_gsm8k_solutions_are_judged_as_their_graders_did(shared_data: Path) -> None:
    """All 2,000: four models' solutions of 500 problems, through the real `verify`."""
    path = "gsm8k/model_solutions_first500.jsonl.gz"
    section = Gsm8kRecorded(source="gsm8k_recorded", path=path, train="gsm8k/train.jsonl.gz")
    tasks = {t.id: t for t in section.open(seed=0, eval_seed=1, folder=shared_data).propose(None, None, 0).tasks}
    models = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")
    asked = [
        (tasks[f"gsm8k-test-{number}"], n, row[model]["solution"], row[model]["is_correct"])
        for number, (_, row) in enumerate(read_table(path, shared_data).rows)
        for n, model in enumerate(models)
    ]
    attempts = [Attempt(task_id=task.id, attempt=n, round=1, text=text) for task, n, text, _ in asked]
    judged = verify([task for task, *_ in asked], attempts, {"math": MathAnswer()})
    wrong = [
        a.id for a, j, (*_, right) in zip(attempts, judged, asked, strict=True) if (j.outcome is Outcome.PASS) != right
    ]
    assert len(attempts) == 2000 and wrong == []


def test_mbpp_is_read_as_published_with_held_out_parts(shared_data: Path) -> None:
    section = Mbpp(source="mbpp", path="mbpp/prompt_train_validation.jsonl.gz")
    source = section.open(seed=0, eval_seed=1, folder=shared_data)
    parts = [{t.id for t in part} for part in (source.fixed.anchor, source.fixed.dev, source.fixed.test)]
    assert all(parts) and not any(a & b for n, a in enumerate(parts) for b in parts[n + 1 :])
    for task in (*source.fixed.anchor, *source.fixed.dev, *source.fixed.test):
        assert code_tests.tests_of(task.check, task.id) and task.check["entry_point"] in (task.reference or "")
        assert all(test in task.text for test in str(task.check["source"]).splitlines() if test.startswith("assert "))
        assert len(source.near_misses(task)) == 2


def test_humaneval_is_only_ever_a_test_set(shared_data: Path) -> None:
    section = HumanEval(source="humaneval", path="humaneval/HumanEval_000-099.jsonl.gz")
    source = section.open(seed=0, eval_seed=1, folder=shared_data)
    assert source.propose(None, None, 0).tasks == [] and len(source.fixed.test) == 100
    assert not source.fixed.anchor and not source.fixed.dev
    assert all(t.check["prefix"] == t.text and "def check(" in t.check["source"] for t in source.fixed.test)


def test_table_of_another_shape_is_told_with_line_and_missing_field(shared_data: Path) -> None:
    section = HumanEval(source="humaneval", path="gsm8k/test_first500.jsonl.gz")
    with pytest.raises(DataError, match=r"gz:1: has no 'prompt' \(it has .*question.*\); is this the right file"):
        section.open(seed=0, eval_seed=1, folder=shared_data)
