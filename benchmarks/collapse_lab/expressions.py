"""Level 2 of the lab: small transformers trained from scratch, round after round, on their own expressions.

All arms and seeds are members of one ensemble: same shapes, same number of optimiser steps. Each round every member
answers prompts, its arm says what of it to train on next, a new ensemble is trained from scratch. The dev set goes
through the package's own `dev_set_metrics` and `alarm_of`, so the lab tests the monitor that the loop uses.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.collapse_lab.grammar import (
    END,
    LENGTH,
    PAD,
    PROMPT,
    VOCABULARY,
    Language,
    Tokens,
    canonical,
    encode,
    make_language,
)
from selfplay.collapse import DevRound, DevSet, alarm_of, dev_set_metrics, dev_set_of, freeze_strata
from selfplay.collapse.dev_rules import METRIC_OF

ARMS: dict[str, dict[str, Any]] = {
    "oracle_fresh": {"keep": "fresh"},
    "unfiltered_replace": {"keep": "all"},
    "unfiltered_accumulate": {"keep": "all", "pool": True},
    "unfiltered_accsub": {"keep": "all", "pool": True, "subsample": True},
    "verified_replace": {"keep": "right"},
    "verified_accumulate": {"keep": "right", "pool": True},
    "verified_balanced": {"keep": "balanced", "pool": True, "hard": True},
    "replace_tau_0.7": {"keep": "all", "heat": 0.7},
    "noisy_psi_0.1": {"keep": "right", "psi": 0.1},
    "noisy_psi_0.3": {"keep": "right", "psi": 0.3},
    "noisy_psi_0.5": {"keep": "right", "psi": 0.5},
    "anchor_replayed": {"keep": "all", "anchor": "replayed"},
    "anchor_fresh": {"keep": "all", "anchor": "fresh"},
}
WRITTEN_AT_ONCE = 20_000
"""Sequences a member writes in one call: bounds the memory of the cache."""
CAP = 8
"""Different right answers a task that `balanced` keeps from one round."""


@dataclass(frozen=True)
class Setting:
    """Sizes; the defaults are the full experiment for one large GPU."""

    arms: Sequence[str] = tuple(ARMS)
    seeds: int = 3
    rounds: int = 10
    sequences: int = 100_000
    epochs: float = 3.0
    batch: int = 512
    width: int = 128
    layers: int = 4
    tasks: int = 60
    attempts: int = 64
    device: str = "cuda"
    seed: int = 0


SMOKE = Setting(
    arms=("unfiltered_replace", "verified_accumulate"),
    seeds=1,
    rounds=4,
    sequences=4000,
    epochs=4.0,
    batch=64,
    width=64,
    layers=2,
    tasks=30,
    attempts=16,
    device="cpu",
)
"""Two cores, under five minutes: shows that all parts work together; its curves are too short to judge the bars."""


@dataclass
class Member:
    """One arm with one seed: its pool of sequences and its rows of metrics."""

    arm: str
    seed: int
    language: Language
    pool: Tokens
    rng: np.random.Generator
    first: DevSet | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)
    measured: list[DevRound] = field(default_factory=list)
    """The counts on the dev set of each round."""

    @property
    def rules(self) -> dict[str, Any]:
        """What its arm does."""
        return ARMS[self.arm]


def _fresh(member: Member, size: int) -> Tokens:
    """New real sequences."""
    language = make_language(size, len(member.language.dev), 1, int(member.rng.integers(2**31)))
    return language.train


def prompts_for(member: Member, size: int) -> Tokens:
    """Prompts of real text; the hard ones more often where the arm says so (weight 1 - pass rate, floor 0.1)."""
    real = member.language.train
    if not member.rules.get("hard") or not member.rows:
        return np.asarray(real[member.rng.integers(len(real), size=size), :PROMPT])
    rates = member.rows[-1]["rates"]
    weight = np.asarray([1.1 - rates.get(int(r[0] * 10 + r[1]), 0.5) for r in real])
    picked: Tokens = real[member.rng.choice(len(real), size=size, p=weight / weight.sum()), :PROMPT]
    return picked


def kept(member: Member, written: Tokens) -> Tokens:
    """What of a round's samples the arm's filter lets through."""
    keep = member.rules["keep"]
    if keep == "fresh":
        return _fresh(member, len(written))
    if keep == "all":
        return written
    forms = [canonical(row) for row in written]
    luck = member.rng.random(len(written)) < member.rules.get("psi", 0.0)
    right = np.asarray([form is not None for form in forms]) | luck
    if keep == "right":
        return np.asarray(written[right])
    taken: dict[int, set[str]] = defaultdict(set)
    chosen = []
    for i in member.rng.permutation(len(written)):
        form, task = forms[i], int(written[i, 0] * 10 + written[i, 1])
        if form is not None and form not in taken[task] and len(taken[task]) < CAP:
            taken[task].add(form)
            chosen.append(i)
    return np.asarray(written[np.asarray(chosen, dtype=np.int64)])


def next_pool(member: Member, written: Tokens) -> Tokens:
    """What the next model learns from; never empty (an arm that kept nothing keeps its pool)."""
    new, rules = kept(member, written), member.rules
    share = len(written) // 9
    if rules.get("anchor") == "replayed":
        new = np.concatenate([new, member.language.train[:share]])
    if rules.get("anchor") == "fresh":
        new = np.concatenate([new, _fresh(member, share)])
    pool = np.concatenate([member.pool, new]) if rules.get("pool") else new
    if rules.get("subsample"):
        pool_now = pool[member.rng.choice(len(pool), len(member.language.train), replace=False)]
        return pool_now if len(pool_now) else member.pool
    return pool if len(pool) else member.pool


def read_dev(member: Member, answers_P_G_L: Tokens) -> tuple[DevSet, dict[int, float]]:
    """The counts on the dev set of one round, and pass rates by task."""
    forms = [[canonical(row) for row in group] for group in answers_P_G_L]
    right = [[form is not None for form in group] for group in forms]
    counts = Counter(f"{t}:{f}" for t, group in zip(member.language.dev, forms, strict=True) for f in group if f)
    items = {item: counts[item] for item in member.language.rare_items}
    ids = [str(t) for t in member.language.dev]
    dev = dev_set_of(ids, right, forms, tail=member.language.rare_tasks, items=items)
    return dev, {t: float(np.mean(r)) for t, r in zip(member.language.dev, right, strict=True)}


def measure_round(member: Member, number: int, loss: float, answers_P_G_L: Tokens) -> None:
    """Appends the round's row of dev set keys and its loss."""
    dev, rates = read_dev(member, answers_P_G_L)
    if member.first is None:
        member.first = DevSet.from_dict(dev.to_dict() | {"strata": freeze_strata(dev)})
    first = None if number == 0 else member.first
    row = {"round": number, "loss": loss, "excess": loss - member.language.entropy, "rates": rates}
    keys = dev_set_metrics(dev, first, ks=(1, 4, 8, 16, 32, 64), resamples=300, seed=number)
    member.rows.append(row | keys)
    member.measured.append(DevRound.read(number, {"samples": dev.to_dict()}))


def run(setting: Setting, say: Callable[[str], None] = lambda line: None) -> list[Member]:
    """The whole experiment: one member an arm and seed, each with a row a round (and `level` of its alarm)."""
    import torch

    from benchmarks.collapse_lab.ensemble import Ensemble, Shape

    members = []
    for seed in range(setting.seeds):
        language = make_language(setting.sequences, setting.tasks, setting.attempts, setting.seed + seed)
        for i, arm in enumerate(setting.arms):
            rng = np.random.default_rng([setting.seed, seed, i])
            members.append(Member(arm, seed, language, language.train, rng))
    shape = Shape(len(VOCABULARY), LENGTH, setting.width, setting.layers)
    steps = int(setting.epochs * setting.sequences / setting.batch)
    heat = torch.tensor([float(m.rules.get("heat", 1.0)) for m in members])
    for number in range(setting.rounds + 1):
        models = Ensemble(shape, len(members), setting.seed * 1000 + number, setting.device)
        models.train([torch.from_numpy(m.pool) for m in members], steps, setting.batch, PROMPT, PAD)
        _measure_all(models, members, number, setting)
        say(f"round {number}: " + ", ".join(f"{m.arm} {m.rows[-1]['loss']:.3f}" for m in members[: len(setting.arms)]))
        if number < setting.rounds:
            prompts = np.stack([prompts_for(m, setting.sequences) for m in members])
            written = _written(models, prompts, heat)
            for member, rows in zip(members, written, strict=True):
                member.pool = next_pool(member, rows)
    for member in members:
        found = [alarm_of(member.measured[: t + 1], planned=setting.rounds) for t in range(len(member.rows))]
        moved = [METRIC_OF[key] for alarm in found for key in alarm.keys]
        for row, alarm in zip(member.rows, found, strict=True):
            row["level"], row["first_metric"] = alarm.level, moved[0] if moved else ""
    return members


def _measure_all(models: Any, members: list[Member], number: int, setting: Setting) -> None:
    import torch

    probe = torch.ones(len(members))  # the dev set is sampled at temperature 1, whatever the arm trains on
    prompts = np.stack(
        [np.repeat([encode(t, ())[:PROMPT] for t in m.language.dev], setting.attempts, axis=0) for m in members]
    )
    answers = _written(models, prompts, probe)
    by_seed = {m.seed: m.language for m in members}
    losses = {s: models.test_loss(torch.from_numpy(lang.test), PROMPT, PAD) for s, lang in by_seed.items()}
    for i, member in enumerate(members):
        grouped = answers[i].reshape(len(member.language.dev), setting.attempts, -1)
        measure_round(member, number, float(losses[member.seed][i]), grouped)


def _written(models: Any, prompts_E_B_L: Tokens, heat: Any) -> Tokens:
    import torch

    prompts = torch.from_numpy(np.ascontiguousarray(prompts_E_B_L))
    starts = range(0, prompts.shape[1], WRITTEN_AT_ONCE)
    parts = [models.write(prompts[:, at : at + WRITTEN_AT_ONCE], LENGTH, heat, END, PAD) for at in starts]
    return np.asarray(torch.cat(parts, 1).numpy())
