"""The audit by the structure of checks: which rejections can be overturned, what the filter in use kept, and what is left out."""

import json
from pathlib import Path
from typing import Any

import pytest

from selfplay import open_run
from selfplay.phases.audit.rechecks import (
    ONLY_NESTED,
    UNVERIFIED,
    Recheck,
    Scope,
    notes_of,
    populations_of,
    recheck_figures,
)
from selfplay.records import Attempt, Outcome, Task
from selfplay.runtime.attempts import VerifiedAttempt
from selfplay.verify import Judged
from selfplay.verify.nested import can_overturn
from selfplay.verify.strengthen import strengthened
from tests.support.servers import Act, Body, ScriptedServer, reply
from tests.support.teachers import play, written

MATH = {"type": "math", "answer": "7"}
CODE = {"type": "code_tests", "entry_point": "f", "cases": [[[1], 2], [[2], 3]]}
MORE = {**CODE, "cases": [*CODE["cases"], [[5], 6]]}  # type: ignore[misc]
ASSERTS = {"type": "code_tests", "entry_point": "f", "source": "assert f(1) == 2"}
JUDGE = {"type": "judge", "rubric": "right"}
WORDS = {"type": "heuristic", "repetition": 0.3}
P, F, I, A, E = Outcome.PASS, Outcome.FAIL, Outcome.INVALID, Outcome.ABSTAIN, Outcome.ERROR


def of(kind: str, *parts: Any) -> dict[str, Any]:
    return {"type": kind, "of": list(parts)}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (MATH, MATH),
        (CODE, MORE),
        (CODE, strengthened(CODE, [((5,), 6)])),
        (CODE, of("all", MORE, JUDGE)),
        (of("all", WORDS, CODE), of("all", WORDS, strengthened(CODE, [((5,), 6)]))),
        (of("first", MATH, CODE), of("first", MATH, MORE)),
        (of("any", MATH, CODE), MORE),
        (ASSERTS, {**ASSERTS, "source": "assert f(1) == 2\nassert f(2) == 3"}),
        ({**MATH, "tolerance": 0.1}, {**MATH, "tolerance": 0.01}),
        ({**CODE, "atol": 0.1}, {**MORE, "strict": True}),
        (MATH, of("all", {**MATH, "near_misses": ["8"]}, WORDS)),
    ],
)
def test_second_check_that_contains_the_first_can_overturn_no_rejection(first: Any, second: Any) -> None:
    assert not can_overturn(first, second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (MATH, JUDGE),
        (JUDGE, MATH),
        (MATH, {**MATH, "answer": "8"}),
        (MORE, CODE),
        (CODE, {**MORE, "entry_point": "g"}),
        (CODE, of("any", CODE, JUDGE)),
        (of("all", MATH, WORDS), MATH),
        (MATH, of("first", JUDGE, MATH)),
        ({**MATH, "tolerance": 0.01}, {**MATH, "tolerance": 0.1}),
        (ASSERTS, {**ASSERTS, "source": "assert f(2) == 3"}),
        ({"type": "python:mine:loose"}, {"type": "python:mine:exact"}),
        ({**CODE, "strict": True}, MORE),
    ],
)
def test_check_of_another_kind_or_a_looser_one_can_overturn_a_rejection(first: Any, second: Any) -> None:
    assert can_overturn(first, second)


def test_second_judge_overturns_where_the_same_judge_would_not() -> None:
    for check in (JUDGE, of("all", WORDS, JUDGE), of("first", JUDGE, MATH)):
        assert not can_overturn(check, check)
        assert can_overturn(check, check, second_judge=True)


# ---- what the filter in use did with the attempts ----

Words = list[tuple[Outcome, str]]


def figures_of(
    first: Words, second: list[Outcome], scopes: dict[str, Scope], *, verified_only: bool = True
) -> tuple[dict[str, float], list[str]]:
    """Figures and notes of attempts, each with outcome and task; `second` judges those that are sampled, in order."""
    verified = [
        VerifiedAttempt(
            task_id=task,
            attempt=n,
            finish_reason="length" if task.endswith("cut") else "stop",
            outcome=word,
            verdicts=(),
        )
        for n, (word, task) in enumerate(first)
    ]
    populations = populations_of(verified, scopes)
    rechecks = [
        Recheck(Task(id=one.task_id, prompt="?", check=MATH), _attempt(one), one.outcome, scope)  # type: ignore[call-arg]
        for scope, population in populations.items()
        for side in ("accepted", "rejected")
        for one in (verified[place] for place in population.places[side])  # type: ignore[index]
    ]
    judged = [Judged((), word) for word in second]
    found = recheck_figures(rechecks, judged, populations, verified_only=verified_only)
    return found, notes_of(populations, found, rechecks, verified_only)


def _attempt(one: VerifiedAttempt) -> Attempt:
    return Attempt(task_id=one.task_id, attempt=one.attempt, round=1, text="A: 7")


def shown(figures: dict[str, float]) -> set[str]:
    names = {key.partition("/")[2] for key in figures if not key.endswith(("_lo", "_hi"))}
    return names - {"verifier_checked", "verifier_overturned", "verifier_undecided"}


def test_filter_in_use_rejects_what_was_cut_off_and_what_no_verifier_decided() -> None:
    scopes: dict[str, Scope] = {"t": "independent", "t-cut": "independent"}
    first = [(P, "t")] * 4 + [(F, "t")] * 2 + [(A, "t")] * 2 + [(E, "t")] * 3 + [(I, "t-cut")] * 4 + [(P, "other")] * 9
    found, notes = figures_of(first, [P, P, P, F, P, F, P, F], scopes)
    assert found["collapse_quality/verifier_tpr"] == pytest.approx(3 / 5)
    assert found["collapse_quality/verifier_fpr"] == pytest.approx(1 / 7)
    assert found["collapse_quality/verifier_youden_j"] == pytest.approx(3 / 5 - 1 / 7)
    assert found["collapse_quality/verifier_error"] == pytest.approx(7 / 12), "an outage counts nowhere"
    assert found["collapse_quality/verifier_checked"] == 8
    assert found["collapse_quality/verifier_overturned"] == 2, "an abstention is no verdict"
    assert notes == []


def test_rejections_by_contained_checks_are_wrong_ones_and_the_true_positive_rate_is_left_out() -> None:
    found, notes = figures_of(
        [(P, "t")] * 4 + [(F, "t")] * 5 + [(I, "t-cut")], [P, P, F, F], {"t": "nested", "t-cut": "nested"}
    )
    assert shown(found) == {"verifier_fpr", "verifier_error", "verifier_precision"}
    assert found["collapse_quality/verifier_fpr"] == pytest.approx(2 / 8)
    assert found["collapse_quality/verifier_error"] == pytest.approx(8 / 10)
    assert notes == [ONLY_NESTED]


def test_mixed_round_measures_the_tasks_whose_rejections_can_be_overturned_and_shows_the_others_apart() -> None:
    first = [(P, "a")] * 4 + [(F, "a")] * 4 + [(P, "b")] * 4 + [(F, "b")] * 2
    found, _ = figures_of(first, [P, P, P, F, P, F, F, F, P, P, F, F], {"a": "independent", "b": "nested"})
    assert found["collapse_quality/verifier_tpr"] == pytest.approx(3 / 4)
    assert found["collapse_quality/verifier_fpr"] == pytest.approx(1 / 4)
    assert found["collapse_quality/verifier_fpr_nested"] == pytest.approx(2 / 4)


def test_unverified_run_has_no_filter_and_so_no_rates() -> None:
    found, notes = figures_of(
        [(P, "t")] * 4 + [(F, "t")] * 4, [P] * 3 + [F] * 5, {"t": "independent"}, verified_only=False
    )
    assert shown(found) == {"verifier_error"}
    assert notes == [UNVERIFIED]


@pytest.mark.parametrize(
    ("first", "second", "left", "says"),
    [
        ([(F, "t")] * 8, [P, F] * 4, {"verifier_tpr", "verifier_fpr", "verifier_youden_j", "verifier_error"}, ""),
        ([(P, "t")] * 8, [P, F] * 4, {"verifier_tpr", "verifier_fpr", "verifier_youden_j", "verifier_error"}, ""),
        ([(P, "t")] * 8, [P] * 8, {"verifier_tpr", "verifier_error"}, "only right attempts"),
        ([(P, "t")] * 4 + [(F, "t")] * 4, [A] * 8, set(), "decided none of 8 attempts"),
        (
            [(P, "t")] * 4 + [(F, "t")] * 4,
            [P, F, P, P, *[E] * 4],
            set(),
            "decided none of the accepted or of the rejected",
        ),
        ([(I, "t-cut")] * 8, [], {"verifier_fpr", "verifier_error"}, "only wrong ones"),
        ([(E, "t")] * 8, [], set(), ""),
        ([], [], set(), ""),
    ],
    ids=[
        "none accepted",
        "none rejected",
        "all right",
        "abstains on all",
        "one side undecided",
        "all cut",
        "outage",
        "none",
    ],
)
def test_what_the_audit_cannot_know_is_left_out_and_said(
    first: Words, second: list[Outcome], left: set[str], says: str
) -> None:
    found, notes = figures_of(first, second, {"t": "independent", "t-cut": "independent"})
    assert shown(found) - {"verifier_precision", "breakdown_error", "breakdown_error_margin"} == left
    assert says in " ".join(notes) and bool(says) == bool(notes)
    assert all(found[key[:-3] + "_lo"] < found[key] for key in found if key.endswith("_hi"))


# ---- in the loop ----

SUMS = """\
rounds: 1
tasks: {source: arithmetic, anchor: 20, held_out: 8}
student: {kind: scripted, skill: 0.5}
propose: {tasks_per_round: 16}
generate: {samples_per_task: 2, chunk_tasks: 8}
train: {epochs: 1, start: continue}
eval: {samples: 0}
gate: {action: observe}
tracking: {mode: disabled}
verify: {check: {type: "python:tests.support.verifiers_of_tests:yes"}}
"""


WRITTEN = """\
rounds: 1
tasks: {{source: jsonl, train: t.jsonl, anchor: a.jsonl}}
student: {{kind: tiny, hidden_size: 32, layers: 1, vocab_size: 300}}
generate: {{samples_per_task: 1, max_new_tokens: 16, backend: {{kind: http, url: "{url}", model: big}}}}
curate: {{privacy: "off", decontaminate: false, dedup: [exact]}}
train: {{steps: 1, warmup: {{steps: 1}}, start: continue}}
eval: {{samples: 0}}
gate: {{action: observe}}
audit: {{share: 1.0, canaries: 0}}
launch: {{device: cpu, threads: 1}}
tracking: {{mode: disabled}}
"""


def test_control_arm_writes_no_rates_of_a_filter_that_nobody_used_and_says_why(tmp_path: Path) -> None:
    play(written(tmp_path, SUMS + "audit: {share: 1.0, canaries: 0}\n"), tmp_path, "curate.verified_only=false")
    last = open_run(tmp_path / "runs/a").metrics()[-1]
    assert shown({key: value for key, value in last.items() if "/verifier_" in key}) == {"verifier_error"}
    done = json.loads((tmp_path / "runs/a/rounds/001/audit/DONE").read_text())
    assert done["notes"] == [UNVERIFIED]


def test_verifier_that_passes_everything_has_a_youden_j_whose_interval_holds_zero(tmp_path: Path) -> None:
    play(written(tmp_path, SUMS + "audit: {share: 1.0, canaries: 0}\n"), tmp_path)
    last = open_run(tmp_path / "runs/a").metrics()[-1]
    assert last["collapse_quality/verifier_youden_j"] == 0
    assert last["collapse_quality/verifier_youden_j_lo"] < 0 < last["collapse_quality/verifier_youden_j_hi"]


def add_one(body: Body, number: int) -> Act:
    """Right programs, ones that only the visible case lets through, wrong ones, and replies that are cut off."""
    kind = number % 4
    text = f"def f(x):\n    return {('x + 1', '2', 'x', 'x + 1')[kind]}\n"
    return reply(body, *[text] * body.get("n", 1), finish="length" if kind == 3 else "stop")


@pytest.mark.prove
def test_programs_that_further_cases_judge_again_have_a_false_positive_rate_alone(tmp_path: Path) -> None:
    check = {"type": "code_tests", "entry_point": "f", "cases": [[[1], 2]], "hidden_cases": [[[5], 6], [[-3], -2]]}
    rows = [{"id": f"t{n}", "prompt": f"Write f, variant {n}\n", "verifier": check} for n in range(32)]
    anchor = [{**row, "id": f"a{n}", "reference": "def f(x):\n    return x + 1\n"} for n, row in enumerate(rows[:8])]
    for name, part in (("t", rows), ("a", anchor)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    with ScriptedServer(add_one) as writer:
        config = WRITTEN.format(url=writer.url)
        play(written(tmp_path, config), tmp_path)
    last = open_run(tmp_path / "runs/a").metrics()[-1]
    assert "collapse_quality/verifier_tpr" not in last and "collapse_quality/verifier_youden_j" not in last
    assert last["collapse_quality/verifier_fpr"] == pytest.approx(1 / 3, abs=0.1), "x, 2 and what was cut off are wrong"
    assert last["collapse_quality/verifier_error"] == pytest.approx(3 / 4, abs=0.1)
    assert last["collapse_quality/verifier_fpr_lo"] > 0 and last["collapse_quality/verifier_undecided"] == 0
