"""configs/smoke.yaml: a real student, TRL, the real sandbox and W&B's real offline file, end to end, killed or not."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from selfplay import open_run
from selfplay.config.metrics import definition, is_headline
from selfplay.runtime.metrics.training import OF_ROLLOUTS
from selfplay.tracking import history
from selfplay.tracking.panels import sections
from tests.support import ROOT
from tests.support.runs import DRIVER, end_state_of

SMOKE = ROOT / "configs" / "smoke.yaml"
SMALL = [
    "rounds=1",
    "launch.threads=1",
    "train.warmup.steps=12",
    "train.steps=8",
    "train.save_steps=3",
    "tasks.per_length=2",
    "curate.verified_only=false",  # so little a student solves nothing, and a round without accepted attempts is not trained
]


def play(runs: Path, kill: str = "never", *overrides: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "WANDB_MODE": "offline"}
    command = [sys.executable, str(DRIVER), str(SMOKE), str(runs), kill, *SMALL, *overrides]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env)


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted small run."""
    runs = tmp_path_factory.mktemp("smoke")
    done = play(runs)
    assert done.returncode == 0, done.stderr
    return runs / "smoke"


def test_whole_loop_commits_measures_reports_and_tracks(smoke: Path) -> None:
    rows = open_run(smoke).metrics()
    proposed = (smoke / "rounds/001/propose/tasks.jsonl").read_text().splitlines()
    assert [row["round"] for row in rows] == [0, 1]
    assert {
        "eval/greedy_accuracy",
        "test/greedy_accuracy",
        "eval/pass_at_1",
        "collapse_quality/human_nll",
        "collapse_alarm/level",
    } <= set(rows[1])
    assert "test/greedy_accuracy_delta_lo" in rows[1] and rows[1]["data/sampled"] == 2 * len(proposed)
    assert all(trace["completion_ids"] and trace["decision"] for trace in open_run(smoke).traces(1))
    strata = list(json.loads((smoke / "rounds/000/curate/DONE").read_text())["strata"])
    assert strata == sorted(strata) and len(strata) > 3
    assert "<svg" in (smoke / "report.html").read_text()
    (file,) = smoke.glob("wandb/offline-run-*/*.wandb")
    sent = list(history(file))
    assert [row["round"] for row in sent if "eval/greedy_accuracy" in row] == [0, 1]
    assert [row["train/step"] for row in sent if "train/loss" in row] == list(range(1, 21))
    figures = {key for row in sent for key in row if not key.startswith(("_", "traces/"))}
    assert all(map(is_headline, figures)) and {"collapse_alarm/level", "time/round_seconds"} <= figures
    assert len(figures) < 45 < len(rows[1]), "the other figures stay in metrics.jsonl"


NOT_MEASURED = {
    *(
        "collapse_quality/verifier_youden_j",
        "collapse_quality/verifier_fpr",
        "collapse_quality/verifier_tpr",
    ),  # no second check can overturn a rejection
    *("train/rewards_margin", "train/rewards_margin_last"),  # training on pairs
    *(f"train/{name}" for name in OF_ROLLOUTS),  # training on roll-outs
    *("train/reward_rise", "train/clip_share", "train/rollout_truncated_share"),
    "cost/money",  # servers
    *("collapse_tails/support_retention", "collapse_diversity/unique_correct_per_solved"),  # tasks that were solved
    *("collapse_tails/solve_seldom_pass_at_n", "collapse_quality/memorisation_gap"),
    "collapse_tails/words_gap_pass_at_n",  # more dev tasks
}
"""Headline metrics that a run like this has no data for, so that its panels stay empty."""


def test_panels_of_a_workspace_show_what_was_sent_over_the_axis_that_it_was_sent_with(smoke: Path) -> None:
    (file,) = smoke.glob("wandb/offline-run-*/*.wandb")
    sent = list(history(file))
    lacking = set()
    for panel in [panel for panels in sections().values() for panel in panels]:
        for key in panel.keys:
            rows = [row for row in sent if key in row]
            assert all(panel.axis in row and isinstance(row[key], int | float) for row in rows), key
            lacking |= set() if rows else {key}
    assert lacking == NOT_MEASURED, lacking ^ NOT_MEASURED


NO_INTERVAL = (
    "ead_3",
    "ngram4_collision_u",
    "seq_rep_4",
    "zstd_ratio",
    "zlib_ratio",
    "len_p95",
    "support_retention_expected",
    "ref_ngram_lost",
)

FROM_40_UNITS = ("human_nll", "nll_", "kl_fwd_", "token_entropy_", "len_mean", "data_nll_")
"""Starts of names of skewed means, which have an interval from 40 tasks or texts on; the smoke run has fewer."""
VERIFIER_COUNTS = ("verifier_checked", "verifier_overturned", "verifier_undecided")


def test_accepted_attempts_are_scored_under_the_weights_of_round_0(smoke: Path) -> None:
    from selfplay.models.encode import row_of
    from selfplay.models.transformers.backend import Embedded

    scored = json.loads((smoke / "rounds/001/evaluate/data_under_round_0.json").read_text())
    accepted = [trace for trace in open_run(smoke).traces(1) if trace["decision"] == "accepted"]
    assert len(scored) == min(64, len(accepted)) > 1
    nats, tokens = (sum(row[name] for row in scored) for name in ("nats", "tokens"))
    assert open_run(smoke).metrics()[1]["collapse_drift/data_nll_round_0"] == pytest.approx(nats / tokens, abs=1e-5)
    rows = [row_of(trace["prompt_ids"], trace["completion_ids"]) for trace in accepted]
    with Embedded(smoke / "rounds/000/model", template="plain", threads=1) as first:
        found = sorted(-float(sum(one)) for one in first.likelihood(rows))
    assert all(min(abs(row["nats"] - x) for x in found) < 1e-2 for row in scored)


def test_every_figure_of_a_run_is_defined_and_estimates_carry_their_intervals(smoke: Path) -> None:
    rows = open_run(smoke).metrics()
    figures = {re.sub(r"(_delta)?(_lo|_hi)?$", "", key) for row in rows for key in row}
    assert not [key for key in sorted(figures) if definition(key) is None]
    families = {key.partition("/")[0] for key in figures if key.startswith("collapse_")}
    assert families == {f"collapse_{name}" for name in ("quality", "diversity", "tails", "drift", "data", "alarm")}
    drift = {"kl_fwd_seq", "kl_fwd_tok", "token_entropy_free", "token_entropy_ref_prefix", "len_mean", "trunc_rate"}
    assert {f"collapse_drift/{name}" for name in drift} <= set(rows[1])
    for key in rows[1]:
        family, _, name = key.partition("/")
        counted = name.startswith(("canary_", *FROM_40_UNITS)) or name in (*NO_INTERVAL, *VERIFIER_COUNTS)
        if family in ("collapse_quality", "collapse_diversity", "collapse_tails", "collapse_drift") and not counted:
            stem = re.sub(r"(_lo|_hi)$", "", key)
            assert f"{stem}_lo" in rows[1] and f"{stem}_hi" in rows[1], key


def test_exported_round_loads_with_transformers_alone(smoke: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "selfplay", "export", str(smoke), "--round", "1", "--out", str(tmp_path / "model")]
    assert (
        subprocess.run(
            command, capture_output=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)}
        ).returncode
        == 0
    )
    code = (
        "import sys, transformers as t; m = t.AutoModelForCausalLM.from_pretrained(sys.argv[1]); k = t.AutoTokenizer.from_pretrained(sys.argv[1])\n"
        "print(m.generate(**k('def f', return_tensors='pt'), max_new_tokens=2).shape[1] > 2)"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "model")], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert loaded.stdout.strip() == "True", loaded.stderr


@pytest.mark.prove
def test_another_process_and_isolated_phases_give_the_same_bytes(smoke: Path, tmp_path: Path) -> None:
    for name, overrides in (("again", []), ("apart", ["phase_subprocess=true"])):
        assert play(tmp_path / name, "never", *overrides).returncode == 0
        assert end_state_of(tmp_path / name / "smoke") == end_state_of(smoke), name


@pytest.mark.prove
@pytest.mark.parametrize(
    "kill", ["rename:14", "rename:24", "rename:34", "rename:44", "rename:54", "event:9", "event:16"]
)
def test_killed_with_a_real_student_the_run_ends_in_the_same_bytes(smoke: Path, tmp_path: Path, kill: str) -> None:
    assert play(tmp_path, kill).returncode == -signal.SIGKILL
    resumed = play(tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert end_state_of(tmp_path / "smoke") == end_state_of(smoke)
