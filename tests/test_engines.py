"""Engines by their settings: what each can do, in which form it is asked, and that naming one loads nothing heavy."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from selfplay.config.judging import Judge
from selfplay.config.registry import ENGINES, STUDENTS
from selfplay.config.sections import EngineSettings, StudentSettings
from selfplay.errors import ConfigError, DataError
from selfplay.models.base import Capabilities, Opening, Weights, scorer_of
from selfplay.models.openai import HttpEngine
from selfplay.models.recorded import RecordedEngine
from selfplay.models.scripted import Scripted, ScriptedStudent, write_scripted
from selfplay.models.student import StudentEngine
from selfplay.models.transformers import PretrainedEngine, PretrainedStudent, TinyStudent
from selfplay.records import Completion, Request, Sampling
from selfplay.runtime.resources import WithoutTokens
from tests.support.tiny_models import make_tiny

URL = "http://127.0.0.1:9/v1"
ASKED = [Request(task_id="a", prompt="Compute 1 + 1\n")]


def http(**more: Any) -> HttpEngine:
    return HttpEngine.model_validate({"kind": "http", "url": URL, "model": "big", **more})


def test_naming_every_engine_and_student_loads_nothing_heavy() -> None:
    code = (
        "import sys; from selfplay.config.registry import ENGINES, STUDENTS\n"
        "for registry in (ENGINES, STUDENTS):\n"
        "    for word in registry.places: registry.settings(word)\n"
        "print(*{'torch', 'transformers', 'tokenizers', 'httpx2', 'sqlite3'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_settings_of_every_engine_and_student_are_of_their_base_and_have_their_word() -> None:
    for registry, base in ((ENGINES, EngineSettings), (STUDENTS, StudentSettings)):
        for word in registry.places:
            settings = registry.settings(word)
            assert issubclass(settings, base) and word in str(settings.model_fields["kind"].annotation)


def test_engine_says_what_it_can_do_and_only_one_that_scores_is_a_scorer(tmp_path: Path) -> None:
    opening = Opening(tmp_path, tmp_path / "replies.db", device="cpu", threads=1)
    scripted = Scripted(lambda request, sample, seed: "x")
    assert scripted.capabilities == Capabilities() and scorer_of(scripted) is None
    with http(token_ids=True, logprobs="raw").open(opening) as server:
        assert server.capabilities == Capabilities(token_ids=True, logprobs=True, json_schema=True)
        assert scorer_of(server) is None
    model = str(make_tiny(tmp_path / "m"))
    with PretrainedEngine(kind="pretrained", model=model, template="plain").open(opening) as local:
        assert local.capabilities == Capabilities(token_ids=True, logprobs=True, scoring=True, holds_weights=True)
        assert scorer_of(local) is local
        assert scorer_of(WithoutTokens(local)) is None


def test_token_ids_of_a_teacher_are_taken_off() -> None:
    given = Completion(text="x", prompt_ids=(1,), completion_ids=(2,), logprobs=(-0.5,))
    with WithoutTokens(Scripted(lambda request, sample, seed: given, identity="t")) as backend:
        [[found]] = backend.complete(ASKED, n=1, sampling=Sampling(), seed=0)
    assert (found.text, found.prompt_ids, found.completion_ids, found.logprobs) == ("x", None, None, None)
    assert backend.identity == "t"


@pytest.mark.parametrize(
    ("engine", "student", "form"),
    [
        (StudentEngine(kind="student"), PretrainedStudent(kind="pretrained", model="m"), "chat"),
        (StudentEngine(kind="student"), PretrainedStudent(kind="pretrained", model="m", template="plain"), "plain"),
        (StudentEngine(kind="student"), ScriptedStudent(kind="scripted"), "plain"),
        (RecordedEngine(kind="recorded", path="p"), TinyStudent(kind="tiny"), "plain"),
        (http(), TinyStudent(kind="tiny"), "chat"),
        (http(mode="text"), PretrainedStudent(kind="pretrained", model="m"), "plain"),
        (PretrainedEngine(kind="pretrained", model="m"), TinyStudent(kind="tiny"), "chat"),
    ],
)
def test_prompt_has_the_form_of_whoever_is_asked(engine: EngineSettings, student: StudentSettings, form: str) -> None:
    assert engine.prompt_form(student) == form


@pytest.mark.parametrize(
    ("engine", "is_student", "origin"),
    [
        (StudentEngine(kind="student"), True, "student"),
        (http(model="{student}"), True, "student"),
        (http(), False, "teacher"),
        (PretrainedEngine(kind="pretrained", model="m"), False, "teacher"),
        (RecordedEngine(kind="recorded", path="p"), False, "student"),
    ],
)
def test_attempts_name_their_writer(engine: EngineSettings, is_student: bool, origin: str) -> None:
    assert (engine.is_student, engine.origin) == (is_student, origin)


def test_served_student_is_asked_by_the_place_of_its_weights_under_their_hash(tmp_path: Path) -> None:
    write_scripted(tmp_path / "model", 0.5)
    weights = Weights(ScriptedStudent(kind="scripted"), tmp_path / "model", "hash")
    opening = Opening(tmp_path, tmp_path / "replies.db", student=weights)
    with http(model="{student}").open(opening) as server:
        assert (server.identity, server.model) == ("hash", str((tmp_path / "model").resolve()))  # type: ignore[attr-defined]
    with StudentEngine(kind="student").open(opening) as local:
        assert local.identity == "scripted-0.5"
    with pytest.raises(ConfigError, match=r"model is \{student\}, and the student judges nothing; name another model"):
        http(model="{student}").open(Opening(tmp_path, tmp_path / "replies.db"))


@pytest.mark.parametrize("kind", ["student", "recorded"])
def test_neither_the_student_nor_a_recording_can_judge(kind: str) -> None:
    with pytest.raises(ValidationError, match="'pretrained', 'http'"):
        Judge.model_validate({"backend": {"kind": kind, "path": "p"}})


def test_limit_in_money_needs_both_prices() -> None:
    with pytest.raises(ValidationError, match="there are no prices"):
        http(max_money_spent=3.0)
    with pytest.raises(ValidationError, match="give both, money a million tokens"):
        http(prompt_price=3.0)
    assert http(max_money_spent=3.0, prompt_price=0, completion_price=1).budget.max_money == 3.0


def test_recording_that_is_missing_or_lacks_a_model_is_refused_by_name(tmp_path: Path) -> None:
    engine = RecordedEngine(kind="recorded", path="none.jsonl", layout="gsm8k_models")
    with pytest.raises(DataError, match=r"none\.jsonl: no such file \(looked in .* correct generate\.backend\.path"):
        engine.check(tmp_path)
    (tmp_path / "none.jsonl").write_text('{"question": "q", "6b_finetuning": {"solution": "s"}}\n')
    with pytest.raises(DataError, match=r"none\.jsonl:1: has no 6b_verification, only 6b_finetuning, question"):
        engine.check(tmp_path)
    assert engine.files(tmp_path) == {"none.jsonl": tmp_path / "none.jsonl"}


def test_engine_of_the_student_is_refused_where_there_is_no_student(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"opened for a teacher or judge.*name another engine"):
        StudentEngine(kind="student").open(Opening(tmp_path, tmp_path / "replies.db"))
