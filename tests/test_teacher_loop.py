"""Teacher and judge in the loop: the shipped configuration, outages that resume, a served student, the audit's stop."""

import json
from pathlib import Path
from typing import Any

import pytest

from selfplay import load_config, open_run
from selfplay import run as start
from selfplay.errors import BudgetError, ConfigError, GateStopped, OutageError
from selfplay.records import Task
from tests.support import ROOT
from tests.support.servers import Act, Body, ScriptedServer, failure, prompt_of, reply
from tests.support.teachers import grades, play, written
from tests.support.tiny_models import make_tiny

CONFIG = ROOT / "configs/reasoning_judge.yaml"
SUMS = """\
rounds: 1
tasks: {source: arithmetic, anchor: 20, held_out: 8}
student: {kind: scripted, skill: 0.5}
propose: {tasks_per_round: 16}
generate: {samples_per_task: 2, chunk_tasks: 8}
train: {epochs: 1, start: continue}
eval: {samples: 0}
tracking: {mode: disabled}
"""
JUDGED = """\
judge:
  backend: {{kind: http, url: "{url}", model: teacher, model_family: [other], retries: 1, initial_backoff_seconds: 0.01}}
  rubric: right
"""


def weak(task: Task, text: str) -> bool:
    """A verifier that lets everything through."""
    return True


def audit_of(folder: Path, number: int = 1) -> list[dict[str, Any]]:
    lines = (folder / f"runs/a/rounds/{number:03d}/audit/canaries.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_shipped_configuration_runs_against_a_server_and_the_teacher_is_audited(tmp_path: Path) -> None:
    with ScriptedServer(grades) as server:
        play(CONFIG, tmp_path, f"judge.backend.url={server.url}", "rounds=1", "train.warmup.steps=4", "train.steps=2")
        assert server.bodies and all(path.endswith("/chat/completions") for path in server.paths)
    run = open_run(tmp_path / "runs/a")
    last = run.metrics()[-1]
    assert last["collapse_quality/canary_right"] == last["collapse_quality/canary_wrong"] == 4
    assert last["collapse_quality/canary_false_rejects"] == last["collapse_quality/canary_false_accepts"] == 0
    assert {row["truth"] for row in audit_of(tmp_path)} == {"right", "wrong"}
    named = {verdict["verifier"] for trace in run.traces() for verdict in trace["verdicts"]}
    assert {"steps/1", "heuristic/1", "judge/1"} <= named | {"finish/1", "judge/1"}
    assert not any(trace["origin"] == "canary" for trace in run.traces())


def judged_sums(folder: Path, url: str, more: str = "") -> Path:
    return written(folder, SUMS + "verify: {check: {type: judge}}\n" + JUDGED.format(url=url) + more)


def test_judge_decides_and_the_audit_measures_it_by_the_answers(tmp_path: Path) -> None:
    with ScriptedServer(grades) as server:
        play(judged_sums(tmp_path, server.url, "audit: {share: 1.0}\n"), tmp_path)
    last = open_run(tmp_path / "runs/a").metrics()[-1]
    assert last["collapse_quality/verifier_tpr"] == 1.0
    assert last["collapse_quality/verifier_fpr"] == 0.0
    assert last["collapse_quality/breakdown_error_margin_lo"] <= last["collapse_quality/breakdown_error_margin"]
    assert 0 < last["data/accepted"] < last["data/sampled"]
    assert last["cost/requests"] == len(server.bodies) and last["cost/money"] == 0.0
    assert last["cost/prompt_tokens"] == 7 * len(server.bodies)


def test_dead_judge_stops_the_phase_and_the_same_command_goes_on_to_the_same_end(tmp_path: Path) -> None:
    (tmp_path / "straight").mkdir()
    dead = {"from": 30, "to": 10**9}

    def flaky(body: Body, number: int) -> Act:
        return failure(500) if dead["from"] <= number < dead["to"] else grades(body, number)

    with ScriptedServer(flaky) as server:
        path = judged_sums(tmp_path, server.url)
        with pytest.raises(OutageError, match="failed through an outage"):
            play(path, tmp_path)
        assert not (tmp_path / "runs/a/rounds/001/COMMIT").exists()
        dead["to"] = 0
        play(path, tmp_path)
        play(path, tmp_path / "straight")
    one, other = (list(open_run(folder / "runs/a").traces()) for folder in (tmp_path, tmp_path / "straight"))
    assert one == other
    assert "error" not in {trace["outcome"] for trace in one}


def test_used_up_budget_stops_and_a_raised_one_goes_on_from_the_cache(tmp_path: Path) -> None:
    with ScriptedServer(grades) as server:
        path = judged_sums(tmp_path, server.url)
        with pytest.raises(BudgetError, match="budget is used up"):
            play(path, tmp_path, "judge.backend.max_tokens_spent=2000")
        asked = len(server.bodies)
        assert asked
        play(path, tmp_path)
        first = [json.dumps(body, sort_keys=True) for body in server.bodies[:asked]]
        assert not set(first) & {json.dumps(body, sort_keys=True) for body in server.bodies[asked:]}


def test_judge_of_the_students_lineage_is_refused_before_anything_starts(tmp_path: Path) -> None:
    path = judged_sums(tmp_path, "http://127.0.0.1:9/v1")
    with pytest.raises(
        ConfigError, match=r"command line: judge\.backend\.model_family is scripted, and so is the student"
    ):
        play(path, tmp_path, "judge.backend.model_family=[scripted]")
    with pytest.raises(ConfigError, match=r"\.yaml: judge: a task is judged by a model, and no judge is configured"):
        play(written(tmp_path, SUMS + "verify: {check: {type: judge}}\n"), tmp_path)


def solves(body: Body, number: int) -> Act:
    """Solves sums in `/completions` and in chat."""
    value = eval(prompt_of(body).split("\n")[0].removeprefix("Compute "))
    return reply(body, *[f"A: {value}"] * body.get("n", 1))


SERVED = ("000/train/model", "000/model", "001/train/model")
"""The weights that a run of one round samples: evaluated, then generated from, then those of round 1 evaluated."""


@pytest.mark.parametrize(("model", "mode", "origin"), [("{student}", "text", "student"), ("big", "chat", "teacher")])
def test_attempts_over_http_are_retokenised_and_name_their_writer(
    tmp_path: Path, model: str, mode: str, origin: str
) -> None:
    with ScriptedServer(solves) as server:
        backend = f'{{kind: http, url: "{server.url}", model: "{model}", mode: {mode}}}'
        play(
            written(tmp_path, SUMS.replace("samples_per_task: 2,", f"samples_per_task: 2, backend: {backend},")),
            tmp_path,
        )
        names = {body["model"] for body in server.bodies}
    traces = list(open_run(tmp_path / "runs/a").traces())
    assert {trace["origin"] for trace in traces} == {origin}
    assert all(trace["retokenised"] and trace["completion_ids"] for trace in traces)
    assert {trace["outcome"] for trace in traces} == {"pass"}
    weights = {"big"} if model == "big" else {str(tmp_path / f"runs/a/rounds/{part}") for part in SERVED}
    assert names == weights


def test_served_student_is_evaluated_through_its_server_which_leaves_out_what_needs_scores_and_says_so(
    tmp_path: Path,
) -> None:
    text = SUMS.replace("eval: {samples: 0}", "eval: {samples: 2}")
    text = text.replace("kind: scripted, skill: 0.5", "kind: tiny, hidden_size: 32, layers: 1, vocab_size: 300")
    text = text.replace("epochs: 1,", "steps: 1, warmup: {steps: 1}, ") + "launch: {device: cpu, threads: 1}\n"
    notes: list[str] = []

    def heard(event: str, figures: dict[str, Any]) -> None:
        if event == "note" and "left out" in figures["text"]:
            notes.append(figures["text"])

    with ScriptedServer(solves) as server:
        backend = f'{{kind: http, url: "{server.url}", model: "{{student}}", mode: text}}'
        path = written(tmp_path, text.replace("samples_per_task: 2,", f"samples_per_task: 2, backend: {backend},"))
        start(load_config(path, [f"runs_dir={tmp_path}/runs", "name=a"]), listener=heard)
    rows = open_run(tmp_path / "runs/a").metrics()
    assert [row["eval/greedy_accuracy"] for row in rows] == [1.0, 1.0], "weights so young would have none right"
    assert not any("nll" in key or "kl_fwd" in key for key in rows[-1])
    assert [note.partition(":")[0] for note in notes] == ["generate.backend", "round 0", "round 1"]
    assert "a tiny student in engine http" in notes[1]


def test_teacher_in_this_process_writes_for_a_student_with_other_tokens(tmp_path: Path) -> None:
    teacher = make_tiny(tmp_path / "teacher", chat=True)
    backend = f'{{kind: pretrained, model: "{teacher}", model_family: [other]}}'
    text = SUMS.replace("samples_per_task: 2,", f"samples_per_task: 2, max_new_tokens: 6, backend: {backend},")
    play(written(tmp_path, text + "launch: {device: cpu, threads: 1}\n"), tmp_path)
    traces = list(open_run(tmp_path / "runs/a").traces())
    assert {trace["origin"] for trace in traces} == {"teacher"}
    assert all(trace["retokenised"] and trace["logprobs"] is None for trace in traces)


def test_prompt_leaves_with_surrogates_that_are_the_same_throughout_a_trace(tmp_path: Path) -> None:
    task = {
        "id": "t",
        "prompt": "Mail ann.lee@corp.com, then bob@corp.org.\n",
        "verifier": {"type": "python:test_teacher_loop:weak"},
    }
    lines = [
        json.dumps({**task, "id": f"t{i}", "prompt": f"{i} {task['prompt']}", "reference": "ok"}) for i in range(12)
    ]
    (tmp_path / "t.jsonl").write_text("\n".join(lines))
    seen: list[str] = []

    def script(body: Body, number: int) -> Act:
        seen.append(prompt_of(body))
        return reply(body, *["ok"] * body.get("n", 1))

    with ScriptedServer(script) as server:
        backend = f'{{kind: http, url: "{server.url}", model: big}}'
        text = SUMS.replace("{source: arithmetic, anchor: 20, held_out: 8}", "{source: jsonl, train: t.jsonl}")
        text = text.replace("kind: scripted, skill: 0.5", "kind: tiny, hidden_size: 32, layers: 1, vocab_size: 300")
        text = text.replace("samples_per_task: 2,", f"samples_per_task: 2, backend: {backend},").replace(
            "epochs: 1,", "steps: 1, warmup: {steps: 1}, "
        )
        play(written(tmp_path, text + 'curate: {privacy: "off"}\n'), tmp_path)
    assert seen and all("@corp" not in text for text in seen)
    assert all("user1@example.com" in text and "user2@example.com" in text for text in seen)


def test_known_wrong_solution_that_a_weak_verifier_accepts_stops_the_run(tmp_path: Path) -> None:
    check = "verify: {check: {type: 'python:test_teacher_loop:weak'}}\n"
    path = written(tmp_path, SUMS.replace("rounds: 1", "rounds: 3") + check)
    for _ in range(2):  # and again on the same command
        with pytest.raises(GateStopped, match="accepted a canary"):
            play(path, tmp_path)
    last = open_run(tmp_path / "runs/a").metrics()[-1]
    assert last["round"] == 1
    assert last["collapse_alarm/level"] == 3
    assert last["collapse_quality/canary_false_accepts"] == last["collapse_quality/canary_wrong"] == 8
    assert last["collapse_quality/verifier_fpr"] == 1.0, "the audit judges by the answer that the check leaves out"
