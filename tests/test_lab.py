"""The collapse lab: its laws hold, its languages verify what they say, its arms do what their names say."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.collapse_lab.__main__ import run_level
from benchmarks.collapse_lab.bars import first_fall, first_rise, level_1, level_1_variety, level_2
from benchmarks.collapse_lab.bigram import ARMS, Curves, Setting, World, fit, run_all, verified
from benchmarks.collapse_lab.characters import STYLES, Spec, run
from benchmarks.collapse_lab.expressions import Member
from benchmarks.collapse_lab.grammar import END, LENGTH, PROMPT, canonical, draw, encode, evaluate, make_language
from benchmarks.collapse_lab.laws import check_laws
from selfplay.errors import ConfigError


def test_every_closed_form_law_holds() -> None:
    failed = [(c.name, c.predicted, c.measured, c.bar) for c in check_laws(0) if not c.holds]
    assert failed == []


def test_no_law_about_a_loss_accepts_a_simulator_that_loses_nothing() -> None:
    checks = [c for c in check_laws(0) if c.unmoved is not None]
    assert len(checks) == 6 and [c.name for c in checks if c.unmoved is not None and c.accepts(c.unmoved)] == []


def _still(seeds: int = 4) -> dict[str, Curves]:
    """Every arm as it is at round 0, for ever."""
    flat = [np.full(seeds, 2.0)] * 21
    entropy = np.full(seeds, 1.9)
    return {arm: Curves(arm, loss=flat, valid=flat, variety=flat, coverage=flat, entropy=entropy) for arm in ARMS}


def test_no_bar_about_a_loss_holds_for_arms_that_do_not_move() -> None:
    checks = level_1(_still()) + level_1_variety(_still())
    bounded = {
        "2 accumulate: loss at round 10 minus round 1",
        "2 accumulate: slope of the last five rounds",
        "6 verified accumulate: unique correct kept",
    }
    assert {c.name for c in checks if c.holds} == bounded
    assert all(c.accepts(c.unmoved) is False for c in checks if c.unmoved is not None)


def test_neither_does_a_bar_of_level_2() -> None:
    row = {"loss": 1.5, "level": 0, "eval/pass_at_1": 0.3, "collapse_tails/rare_item_coverage": 0.5}
    row |= {"collapse_diversity/unique_correct_at_16": 2.0}
    names = ("unfiltered_replace", "unfiltered_accsub", "unfiltered_accumulate", "oracle_fresh", "replace_tau_0.7")
    pools = make_language(50, 4, 2, 0)
    members = [
        Member(arm, seed, pools, pools.train, np.random.default_rng(0), rows=[dict(row)] * 11)
        for arm in (*names, "verified_replace", "verified_accumulate")
        for seed in range(3)
    ]
    checks = level_2(members)
    assert len(checks) == 13 and [c.name[0] for c in checks if c.holds] == ["9", "2", "6"]
    assert [c.name for c in level_2([replace(m, rows=m.rows[:5]) for m in members])] == [
        "9 replace_tau_0.7: share of seeds at level 2 by round 3"
    ]


def test_a_fall_of_one_round_by_chance_is_no_fall_and_what_never_moves_comes_never() -> None:
    values = np.asarray([1.0, 0.7, 1.0, 0.75, 0.7, 0.6])
    assert first_fall(values, 0.2) == 3 and first_rise(2 - values, 0.2) == 3
    assert first_fall(np.ones(5), 0.2) == first_rise(np.ones(5), 0.05) == float("inf")


def test_replacing_loses_what_accumulating_keeps_in_the_bigram_language() -> None:
    curves = run_all(Setting(words=30, followers=10, draws=2000, rounds=10, seeds=4))
    assert set(curves) == set(ARMS)
    loss = {arm: c.mean("loss") for arm, c in curves.items()}
    assert loss["unfiltered_replace"][-1] > loss["unfiltered_accsub"][-1] > loss["unfiltered_accumulate"][-1]
    assert abs(loss["oracle_fresh"][-1] - loss["oracle_fresh"][0]) < 0.05
    assert (
        curves["unfiltered_replace"].mean("coverage")[-1] < 0.6 * curves["unfiltered_accumulate"].mean("coverage")[-1]
    )
    bars = {c.name: c for c in level_1(curves)}
    assert bars["3 loss: replace > subsample > accumulate > fresh"].holds
    assert bars["2 accumulate: excess at round 10 over round 0"].measured > 1.3


def test_few_answers_a_word_show_what_replacing_does_to_variety() -> None:
    pair = ("verified_replace", "verified_accumulate")
    curves = run_all(Setting(draws=1500, rounds=10, seeds=4), pair)
    assert tuple(curves) == pair and [c.holds for c in level_1_variety(curves)] == [True, True]


def test_the_bigram_verifier_keeps_the_allowed_and_a_share_of_the_rest() -> None:
    world = World(Setting(words=20, followers=5, draws=500, seeds=2))
    counts = np.full((2, 20, 20), 10.0)
    assert (verified(world, counts)[~world.allowed] == 0).all()
    assert verified(world, counts, 0.3)[~world.allowed].mean() == pytest.approx(3, rel=0.1)
    assert fit(counts).sum(axis=2) == pytest.approx(1.0)


def test_expressions_are_evaluated_and_brought_to_one_form() -> None:
    assert evaluate(("+", "3", "*", "4", "5")) == (23, "((4*5)+3)")
    assert evaluate(("+", "*", "5", "4", "3")) == (23, "((4*5)+3)")
    assert evaluate(("-", "3", "4")) == (-1, "(3-4)")
    for malformed in ((), ("+", "3"), ("3", "4"), ("0",), ("=", "1")):
        assert evaluate(malformed) is None


def test_real_text_is_always_right_and_a_wrong_target_never_is() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        e = draw(rng)
        row = np.asarray(encode(e.value, e.tokens))
        assert row.size == LENGTH and canonical(row) is not None and e.log_p < 0
        row[1] = (row[1] + 1) % 10
        assert canonical(row) is None


def test_a_language_freezes_its_dev_set_tail_and_items() -> None:
    a, b = make_language(500, 20, 16, 3), make_language(500, 20, 16, 3)
    assert a.dev == b.dev and a.rare_items == b.rare_items and (a.train == b.train).all()
    assert len(a.dev) == 20 and any(a.rare_tasks) and not all(a.rare_tasks)
    assert 0.5 < a.entropy < 2.0


def test_character_runs_are_fixed_by_their_spec_and_cover_all_styles() -> None:
    corpus = "the cat sat on the mat and the dog ran to the park while a bird sang in the old tree " * 60
    for style in STYLES:
        spec = Spec(style, order=3, rounds=2, texts=10, chars=40, source_chars=2000)
        rounds = run(spec, corpus)
        assert [len(r) for r in rounds] == [10, 10, 10] and all(len(t) == 40 for r in rounds for t in r)
        assert rounds == run(spec, corpus)


def test_members_of_an_ensemble_do_not_touch_one_another() -> None:
    torch = pytest.importorskip("torch")
    from benchmarks.collapse_lab.ensemble import Ensemble, Shape

    language = make_language(200, 10, 4, 0)
    rows = torch.from_numpy(language.train)
    shape = Shape(16, LENGTH, width=16, layers=1, heads=2)
    together = Ensemble(shape, 2, seed=0)
    alone = {name: weight[:1].detach().clone() for name, weight in together.weights.items()}
    loss = together.loss(torch.stack([rows[:8], rows[8:16]]), PROMPT, 15)
    torch.autograd.backward(loss[0])
    assert all(bool((w.grad[1] == 0).all()) for w in together.weights.values() if w.grad is not None)
    assert all(bool((w[:1] == alone[name]).all()) for name, w in together.weights.items())


def test_an_ensemble_learns_and_its_cache_agrees_with_a_whole_pass() -> None:
    torch = pytest.importorskip("torch")
    from benchmarks.collapse_lab.ensemble import Ensemble, Shape

    language = make_language(300, 10, 4, 0)
    rows = torch.from_numpy(language.train)
    model = Ensemble(Shape(16, LENGTH, width=16, layers=1, heads=2), 2, seed=0)
    before = model.test_loss(rows[:50], PROMPT, 15)
    model.train([rows, rows], steps=30, batch=16, prompt=PROMPT, pad=15)
    assert bool((model.test_loss(rows[:50], PROMPT, 15) < before - 0.2).all())
    x = rows[:4][None].expand(2, -1, -1)
    whole = model.logits(x)
    cache: list[tuple[object, object]] = []
    first = model.logits(x[:, :, :PROMPT], 0, cache)
    nexts = [model.logits(x[:, :, i : i + 1], i, cache) for i in range(PROMPT, LENGTH)]
    assert torch.allclose(torch.cat([first, *nexts], 2), whole, atol=1e-4)
    written = model.write(x[:, :, :PROMPT], LENGTH, torch.ones(2), END, 15)
    assert written.shape == (2, 4, LENGTH) and bool((written[:, :, :PROMPT] == x[:, :, :PROMPT]).all())


def test_the_transformer_experiment_runs_through_all_arms_in_small() -> None:
    pytest.importorskip("torch")
    from benchmarks.collapse_lab.expressions import ARMS as ALL
    from benchmarks.collapse_lab.expressions import SMOKE
    from benchmarks.collapse_lab.expressions import run as experiment

    tiny = replace(
        SMOKE, arms=tuple(ALL), rounds=1, sequences=90, epochs=1.0, batch=16, width=16, layers=1, tasks=6, attempts=4
    )
    members = experiment(tiny)
    assert [m.arm for m in members] == list(ALL)
    assert all(len(m.rows) == 2 and "level" in m.rows[1] and len(m.pool) > 0 for m in members)


def test_the_command_prints_bars_and_saves_curves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_level(0, out=tmp_path) == 0
    assert "level 0" in capsys.readouterr().out
    assert all(bar["holds"] for bar in json.loads((tmp_path / "results.json").read_text())["bars"])
    with pytest.raises(ConfigError, match="level is 7"):
        run_level(7)
    with pytest.raises(ConfigError, match="no such size"):
        run_level(1, full=True)
    with pytest.raises(ConfigError, match="draws is 6000 at level 2"):
        run_level(2, draws=6000)
