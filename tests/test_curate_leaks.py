"""Evaluation text found in every disguise, and little else; on the shared rows and on hand-made ones."""

import gzip
import json
import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfplay.curate import decontaminate
from selfplay.curate.eval_index import Protected

QUESTION = "Maria picks 14 baskets of ripe cherries before lunch and twice as many after it. Each basket weighs 3 kg. How heavy is her whole harvest?"
ANSWER = (
    "After lunch she picks 14*2=<<14*2=28>>28 baskets.\nAltogether she fills 14+28=<<14+28=42>>42 baskets.\n"
    "They weigh 42*3=<<42*3=126>>126 kg.\n#### 126"
)
CODE = {
    "prompt": 'def keep_long(words, least):\n    """Keep the words that have at least so many letters."""\n',
    "canonical_solution": (
        "    found = []\n    for word in words:\n        if len(word) >= least:\n            found.append(word)\n    return found\n"
    ),
}
ROWS = [{"question": QUESTION, "answer": ANSWER, "id": "17"}, CODE]


def rules(text: str, rows: object = ROWS) -> list[tuple[str, int]]:
    return [(hit.rule, hit.of) for hit in decontaminate.find([text], rows)]


def test_each_disguise_is_named():
    assert rules(f"{QUESTION}\n{ANSWER}") == [("exact", 0)]
    assert rules(QUESTION.upper().replace(" ", "  ").replace(".", "").replace("?", "")) == [("spacing_case", 0)]
    assert rules(QUESTION.replace("14", "21").replace("3", "10")) == [("numbers", 0)]
    assert rules(f"Here is one. {QUESTION} Think.") == [("in_context", 0)]
    assert rules(QUESTION[: len(QUESTION) // 2] + " ... What comes next?") == [("half", 0)]
    assert rules("Solution:\n" + ANSWER) == [("answer_only", 0)]
    assert rules(CODE["prompt"] + CODE["canonical_solution"]) == [("code_exact", 1)]
    body = "    out = []\n    for item in items:\n        if len(item) >= size:\n            out.append(item)\n    return out\n"
    renamed = "def pick(items, size):\n" + body
    assert rules("Sure, here it is:\n\n" + renamed + "\nThat is all.") == [("code_renamed", 1)]
    assert rules("A farmer has 14 sheep and sells 3 of them. How many are left?\n14-3=11\n#### 11") == []


def test_span_is_what_is_shared_in_characters_of_the_text_itself():
    text = f"Überschrift: “né”. {QUESTION} Ende."
    (hit,) = decontaminate.find([text], [QUESTION])
    assert text[slice(*hit.span)] == QUESTION[:-1]
    (hit,) = decontaminate.find(["x", "İİ " + text], [QUESTION])
    assert hit.row == 1 and ("İİ " + text)[slice(*hit.span)] == QUESTION[:-1]


def test_texts_strings_records_and_an_index_are_searched_alike():
    text = f"{QUESTION}\n{ANSWER}"
    for rows in (ROWS, [QUESTION, "other words"], [f"{QUESTION}\n{ANSWER}"], Protected.of(ROWS)):
        assert [hit.of for hit in decontaminate.find([text, "nothing"], rows)] == [0]
    assert decontaminate.find([text], []) == [] == decontaminate.find([], ROWS)
    assert decontaminate.find([text, ""], ["", {}, {"question": ""}]) == []


def test_a_template_is_found_with_its_own_numbers_only():
    panel = [
        f"Sort the list [{a}, {a + 3}, {a * 2}] in rising order and leave out every number that stands in it twice"
        for a in (4, 9, 25)
    ]
    assert rules(panel[1], panel) == [("exact", 1)]
    assert rules("Please: " + panel[2].upper(), panel) == [("spacing_case", 2)]
    assert rules(panel[0].replace("4", "5"), panel) == []
    assert rules("12+34=", ["12+34="]) == [("exact", 0)]
    assert rules("12-34=", ["12+34="]) == [] == rules("so 12+34= what", ["12+34="])


def test_short_answers_are_not_looked_for():
    assert rules("the answer is 42", [{"question": QUESTION, "answer": "42"}]) == []
    assert rules("yes", [{"prompt": QUESTION, "reference": "yes"}]) == []


def test_rules_can_be_limited():
    text = QUESTION.replace("14", "21")
    assert decontaminate.find([text], ROWS, rules=("exact", "half")) == []


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.lists(st.text(max_size=40), max_size=6), st.lists(st.text(max_size=40), max_size=4))
def test_any_texts_are_searched_and_hits_lie_inside(texts, rows):
    for hit in decontaminate.find(texts, rows):
        low, high = hit.span
        assert 0 <= low < high <= len(texts[hit.row]) and 0 <= hit.of < len(rows)


def test_hits_do_not_depend_on_what_else_is_in_the_batch():
    rng = random.Random(2)
    filler = [
        " ".join(f"w{chr(97 + rng.randrange(26))}{chr(97 + rng.randrange(26))}" for _ in range(400)) for _ in range(300)
    ]
    texts = [*filler[:150], QUESTION, *filler[150:], "x " + QUESTION]
    found = decontaminate.find(texts, ROWS)
    assert [hit.row for hit in found] == [150, 301]
    assert [decontaminate.find([texts[hit.row]], ROWS)[0].span for hit in found] == [hit.span for hit in found]


def test_a_text_of_ten_megabytes_and_control_characters_are_read():
    assert rules(QUESTION + "\x00\x1b word" * 1_000_000)[0] == ("exact", 0)


def load(path: Path) -> list[dict]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def planted(shared_data):
    test = load(shared_data / "gsm8k" / "test_first500.jsonl.gz")
    human = load(shared_data / "humaneval" / "HumanEval_000-099.jsonl.gz")
    return load(shared_data / "leaks" / "mixed.jsonl.gz"), test, human


@pytest.mark.parametrize("form", ["records", "joined"])
def test_planted_rows_are_found_and_the_others_are_not(planted, form):
    rows, test, human = planted
    names = [f"gsm8k_test/{row['index']}" for row in test] + [row["task_id"] for row in human]
    joined = [f"{r['question']}\n{r['answer']}" for r in test] + [r["prompt"] + r["canonical_solution"] for r in human]
    hits = decontaminate.find([row["text"] for row in rows], [*test, *human] if form == "records" else joined)
    found = {(hit.row, names[hit.of]) for hit in hits}
    total = Counter(row["leak"] for row in rows)
    right = Counter(row["leak"] for i, row in enumerate(rows) if (i, row["of"]) in found)
    for leak in ("exact", "spacing_case", "in_context", "code_exact"):
        assert right[leak] == total[leak]
    for leak in ("half", "numbers", "answer_only", "code_renamed"):
        assert right[leak] >= 0.95 * total[leak]
    false = {hit.row for hit in hits if rows[hit.row]["leak"] == "none"}
    assert len(false) <= 0.01 * total["none"]
    if form == "records":
        named = sum(
            any(h.row == i and h.rule == row["leak"] for h in hits)
            for i, row in enumerate(rows)
            if row["leak"] != "none"
        )
        assert named >= 0.95 * (len(rows) - total["none"])


def test_unrelated_training_rows_and_other_code_are_left_alone(planted, shared_data):
    _, test, human = planted
    index = Protected.of([*test, *human])
    train = load(shared_data / "gsm8k" / "train.jsonl.gz")[900:4000]
    hits = decontaminate.find([f"{r['question']}\n{r['answer']}" for r in train], index)
    assert len({hit.row for hit in hits}) <= 0.005 * len(train)
