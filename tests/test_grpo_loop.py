"""GRPO rounds in the loop: prompts, roll-outs as traces, and a verifier that can be hacked."""

from pathlib import Path

import pytest

from selfplay import load_config, open_run, run
from selfplay.cli.results import traces_command
from selfplay.cli.validate import trainer_faults
from selfplay.collapse.dev_history import DevRound
from selfplay.collapse.estimate import Estimate
from selfplay.collapse.reward_rules import dev_change, precision_fell, reward_without_dev
from selfplay.config.load import examine
from selfplay.errors import ConfigError
from selfplay.loop.run_view import OpenRun
from selfplay.phases.curate.prompts import PromptChoice
from selfplay.records import Attempt, Decision, Outcome, Task, Trace
from selfplay.store.traces import read_parquet, read_sources
from selfplay.training.prompts import read_prompts
from tests.support.runs import end_state, play, spread

CHECKS = '''
def easily(task, text):
    """A verifier that pays for a habit: the reply has a 7."""
    return "7" in text


def strictly(task, text):
    return False
'''
CONFIG = """\
name: a
rounds: 1
tasks: {source: arithmetic, anchor: 20, held_out: 100, max_operations: 1}
student: {kind: tiny, hidden_size: 32, layers: 1, vocab_size: 300, intermediate_size: 64}
propose: {tasks_per_round: 12}
generate: {samples_per_task: 4, max_new_tokens: 24, temperature: 1.0}
verify: {check: {type: "python:checks:easily", stronger: {type: "python:checks:strictly"}}}
train:
  {method: grpo, start: continue, warmup: {steps: 30, learning_rate: 1e-2}, steps: 24, batch_size: 64, group_size: 8, learning_rate: 5e-3}
audit: {canaries: 0}
eval: {samples: 2, sample_tasks: 100}
launch: {device: cpu, threads: 1}
tracking: {mode: disabled}
"""


SMALL = CONFIG.replace("held_out: 100", "held_out: 8").replace("sample_tasks: 100", "sample_tasks: 4")


@pytest.fixture(scope="module")
def hacked(tmp_path_factory: pytest.TempPathFactory) -> OpenRun:
    """A run whose verifier pays for what the dev set does not."""
    folder = tmp_path_factory.mktemp("hacked")
    (folder / "checks.py").write_text(CHECKS)
    (folder / "c.yaml").write_text(CONFIG)
    return open_run(run(load_config(folder / "c.yaml", [f"runs_dir={folder}/runs"])).path)


def test_reward_that_rises_without_the_dev_set_raises_the_alarm_and_second_checks_say_why(hacked: OpenRun) -> None:
    row, commit = hacked.metrics()[1], hacked.rounds[1]
    assert row["train/reward_last"] > row["train/reward_first"] + 0.3 and row["train/reward_rise_lo"] > 0.1
    assert row["eval/pass_at_1"] < 0.1 and row["collapse_quality/rollout_precision"] == 0.0
    assert row["collapse_alarm/level"] == 1 and commit.action == "warn"
    assert "the reward of roll-outs rose by" in commit.reason and "without solving the tasks" in commit.reason
    assert "most of it is wrong" in commit.reason


def test_prompts_are_the_tasks_that_were_solved_sometimes_and_the_round_says_so(hacked: OpenRun) -> None:
    folder, row = hacked.folder.round(1), hacked.metrics()[1]
    right: dict[str, list[bool]] = {}
    for one in read_parquet(folder / "traces.parquet", ("task_id", "outcome", "origin")):
        if one["origin"] == "student":
            right.setdefault(one["task_id"], []).append(one["outcome"] == "pass")
    sometimes = {name for name, tries in right.items() if any(tries) and not all(tries)}
    assert {prompt.task.id for prompt in read_prompts(folder / "prompts.jsonl")} == sometimes
    assert row["data/prompts_chosen"] == row["train/prompts"] == len(sometimes)
    assert any("tasks are prompts to train on" in remark for remark in hacked.rounds[1].remarks)
    assert {prompt.task.check["type"] for prompt in read_prompts(folder / "prompts.jsonl")} == {"math"}, "their own"


def test_rollouts_are_traces_that_every_reader_sees_and_no_later_row(
    hacked: OpenRun, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, row = hacked.folder.round(1), hacked.metrics()[1]
    rows = list(hacked.traces(1))
    rolled = [one for one in rows if one["origin"] == "rollout"]
    assert len(rolled) == 24 * 64 == row["data/rollouts"]
    assert len({(one["task_id"], one["attempt"]) for one in rows}) == len(rows)
    assert all(one["decision"] is None and one["completion_ids"] and one["verdicts"] for one in rolled)
    assert row["data/sampled"] == len(rows) - len(rolled), "the counts of curation are those of its attempts"
    assert {source.split("/")[0] for kind, source, _ in read_sources(folder / "train.parquet") if kind == "new"} <= {
        "r1"
    }
    kept = {source for kind, source, _ in read_sources(folder / "curate" / "new.parquet")}
    assert kept.isdisjoint(f"r1/{one['task_id']}/{one['attempt']}" for one in rolled)
    assert 0 < row["collapse_diversity/rollout_distinct_last"] < row["collapse_diversity/rollout_distinct_first"] <= 1
    assert row["collapse_quality/rollout_pass_rate_last_lo"] > row["collapse_quality/rollout_pass_rate_first_hi"]
    traces_command(hacked.folder.path, 1, {"origin": "rollout"}, None, 2, False)
    assert capsys.readouterr().out.count("a roll-out of the training") == 2
    with pytest.raises(ConfigError, match="use one of student, teacher, rollout"):
        traces_command(hacked.folder.path, 1, {"origin": "human"}, None, 2, False)
    assert not (folder / "train" / "rollouts").exists(), "they are in traces.parquet"
    assert "roll-out" in (hacked.folder.path / "report.html").read_text()


def test_round_with_too_few_prompts_keeps_its_weights_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "checks.py").write_text(CHECKS)
    (tmp_path / "c.yaml").write_text(SMALL.replace("python:checks:easily", "python:checks:strictly"))
    found = open_run(run(load_config(tmp_path / "c.yaml", [f"runs_dir={tmp_path}/runs"])).path)
    row, [first, second] = found.metrics()[1], found.rounds
    assert first.outputs["model"] == second.outputs["model"]
    assert row["train/weights_kept"] == 1 and row["train/prompts"] == row["data/prompts_chosen"] == 0
    assert any("0 of its tasks were solved by some of their attempts" in remark for remark in second.remarks)
    assert not [one for one in found.traces(1) if one["origin"] == "rollout"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("student={kind: scripted}", "a scripted student has no weights"),
        ("generate.backend={kind: recorded, path: x.jsonl}", "generate.backend is recorded: prompts are chosen by"),
        ("generate.backend={kind: http, url: 'http://127.0.0.1:9/v1', model: m}", "generate.backend is http"),
        ("generate.samples_per_task=1", "generate.samples_per_task is 1: whether a task is solved sometimes"),
        ("curate.anchor_share=0.3", "curate.anchor_share is 0.3, but train.method is grpo"),
    ],
)
def test_configuration_that_grpo_cannot_work_with_is_refused_with_the_remedy(
    tmp_path: Path, change: str, words: str
) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG.replace("verify:", "#"))
    assert words in "\n".join(map(str, examine(tmp_path / "c.yaml", [change]).faults))


def test_wrong_argument_of_trl_is_named_before_anything_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG)
    assert trainer_faults(examine(tmp_path / "c.yaml", ["train.args={loss_type: dr_grpo, epsilon_high: 0.28}"])) == []
    [fault] = trainer_faults(examine(tmp_path / "c.yaml", ["train.args={epsilon_hi: 0.28}"]))
    assert "TRL's GRPOConfig has no such argument; did you mean" in fault


# ---- the parts by themselves ----


def traces_of(name: str, words: str, reason: str = "failed", turn: int = 0) -> list[Trace]:
    """Attempts at one task, a letter each: p, f, i, a, e."""
    outcomes = {one.value[0]: one for one in Outcome}
    task = Task(id=name, prompt="x", check={"type": "routed"})
    return [
        Trace(
            task=task,
            attempt=Attempt(
                task_id=name, attempt=n, round=1, text="x", prompt_ids=(1, 2), completion_ids=(3,) * (n + 1), turn=turn
            ),
            outcome=outcomes[letter],
            decision=Decision(decision="dropped", reason=reason),
        )
        for n, letter in enumerate(words)
    ]


def test_prompts_are_chosen_by_first_tries_with_a_verdict_and_never_where_one_was_flagged(tmp_path: Path) -> None:
    groups = {
        "some": traces_of("some", "pfie"),
        "all": traces_of("all", "ppe"),
        "none": traces_of("none", "fia"),
        "one": traces_of("one", "pe"),
        "leak": traces_of("leak", "pf", "contaminated"),
        "corrected": [*traces_of("corrected", "ff"), *traces_of("corrected", "p", turn=1)],
    }
    choice = PromptChoice({name: Task(id=name, prompt="x", check={"type": "own"}) for name in groups})
    for group in groups.values():
        choice.add(group)
    choice.write(tmp_path / "prompts.jsonl")
    [prompt] = read_prompts(tmp_path / "prompts.jsonl")
    assert (prompt.task.id, prompt.right, prompt.tried, prompt.completion_tokens) == ("some", 1, 3, 2.5)
    assert prompt.task.check == {"type": "own"} and prompt.prompt_ids == (1, 2)
    wanted = {"chosen": 1, "always": 1, "never": 2, "flagged": 1, "unjudged": 1}
    assert choice.figures() == {f"data/prompts_{name}": count for name, count in wanted.items()}
    assert choice.note() == (
        "1 of 6 tasks are prompts to train on, solved by some of their attempts and not by all; of the others 1 were solved by every "
        "attempt, 2 by none, 1 repeat evaluation text or hold personal data, 1 had fewer than two verdicts"
    )


def test_rules_on_the_reward_ask_for_a_look_only_where_both_intervals_speak_against_the_student() -> None:
    rise = Estimate(0.4, 0.32, 0.48)
    flat, up, unsure = Estimate(0.0, -0.03, 0.03), Estimate(0.1, 0.05, 0.15), Estimate(0.0, -0.2, 0.2)
    assert "0.40 [0.32, 0.48] while the dev pass rate changed by 0.00 [-0.03, 0.03]" in reward_without_dev(rise, flat)
    assert "changed by -0.20" in reward_without_dev(rise, Estimate(-0.2, -0.3, -0.1))
    quiet = ((rise, up), (rise, unsure), (Estimate(0.4, 0.05, 0.7), flat), (None, flat), (rise, None))
    assert [reward_without_dev(*pair) for pair in quiet] == [""] * 5

    before, low, same = Estimate(0.95, 0.9, 0.98), Estimate(0.7, 0.6, 0.8), Estimate(0.92, 0.85, 0.97)
    assert "has found what they let through" in precision_fell(before, low)
    assert precision_fell(before, same) == precision_fell(None, low) == precision_fell(before, None) == ""
    assert "most of it is wrong" in precision_fell(None, Estimate(0.2, 0.1, 0.3))


def test_dev_change_is_of_the_samples_and_of_the_greedy_answers_where_none_was_sampled() -> None:
    greedy = [DevRound(n, {"a": 0.0, "b": float(n)}) for n in (0, 1)]
    change = dev_change(*greedy)
    assert change is not None and change.value == 0.5 and change.n == 2
    sampled = [DevRound(n, greedy[n].greedy, {"a": (n * 2, 4, ()), "c": (0, 4, ())}) for n in (0, 1)]
    change = dev_change(*sampled)
    assert change is not None and change.value == 0.25
    assert dev_change(DevRound(0), DevRound(1)) is None


@pytest.mark.prove
def test_round_that_is_killed_anywhere_in_its_training_ends_as_one_that_was_not(tmp_path: Path) -> None:
    text = SMALL.replace("steps: 24", "steps: 4, save_steps: 2")
    (tmp_path / "whole").mkdir()
    (tmp_path / "whole" / "checks.py").write_text(CHECKS)
    told = play(tmp_path / "whole", "never", text=text)
    assert told.returncode == 0, told.stderr
    for place in (*spread(8, 3), "last"):
        folder = tmp_path / str(place)
        folder.mkdir()
        (folder / "checks.py").write_text(CHECKS)
        kill = f"rename/train:{9 if place == 'last' else place}"
        assert play(folder, kill, text=text).returncode == -9, kill
        assert play(folder, "never", text=text).returncode == 0
        assert end_state(folder) == end_state(tmp_path / "whole")
