"""A run folder as the loop leaves it, written by code: for the tests of the pages and of what reads a run."""

import json
import math
import random
from pathlib import Path
from typing import Any

import yaml

from selfplay.records import Attempt, Decision, Outcome, Task, Trace, Verdict
from selfplay.store import Commit, RoundState, RunFolder
from selfplay.store.traces import write_traces

OPERATIONS = [
    *(
        "sort",
        "reverse",
        "double",
        "drop",
        "take",
        "square",
        "filter_even",
        "filter_odd",
        "add",
        "negate",
        "dedupe",
        "rotate",
    ),
    *(
        "cumulative_sum",
        "pairwise_diff",
        "clip",
        "mod",
        "zip_index",
        "every_other",
        "interleave",
        "chunk_sum",
        "run_lengths",
    ),
    *("partition", "swap_ends", "median_split", "rank", "mirror"),
]
HOSTILE = "</pre><script>document.title='owned'</script><img src=http://127.0.0.1:9/x onerror=alert(1)>\x00\u202egnp.exe\ud800"


def write_run(folder: Path, rounds: int = 6, verified: bool = True, seed: int = 0, attempts: int = 240) -> Path:
    """A seeded run of so many rounds after round 0: one that learns, or (unverified) one that collapses."""
    rng = random.Random(f"{seed}{verified}")
    run = RunFolder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "name": folder.name,
        "seed": seed,
        "rounds": rounds,
        "curate": {"verified_only": verified, "regime": "accumulate" if verified else "replace"},
        "gate": {"action": "observe"},
        "eval": {"samples": 8, "seed": 1},
    }
    run.open({"seed": seed}, {}, yaml.safe_dump(config))
    steps, first, scores = 0, {}, list[float]()
    for number in range(rounds + 1):
        place = run.round(number)
        place.mkdir(parents=True)
        metrics = _metrics(rng, number, verified, first)
        first = first or metrics
        scores.append(metrics["eval/greedy_accuracy"])
        metrics["eval/best_round"] = scores.index(max(scores))
        (place / "train").mkdir()
        (place / "evaluate").mkdir()
        (place / "evaluate" / "dev.json").write_text(json.dumps(_frozen(metrics)))
        lines = [_curve_row(rng, number, steps + k) for k in range(10, 130, 10)]
        (place / "train" / "curve.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        steps += 120
        if number:
            traces = list(_traces(rng, number, verified, attempts))
            write_traces(place / "traces.parquet", [traces])
            metrics |= _data(number, traces)
        else:
            metrics |= {"data/anchor_rows": 400, "data/train_rows": 400}
        done = number == rounds
        run.commit(
            Commit(
                round=number,
                parent=number - 1 if number else None,
                next_parent=number,
                action="warn" if metrics["collapse_alarm/level"] else "continue",
                reason=f"{metrics['collapse_alarm/first_metric']} is bad" if metrics["collapse_alarm/level"] else "",
                metrics=metrics,
                versions={"selfplay": "0.1.0", "torch": "2.12.0"},
                train_steps=steps,
                time=_times(rng, number),
                state=RoundState(level=3 if done else 2),
            )
        )
    return folder


def _interval(key: str, value: float, half: float) -> dict[str, float]:
    return {key: round(value, 4), f"{key}_lo": round(value - half, 4), f"{key}_hi": round(value + half, 4)}


def _metrics(rng: random.Random, number: int, verified: bool, first: dict[str, Any]) -> dict[str, Any]:
    gain = 0.36 * (1 - math.exp(-number / 2)) if verified else 0.02 * math.sin(number) - 0.007 * number
    fade = max(0.05, 1.0 - (0.02 if verified else 0.13) * number)
    base = 0.14 + gain + rng.uniform(-0.008, 0.008)
    out: dict[str, Any] = {}
    for part in ("eval", "test"):
        figures = _interval(f"{part}/greedy_accuracy", base + rng.uniform(-0.01, 0.01), 0.035)
        for n in range(1, 7):
            figures |= _interval(f"{part}_difficulty/{n}", min(0.98, 1.6 * base / n**0.7), 0.06)
        for word, scale in (("common", 1.2), ("rare", 0.7 * fade)):
            figures |= _interval(f"{part}_frequency/{word}", base * scale, 0.05)
        out |= figures
    for k, scale in ((1, 0.85), (4, 1.4), (8, 1.7)):
        out |= _interval(f"eval/pass_at_{k}", min(0.97, base * scale * (1 if k == 1 else fade**0.5)), 0.04)
    for key, value, half in (
        ("collapse_tails/rare_item_coverage", 0.8 * fade + gain * 0.4, 0.05),
        ("collapse_tails/support_retention", 0.5 + 0.5 * fade, 0.03),
        ("collapse_tails/good_turing_unseen", 0.2 * fade, 0.03),
        ("collapse_tails/nll_cvar10", 2.4 + (1 - fade), 0.1),
        ("collapse_diversity/unique_correct_at_8", 2.2 * fade + 2 * gain, 0.2),
        ("collapse_diversity/heterozygosity", 0.6 * fade, 0.04),
        ("collapse_diversity/hill2_u", 6 * fade, 0.5),
        ("collapse_quality/human_nll", 1.1 + 0.6 * (1 - fade), 0.05),
        ("collapse_quality/pass_gap", 0.3 * fade, 0.03),
    ):
        out |= _interval(key, value, half)
    out |= {"collapse_drift/len_mean": 80 + 4 * number, "collapse_drift/trunc_rate": 0.02 + 0.004 * number}
    for key in list(out):
        if first and key in first and f"{key}_lo" in out:
            out |= _interval(f"{key}_delta", out[key] - first[key], 0.03)
    level = 0 if verified or number < 2 else 1 if number == 2 else 2
    told = "collapse_tails/rare_item_coverage" if level else ""
    return out | {"collapse_alarm/level": level, "collapse_alarm/n_active": level, "collapse_alarm/first_metric": told}


def _frozen(metrics: dict[str, Any]) -> dict[str, Any]:
    """Held-out outcomes that agree with the figures: the same easy tasks first in every round."""
    found = {}
    for part, key in (("dev", "eval"), ("test", "test")):
        right = round(300 * metrics[f"{key}/greedy_accuracy"])
        found[part] = {f"{part}-{i:03d}": float(i < right) for i in range(300)}
    return {
        **found,
        "nll": {f"a{i}": 1.0 for i in range(50)},
        "samples": {"task_ids": [f"dev-{i:03d}" for i in range(100)]},
    }


def _curve_row(rng: random.Random, number: int, step: int) -> dict[str, float]:
    loss = 2.2 * math.exp(-step / 250) + 0.35 + rng.uniform(-0.03, 0.03)
    return {"train/loss": loss, "train/learning_rate": 1e-3, "train/step": step, "round": number}


def _times(rng: random.Random, number: int) -> dict[str, float]:
    parts = {"train": 14.0, "evaluate": 6.0} | (
        {"propose": 0.4, "generate": 12.0, "verify": 3.0, "curate": 0.8} if number else {}
    )
    seconds = {f"time/{name}_seconds": round(value * rng.uniform(0.9, 1.2), 3) for name, value in parts.items()}
    total = sum(seconds.values())
    return {**seconds, "time/round_seconds": total, "time/work_seconds": total * 0.97, "time/overhead_share": 0.03}


def _traces(rng: random.Random, number: int, verified: bool, attempts: int) -> list[Trace]:
    sharp = 1.0 + (0.04 if verified else 0.35) * number
    weights = [1 / (i + 1) ** sharp for i in range(len(OPERATIONS))]
    made = []
    for i in range(attempts):
        names = rng.choices(OPERATIONS, weights, k=rng.randint(1, 4))
        rare = any(OPERATIONS.index(name) > 12 for name in names)
        tags = (
            f"difficulty:{len(names)}",
            "frequency:rare" if rare else "frequency:common",
            *(f"operation:{n}" for n in names),
        )
        task = Task(
            id=f"r{number}-{i // 4}",
            prompt=f"Given a list, apply {', then '.join(names)}.",
            verifier={"type": "code_tests"},
            tags=tags,
        )
        right = rng.random() < 0.2 + (0.08 * number if verified else 0)
        reason = "accepted" if right or not verified else "failed"
        if right and rng.random() < 0.3:
            reason = rng.choice(["bottom_share", "over_cap", "exact_duplicate"])
        text = (
            f"def solve(xs):\n    xs = {names[0]}(xs)  # {i}\n    return xs"
            if i % 40
            else HOSTILE.replace("\ud800", "")
        )
        outcome = Outcome.PASS if right else Outcome.FAIL
        told = Verdict(
            verifier="code_tests/1",
            outcome=outcome,
            reason="" if right else "wrong_answer",
            evidence="" if right else "got <[1, 2]>",
        )
        decision = Decision(
            decision="accepted" if reason == "accepted" else "dropped", reason=reason, rank=0 if right else None
        )
        attempt = Attempt(task_id=task.id, attempt=i % 4, round=number, text=text)
        made.append(Trace(task=task, attempt=attempt, verdicts=(told,), outcome=outcome, decision=decision))
    return made


def _data(number: int, traces: list[Trace]) -> dict[str, Any]:
    kept = sum(t.decision is not None and t.decision.decision == "accepted" for t in traces)
    rows = 200 + kept * number
    reasons: dict[str, int] = {}
    outcomes = {"pass": 0, "fail": 0, "error": 0}
    for t in traces:
        if t.outcome is not None and t.decision is not None:
            outcomes[t.outcome.value] += 1
            reasons[t.decision.reason] = reasons.get(t.decision.reason, 0) + 1
    return {
        "data/sampled": len(traces),
        "data/passed": outcomes["pass"],
        "data/accepted": kept,
        "data/accept_rate": kept / len(traces),
        "data/train_rows": rows,
        "data/new_share": kept / rows,
        "data/older_share": kept * (number - 1) / rows,
        "data/anchor_share": 200 / rows,
        **{f"data/outcome_{k}": v for k, v in outcomes.items()},
        **{f"data/dropped_{k}": v for k, v in reasons.items() if k != "accepted"},
    }
