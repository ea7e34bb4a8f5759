"""Draws the three worked pictures of docs/collapse.md: simulated runs, judged by the gate's own rules.

    python scripts/collapse_pictures.py               # writes docs/pictures/collapse-*.svg and prints the alarms
    python scripts/collapse_pictures.py --runs 60     # and in how many runs of each story no alarm rings

A student has an ability at each dev task, which jitters from round to round. Its greedy answer is right where the ability is
above 0, an attempt at temperature 1 with a logistic chance, and right attempts fall into four solutions per task.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from selfplay.collapse import DevAlarm, DevRound, alarm_of, wilson
from selfplay.report.svg import Point, line_chart, standalone

ROUNDS, SAMPLES, SPREAD, JITTER = 8, 8, 2.0, 0.5
FOLDER = Path(__file__).resolve().parent.parent / "docs" / "pictures"
Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


@dataclass(frozen=True)
class Story:
    """One simulated run."""

    name: str
    tasks: int
    ability: Sequence[float]
    """Mean ability by round, in logits."""
    sharper: float = 0.0
    """By how much a round narrows the solutions of a task: shares to the power 1 + sharper, once a round."""
    seed: int = 0


STORIES = (
    Story("healthy", 100, [-0.4 + 0.16 * t for t in range(ROUNDS + 1)]),
    Story("collapsing", 100, [-0.4, 0.1, 0.1, -0.1, -0.4, -0.7, -1.0, -1.3, -1.6], sharper=0.5),
    Story("blind", 32, [-0.4] * 3 + [-1.0] * (ROUNDS - 2), seed=8),
)


@dataclass(frozen=True)
class Seen:
    """One round of a story: what the gate reads, and the accuracy that the student truly has."""

    round: DevRound
    truth: float


def rounds_of(story: Story) -> list[Seen]:
    """Plays a story."""
    rng = np.random.default_rng(story.seed)
    lasting = rng.normal(0, SPREAD, story.tasks)
    modes = rng.dirichlet(np.full(4, 0.8), story.tasks)
    out = []
    for t, mean in enumerate(story.ability):
        ability = lasting + mean + rng.normal(0, JITTER, story.tasks)
        shares = modes ** (1 + story.sharper) ** t
        shares /= shares.sum(1, keepdims=True)
        right = rng.binomial(SAMPLES, 1 / (1 + np.exp(1 - 1.2 * ability)))
        kinds = [rng.multinomial(n, share) for n, share in zip(right, shares, strict=True)]
        ids = [f"t{i}" for i in range(story.tasks)]
        samples = {i: (int(n), SAMPLES, tuple(map(int, k))) for i, n, k in zip(ids, right, kinds, strict=True)}
        greedy = {i: float(a > 0) for i, a in zip(ids, ability, strict=True)}
        truth = float((rng.normal(0, np.hypot(SPREAD, JITTER), 200_000) + mean > 0).mean())
        out.append(Seen(DevRound(t, greedy, samples), truth))
    return out


def levels_of(seen: Sequence[Seen]) -> list[DevAlarm]:
    """The gate's alarm after each round."""
    return [alarm_of([s.round for s in seen[: t + 1]], planned=ROUNDS) for t in range(len(seen))]


def quiet_runs(story: Story, runs: int) -> int:
    """In how many runs of a story, on seeds from 0 on, no alarm rings."""
    played = (levels_of(rounds_of(replace(story, seed=seed))) for seed in range(runs))
    return sum(not any(alarm.level for alarm in alarms) for alarms in played)


def variety(one: DevRound) -> float:
    """Mean chance that two right attempts at a task differ, over tasks with two right ones."""
    counted = [(right, kinds) for right, _, kinds in one.samples.values() if right >= 2]
    return float(np.mean([1 - sum(k * (k - 1) for k in kinds) / (right * (right - 1)) for right, kinds in counted]))


def drawn(story: Story) -> tuple[str, str]:
    """The picture, and its alarms in words."""
    seen = rounds_of(story)
    alarms = levels_of(seen)
    dev: list[Point] = []
    for t, s in enumerate(seen):
        found = wilson(int(sum(s.round.greedy.values())), len(s.round.greedy))
        dev.append((t, found.value, found.lo, found.hi))
    first = variety(seen[0].round)
    kept: list[Point] = [(t, variety(s.round) / first, None, None) for t, s in enumerate(seen)]
    truth: list[Point] = [(t, s.truth, None, None) for t, s in enumerate(seen)]
    lines = {"dev accuracy": dev, "its true value": truth, "variety kept": kept}
    levels = " ".join(str(alarm.level) for alarm in alarms)
    title = f"{story.name.capitalize()}: {story.tasks} dev tasks"
    picture = line_chart(
        lines, title, f"round 0 to {ROUNDS}; alarm level: {levels}", "share", y_range=(0.0, 1.25), width=640, height=340
    )
    told = [f"  round {t}: level {a.level} {'; '.join(a.reasons)}" for t, a in enumerate(alarms) if a.level]
    fall = alarms[-1].smallest_fall.get("dev_accuracy")
    told += [f"  smallest lasting fall seen: {fall}", *(f"  blind: {k}: {why}" for k, why in alarms[-1].blind.items())]
    return picture, "\n".join([title, f"  levels {levels}; truth {seen[0].truth:.2f} to {seen[-1].truth:.2f}", *told])


def main() -> None:
    """Writes the pictures and prints the alarms."""
    parser = argparse.ArgumentParser(description="Draws the worked pictures of docs/collapse.md.")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder of the pictures")
    parser.add_argument("--runs", type=int, default=0, help="runs of each story of which the quiet ones are counted")
    given = parser.parse_args()
    out: Path = given.out
    out.mkdir(parents=True, exist_ok=True)
    for story in STORIES:
        picture, told = drawn(story)
        (out / f"collapse-{story.name}.svg").write_text(standalone(picture), encoding="utf-8")
        print(told)
        if given.runs:
            print(f"  quiet runs of {given.runs}: {quiet_runs(story, given.runs)}")


if __name__ == "__main__":
    main()
