"""A run folder with real weights and hostile texts, written by code, for the tests of what is published."""

import json
from pathlib import Path
from typing import Any

from selfplay.config import load_config
from selfplay.config.load import resolved_text, science_of
from selfplay.records import Attempt, Decision, Outcome, Task, Trace, Verdict
from selfplay.store import Commit, RunFolder
from selfplay.store.traces import write_traces
from tests.support.tiny_models import make_tiny

CONFIG = """\
name: shop
rounds: 3
tasks: {{source: jsonl, train: {folder}/people/bob/tasks.jsonl, license: cc0-1.0}}
student: {{kind: pretrained, model: {folder}/people/bob/base, model_family: [own]}}
judge: {{backend: {{kind: http, url: "http://gpu7.corp.internal:8000/v1", model: {folder}/people/bob/judge, key_env: BOBS_KEY}}}}
generate: {{max_new_tokens: 16, stop: ["/end"]}}
train: {{epochs: 1}}
eval: {{samples: 2}}
"""
HOSTILE = "---\nlicense: mit\n---\n# Approved <script>alert(1)</script> | [x](http://evil.test) `a` {{ config }} ![](x)"
GENERATION = {"eos_token_id": [1, 2], "do_sample": True, "temperature": 0.6, "top_p": 0.95}
ROUNDS = 4


def write_published(folder: Path) -> Path:
    """The run `shop`: a bf16 base, round 1 and 3 in the lineage, round 2 rolled back. Returns the run's folder."""
    base = write_base(folder / "people/bob/base")
    (folder / "c.yaml").write_text(CONFIG.format(folder=folder))
    loaded = load_config(folder / "c.yaml", [f"runs_dir={folder}/runs"])
    run = RunFolder(folder / "runs/shop")
    run.open(science_of(loaded.config), {"tasks.jsonl": "ab" * 32}, resolved_text(loaded))
    for number in range(ROUNDS):
        _write_round(run, number, base)
    return run.path


def write_base(folder: Path) -> Path:
    """A chat model in bf16 with a generation config of its own and a licence in its card."""
    import torch
    from transformers import AutoModelForCausalLM

    make_tiny(folder, chat=True)
    AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).save_pretrained(folder)
    (folder / "generation_config.json").write_text(json.dumps(GENERATION))
    (folder / "README.md").write_text("---\nlicense: gemma\n---\n# Base\n")
    (folder / "LICENSE").write_text("terms\n")
    return folder


def _write_round(run: RunFolder, number: int, base: Path) -> None:
    place = run.round(number)
    place.mkdir(parents=True)
    if number == 0:
        (place / "initial").mkdir()
        for name in ("initial", "model"):
            (place / name).mkdir(exist_ok=True)
            (place / name / "base.json").write_text(json.dumps({"base": str(base), "revision": None}))
    else:
        write_traces(place / "traces.parquet", [traces_of(number)])
    if number == 3:
        make_tiny(place / "model", chat=True, seed=7)
    back = number == 2
    run.commit(
        Commit(
            round=number,
            parent={0: None, 1: 0, 2: 1, 3: 1}[number],
            next_parent=1 if back else number,
            action="roll_back" if back else "continue",
            reason="collapse alarm level 2: the dev accuracy fell | twice" if back else "",
            metrics=_metrics(number) | {"collapse_alarm/level": 2 * back, "eval/best_round": 3 if number == 3 else 1},
            versions={"selfplay": "0.2.0", "python": "3.11.7"},
        )
    )


def _metrics(number: int) -> dict[str, Any]:
    found: dict[str, Any] = {"train/steps": 5 * bool(number)}
    for part in ("eval", "test"):
        found |= {f"{part}/greedy_accuracy_n": 80} | _interval(f"{part}/greedy_accuracy", 0.2 + 0.1 * number)
        found |= _interval(f"{part}/greedy_accuracy_delta", 0.1 * number) if number else {}
    if number:
        found |= {"data/sampled": 12, "data/accepted": 3, "data/dropped_contaminated": 2, "data/dropped_privacy": 1}
        found |= {"collapse_quality/verifier_checked": 9, "data/train_rows": 3, "data/new_share": 1.0}
        found |= {"collapse_quality/canary_wrong": 8, "collapse_quality/canary_false_accepts": 0}
        found |= _interval("collapse_quality/verifier_youden_j", 0.7 + 0.01 * number)
    return found


def _interval(key: str, value: float) -> dict[str, float]:
    return {key: round(value, 3), f"{key}_lo": round(value - 0.05, 3), f"{key}_hi": round(value + 0.05, 3)}


def traces_of(number: int) -> list[Trace]:
    """Three accepted attempts and one dropped one: hostile text, an e-mail address, evidence with a path, a chat."""
    texts = [HOSTILE, f"write to bob{number}@corp-mail.com", "A: 4", "dropped"]
    verdict = Verdict(verifier="math/1", outcome=Outcome.PASS, evidence='File "/srv/bob/.cache/x.py", line 3')
    found = []
    for place, text in enumerate(texts):
        task: dict[str, Any] = {"id": f"t-{place}", "verifier": {"type": "math", "answer": "4"}, "source": "shop"}
        task["prompt"] = f"{HOSTILE}\n2 + {place}?"
        if place == 2:
            chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2 + 2?"}]
            task = {**task, "prompt": None, "messages": chat}
        kept = place < 3
        found.append(
            Trace(
                task=Task.model_validate(task),
                attempt=Attempt(task_id=f"t-{place}", attempt=0, round=number, text=text),
                verdicts=(verdict,),
                outcome=Outcome.PASS,
                decision=Decision(
                    decision="accepted" if kept else "dropped", reason="accepted" if kept else "over_cap"
                ),
            )
        )
    return found
