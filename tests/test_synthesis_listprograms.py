"""List programs without a model: correction rows for the anchor, and evolved tasks; both come from the steps alone."""

import pytest

from selfplay.config.tree import Correct
from selfplay.phases.correct import failed_of, is_copy
from selfplay.prompts.correction import AGAIN, WRONG
from selfplay.records import Attempt, Outcome, Task, Verdict
from selfplay.runtime.attempts import VerifiedAttempt
from selfplay.tasks.list_programs import ListPrograms, ListProgramsSource
from selfplay.tasks.list_programs import programs as lp
from selfplay.tasks.list_programs.correcting import corrections, wrong_of
from selfplay.tasks.list_programs.evolving import WAYS, evolve
from selfplay.verify import Judged
from tests.support.list_programs import passes

EXCLUDE = frozenset(lp.sequence_of(task) for task in lp.held_out(0, 30))
MENDED = corrections(3, 80, EXCLUDE)
ANCHOR = lp.anchor(5, 150, EXCLUDE)


def test_correction_rows_show_a_wrong_program_and_teach_the_right_one() -> None:
    assert len({task.id for task in MENDED}) == 80
    for task in MENDED:
        assert task.text.endswith(AGAIN) and task.split == "anchor"
        assert not passes(wrong_of(task), task)
        assert passes(task.reference or "", task)
        assert not is_copy(wrong_of(task), task.reference or "")


def test_evidence_in_a_row_is_what_the_program_really_did_and_never_the_expected_value() -> None:
    for task in MENDED:
        said = task.text.partition(WRONG)[2].removesuffix(f"\n{AGAIN}")
        case = next(c for c in task.check["cases"] if said.startswith(f"f({c[0][0]}) gave "))
        names: dict[str, object] = {}
        exec(wrong_of(task), names)  # a program of ours
        assert said == f"f({case[0][0]}) gave {names['f'](list(case[0][0]))}"  # type: ignore[operator]
        assert str(case[1]) not in said.partition(" gave ")[2]


def test_a_row_has_the_very_form_that_the_correct_phase_asks_with() -> None:
    for row in MENDED[:20]:
        first = Attempt(task_id="plain", attempt=0, round=1, text=wrong_of(row))
        said = row.text.partition(f"{WRONG}f(")[2]
        number = next(n for n, c in enumerate(row.check["cases"]) if said.startswith(str(c[0][0])))
        came = said.partition(" gave ")[2].partition("\n")[0]
        evidence = f"case {number}: got {came}"
        verdict = Verdict(verifier="code_tests/1", outcome=Outcome.FAIL, reason="wrong_answer", evidence=evidence)
        plain_task = row.model_copy(update={"prompt": row.text.partition("def f(xs):")[0], "id": "plain"})
        rows = [(first, VerifiedAttempt.of(first, Judged((verdict,), Outcome.FAIL)))]
        [failed] = failed_of(Correct(attempts=1), {"plain": plain_task}, rows)
        assert failed.request.prompt == row.text


def test_rows_are_added_to_the_anchor_only_when_asked_for_and_leave_the_rest_alone() -> None:
    without = ListProgramsSource(ListPrograms(source="list_programs", anchor=40, per_length=4, human_text=5), 1, 1)
    section = ListPrograms(source="list_programs", anchor=40, per_length=4, human_text=5, correction_rows=12)
    with_rows = ListProgramsSource(section, 1, 1)
    assert list(with_rows.fixed.anchor[:40]) == list(without.fixed.anchor)
    assert len(with_rows.fixed.anchor) == 52
    assert list(with_rows.fixed.human_text) == list(without.fixed.human_text)
    for task in with_rows.fixed.anchor[40:]:
        assert not any(passes(miss, task) for miss in with_rows.near_misses(task))
    assert corrections(1, 0) == []


@pytest.mark.parametrize("way", WAYS)
def test_an_evolved_task_is_new_with_tests_that_its_parent_fails_and_names_the_parent(way: str) -> None:
    found = evolve(ANCHOR, ways=[way], seed=2, exclude=EXCLUDE)
    made = [one for one in found if one.task is not None]
    assert len(found) == len(ANCHOR) and len(made) > 0.7 * len(ANCHOR)
    known = {task.id for task in ANCHOR}
    for one in made:
        task = one.task
        assert task is not None and task.id not in known and task.parents == (one.parent.id,)
        known.add(task.id)
        names = lp.sequence_of(task)
        assert len(names) == 1 or names not in EXCLUDE
        assert task.tag("depth") == "1" and task.tag("evolved") == way
        assert passes(lp.solution(lp.chain_of(task)), task) and not passes(one.parent.reference or "", task)
    for one in found:
        assert (one.task is None) == bool(one.reason)


def test_evolution_repeats_by_seed_and_goes_on_in_depth() -> None:
    def tasks(seed: int, of: list[Task]) -> list[Task]:
        return [one.task for one in evolve(of, seed=seed, exclude=EXCLUDE) if one.task]

    assert tasks(1, ANCHOR) == tasks(1, ANCHOR) != tasks(2, ANCHOR)
    assert {task.tag("depth") for task in tasks(1, tasks(1, ANCHOR))} == {"2"}


def test_rarer_really_moves_into_the_tail() -> None:
    made = [one.task for one in evolve(ANCHOR, ways=["rarer"], seed=2) if one.task]
    assert all(lp.RARE.intersection(lp.sequence_of(task)) for task in made)
