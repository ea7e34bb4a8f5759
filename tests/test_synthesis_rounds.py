"""Synthesis inside the rounds: from solved tasks, into the gaps of the tail, over real HTTP, resumed by the same command."""

import json
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from selfplay import load_config, open_run
from selfplay.config.curation import TagQuota
from selfplay.config.synthesis import RoundSynthesis
from selfplay.curate.quotas import apply_quotas
from selfplay.errors import ConfigError, OutageError
from selfplay.records import Attempt, Decision, Task, Trace
from selfplay.synthesis.coverage import Gap, gap_weights, mean_coverage, measure_gaps
from selfplay.synthesis.round_synthesis import SHARPNESS
from selfplay.tasks.arithmetic import ArithmeticSource, arithmetic_task, solve
from selfplay.tasks.list_programs import programs as lp
from selfplay.tasks.list_programs.evolving import Drawing, evolve
from tests.support import runs
from tests.support.runs import end_state
from tests.support.servers import Act, Body, ScriptedServer, failure
from tests.support.teachers import TAUGHT, play_text, synthesized_in, teach

OFFLINE = """\
rounds: 2
name: a
tasks: {source: list_programs, anchor: 60, per_length: 4, human_text: 4}
student: {kind: tiny, hidden_size: 32, layers: 1, vocab_size: 400}
propose:
  tasks_per_round: 20
  curriculum: {start: 2, end: 4}
  synthesize: {methods: {procedural: 24, rare: 16}, chunk_tasks: 8}
generate: {samples_per_task: 1, max_new_tokens: 12}
verify: {sandbox: {require_tier: best, workers: 1}}
curate: {quotas: [{tag: "frequency:rare", minimum: 0.5}]}
train: {start: continue, warmup: {steps: 1}, steps: 1, batch_size: 4}
eval: {samples: 0, test: false}
gate: {action: observe}
tracking: {mode: disabled}
launch: {device: cpu, threads: 1}
"""


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ScriptedServer, Path]]:
    """A server that teaches, and the folder of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("taught")
    with ScriptedServer(teach) as server:
        play_text(folder, TAUGHT.format(url=server.url))
        yield server, folder


def test_tasks_are_evolved_reworded_varied_corrected_and_held_to_shares_over_http(
    taught: tuple[ScriptedServer, Path],
) -> None:
    server, folder = taught
    run = open_run(folder / "runs/a")
    last = run.metrics()[-1]
    tasks = synthesized_in(folder, 2)
    assert {task.synthesized_by for task in tasks} == {"procedural", "evolve", "backtranslate", "variants"}
    assert all(task.source == f"synthesized/{task.synthesized_by}" and task.parents for task in tasks)
    assert last["data/synthesized"] == len(tasks) and last["data/synthesized_evolve"] == len(
        [task for task in tasks if task.synthesized_by == "evolve"]
    )
    refused = sum(value for key, value in last.items() if key.startswith("data/refused_"))
    assert last["data/synthesized_requested"] == last["data/synthesized"] + refused, "nothing is lost"
    assert any("data/refused_injected" in row for row in run.metrics())
    traces = list(run.traces(2))
    accepted = [t for t in traces if t["decision"] == "accepted"]
    assert {t["task"]["source"] for t in accepted} > {"arithmetic"}
    assert any(t["turn"] == 1 for t in traces)
    assert not any("Mark this" in t["prompt"] for t in traces)
    assert all("chat/completions" in path for path in server.paths)
    report = json.loads((folder / "runs/a/report.json").read_text())
    assert "Synthesized tasks, coverage of the tail, quotas" in (folder / "runs/a/report.html").read_text()
    assert not [one for one in report["definitions"] if not one["title"]], "every figure is defined"


def test_quotas_drop_with_their_stratum_as_reason_and_say_what_cannot_be_met(
    taught: tuple[ScriptedServer, Path],
) -> None:
    _, folder = taught
    run = open_run(folder / "runs/a")
    all_dropped = 0
    for number in (1, 2):
        lines = json.loads((folder / f"runs/a/rounds/{number:03d}/curate/quotas.json").read_text())
        by_tag = {line["tag"]: line for line in lines}
        assert by_tag["topic:sets"]["why"] == "no attempt with this tag passed" and not by_tag["topic:sets"]["met"]
        traces = list(run.traces(number))
        accepted = [t for t in traces if t["decision"] == "accepted"]
        for tag, line in by_tag.items():
            inside = sum(tag in t["tags"] for t in accepted)
            assert line["rows"] == inside and line["total"] == len(accepted)
            assert line["met"] == (
                inside <= 0.1 * len(accepted)
                if line["asked"].startswith("<=")
                else inside >= float(line["asked"][3:]) * len(accepted)
            )
        reasons = Counter(t["reason"] for t in traces if t["decision"] == "dropped")
        dropped = sum(count for reason, count in reasons.items() if reason.startswith("quota:synthesized_by:"))
        row = run.metrics()[number]
        assert row.get("data/dropped_quota", 0) == dropped
        all_dropped += dropped
        assert row["data/quotas_asked"] == len(lines) and row["data/quotas_met"] == sum(line["met"] for line in lines)
        taken = [t for t in accepted if t["reason"].startswith("quota:")]
        assert row["data/quota_taken_back"] == len(taken) and all(t["outcome"] == "pass" for t in taken)
        assert row["data/sampled"] == len(traces)
    assert all_dropped


def test_quotas_of_a_round_take_back_what_was_dropped_for_rank_alone_whatever_the_chunks() -> None:
    def group(task: str, tags: tuple[str, ...]) -> tuple[list[Trace], list[Decision]]:
        record = Task(id=task, prompt=f"{task}\n", check={"type": "math", "answer": "1"}, tags=tags)
        attempts = [Attempt(task_id=task, attempt=n, round=1, text=f"way {n}") for n in range(4)]
        words = [("accepted", "accepted"), ("dropped", "bottom_share"), ("dropped", "over_cap"), ("dropped", "failed")]
        decisions = [Decision(decision=d, reason=r, rank=n) for n, (d, r) in enumerate(words)]
        return [Trace(task=record, attempt=a) for a in attempts], decisions

    groups = [group("a", ("rare",)), group("b", ("kind:x",)), group("c", ("kind:x",)), group("d", ("kind:y",))]
    wishes = [
        TagQuota(tag="rare", minimum=0.4),
        TagQuota(tag="kind:*", maximum=0.34),
        TagQuota(tag="none", minimum=0.1),
    ]
    shares = apply_quotas(wishes, groups)
    said = {name: (decision, reason) for name, (decision, reason, _) in shares.decisions.items()}
    assert said["r1/a/1"] == ("accepted", "quota:rare"), "the best of what was dropped for rank"
    assert said["r1/a/3"] == ("dropped", "failed"), "what failed is never taken back"
    assert Counter(reason for _, reason in said.values())["quota:kind:x"] == 1
    assert len(shares.decisions) == 16 and shares.figures()["data/quota_taken_back"] == shares.taken_back >= 1
    assert [line["why"] for line in shares.report() if line["tag"] == "none"] == ["no attempt with this tag passed"]


@pytest.mark.parametrize(
    "kill", ["rename/synthesize:2", "rename/synthesize:9", "rename/synthesize:17", "rename/curate:6"]
)
def test_killed_in_synthesis_or_curation_the_run_ends_the_same(
    taught: tuple[ScriptedServer, Path], tmp_path: Path, kill: str
) -> None:
    server, straight = taught
    assert_ends_the_same(server, straight, tmp_path, kill)


def assert_ends_the_same(server: ScriptedServer, straight: Path, folder: Path, kill: str) -> None:
    text = TAUGHT.format(url=server.url)
    killed = runs.play(folder, kill, text=text)
    assert killed.returncode == -signal.SIGKILL, f"{kill}: {killed.stderr}"
    resumed = runs.play(folder, text=text)
    assert resumed.returncode == 0, resumed.stderr
    assert end_state(folder) == end_state(straight), kill


@pytest.mark.prove
def test_killed_at_every_rename_of_the_new_parts_the_run_ends_the_same(
    taught: tuple[ScriptedServer, Path], tmp_path: Path
) -> None:
    server, straight = taught
    text, ends = TAUGHT.format(url=server.url), list[int]()
    for part in ("synthesize", "curate", "correct"):
        for number in range(1, 60):
            folder = tmp_path / f"{part}-{number}"
            folder.mkdir()
            if runs.play(folder, f"rename/{part}:{number}", text=text).returncode == 0:
                ends.append(number)  # there are fewer than this
                break
            assert runs.play(folder, text=text).returncode == 0
            assert end_state(folder) == end_state(straight), (part, number)
    assert len(ends) == 3 and min(ends) > 10


@pytest.mark.prove
def test_phases_in_processes_of_their_own_synthesize_the_same(
    taught: tuple[ScriptedServer, Path], tmp_path: Path
) -> None:
    server, straight = taught
    done = runs.play(tmp_path, "never", "phase_subprocess=true", text=TAUGHT.format(url=server.url))
    assert done.returncode == 0, done.stderr
    assert end_state(tmp_path) == end_state(straight)


def test_teacher_that_is_down_stops_the_round_and_the_same_command_goes_on(tmp_path: Path) -> None:
    dead = {"from": 5, "to": 10**9}

    def flaky(body: Body, number: int) -> Act:
        return failure(500) if dead["from"] <= number < dead["to"] else teach(body, number)

    with ScriptedServer(flaky) as server:
        text = TAUGHT.format(url=server.url)
        with pytest.raises(OutageError, match="synthesize, chunk"):
            play_text(tmp_path, text, "rounds=1")
        assert not (tmp_path / "runs/a/rounds/001/synthesize/DONE").exists()
        dead["to"] = 0
        play_text(tmp_path, text, "rounds=1")
    assert open_run(tmp_path / "runs/a").metrics()[1]["data/synthesized"] > 0


# ---- without a teacher ----


def test_list_programs_are_evolved_and_drawn_into_the_gaps_and_nothing_held_out_is_synthesized(tmp_path: Path) -> None:
    play_text(tmp_path, OFFLINE)
    row = open_run(tmp_path / "runs/a").metrics()[-1]
    held = {lp.sequence_of(task) for task in lp.held_out(1, 4)}
    for number in (1, 2):
        tasks = synthesized_in(tmp_path, number)
        assert Counter(task.synthesized_by for task in tasks).keys() == {"procedural", "rare"}
        assert not {lp.sequence_of(task) for task in tasks if len(lp.sequence_of(task)) > 1} & held
        assert all(len(lp.sequence_of(task)) <= 4 and task.reference for task in tasks)
        assert all(task.parents for task in tasks if task.synthesized_by == "procedural")
    assert 0 < row["data/rare_coverage_before"] <= 1 and 0 < row["data/rare_coverage_after"] <= 1


GAPS = measure_gaps(
    {"operation": [op.name for op in lp.OPERATIONS]},
    Counter(tag for task in lp.anchor(1, 400) for tag in task.tags),
    [task.tags for task in lp.held_out(1, 20)],
)
SHORT = {gap.value for gap in sorted(GAPS, key=lambda gap: gap.share)[:7]}
"""The quarter of the operations that round 0 covers worst."""


def share_short(tasks: list[Task]) -> float:
    used = [name for task in tasks for name in lp.sequence_of(task)]
    return sum(name in SHORT for name in used) / len(used)


def test_measured_gaps_draw_at_least_twice_as_many_rare_operations_as_uniform_drawing() -> None:
    boost = RoundSynthesis(methods={"rare": 1}).boost
    weighed = gap_weights({"operation": [op.name for op in lp.OPERATIONS]}, GAPS, boost, SHARPNESS)["operation"]
    assert SHORT < lp.RARE, "the tail of Zipf's law"
    for seed in range(3):
        uniform, _ = lp.propose(seed, 300, {2: 1.0, 3: 1.0})
        aimed, _ = lp.propose(seed, 300, {2: 1.0, 3: 1.0}, weights=weighed)
        assert share_short(aimed) >= 2 * share_short(uniform)
        assert {name for task in aimed for name in lp.sequence_of(task)} == set(weighed), "and none is never drawn"
    parents = lp.anchor(3, 300)

    def added(drawing: Drawing | None) -> float:
        found = evolve(parents, ways=["add_step"], seed=1, drawing=drawing)
        new = [
            next(iter(Counter(lp.sequence_of(one.task)) - Counter(lp.sequence_of(one.parent))))
            for one in found
            if one.task is not None
        ]
        return sum(name in SHORT for name in new) / len(new)

    assert added(Drawing(weighed)) >= 2 * added(None)


def test_coverage_is_the_mean_share_of_what_the_dev_set_asks_for() -> None:
    axes = {"topic": ("sets", "time"), "edge": ("zero", "none")}
    dev = [("topic:sets",), ("topic:time",)]
    gaps = measure_gaps(axes, {"topic:sets": 9, "topic:time": 1}, dev)
    assert gaps == [Gap("topic", "sets", 9, 5.0), Gap("topic", "time", 1, 5.0)], "of edge nothing is known yet"
    assert mean_coverage(gaps) == pytest.approx(0.6) and mean_coverage([]) == 0.0
    more = measure_gaps(axes, {"edge:zero": 3}, dev)
    assert [gap.share for gap in more] == [1.0, 0.0], "without dev tasks every value is wanted equally often"


def test_evolved_sums_are_new_and_never_held_out() -> None:
    from selfplay.tasks.arithmetic import Arithmetic

    source = ArithmeticSource(Arithmetic(source="arithmetic"), 1, 1)
    parents = source.propose(60, None, 1).tasks
    found = source.evolve(parents, weights=None, longest=4, seed=1)
    held = {task.id for task in (*source.fixed.dev, *source.fixed.test)}
    for one in found:
        if one.task is not None:
            assert one.task.id not in held and one.task.parents == (one.parent.id,)
            assert int(one.task.tag("difficulty") or 0) <= 4
            assert solve(one.task.text).endswith(f"A: {one.task.check['answer']}")
    assert sum(one.task is not None for one in found) > 50
    assert arithmetic_task([5, 6, 7], True).text == "Compute 5 - 6 + 7\n"


@pytest.mark.parametrize(
    ("override", "why"),
    [
        ("propose.synthesize={methods: {}}", "name at least one"),
        ("propose.synthesize={methods: {evolve: 3}}", "teacher is not set; add teacher"),
        ("propose.synthesize={methods: {rare: 3}}", "has no axes of its own"),
        ("propose.synthesize={methods: {textbook: 3}}", "textbook is missing"),
        ("propose.synthesize={methods: {procedural: 3}, pivot: German}", "none of the methods that read it"),
        ("propose.synthesize={methods: {procedurel: 3}}", "procedurel"),
        ("curate.quotas=[{tag: a}]", "neither minimum nor maximum"),
        ("curate.quotas=[{tag: a, minimum: 0.9, maximum: 0.2}]", "minimum 0.9 and maximum 0.2"),
    ],
)
def test_what_cannot_work_is_refused_with_its_remedy(tmp_path: Path, override: str, why: str) -> None:
    (tmp_path / "c.yaml").write_text(runs.CONFIG)
    with pytest.raises(ConfigError, match=why):
        load_config(tmp_path / "c.yaml", [override])
