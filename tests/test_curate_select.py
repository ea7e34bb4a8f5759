"""Selection: a reason for every attempt, whatever the order; ranking, caps, archive, quotas, pairs, emphasis."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfplay.config.curation import TagQuota
from selfplay.curate import REASONS, Archive, SelectRules, archive_entries, select
from selfplay.curate.dedup import Entry
from selfplay.curate.quotas import Shares, apply_quotas
from selfplay.curate.screening import screen
from selfplay.curate.selection import task_cap
from selfplay.curate.solution_key import signature_of
from selfplay.errors import ConfigError, DataError
from selfplay.phases.curate.pairs import preference_pairs
from selfplay.records import Attempt, Outcome, Task, Trace, Verdict


def trace(task: str, number: int, text: str, outcome: Outcome | None = Outcome.PASS, **more: object) -> Trace:
    kind = more.pop("kind", "judge")
    score = more.pop("score", None)
    tags = more.pop("tags", ())
    record = Task(id=task, prompt=f"prompt of {task}", check={"type": kind}, tags=tags)
    verdicts = () if outcome is None else (Verdict(verifier="v/1", outcome=outcome, score=score, reason="said so"),)
    return Trace(
        task=record,
        attempt=Attempt(task_id=task, attempt=number, round=1, text=text, **more),
        verdicts=verdicts,
        outcome=outcome,
    )


def reasons(
    traces: list[Trace], archive: Archive | None = None, flags: dict[str, str] | None = None, **rules: object
) -> list[str]:
    return [d.reason for d in select(traces, SelectRules(**rules), archive or Archive(), flags)]


WORDS = ["alpha", "beta", "gamma", "delta", "12", "7", "sum", "is"]
TRACES = st.lists(
    st.builds(
        lambda task, words, outcome, reason, score, logprob: (task, " ".join(words), outcome, reason, score, logprob),
        st.sampled_from(["a", "b", "c"]),
        st.lists(st.sampled_from(WORDS), max_size=8),
        st.sampled_from(list(Outcome)),
        st.sampled_from(["stop", "stop", "stop", "length", "error"]),
        st.sampled_from([None, 0.0, 0.5, 1.0]),
        st.sampled_from([None, (-1.0, -0.5), (-0.25,)]),
    ),
    max_size=24,
)


def build(rows: list[tuple]) -> list[Trace]:
    return [
        trace(task, n, text, outcome, finish_reason=reason, score=score, logprobs=logprob)
        for n, (task, text, outcome, reason, score, logprob) in enumerate(rows)
    ]


@settings(derandomize=True, deadline=None, max_examples=60)
@given(TRACES, st.randoms(use_true_random=False), st.sampled_from([0.0, 0.3, 0.5, 0.9]), st.sampled_from([None, 1, 2]))
def test_every_trace_has_one_decision_and_the_order_of_traces_never_counts(rows, rng, share, cap):
    traces = build(rows)
    rules = SelectRules(drop_share=share, cap=cap)
    decisions = select(traces, rules, Archive())
    assert len(decisions) == len(traces)
    assert all(d.reason in REASONS and (d.reason == "accepted") == (d.decision == "accepted") for d in decisions)
    order = list(range(len(traces)))
    rng.shuffle(order)
    again = select([traces[i] for i in order], rules, Archive())
    assert [again[order.index(i)] for i in range(len(traces))] == decisions


def test_the_archive_keeps_the_signatures_of_accepted_attempts_alone() -> None:
    one, same, other = (
        f"def f({name}):\n    return {name}{end}" for name, end in (("x", ""), ("y", ""), ("x", " + 1"))
    )
    traces = [trace("a", n, text, kind="code_tests") for n, text in enumerate((one, same, other))]
    traces.append(trace("a", 3, one, Outcome.FAIL, kind="code_tests"))
    decisions = select(traces, SelectRules(drop_share=0), Archive())
    assert [d.reason for d in decisions].count("same_signature") == 1
    entries = archive_entries(traces, decisions)
    assert {e.signature for e in entries} == {signature_of(traces[0]), signature_of(traces[2])} and len(entries) == 2


@settings(derandomize=True, deadline=None, max_examples=60)
@given(TRACES, st.sampled_from([0.0, 0.5, 0.99]), st.sampled_from([None, 1, 3]))
def test_only_passed_attempts_are_accepted_and_no_solved_task_loses_all(rows, share, cap):
    traces = build(rows)
    decisions = select(traces, SelectRules(drop_share=share, cap=cap), Archive())
    good = {t.task.id for t in traces if t.outcome is Outcome.PASS and t.attempt.finish_reason == "stop"}
    kept = {t.task.id for t, d in zip(traces, decisions, strict=True) if d.decision == "accepted"}
    # an exact twin of another task's attempt is the same training row only where the prompts are equal, and here they differ
    assert kept == good
    accepted = [t for t, d in zip(traces, decisions, strict=True) if d.decision == "accepted"]
    assert all(t.outcome is Outcome.PASS and t.attempt.finish_reason == "stop" for t in accepted)
    assert cap is None or all(sum(t.task.id == task for t in accepted) <= cap for task in kept)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(TRACES)
def test_selecting_task_by_task_keeps_the_same_rows_as_all_at_once(rows):
    traces = build(rows)
    whole = select(traces, SelectRules(), Archive())
    for task in "abc":
        mine = [i for i, t in enumerate(traces) if t.task.id == task]
        assert select([traces[i] for i in mine], SelectRules(), Archive()) == [whole[i] for i in mine]


def test_reasons_name_the_first_thing_wrong():
    rows = [
        trace("t", 0, "one", Outcome.ERROR),
        trace("t", 1, "two", finish_reason="length"),
        trace("t", 2, "three", Outcome.FAIL),
        trace("t", 3, "four", Outcome.INVALID),
        trace("t", 4, "five", Outcome.ABSTAIN),
        trace("t", 5, "six six"),
        trace("t", 6, "seven", finish_reason="error"),
        trace("t", 7, "eight eight"),
        trace("t", 8, "nine nine nine", Outcome.FAIL),
    ]
    flags = {"r1/t/7": "privacy", "r1/t/8": "contaminated"}
    expected = ["error", "truncated", "failed", "invalid", "unverified", "accepted", "error", "privacy", "contaminated"]
    assert reasons(rows, flags=flags) == expected


def test_bottom_share_counts_failed_attempts_and_spares_the_last_accepted_one():
    eight = [trace("t", n, f"words number {n} here") for n in range(8)]
    assert reasons(eight, cap=None).count("bottom_share") == 4
    half_failed = [trace("t", n, f"words number {n} here", Outcome.PASS if n < 4 else Outcome.FAIL) for n in range(8)]
    assert reasons(half_failed, cap=None).count("accepted") == 4
    assert reasons([trace("t", 0, "alone")], drop_share=0.99) == ["accepted"]
    flagged = {f"r1/t/{n}": "privacy" for n in range(4)}
    assert reasons(half_failed, flags=flagged).count("accepted") == 0


def test_rank_is_outcome_then_score_then_shorter_text_then_number():
    rows = [
        trace("t", 0, "bb bb long text", Outcome.FAIL, score=1.0),
        trace("t", 1, "aa aa", score=0.2),
        trace("t", 2, "cc cc", score=0.9),
        trace("t", 3, "dd dddd", score=0.2),
    ]
    ranks = [d.rank for d in select(rows, SelectRules(), Archive())]
    assert ranks == [3, 1, 0, 2]


def test_likelihood_weight_prefers_the_likelier_and_zero_leaves_it_out():
    rows = [trace("t", 0, "aa bb", logprobs=(-3.0,)), trace("t", 1, "cc dd", logprobs=(-0.1,))]
    assert [d.rank for d in select(rows, SelectRules(likelihood_weight=1.0, novelty_weight=0.0), Archive())] == [1, 0]
    assert [d.rank for d in select(rows, SelectRules(likelihood_weight=0.0, novelty_weight=0.0), Archive())] == [0, 1]


def test_cap_spreads_over_modes():
    same, other = "def f(x):\n    return x + 1", "def f(x):\n    return 1 + x"
    rows = [trace("t", n, same + f"  # {n}", kind="code_tests", score=1.0) for n in range(3)]
    rows.append(trace("t", 3, other, kind="code_tests", score=0.1))
    assert reasons(rows, order=("cap",), cap=2) == ["accepted", "over_cap", "over_cap", "accepted"]
    assert reasons(rows, drop_share=0.0) == ["accepted", "same_signature", "same_signature", "accepted"]


def test_unverified_arm_reads_no_verdict():
    rows = [
        trace("t", 0, "a", Outcome.FAIL),
        trace("t", 1, "a", None),
        trace("t", 2, "b", Outcome.ERROR),
        trace("t", 3, "c", finish_reason="length"),
    ]
    assert reasons(rows, verified_only=False) == ["accepted", "accepted", "accepted", "truncated"]
    assert all(d.rank is None for d in select(rows, SelectRules(verified_only=False), Archive()))
    bare = [r.model_copy(update={"verdicts": (), "outcome": None}) for r in rows]
    assert select(bare, SelectRules(verified_only=False), Archive()) == select(
        rows, SelectRules(verified_only=False), Archive()
    )


def test_a_task_with_one_attempt_more_than_its_cap_loses_the_last():
    rows = [trace("t", n, text) for n, text in enumerate(("one", "two words", "three words more"))]
    assert reasons(rows, order=("cap",), cap=2) == ["accepted", "accepted", "over_cap"]


def test_the_rarer_way_of_solving_ranks_first():
    rows = [trace("t", 0, "a b"), trace("t", 1, "A, b"), trace("t", 2, "quite another way")]
    found = select(rows, SelectRules(order=(), likelihood_weight=0, novelty_weight=1), Archive())
    assert [decision.rank for decision in found] == [1, 2, 0]


def test_a_tasks_only_attempt_is_held_against_earlier_rounds():
    old = [trace("t", 0, "first answer")]
    archive = Archive().add(archive_entries(old, select(old, SelectRules(drop_share=0), Archive())))
    assert reasons([trace("t", 6, "FIRST, answer!")], archive, order=("signature",)) == ["same_signature"]
    assert reasons([trace("u", 6, "FIRST, answer!")], archive, order=("signature",)) == ["accepted"]


def test_traces_that_were_never_verified_are_refused_with_the_remedy():
    with pytest.raises(DataError, match=r"r1/t/0 has no outcome; run verify first"):
        select([trace("t", 0, "a", None)], SelectRules(), Archive())


def test_earlier_rounds_are_seen_exactly_by_signature_and_nearly():
    long = " ".join(f"word{chr(97 + i % 26)}{chr(97 + i // 26)}" for i in range(60))
    old = [trace("t", 0, "first answer"), trace("t", 1, long)]
    archive = Archive().add(archive_entries(old, select(old, SelectRules(drop_share=0), Archive())))
    new = [
        trace("t", 5, "first answer"),
        trace("t", 6, "FIRST, answer!"),
        trace("t", 7, long + " end"),
        trace("u", 8, "first answer"),
    ]
    assert reasons(new, archive, drop_share=0) == ["exact_duplicate", "near_duplicate", "near_duplicate", "accepted"]
    order = ("exact", "signature", "near")
    assert reasons(new, archive, order=order) == ["exact_duplicate", "same_signature", "near_duplicate", "accepted"]
    assert Archive.from_lines(archive.to_lines()) == archive
    assert archive.add(archive.entries) == archive
    assert archive.contains("t", archive.entries[0].signature) and not archive.contains(
        "u", archive.entries[0].signature
    )


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"round": 1}', '{"round": "1", "task_id": "a", "exact": "x", "signature": "y"}', '{"a": 1}']
)
def test_a_broken_archive_line_is_named(line):
    good = next(Archive((Entry(1, "t", "x", "y"),)).to_lines())
    with pytest.raises(DataError, match=r"arch\.jsonl:2: not an archive entry"):
        Archive.from_lines([good, line], "arch.jsonl")


def test_rules_without_effect_or_out_of_range_are_refused_all_at_once():
    with pytest.raises(ConfigError) as caught:
        SelectRules(drop_share=1.0, cap=0, order=("near", "near"), near_threshold=0.0)
    assert len(str(caught.value).splitlines()) == 4
    with pytest.raises(ConfigError, match="no effect"):
        SelectRules(cap=None, emphasis_floor=0.5)


def with_decisions(traces: list[Trace], flags: dict[str, str] | None = None) -> list[Trace]:
    decisions = select(traces, SelectRules(), Archive(), flags)
    return [t.model_copy(update={"decision": d}) for t, d in zip(traces, decisions, strict=True)]


def under(quota: TagQuota, traces: list[Trace]) -> Shares:
    return apply_quotas([quota], [(traces, select(traces, SelectRules(), Archive()))])


def quota_drops(shares: Shares) -> int:
    return sum(d == "dropped" and reason.startswith("quota:") for d, reason, _ in shares.decisions.values())


def tagged(plan: dict[str, int]) -> list[Trace]:
    return [
        trace(f"{tag}{n}", k, f"text {tag} {chr(97 + n)} {chr(97 + k)}", tags=(tag,))
        for tag, count in plan.items()
        for n in range(count)
        for k in range(2)
    ]


def test_quota_minimum_takes_back_what_rank_alone_dropped():
    traces = tagged({"rare": 2, "topic:common": 16})
    line = under(TagQuota(tag="rare", minimum=0.2), traces).lines[0]
    assert line.met and line.rows == 4 and line.total == 20
    short = under(TagQuota(tag="rare", minimum=0.5), traces).lines[0]
    assert not short.met and short.reached == 0.2 and "accepted already" in short.why
    none = under(TagQuota(tag="topic:absent", minimum=0.1), traces).lines[0]
    assert not none.met and none.why == "no attempt with this tag passed"


def test_quota_maximum_holds_for_each_value_of_a_name_and_says_when_it_cannot():
    traces = tagged({"template:a": 12, "template:b": 3, "plain": 5})
    found = under(TagQuota(tag="template:*", maximum=0.4), traces)
    assert {line.tag: line.met for line in found.lines} == {"template:a": True, "template:b": True}
    assert quota_drops(found) > 0 and len(found.decisions) == len(traces)
    alone = under(TagQuota(tag="template:*", maximum=0.4), tagged({"template:a": 4}))
    assert quota_drops(alone) == 0 and not alone.lines[0].met and "no drop lowers" in alone.lines[0].why


def test_emphasis_gives_hard_tasks_more_with_a_floor_for_easy_ones():
    assert [task_cap(8, passed, 8, 0.25) for passed in (0, 4, 8)] == [8, 4, 2]
    rows = [trace("easy", n, f"w{chr(97 + n)} text here now") for n in range(8)]
    assert reasons(rows, drop_share=0, cap=8, emphasis_floor=0.25).count("accepted") == 2


def test_pairs_are_of_one_task_with_reasons_and_balanced_length():
    rng = random.Random(5)
    traces = []
    for task in range(60):
        for n in range(6):
            good = n % 2 == 0
            length = rng.randint(5, 40) + (8 if good else 0)
            text = f"{task} {n} " + " ".join("w" + chr(97 + rng.randrange(26)) for _ in range(length))
            traces.append(trace(f"t{task}", n, text, Outcome.PASS if good else Outcome.FAIL))
    decided = with_decisions(traces)
    pairs, report = preference_pairs(decided)
    by_id = {t.attempt.id: t for t in traces}
    assert report.pairs == len(pairs) > 60 and report.one_sided == 0
    assert abs(report.mean_log_ratio) < 0.03
    for pair in pairs:
        assert by_id[pair.chosen].outcome is Outcome.PASS and by_id[pair.rejected].outcome is Outcome.FAIL
        assert by_id[pair.chosen].task.id == by_id[pair.rejected].task.id == pair.task_id
        assert pair.reason == "fail: said so"
    rng.shuffle(decided)
    assert preference_pairs(decided)[0] == pairs


def test_flagged_and_cut_off_attempts_are_on_no_side_of_a_pair():
    traces = [
        trace("t", 0, "good one"),
        trace("t", 1, "bad one", Outcome.FAIL),
        trace("t", 2, "bad cut", Outcome.FAIL, finish_reason="length"),
    ]
    pairs, report = preference_pairs(with_decisions(traces, {"r1/t/1": "contaminated"}))
    assert pairs == [] and report.one_sided == 1


def test_screen_flags_prompt_and_completion_and_counts_by_benchmark_and_source():
    question = (
        "A farmer has forty sheep and sells half of them at the market before buying some more goats for his barn."
    )
    traces = [
        trace("t", 0, question + " He has twenty left."),
        trace("t", 1, "write to jane.roe@mailbox.net today"),
        trace("t", 2, "nothing here"),
        trace("t", 3, "born on 4/5/1990 in town"),
    ]
    found = screen(traces, {"farm": [question]})
    assert found.flags == {"r1/t/0": "contaminated", "r1/t/1": "privacy"}
    assert found.contaminated == {("farm", "", "in_context"): 1} and found.private == {("", "email"): 1}
    assert "jane" not in repr(found)
    assert reasons(traces, flags=found.flags)[:2] == ["contaminated", "privacy"]


def test_empty_texts_control_characters_and_a_huge_text_are_counted_and_not_lost():
    huge = "word " * 2_000_000
    traces = [trace("t", 0, ""), trace("t", 1, "\x00\x07 \udcff bad"), trace("t", 2, huge), trace("t", 3, "")]
    decisions = select(traces, SelectRules(drop_share=0), Archive())
    assert [d.reason for d in decisions] == ["accepted", "accepted", "accepted", "exact_duplicate"]
    entries = archive_entries(traces, decisions)
    assert Archive.from_lines(Archive(tuple(entries)).to_lines()).entries == tuple(entries)
