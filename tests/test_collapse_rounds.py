"""What a run's rounds write beside the dev set: drift from round 0, wording, provenance; and its definitions."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from selfplay.collapse import ratio_of_sums
from selfplay.collapse.dev_set import _entropy_in
from selfplay.config.metrics import definition, definitions
from selfplay.errors import EmptyMetric
from selfplay.models.encode import row_of
from selfplay.phases.evaluate import drift
from selfplay.records import Attempt, Decision, Outcome, Row, Task, Trace
from selfplay.runtime.metrics.drift import Drift
from selfplay.runtime.metrics.provenance import Provenance, overlapping
from selfplay.runtime.metrics.wording import Wording
from selfplay.store.traces import write_rows, write_traces
from selfplay.tasks import Fixed
from tests.support.metrics import view

Json = dict[str, Any]


class OneLaw:
    """A backend with one law for every token: a share of the mass on the token that stands there."""

    def __init__(self, share: float, vocabulary: int = 10) -> None:
        rest = (1 - share) / (vocabulary - 1)
        self.nats = -math.log(share)
        self.entropy = -share * math.log(share) - (vocabulary - 1) * rest * math.log(rest)

    def entropies(self, rows: list[Row]) -> list[tuple[float, int, float]]:
        counts = [sum(label != -100 for label in row.labels) for row in rows]
        return [(-self.nats * n, n, self.entropy * n) for n in counts]


def samples(count: int = 6, each: int = 3) -> list[Json]:
    return [
        {
            "part": "samples",
            "task_id": f"t{i}",
            "outcome": "pass",
            "finish_reason": "stop",
            "text": f"take {i} and then {j} of the list",
            "tokens": 4 + i,
            "nats": 0.5 * (4 + i),
        }
        for i in range(count)
        for j in range(each)
    ]


def attempts() -> list[Attempt]:
    given: dict[str, Any] = {"round": 0, "text": "", "prompt_ids": (1, 2)}
    return [
        Attempt(task_id=f"t{i}", attempt=j, completion_ids=tuple(range(4 + i)), **given)
        for i in range(6)
        for j in range(3)
    ]


def test_forward_kl_is_what_the_frozen_samples_cost_more_than_at_round_0() -> None:
    frozen = drift.freeze(attempts())
    assert {task: len(kept) for task, kept in frozen.items()} == {f"t{i}": 1 for i in range(6)}
    before: Any = OneLaw(0.5)
    rows = drift.score(before, frozen, list(frozen))
    first, kept = Drift().compute(view([*samples(), *rows]))
    assert first["collapse_drift/token_entropy_free"] == pytest.approx(0.5)
    assert first["collapse_drift/token_entropy_ref_prefix"] == pytest.approx(before.entropy)
    assert not any("kl_" in key for key in first), "round 0 is at no distance from itself"
    kept = json.loads(json.dumps(kept))
    later: Any = OneLaw(0.25)
    again = drift.score(later, kept["drift"], list(frozen))
    moved, _ = Drift().compute(view([*samples(), *again], kept))
    assert moved["collapse_drift/kl_fwd_tok"] == pytest.approx(math.log(2))
    mean_tokens = sum(4 + i for i in range(6)) / 6
    assert moved["collapse_drift/kl_fwd_seq"] == pytest.approx(mean_tokens * math.log(2))
    assert (
        moved["collapse_drift/kl_fwd_seq_lo"]
        < moved["collapse_drift/kl_fwd_seq"]
        < moved["collapse_drift/kl_fwd_seq_hi"]
    )
    assert moved["collapse_drift/token_entropy_ref_prefix_delta"] == pytest.approx(later.entropy - before.entropy)


def test_samples_without_token_ids_have_no_drift() -> None:
    assert drift.freeze([attempt.model_copy(update={"completion_ids": None}) for attempt in attempts()]) == {}
    no_ids = [{**row, "nats": None} for row in samples()]
    assert not any("kl_" in key or "entropy" in key for key in Drift().compute(view(no_ids)).figures)


def test_real_entropies_lie_between_nothing_and_a_uniform_law_and_likelihood_is_as_before(tmp_path: Path) -> None:
    from selfplay.models.transformers.backend import Embedded
    from tests.support.tiny_models import make_tiny

    with Embedded(make_tiny(tmp_path / "m"), template="plain", device="cpu", threads=1) as model:
        rows = [row_of([1, 2, 3], [4, 5, 6, 7]), row_of([1], [9, 8])]
        plain, full = model.likelihood(rows), model.entropies(rows)
        vocabulary = model.model.config.vocab_size
    assert [(total, n) for total, n, _ in full] == plain
    assert all(0 < spread <= n * math.log(vocabulary) + 1e-6 for _, n, spread in full)


def test_length_is_told_with_its_interval() -> None:
    found = Drift().compute(view(samples())).figures
    assert found["collapse_drift/len_mean"] == 6.5 and found["collapse_drift/len_p95"] == 9
    assert found["collapse_drift/len_mean_lo"] < 6.5 < found["collapse_drift/len_mean_hi"]


def test_wording_is_drawn_to_round_0s_budget_and_sees_copies_and_lost_words() -> None:
    rng = np.random.default_rng(0)
    rows = [{**row, "text": " ".join(f"w{x}" for x in rng.integers(0, 60, 30))} for row in samples(20, 4)]
    first, kept = Wording().compute(view(rows))
    kept = json.loads(json.dumps(kept))
    same, nothing = Wording().compute(view(rows, kept))
    assert same == first and nothing == {"wording": {}}
    copies, _ = Wording().compute(view([{**row, "text": rows[0]["text"]} for row in rows], kept))
    assert copies["collapse_data/compared_tokens"] == first["collapse_data/compared_tokens"]
    assert copies["collapse_diversity/distinct_2_fixed"] < 0.1 < first["collapse_diversity/distinct_2_fixed"]
    assert copies["collapse_diversity/exact_dup_rate"] == pytest.approx(79 / 80)
    assert copies["collapse_diversity/vendi_fixed_n"] == pytest.approx(1.0)
    assert copies["collapse_tails/ref_ngram_lost"] > 0.3 > first["collapse_tails/ref_ngram_lost"]
    assert Wording().compute(view([{**row, "text": "a"} for row in rows], kept)).figures == {}, (
        "too short to be compared"
    )
    assert Wording().compute(view([{**row, "text": ""} for row in rows])) == ({}, {"wording": {}})


def trace(task: str, number: int, text: str, reason: str, origin: Any = "student") -> Trace:
    attempt = Attempt(
        task_id=task, attempt=number, round=2, text=text, origin=origin, sampler={"temperature": 0.9, "top_p": 1.0}
    )
    word: Any = "accepted" if reason == "accepted" else "dropped"
    decision = Decision(decision=word, reason=reason)
    return Trace(
        task=Task(id=task, prompt="p", check={"type": "math", "answer": "1"}),
        attempt=attempt,
        outcome=Outcome.PASS,
        decision=decision,
    )


def test_provenance_counts_tokens_ages_caps_and_overlap(tmp_path: Path) -> None:
    human = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
    group = [
        trace("a", 0, "first way", "accepted"),
        trace("a", 1, "second  way", "accepted"),
        trace("a", 2, "second way", "accepted", "teacher"),
        trace("b", 0, f"so {human}", "accepted"),
        trace("b", 1, "another", "over_cap"),
        trace("c", 0, "leaked", "contaminated"),
    ]
    write_traces(tmp_path / "traces.parquet", [group])
    rows = [
        row_of([1], [1] * 9, kind="anchor", source="h1"),
        row_of([1], [1] * 19, kind="new", source="r2/a/0"),
        row_of([1], [1] * 9, kind="older", source="r1/x/y/3"),
    ]
    write_rows(tmp_path / "train.parquet", rows)
    anchor = [Task(id="h1", prompt="p", check={"type": "math", "answer": "1"}, reference=human)]
    fixed, settings = Fixed(anchor, [], []), {"curate": {"max_per_task": 2}}
    found, _ = Provenance().compute(view(fixed=fixed, number=2, folder=tmp_path, tasks=4, **settings))
    assert found["collapse_data/tokens_total"] == 40 and found["collapse_data/human_data_share"] == 0.25
    assert found["collapse_data/synthetic_age_mean"] == pytest.approx(10 / 30, abs=1e-6)
    assert found["collapse_data/tasks_covered"] == 3 and found["collapse_data/per_task_gini"] == 0
    assert found["collapse_data/capped_share"] == 0.2 and found["collapse_data/teacher_share"] == 0.25
    assert found["collapse_data/eval_contam_rate"] == pytest.approx(1 / 6, abs=1e-6)
    assert found["collapse_data/seed_overlap_13gram"] == 0.25
    assert (found["collapse_data/sampling_temperature"], found["collapse_data/sampling_top_p"]) == (0.9, 1.0)
    assert found["collapse_diversity/balance_score"] == pytest.approx((2 / 3 + 1 / 2) / 4, abs=1e-6)
    (tmp_path / "traces.parquet").unlink()
    assert "collapse_data/sampling_temperature" not in Provenance().compute(view(number=0, folder=tmp_path)).figures
    assert overlapping([human[:40]], [human]) == 0


def test_ratio_of_sums_is_weighed_by_size_and_undefined_of_nothing() -> None:
    assert ratio_of_sums([2.0, 6.0], [1.0, 3.0]).value == 2.0
    with pytest.raises(EmptyMetric):
        ratio_of_sums([], [])


def test_entropy_at_equal_draws_is_exact() -> None:
    assert _entropy_in([(2, 2)], np.array([4.0]), 4)[0] == pytest.approx(math.log(2))
    assert _entropy_in([(4,)], np.array([4.0]), 4)[0] == pytest.approx(0.0)
    assert _entropy_in([(3, 2, 1)], np.array([6.0]), 4)[0] == pytest.approx(0.8749289275)


# ---- definitions ----


def test_every_definition_has_all_its_words_and_its_source_is_an_address() -> None:
    for key, found in definitions().items():
        assert found.title and found.meaning.endswith(".") and found.estimator.endswith(".") and found.range, key
        assert not found.link or found.link.startswith("https://"), key


@pytest.mark.parametrize(
    "key",
    [
        "data/correction_sampled",
        "data/correction_pass_rate",
        "data/correction_delta",
        "data/pairs_tasks",
        "cost/prompt_tokens",
        "cost/money",
        "collapse_quality/canary_false_accepts",
        "collapse_quality/breakdown_error_margin",
        "collapse_quality/verifier_precision",
        "collapse_alarm/minimum_detectable_fall_task_rate",
        "collapse_tails/nll_p99",
    ],
)
def test_figures_of_rarer_settings_are_defined_too(key: str) -> None:
    assert definition(key) is not None
