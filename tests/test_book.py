"""A round's tasks as lines: the same tasks as the records, found by id, few of them parsed at a time."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfplay.errors import DataError
from selfplay.records import Task
from selfplay.tasks.book import TaskBook

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=12)
TASKS = st.lists(
    st.builds(
        lambda name, text, tags: Task(id=name, prompt=text, check={"type": "math", "answer": text}, tags=tags),
        TEXT,
        TEXT,
        st.lists(TEXT, max_size=3).map(tuple),
    ),
    unique_by=lambda task: task.id,
    max_size=12,
)


@given(TASKS)
@settings(derandomize=True, deadline=None)
def test_book_holds_the_tasks_sorted_and_reads_back_what_it_writes(tasks: list[Task]) -> None:
    book = TaskBook.of(tasks)
    again = TaskBook.read(book.lines)
    assert list(book) == list(again) == sorted(tasks, key=lambda task: task.id)
    assert [*book.ids] == [task.id for task in book] and all(again.named(task.id) == task for task in tasks)
    assert again[1:3] == list(again)[1:3] and (not tasks or again[-1] == book[len(book) - 1])


@given(TASKS, st.integers(0, 12))
@settings(derandomize=True, deadline=None)
def test_merged_book_is_the_book_of_both(tasks: list[Task], at: int) -> None:
    merged = TaskBook.of(tasks[:at]).merged(TaskBook.of(tasks[at:]))
    assert list(merged) == list(TaskBook.of(tasks))


def sums(count: int) -> list[Task]:
    return [Task(id=f"t{n:03d}", prompt=f"{n}", check={"type": "math", "answer": str(n)}) for n in range(count)]


def test_book_keeps_only_so_many_tasks_parsed_and_asks_for_each_change_once_while_it_is_kept() -> None:
    made: list[str] = []

    def change(task: Task) -> Task:
        made.append(task.id)
        return task.model_copy(update={"reference": "r"})

    plain = TaskBook.of(sums(20))
    book = TaskBook(plain.ids, [task.to_line().encode() for task in plain], change, kept=4)
    assert all(book.named("t003").reference == "r" for _ in range(3)) and made == ["t003"]
    assert [task.id for task in book] == [*book.ids] and len(book._parsed) == 4
    assert book.named("t003").reference == "r" and made.count("t003") == 2  # gone meanwhile, and made anew
    assert plain.changed(change)[7].reference == "r" and plain[7].reference is None
    assert plain.changed(change).lines == plain.lines


def test_book_says_what_is_not_in_it_or_not_right() -> None:
    book = TaskBook.of(sums(3))
    for name in ("t0015", "", "zz"):
        with pytest.raises(KeyError):
            book.named(name)
    with pytest.raises(IndexError):
        book[3]
    with pytest.raises(DataError, match="'t001' is used twice"):
        book.merged(TaskBook.of(sums(2)[1:]))
    lines = book.lines
    for broken in ([lines[1], lines[0]], [lines[0], lines[0]], [lines[0], lines[1][:-3]]):
        with pytest.raises(ValueError):
            TaskBook.read(broken)


def test_book_forgets_what_it_parsed_and_not_its_tasks() -> None:
    book = TaskBook.of(sums(20))
    before = list(book)
    assert len(book._parsed) == 20
    book.forget()
    assert len(book._parsed) == 0 and list(book) == before and book.named("t007") == before[7]
