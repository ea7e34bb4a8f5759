"""The loop against a real server, `transformers serve`: a tiny teacher judges, and the student itself is served.

The tiny judge of `tests.support.real_server` has learnt one rubric: it looks for the words good and bad.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from selfplay import load_config, open_run
from selfplay import run as start
from selfplay.seeds import rng_of
from tests.support import ROOT
from tests.support import real_server as real

pytestmark = pytest.mark.prove


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """(address, folder for models) of a server of this module."""
    yield from real.serving(tmp_path_factory)


def test_shipped_configuration_is_judged_by_a_teacher_on_a_real_server(
    served: tuple[str, Path], tmp_path: Path
) -> None:
    url, folder = served
    real.train_judge(folder / "judge")
    rng = rng_of("own tasks")
    told = {"prompt": "Prove it.", "verifier": {"type": "judge"}}  # what the judge was trained on
    rows = [{"id": f"t{n}", **told} for n in range(24)]
    anchor = [{"id": f"a{n}", **told, "reference": real.solution(rng, n % 2 == 0)} for n in range(60)]
    for name, lines in (("tasks", rows), ("anchor", anchor)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    overrides = [
        f"tasks.train={tmp_path}/tasks.jsonl",
        f"tasks.anchor={tmp_path}/anchor.jsonl",
        f"runs_dir={tmp_path}/runs",
        f"judge.backend.url={url}",
        f"judge.backend.model={folder}/judge",
        "judge.backend.concurrency=2",
        "judge.max_new_tokens=40",
        "judge.samples=2",
        f"judge.rubric={real.RUBRIC}",
        "verify.check={type: judge}",
        "audit.canaries=0",  # these anchors are right and wrong alike
        "rounds=1",
        "verify.max_error_share=0.5",  # a judge this small is at a loss with what is no word
        "train.warmup.steps=150",
        "generate.max_new_tokens=24",
        "eval.samples=0",
        "curate.dedup=[exact]",
        "gate.action=observe",
        "tracking.mode=disabled",
    ]
    start(load_config(ROOT / "configs/reasoning_judge.yaml", overrides))
    traces = [t for t in open_run(tmp_path / "runs/reasoning-judge").traces() if t["finish_reason"] == "stop"]
    words = [(t["outcome"], "good" in t["text"], "bad" in t["text"]) for t in traces]
    assert sum(outcome == "error" for outcome, _, _ in words) < len(words) / 2
    clear = [(outcome, good) for outcome, good, bad in words if good != bad]
    agreed = [(outcome == "pass") == good for outcome, good in clear if outcome in ("pass", "fail")]
    assert len(agreed) >= 12, words
    assert sum(agreed) >= 0.8 * len(agreed), words
    assert all(
        v["details"]["judge"].endswith("judge") for t in traces for v in t["verdicts"] if v["verifier"] == "judge/1"
    )


def test_student_is_served_from_its_own_folder_and_trained_on_what_it_wrote(
    served: tuple[str, Path], tmp_path: Path
) -> None:
    url, _ = served
    (tmp_path / "c.yaml").write_text(
        f"""\
name: served
rounds: 2
runs_dir: {tmp_path}/runs
tasks: {{source: arithmetic, anchor: 40, held_out: 4, max_operations: 1}}
student: {{kind: tiny, hidden_size: 64, layers: 2, vocab_size: 300, intermediate_size: 128}}
propose: {{tasks_per_round: 8}}
generate:
  backend: {{kind: http, url: "{url}", model: "{{student}}", mode: text, concurrency: 1, privacy: none}}
  samples_per_task: 1
  max_new_tokens: 32
train: {{min_accepted: 0, start: continue, warmup: {{steps: 30}}, steps: 2, batch_size: 8}}
eval: {{samples: 0}}
gate: {{action: observe}}
tracking: {{mode: disabled}}
"""
    )
    start(load_config(tmp_path / "c.yaml"))
    run = open_run(tmp_path / "runs/served")
    first, second = (list(run.traces(number)) for number in (1, 2))
    assert len(first) == len(second) == 8
    assert {t["origin"] for t in [*first, *second]} == {"student"}
    assert {t["model"] for t in first}.isdisjoint({t["model"] for t in second}), (
        "each round's weights have their own name"
    )
    assert all(t["retokenised"] for t in first if t["finish_reason"] == "stop")
