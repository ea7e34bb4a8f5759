"""Second tries: evidence without the expected value, verified afresh, copies stay failed, killed anywhere they end the same."""

import json
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from selfplay import load_config, open_run
from selfplay import run as start
from selfplay.config.tree import Correct, Curate
from selfplay.curate import Archive
from selfplay.errors import ConfigError, OutageError
from selfplay.models.scripted import Scripted
from selfplay.phases.correct import correct, failed_of, is_copy, verify_second, wrong_step
from selfplay.phases.curate.select import Curation, curate_anchor, groups_of
from selfplay.phases.generate import generate
from selfplay.phases.verify import verify
from selfplay.prompts.correction import AGAIN, WRONG, evidence_of, plain, request_of
from selfplay.records import Attempt, Completion, Message, Outcome, Request, Task, Verdict
from selfplay.runtime.attempts import VerifiedAttempt, read_corrections
from selfplay.store.traces import read_rows, read_traces
from selfplay.tasks.arithmetic import arithmetic_task, solve
from selfplay.verify import Judged
from selfplay.verify.math_answer import MathAnswer
from tests.support.rounds import first_round
from tests.support.runs import CONFIG, end_state, play, spread

TASKS = sorted((arithmetic_task([50 + 9 * n, 7 * n + 1, 3], n % 2 == 0) for n in range(6)), key=lambda task: task.id)
CODE = Task(
    id="code",
    prompt="Write f.\n",
    check={"type": "code_tests", "entry_point": "f", "cases": [[[[1, 2]], [2, 3]], [[[5]], [6]]]},
)


def answer_of(task: Task) -> str:
    return str(task.check["answer"])


class Bytes:
    """Text to token ids for the tests: bytes, 256 as the end."""

    def prompt(self, request: Request) -> list[int]:
        return list((request.prompt or "").encode())

    def completion(self, text: str) -> list[int]:
        return [*text.encode(), 256]


First = Callable[[Task, int], str | Completion]
Second = Callable[[Task, Request], str | Completion]


class Workshop:
    """The phases up to curate on six sums, with a scripted student."""

    def __init__(self, folder: Path, first: First, second: Second, **settings: Any) -> None:
        self.folder = folder
        self.asked: list[Request] = []

        def reply(request: Request, sample: int, seed: int) -> str | Completion:
            if WRONG not in (request.prompt or ""):
                return first(next(t for t in TASKS if t.id == request.task_id), sample)
            self.asked.append(request)
            return second(next(t for t in TASKS if t.id == request.task_id.rpartition("/")[0]), request)

        self.ctx = first_round(
            folder,
            TASKS,
            Scripted(reply, identity="s"),
            {"math": MathAnswer()},
            generate={"samples_per_task": 2, "chunk_tasks": 4, "max_new_tokens": 64},
            verify={"max_error_share": 0.0},
            correct={"attempts": 1, **settings},
        )

    @property
    def round(self) -> Path:
        """The round's folder."""
        return self.ctx.run.round(1)

    def play(self) -> list[tuple[Attempt, Judged]]:
        """What the corrections came to."""
        for phase in (generate, verify, correct):
            phase(self.ctx)
        return [(one.attempt, one.judged) for chunk in read_corrections(self.ctx.finished("correct")) for one in chunk]

    def curate(self) -> dict[str, Any]:
        """The figures of curation."""
        anchor = [TASKS[0].model_copy(update={"reference": solve(TASKS[0].text)})]
        curate_anchor(anchor, Bytes(), self.ctx.run.phase(0, "curate"))
        curation = Curation(
            Curate(dedup=("exact",), drop_bottom_share=0.0, max_per_task=None),
            encoder=Bytes,
            archive=Archive(),
            screen=None,
            older=[],
            anchor=self.ctx.run.phase(0, "curate") / "anchor.parquet",
            seed=1,
            out=self.ctx.at("curate"),
            corrections=self.ctx.config.correct.format,
        )
        curation.run(groups_of(self.ctx))
        metrics: dict[str, Any] = json.loads((self.ctx.at("curate") / "DONE").read_text())["metrics"]
        return metrics


def half_wrong(task: Task, sample: int) -> str:
    return f"A: {answer_of(task)}" if sample else f"1 + 1 = 3\nA: {int(answer_of(task)) + 1}"


def mended(task: Task, request: Request) -> str:
    return f"A: {answer_of(task)}"


def test_each_failed_attempt_gets_one_second_try_numbered_on_and_tied_to_its_parent(tmp_path: Path) -> None:
    made = Workshop(tmp_path, half_wrong, mended).play()
    assert [a.task_id for a, _ in made] == [task.id for task in TASKS]
    assert {(a.turn, a.parent, a.attempt, a.round) for a, _ in made} == {(1, 0, 2, 1)}
    assert {j.outcome for _, j in made} == {Outcome.PASS}
    assert {a.chunk for a, _ in made} == {0, 1}, "chunk i corrects generation's chunk i"


def test_prompt_holds_task_attempt_and_evidence_and_never_the_answer(tmp_path: Path) -> None:
    shop = Workshop(tmp_path, half_wrong, mended)
    shop.play()
    for task, request in zip(TASKS, shop.asked, strict=True):
        prompt = request.prompt or ""
        assert prompt.startswith(task.text) and prompt.endswith(AGAIN)
        assert f"{WRONG}answered {int(answer_of(task)) + 1}; this step does not hold: 1 + 1 = 3\n" in prompt
        assert answer_of(task) not in prompt.removeprefix(task.text).split()


def test_copy_of_the_first_is_never_accepted_and_counted(tmp_path: Path) -> None:
    shop = Workshop(tmp_path, half_wrong, lambda task, request: half_wrong(task, 0) + "\n")
    made = shop.play()
    assert {j.outcome for _, j in made} == {Outcome.FAIL}
    assert {j.verdicts[0].verifier for _, j in made} == {"copy/1"}
    figures = shop.curate()
    assert figures["data/correction_copy_rate"] == 1.0
    assert figures["data/correction_accepted"] == 0 and figures["data/correction_delta"] == 0


def test_copy_stays_failed_even_where_the_verifier_would_now_pass_it() -> None:
    """A flaky verifier must not be asked until it says yes."""

    class AlwaysPasses:
        def verify(self, checks: Sequence[Any], tasks: Sequence[Task], attempts: Sequence[Attempt]) -> list[Verdict]:
            return [Verdict(verifier="flaky/1", outcome=Outcome.PASS) for _ in attempts]

    first = Attempt(task_id="code", attempt=0, round=1, text="def f(xs):\n    return xs\n")
    verified = VerifiedAttempt.of(first, Judged((), Outcome.FAIL))
    failed = failed_of(Correct(attempts=1), {CODE.id: CODE}, [(first, verified)])
    texts = {
        "def f(xs):\n    return xs\n": Outcome.FAIL,
        "def f(ys):  # mended!\n    return ys": Outcome.FAIL,
        "def f(xs):\n    return [x + 1 for x in xs]\n": Outcome.PASS,
    }
    for text, wanted in texts.items():
        again = first.model_copy(update={"text": text, "turn": 1, "parent": 0, "attempt": 1})
        assert verify_second(failed, [again], {"code_tests": AlwaysPasses()})[0].outcome is wanted, text


def test_another_entry_point_or_indentation_is_no_copy() -> None:
    assert not is_copy("def g(xs):\n    return xs\n", "def f(xs):\n    return xs\n")
    assert not is_copy("def f(xs):\nreturn xs", "def f(xs):\n    return xs")
    assert not is_copy("2 + 2 = 4", "2 + 2 = 4\nA: 4")
    assert is_copy("A: 4\r\n", "A: 4")


def test_figures_give_delta_pass_rate_and_copy_rate_and_the_level_counts_first_tries_only(tmp_path: Path) -> None:
    shop = Workshop(
        tmp_path, half_wrong, lambda task, request: f"A: {answer_of(task)}" if task in TASKS[:3] else "A: 0"
    )
    shop.play()
    figures = shop.curate()
    assert figures["data/sampled"] == 18 and figures["data/correction_sampled"] == 6
    assert figures["data/correction_pass_rate"] == 0.5
    assert "data/correction_pass_rate_lo" not in figures, "an exact share has no interval"
    assert figures["data/correction_delta"] == 0.25, "3 of 12 first attempts became right"
    counts = json.loads((shop.ctx.at("curate") / "DONE").read_text())["by_difficulty"]
    assert counts == {"2": [6, 12]}


def labels_of(row: Any) -> bytes:
    return bytes(x for x in row.labels if 0 <= x < 256)


@pytest.mark.parametrize("form", ["final", "whole"])
def test_format_says_which_prompt_a_correction_is_taught_under(tmp_path: Path, form: str) -> None:
    by_second_try = lambda task, request: f"so A: {answer_of(task)}"  # noqa: E731
    shop = Workshop(tmp_path, half_wrong, by_second_try, format=form)
    shop.play()
    shop.curate()
    rows = [row for row in read_rows(shop.round / "train.parquet") if labels_of(row).startswith(b"so ")]
    assert len(rows) == 6
    for row in rows:
        whole = bytes(x for x in row.input_ids if x < 256).decode()
        assert (WRONG in whole) == (form == "whole")
        assert b"1 + 1 = 3" not in labels_of(row), "no loss is ever taken on the failed attempt"
    stored = list(read_traces(shop.round / "traces.parquet"))
    assert {row["parent"] for row in stored if row["turn"] == 1} == {0}, "traces keep both turns"


def test_cut_off_and_lost_attempts_are_not_tried_again(tmp_path: Path) -> None:
    def first(task: Task, sample: int) -> str | Completion:
        if sample:
            return "A:"
        return Completion(text="1 + 1 =", finish_reason="length")

    shop = Workshop(tmp_path, first, mended)
    assert {a.parent for a, _ in shop.play()} == {1}, "sample 0 was cut off, sample 1 had no answer"


def test_per_task_bounds_the_second_tries(tmp_path: Path) -> None:
    shop = Workshop(tmp_path, lambda task, sample: "A: 0", mended, per_task=1)
    assert [a.parent for a, _ in shop.play()] == [0] * 6


def test_chunk_without_failures_is_empty_and_done(tmp_path: Path) -> None:
    assert Workshop(tmp_path, lambda task, sample: f"A: {answer_of(task)}", mended).play() == []


def test_outage_of_the_student_stops_the_phase_and_the_same_command_goes_on(tmp_path: Path) -> None:
    down = Completion(text="", finish_reason="error", error="no route")
    with pytest.raises(OutageError, match="correct, chunk 0: 4 of 4 items failed through an outage"):
        Workshop(tmp_path, half_wrong, lambda task, request: down).play()
    assert len(Workshop(tmp_path, half_wrong, mended).play()) == 6


def test_truncated_second_try_is_invalid_and_never_a_copy(tmp_path: Path) -> None:
    cut = Completion(text="1 + 1 = 3", finish_reason="length")
    assert {j.outcome for _, j in Workshop(tmp_path, half_wrong, lambda t, r: cut).play()} == {Outcome.INVALID}


def verdict(name: str, evidence: str, reason: str = "wrong_answer") -> Verdict:
    return Verdict(verifier=name, outcome=Outcome.FAIL, reason=reason, evidence=evidence)


def test_evidence_of_code_names_the_input_and_what_came_of_it() -> None:
    assert evidence_of(CODE, [verdict("code_tests/1", "case 1: got [5]")]) == "f([5]) gave [5]"
    raised = verdict("code_tests/1", "case 0: IndexError: list index out of range", "exception")
    assert evidence_of(CODE, [raised]) == "f([1, 2]) IndexError: list index out of range"
    assert "[2, 3]" not in evidence_of(CODE, [verdict("code_tests/1", "case 0: got [1], expected [2, 3]")])
    assert evidence_of(CODE, [verdict("code_tests/1", "", "timeout_cpu")]) == "timeout_cpu"


def test_message_of_a_hidden_assert_is_not_shown() -> None:
    task = Task(
        id="a", prompt="x", check={"type": "code_tests", "entry_point": "f", "source": "assert f(1) == 2, 'want 2'"}
    )
    text = evidence_of(task, [verdict("code_tests/1", "an assert failed: want 2")])
    assert text == "wrong_answer: an assert failed"


def test_evidence_of_a_judge_is_its_reason() -> None:
    task = Task(id="j", prompt="x", check={"type": "judge"})
    assert (
        evidence_of(task, [verdict("judge/1", "No proof of the lemma.", "score 0.20")])
        == "score 0.20: No proof of the lemma."
    )


@given(st.text(max_size=400), st.text(max_size=400))
@settings(derandomize=True, deadline=None, max_examples=200)
def test_whatever_was_tried_the_frame_of_the_prompt_stands_once(tried: str, evidence: str) -> None:
    said = evidence_of(CODE, [verdict("code_tests/1", evidence)])
    prompt = plain("Write f.\n", tried, said)
    assert prompt.startswith("Write f.\n") and prompt.endswith(f"\n{WRONG}{said}\n{AGAIN}")
    assert prompt.count(f"\n{WRONG}") == 1 and prompt.count(f"\n{AGAIN}") == 1
    assert len(said) <= 240 and said and "\n" not in said
    prompt.encode()


def test_a_chat_student_is_asked_in_turns() -> None:
    request = request_of(CODE, 3, "def f(): pass", "f([5]) gave None", "chat")
    assert [m.role for m in request.messages or ()] == ["user", "assistant", "user"]
    assert request.task_id == "code/3"
    system = Task(
        id="m",
        messages=(Message(role="system", content="s"), Message(role="user", content="u")),
        check={"type": "judge"},
    )
    assert len(request_of(system, 0, "", "not accepted", "chat").messages or ()) == 4


def test_wrong_step_is_the_line_that_does_not_hold() -> None:
    assert wrong_step("2 + 2 = 4\n4 * 3 = 13\nA: 13") == "4 * 3 = 13"
    assert wrong_step("so it is 4\nA: 4") is None


def test_a_setting_without_effect_and_impossible_company_are_refused(tmp_path: Path) -> None:
    def told(text: str) -> str:
        (tmp_path / "c.yaml").write_text(CONFIG + text)
        with pytest.raises(ConfigError) as caught:
            load_config(tmp_path / "c.yaml", [])
        return str(caught.value)

    assert "format has no effect while attempts is 0" in told("correct: {format: whole}\n")
    data = yaml.safe_load(CONFIG)
    data["curate"] = {"verified_only": False}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump({**data, "correct": {"attempts": 1}}))
    with pytest.raises(ConfigError, match="failed attempts are not known"):
        load_config(tmp_path / "c.yaml", [])


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path, int]:
    """An uninterrupted run with corrections: its end state, folder and number of renames."""
    folder = tmp_path_factory.mktemp("straight")
    done = play(folder, "never", "correct.attempts=1", "correct.format=whole")
    assert done.returncode == 0, done.stderr
    return end_state(folder), folder, int(done.stdout.split()[-1])


def test_a_run_corrects_and_says_what_came_of_it(straight: tuple[dict[str, Any], Path, int]) -> None:
    run = open_run(straight[1] / "runs/a")
    row = run.metrics()[1]
    assert row["data/correction_sampled"] > 10 and 0 < row["data/correction_pass_rate"] < 1
    assert row["data/correction_copy_rate"] > 0
    first = sum(trace["turn"] == 0 for trace in run.traces(1))
    assert row["data/sampled"] == first + row["data/correction_sampled"]
    accepted = [t for t in run.traces(1) if t["turn"] == 1 and t["decision"] == "accepted"]
    assert len(accepted) == row["data/correction_accepted"] > 0
    assert "time/correct_seconds" in row


def test_killed_at_any_rename_a_correcting_run_ends_the_same(
    straight: tuple[dict[str, Any], Path, int], tmp_path: Path
) -> None:
    wanted, _, renames = straight
    overrides = ("correct.attempts=1", "correct.format=whole")
    for kill in spread(renames, 6):
        folder = tmp_path / str(kill)
        folder.mkdir()
        assert play(folder, f"rename:{kill}", *overrides).returncode == -signal.SIGKILL
        assert play(folder, "never", *overrides).returncode == 0
        assert end_state(folder) == wanted, kill


@pytest.mark.prove
def test_isolated_correction_ends_the_same(straight: tuple[dict[str, Any], Path, int], tmp_path: Path) -> None:
    done = play(tmp_path, "never", "phase_subprocess=true", "correct.attempts=1", "correct.format=whole")
    assert done.returncode == 0, done.stderr
    assert end_state(tmp_path) == straight[0]


def test_the_run_without_corrections_has_no_such_phase(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG)
    start(load_config(tmp_path / "c.yaml", [f"runs_dir={tmp_path}", "rounds=1"]))
    assert not (tmp_path / "a/rounds/001/correct").exists()
    assert "data/correction_sampled" not in open_run(tmp_path / "a").metrics()[1]
