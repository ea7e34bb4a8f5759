"""The audit inside the loop: a second judge over HTTP, judges in this process, two ranks."""

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest

from selfplay import open_run
from selfplay.errors import OutageError
from tests.support.runs import play as play_apart
from tests.support.runs import play_on_ranks
from tests.support.servers import Act, Body, ScriptedServer, failure, prompt_of, reply
from tests.support.teachers import grades, play, written

RULES = """\
rounds: 1
tasks: {{source: jsonl, train: t.jsonl, anchor: a.jsonl}}
student: {{kind: tiny, hidden_size: 32, layers: 1, vocab_size: 300}}
generate: {{samples_per_task: 2, max_new_tokens: 16, backend: {{kind: http, url: "{writer}", model: big}}}}
curate: {{privacy: "off", decontaminate: false, dedup: [exact]}}
train: {{steps: 1, warmup: {{steps: 1}}, start: continue}}
eval: {{samples: 0}}
gate: {{action: observe}}
launch: {{device: cpu, threads: 1}}
tracking: {{mode: disabled}}
"""
HTTP = (
    '{{kind: http, url: "{url}", model: {model}, model_family: [{model}], retries: 1, initial_backoff_seconds: 0.01}}'
)


def judged_tasks(folder: Path) -> None:
    """Sums that only a judge decides: its word is all there is, so only a second judge can check it."""
    rows = [
        {
            "id": f"t{n}",
            "prompt": f"Compute {n} + {n * n}\n",
            "verifier": {"type": "judge"},
            "reference": f"A: {n + n * n}",
        }
        for n in range(2, 40)
    ]
    for name, part in (("t", rows[:24]), ("a", rows[24:])):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))


def half_right(body: Body, number: int) -> Act:
    """A writer whose sums are right for even first numbers."""
    first, second = map(int, re.findall(r"\d+", prompt_of(body)))
    return reply(body, *[f"A: {first + second + first % 2}"] * body.get("n", 1))


def lenient(body: Body, number: int) -> Act:
    """A judge that gives the full score to everything."""
    grade = json.dumps({"reason": "fine", "score": 10, "sure": True})
    return reply(body, *[grade] * body.get("n", 1))


def again_of(folder: Path, run: str = "a") -> list[dict[str, Any]]:
    lines = (folder / f"runs/{run}/rounds/001/audit/rechecked.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_second_judge_finds_out_a_lenient_first_one(tmp_path: Path) -> None:
    judged_tasks(tmp_path)
    with ScriptedServer(half_right) as writer, ScriptedServer(lenient) as first, ScriptedServer(grades) as second:
        one, other = HTTP.format(url=first.url, model="mild"), HTTP.format(url=second.url, model="stern")
        text = RULES.format(writer=writer.url) + f"judge: {{backend: {one}, rubric: right}}\n"
        text += f"audit: {{canaries: 0, share: 1.0, judge: {{backend: {other}, rubric: right}}}}\n"
        play(written(tmp_path, text), tmp_path)
        assert {body["model"] for body in second.bodies} == {"stern"}
    last = open_run(tmp_path / "runs/a").metrics()[-1]
    rows = again_of(tmp_path)
    assert {row["first"] for row in rows} == {"pass"}
    assert {row["outcome"] for row in rows} == {"pass", "fail"}
    wrong = sum(row["outcome"] == "fail" for row in rows)
    assert last["collapse_quality/verifier_checked"] == len(rows)
    assert last["collapse_quality/verifier_overturned"] == wrong
    assert (last["collapse_quality/verifier_tpr"], last["collapse_quality/verifier_fpr"]) == (1.0, 1.0)
    assert last["collapse_quality/verifier_error"] == pytest.approx(wrong / len(rows), abs=1e-6)


def test_dead_second_judge_stops_the_audit_and_the_same_command_goes_on(tmp_path: Path) -> None:
    judged_tasks(tmp_path)
    dead = {"now": True}

    def flaky(body: Body, number: int) -> Act:
        return failure(500) if dead["now"] else grades(body, number)

    with ScriptedServer(half_right) as writer, ScriptedServer(grades) as first, ScriptedServer(flaky) as second:
        one, other = HTTP.format(url=first.url, model="mild"), HTTP.format(url=second.url, model="stern")
        text = RULES.format(writer=writer.url) + f"judge: {{backend: {one}, rubric: right}}\n"
        text += f"audit: {{canaries: 0, share: 1.0, judge: {{backend: {other}, rubric: right}}}}\n"
        path = written(tmp_path, text)
        with pytest.raises(OutageError, match="second verdicts are error"):
            play(path, tmp_path)
        asked = len(first.bodies)
        dead["now"] = False
        play(path, tmp_path)
        assert len(first.bodies) == asked, "what the first judge said is not asked again"
    last = open_run(tmp_path / "runs/a").metrics()[-1]
    assert (last["collapse_quality/verifier_tpr"], last["collapse_quality/verifier_fpr"]) == (1.0, 0.0)


@pytest.mark.prove
def test_judges_in_this_process_judge_and_are_audited(tmp_path: Path) -> None:
    """Two real models, without a server: the second one is the first one's equal here, so nothing is overturned."""
    from tests.support import real_server as real

    real.train_judge(tmp_path / "judge")
    told = {"prompt": "Prove it.", "verifier": {"type": "judge"}}
    rng = random.Random(3)
    anchor = [{"id": f"a{n}", **told, "reference": real.solution(rng, True)} for n in range(12)]
    for name, part in (("t", [{"id": f"t{n}", **told} for n in range(12)]), ("a", anchor)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))

    def prove(body: Body, number: int) -> Act:
        draw = random.Random(number)
        return reply(body, *[real.solution(draw, draw.random() < 0.5) for _ in range(body.get("n", 1))])

    backend = f"{{kind: pretrained, model: {tmp_path}/judge, model_family: [other]}}"
    section = f"{{backend: {backend}, rubric: {real.RUBRIC}, samples: 1, max_new_tokens: 40}}"
    with ScriptedServer(prove) as writer:
        text = (
            RULES.format(writer=writer.url)
            + f"judge: {section}\naudit: {{canaries: 0, share: 1.0, judge: {section}}}\n"
        )
        play(written(tmp_path, text), tmp_path, "verify.max_error_share=0.3")
    run = open_run(tmp_path / "runs/a")
    last, traces = run.metrics()[-1], list(run.traces())
    decided = [(t["outcome"] == "pass", "good" in t["text"]) for t in traces if t["outcome"] in ("pass", "fail")]
    assert len(decided) >= 12 and sum(a == b for a, b in decided) >= 0.8 * len(decided)
    assert last["collapse_quality/verifier_checked"] >= 12 and last["collapse_quality/verifier_overturned"] == 0


@pytest.mark.prove
def test_audit_under_two_ranks_is_that_of_one(tmp_path: Path) -> None:
    """A verifier that says yes decides, and the answer, which it leaves out, is the stronger check."""
    overrides = (
        "verify.check={type: 'python:tests.support.verifiers_of_tests:yes'}",
        "audit.share=1.0",
        "audit.canaries=4",
        "rounds=1",
        "gate.action=observe",
    )
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    alone = play_apart(tmp_path / "one", "never", *overrides)
    assert alone.returncode == 0, alone.stderr
    both = play_on_ranks(tmp_path / "two", 2, "never", "launch.ranks=2", *overrides)
    assert both.returncode == 0, both.stderr
    assert again_of(tmp_path / "one") == again_of(tmp_path / "two") != []
    canaries = [(tmp_path / name / "runs/a/rounds/001/audit/canaries.jsonl").read_text() for name in ("one", "two")]
    assert canaries[0] == canaries[1] != ""
    rows = [
        {k: v for k, v in open_run(tmp_path / name / "runs/a").metrics()[-1].items() if "collapse_quality" in k}
        for name in ("one", "two")
    ]
    assert rows[0] == rows[1] and rows[0]["collapse_quality/verifier_checked"] > 0
