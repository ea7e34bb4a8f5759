"""Level 1 of the lab: a bigram language model with a known truth, so that loss and divergence are exact.

The truth is a Markov chain over `V` words in which each word may be followed by a Zipf-weighted set of others and by no
others: what lies outside is wrong, and a verifier can say so. Rounds sample `draws` transitions, refit by counting
(a little mass on everything), and go on as the arm says. All seeds run at once: arrays are (S seeds, V, V).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from selfplay.collapse.estimate import Floats, slope

SMOOTHING = 0.02
"""Mass a transition gets beside its count: what was never seen stays possible, and costs."""


@dataclass(frozen=True)
class Setting:
    """Sizes of one experiment; the defaults are the registered ones."""

    words: int = 60
    followers: int = 20
    draws: int = 20_000
    """Transitions a round: enough that the law's quadratic term is the excess loss, few enough that replacing costs 0.2 nats."""
    rounds: int = 20
    seeds: int = 20
    seed: int = 1


SPARSE_DRAWS = 1500
"""Transitions a round for what is about variety alone: 25 a word, near the 2 to 16 answers a task that runs keep."""


@dataclass
class Curves:
    """What one arm did, by round: arrays (rounds + 1, S)."""

    arm: str
    loss: list[Floats] = field(default_factory=list)
    """Exact cross-entropy of the truth under the model, nats a word."""
    valid: list[Floats] = field(default_factory=list)
    """Exact chance that a written transition is one the truth allows: pass@1 of one step."""
    variety: list[Floats] = field(default_factory=list)
    """Expected number of different right followers among 16 right draws from one word: unique-correct@16, exact."""
    coverage: list[Floats] = field(default_factory=list)
    """Share of the rare allowed transitions met in a fixed draw."""
    entropy: Floats = field(default_factory=lambda: np.zeros(0))
    """Entropy of the truth, nats a word (S,): the floor of the loss."""

    def mean(self, name: str) -> Floats:
        """Mean over seeds by round."""
        return np.asarray(np.asarray(getattr(self, name)).mean(axis=1))


class World:
    """The truth, its stationary law and its frozen rare transitions, one for each seed."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.rng = np.random.default_rng(setting.seed)
        S, V, K = setting.seeds, setting.words, setting.followers
        zipf = 1 / np.arange(1, K + 1) ** 1.2
        self.truth = np.zeros((S, V, V))
        for s in range(S):
            for v in range(V):
                self.truth[s, v, self.rng.choice(V, K, replace=False)] = zipf / zipf.sum()
        self.allowed = self.truth > 0
        self.visits = stationary(self.truth)
        surprise = np.log(self.truth, where=self.allowed, out=np.zeros_like(self.truth))
        self.entropy = -(self.visits[..., None] * self.truth * surprise).sum(axis=(1, 2))
        joint = self.visits[..., None] * self.truth
        expected = joint * setting.draws
        self.rare = self.allowed & (expected > 0.3) & (expected < 3)

    def sample(self, model: Floats, draws: int, sharpen: float = 1.0) -> Floats:
        """Counts (S, V, V) of that many transitions written by the model at temperature 1/sharpen."""
        table = model**sharpen
        table = table / table.sum(axis=2, keepdims=True)
        joint = stationary(table)[..., None] * table
        flat = joint.reshape(joint.shape[0], -1)
        return self.rng.multinomial(draws, flat / flat.sum(axis=1, keepdims=True)).reshape(joint.shape).astype(float)

    def measure(self, model: Floats, curves: Curves) -> None:
        """Appends one round's exact figures, and the coverage of one fixed draw."""
        weight = self.visits[..., None] * self.truth
        curves.loss.append(-(weight * np.log(model)).sum(axis=(1, 2)))
        inside = model * self.allowed
        share = inside.sum(axis=2)
        curves.valid.append((self.visits * share).sum(axis=1))
        right = inside / np.maximum(share[..., None], 1e-12)
        curves.variety.append((self.visits * (1 - (1 - right) ** 16).sum(axis=2)).sum(axis=1))
        met = (self.sample(model, self.setting.draws) > 0) & self.rare
        curves.coverage.append(met.sum(axis=(1, 2)) / self.rare.sum(axis=(1, 2)))


def stationary(table: Floats) -> Floats:
    """Long-run share of each word, by power iteration."""
    visits = np.full(table.shape[:2], 1 / table.shape[1])
    for _ in range(60):
        visits = np.einsum("sv,svw->sw", visits, table)
        visits /= visits.sum(axis=1, keepdims=True)
    return np.asarray(visits)


def fit(counts: Floats) -> Floats:
    """The model of these counts."""
    smooth = counts + SMOOTHING
    return np.asarray(smooth / smooth.sum(axis=2, keepdims=True))


def verified(world: World, counts: Floats, psi: float = 0.0) -> Floats:
    """What a verifier keeps: all allowed transitions, and a share psi of the others."""
    wrong = world.rng.binomial(counts.astype(np.int64), psi) if psi else np.zeros_like(counts)
    return np.asarray(np.where(world.allowed, counts, wrong), dtype=np.float64)


def thinned(world: World, counts: Floats, draws: int) -> Floats:
    """A uniform subsample of the pool, about `draws` transitions."""
    total = counts.sum(axis=(1, 2), keepdims=True)
    return np.asarray(world.rng.binomial(counts.astype(np.int64), np.minimum(1.0, draws / total)), dtype=np.float64)


Step = Callable[[World, Floats, Floats, Floats], Floats]
"""(world, real counts, pool so far, fresh samples of the model) -> counts to fit; the pool holds all but the fresh."""


def _balanced(world: World, real: Floats, pool: Floats, new: Floats) -> Floats:
    """Accumulate, verified, with a cap: no transition counts for more than 8 in the pool, nor for more than 8 of a round."""
    return np.asarray(real + np.minimum(verified(world, pool), 8) + np.minimum(verified(world, new), 8))


ARMS: dict[str, tuple[Step, float]] = {
    "oracle_fresh": (lambda w, real, pool, new: w.sample(np.maximum(w.truth, 1e-300), w.setting.draws), 1.0),
    "unfiltered_replace": (lambda w, real, pool, new: new, 1.0),
    "unfiltered_accumulate": (lambda w, real, pool, new: real + pool + new, 1.0),
    "unfiltered_accsub": (lambda w, real, pool, new: thinned(w, real + pool + new, w.setting.draws), 1.0),
    "verified_replace": (lambda w, real, pool, new: verified(w, new), 1.0),
    "verified_accumulate": (lambda w, real, pool, new: real + verified(w, pool + new), 1.0),
    "verified_balanced": (_balanced, 1.0),
    "noisy_verifier_replace": (lambda w, real, pool, new: verified(w, new, 0.3), 1.0),
    "replace_tau_0.7": (lambda w, real, pool, new: new, 1 / 0.7),
    "anchor_replayed": (lambda w, real, pool, new: new + thinned(w, real, w.setting.draws // 9), 1.0),
    "anchor_fresh": (
        lambda w, real, pool, new: new + w.sample(np.maximum(w.truth, 1e-300), w.setting.draws // 9),
        1.0,
    ),
}


def run_arm(world: World, arm: str) -> Curves:
    """All rounds of one arm, all seeds at once."""
    step, sharpen = ARMS[arm]
    curves, pool = Curves(arm, entropy=world.entropy), np.zeros_like(world.truth)
    real = world.sample(np.maximum(world.truth, 1e-300), world.setting.draws)
    model = fit(real)
    world.measure(model, curves)
    for _ in range(world.setting.rounds):
        new = world.sample(model, world.setting.draws, sharpen)
        model = fit(step(world, real, pool, new))
        pool = pool + new
        world.measure(model, curves)
    return curves


def run_all(setting: Setting | None = None, arms: Sequence[str] = tuple(ARMS)) -> dict[str, Curves]:
    """The arms on the same truths: seconds on one core at the default size."""
    setting = setting or Setting()
    return {arm: run_arm(World(setting), arm) for arm in arms}


def loss_slope(curves: Curves) -> tuple[float, float, float]:
    """Slope of the loss a round, mean over seeds, with its 95 % interval over seeds."""
    loss = np.asarray(curves.loss)
    per_seed = np.asarray([slope(loss[:, s].tolist()).value for s in range(loss.shape[1])])
    half = 1.96 * float(per_seed.std(ddof=1)) / np.sqrt(per_seed.size)
    return float(per_seed.mean()), float(per_seed.mean() - half), float(per_seed.mean() + half)
