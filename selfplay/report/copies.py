"""The photocopy: of the word pairs that round 0 wrote, how many an equal draw of a later round still shows.

Every round answers the same dev tasks at temperature 1, so difficulty does not move. Draws of equally many words are compared, so
that length does not count. How common a pair is, is counted in one half of round 0's samples, and the pair is looked for in the
other half of every round's, then the other way round: else the luck of the pairs that were seen once would read as their loss.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from selfplay.report.page_model import pick
from selfplay.report.run_data import RunData
from selfplay.textstats.hashing import Hashes, Ints
from selfplay.textstats.ngrams import gram_hashes, stream_of, tally, units_of

CLASSES = (
    (32, "32 times or more"),
    (16, "16 to 31 times"),
    (8, "8 to 15 times"),
    (4, "4 to 7 times"),
    (2, "2 or 3 times"),
    (1, "once"),
)
"""Least count of a pair in half of round 0's samples, and the name of the class."""
RARE = ("2 or 3 times", "once")
PARTS = ("samples", "dev")
"""Rows of the evaluation that may be used: those at temperature 1, else the greedy answers."""
MOST_TASKS, MOST_WORDS = 200, 400
"""Tasks, and words of one text, that are read: bounds the time of a page."""
LEAST_RIGHT = 20
"""From so many right texts in round 0 on, pairs of its right texts alone are followed: an error that is unlearned is no loss."""
LEAST_MET = 5.0
"""Pairs of a class that round 0's draw must show for the class to be drawn."""
GROUPS = 10
"""Groups of tasks that the jackknife leaves out, one at a time."""
_T9 = 2.262
"""The 97.5 % quantile of Student's t with GROUPS - 1 degrees of freedom."""
Floats = NDArray[np.float64]
Triple = tuple[float, float | None, float | None]


@dataclass(frozen=True)
class Written:
    """Word pairs of one round's answers to the dev tasks."""

    tasks: int
    pairs: Hashes
    """One for each place, in order of task and sample."""
    owner: Ints
    """Number of the task that each pair stands in, from 0 on."""
    half: Ints
    """0 or 1: the half of the samples that each pair stands in."""
    right: NDArray[np.bool_]
    """Whether each pair stands in a right text."""
    texts: Sequence[str]
    """The texts, cut to MOST_WORDS."""
    right_texts: int


@dataclass(frozen=True)
class Copies:
    """What later rounds keep of round 0."""

    rounds: Sequence[int]
    kept: Mapping[str, Sequence[Triple]]
    """By class, one a round: pairs met over those that round 0 meets, with a 95 % interval (None in round 0)."""
    words: Sequence[float]
    """Mean words a text, one a round."""
    draw: int
    """Pairs of a draw."""
    tasks: int
    greedy: bool = False
    """Whether greedy answers took the place of samples."""
    lost: Sequence[str] = ()
    """Pairs that round 0 wrote often enough to be met again, and the last round never."""
    short: Sequence[int] = field(default_factory=list)
    """Rounds that wrote less than a fifth of the usual amount, which are left out."""

    def of(self, names: Iterable[str]) -> list[Triple]:
        """The unweighted mean of some classes by round, without an interval."""
        found = [self.kept[name] for name in names if name in self.kept]
        return [(sum(t[0] for t in column) / len(column), None, None) for column in zip(*found, strict=True)]


def read_copies(run: RunData, most: int = 4, only: Iterable[int] | None = None) -> Copies | str:
    """The photocopy of a run over at most `most` rounds (of `only`, if given), or a sentence that says why there is none."""
    part = next((part for part in PARTS if _rows(run.path, 0, part)), PARTS[0])
    allowed = set(run.rounds if only is None else only) | {0}
    there = [n for n in run.rounds if n in allowed and any(_files(run.path, n))]
    rows = {n: found for n in pick(there, most) if (found := _rows(run.path, n, part))}
    if 0 not in rows:
        return "The run kept no samples of round 0 on dev tasks (eval.samples): there is nothing to compare with."
    shared = set.intersection(*({row.task for row in found} for found in rows.values()))
    if not shared:
        return "The rounds share no dev task: their samples cannot be compared."
    chosen = set(sorted(shared)[:MOST_TASKS])
    written = {n: _written([row for row in found if row.task in chosen]) for n, found in rows.items()}
    usual = float(np.median([w.pairs.size for w in written.values()]))
    short = [n for n, w in written.items() if w.pairs.size < max(2.0, usual / 5)]
    if 0 in short or len(written) - len(short) < 2:
        return "Fewer than two rounds wrote enough on the dev tasks to be compared with round 0."
    return _compared({n: w for n, w in written.items() if n not in short}, short, part == "dev")


def _compared(rounds: Mapping[int, Written], short: Sequence[int], greedy: bool) -> Copies | str:
    whole = _met(rounds, None)
    classes = [name for name in whole if whole[name][0] >= LEAST_MET]
    if not classes:
        return "Round 0 wrote too few word pairs twice to follow them."
    ratios = _ratios(whole, classes)
    tasks = rounds[0].tasks
    parts = [_ratios(_met(rounds, g), classes) for g in range(GROUPS)] if tasks >= 2 * GROUPS else []
    kept = {name: _with_interval(ratios[name], [part[name] for part in parts]) for name in classes}
    words = [w.pairs.size / max(1, len(w.texts)) + 1 for w in rounds.values()]
    return Copies(list(rounds), kept, words, _draw(rounds, None), tasks, greedy, _lost(rounds), short)


def _ratios(met: Mapping[str, Floats], classes: Sequence[str]) -> dict[str, Floats]:
    return {name: met[name] / max(met[name][0], 1e-9) for name in classes}


def _with_interval(values: Floats, left_out: Sequence[Floats]) -> list[Triple]:
    """Delete-a-group jackknife over tasks; without groups there is no interval."""
    if not left_out:
        return [(float(v), None, None) for v in values]
    spread = np.std(np.asarray(left_out), axis=0) * math.sqrt(GROUPS - 1) * _T9
    ends = [(float(v), float(max(0.0, v - s)), float(v + s)) for v, s in zip(values, spread, strict=True)]
    return [(ends[0][0], None, None), *ends[1:]]


def _draw(rounds: Mapping[int, Written], without: int | None) -> int:
    """Pairs of the smallest half of any round."""
    return min(int(_in_half(w, h, without).size) for w in rounds.values() for h in (0, 1))


def _in_half(written: Written, half: int, without: int | None = None, right: bool = False) -> Hashes:
    chosen = written.half == half
    if without is not None:
        chosen &= written.owner % GROUPS != without
    found: Hashes = written.pairs[chosen & written.right if right else chosen]
    return found


def _met(rounds: Mapping[int, Written], without: int | None) -> dict[str, Floats]:
    """Expected number of each class's pairs that a draw shows, one a round: the mean over the two halves.

    The draw of a class is as small as its pairs are common, so that each is expected about once: a class reacts alike
    whether its pairs become half as frequent or half of them disappear.
    """
    draw = _draw(rounds, without)
    out = {name: np.zeros(len(rounds)) for _, name in CLASSES}
    for half in (0, 1):
        pairs, counts = _frozen(rounds[0], half)
        for k, written in enumerate(rounds.values()):
            there, n = tally(_in_half(written, 1 - half, without))
            found, top = _looked_up(pairs, there, n), math.inf
            for least, name in CLASSES:
                chosen = found[(counts >= least) & (counts < top)]
                out[name][k] += float(_chance(chosen, int(n.sum()), max(1, draw // least)).sum()) / 2
                top = least
    return out


def _frozen(first: Written, half: int) -> tuple[Hashes, Ints]:
    """The pairs of one half of round 0's samples that are followed, and how often they stand in it."""
    pairs, counts = tally(_in_half(first, half))
    if first.right_texts < LEAST_RIGHT:
        return pairs, counts
    known, _ = tally(_in_half(first, half, right=True))
    return known, _looked_up(known, pairs, counts)


def _looked_up(wanted: Hashes, there: Hashes, counts: Ints) -> Ints:
    """How often each wanted hash occurs; `there` is sorted."""
    if there.size == 0:
        return np.zeros(wanted.size, dtype=np.int64)
    at = np.minimum(np.searchsorted(there, wanted), there.size - 1)
    return np.where(there[at] == wanted, counts[at], 0)


def _chance(counts: Ints, total: int, draw: int) -> Floats:
    """Chance that a draw without replacement from `total` places shows what stands in `counts` of them (rarefaction)."""
    if counts.size == 0:
        return np.zeros(0)
    kinds, back = np.unique(counts, return_inverse=True)
    missed = [_missed(total, int(n), draw) for n in kinds]
    return np.asarray(1 - np.asarray(missed))[back]


def _missed(total: int, count: int, draw: int) -> float:
    left = total - count
    if draw > left:
        return 0.0
    logs = [math.lgamma(n + 1) for n in (left, total - draw, left - draw, total)]
    return math.exp(logs[0] + logs[1] - logs[2] - logs[3])


def _lost(rounds: Mapping[int, Written], most: int = 8) -> list[str]:
    """Pairs of round 0, commonest first, that a draw of the last round would show with 99 % and does not."""
    first, last = rounds[0], rounds[max(rounds)]
    pairs, counts = tally(first.pairs[first.right] if first.right_texts >= LEAST_RIGHT else first.pairs)
    there, n = tally(last.pairs.copy())
    size = min(1.0, last.pairs.size / first.pairs.size)
    gone = (_looked_up(pairs, there, n) == 0) & (counts * size >= 5)
    wanted = pairs[gone][np.argsort(-counts[gone], kind="stable")][:most]
    names = _names(first.texts, set(wanted.tolist()))
    return [names[h] for h in wanted.tolist() if h in names]


def _names(texts: Sequence[str], wanted: set[int]) -> dict[int, str]:
    found: dict[int, str] = {}
    for text in texts:
        if len(found) == len(wanted):
            break
        hashes, _ = gram_hashes(stream_of([text], units_of(texts)), 2)
        words = text.split() if units_of(texts) == "words" else list(text)
        found |= {int(h): f"{a} {b}" for h, a, b in zip(hashes, words, words[1:], strict=False) if int(h) in wanted}
    return found


class _Row(NamedTuple):
    """One answer to a dev task."""

    task: str
    sample: int
    right: bool
    text: str


def _files(path: Path, number: int) -> tuple[Path, ...]:
    return tuple(sorted((path / "rounds" / f"{number:03d}" / "evaluate").glob("chunk-*.jsonl")))


def _rows(path: Path, number: int, part: str) -> tuple[_Row, ...]:
    files = _files(path, number)
    return _read(files, max((file.stat().st_mtime_ns for file in files), default=0), part)


@lru_cache(maxsize=8)
def _read(files: tuple[Path, ...], changed: int, part: str) -> tuple[_Row, ...]:
    """The answers of a committed round, which does not change, in order; a row that cannot be read is left out."""
    found: list[_Row] = []
    for line in (line for file in files for line in file.read_bytes().split(b"\n")):
        if part.encode() not in line or b'"text"' not in line:
            continue
        try:
            row: Any = json.loads(line)
            if row["part"] == part:
                found.append(_Row(str(row["task_id"]), int(row["sample"]), row["outcome"] == "pass", str(row["text"])))
        except (ValueError, KeyError, TypeError):
            continue
    return tuple(sorted(found))


def _written(rows: Sequence[_Row]) -> Written:
    texts = [" ".join(re.sub(r"([^\w\s])", r" \1 ", row.text).split()[:MOST_WORDS]) for row in rows]
    pairs, counts = gram_hashes(stream_of(texts, units_of(texts)), 2)
    tasks = sorted({row.task for row in rows})
    place = {task: i for i, task in enumerate(tasks)}
    owner = np.repeat([place[row.task] for row in rows], counts)
    half = np.repeat(np.arange(len(rows)) % 2, counts)
    right = np.repeat([row.right for row in rows], counts)
    return Written(len(tasks), pairs, owner, half, right, texts, sum(row.right for row in rows))
