"""The photocopy, drawn: bars of what each round still shows of round 0, for one run and side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

from selfplay.report.copies import CLASSES, RARE, Copies, read_copies
from selfplay.report.page_model import Chart, Section, Table, counted, interval, listed, pick
from selfplay.report.run_data import RunData
from selfplay.report.svg import bar_matrix, line_chart
from selfplay.report.svg_primitives import say

ID, TITLE = "photocopy", "What is left of round 0"
LEAD = (
    "Bars: of the pairs of neighbouring words that round 0 wrote, the part that a later round still shows, as a share of what round 0 "
    "itself shows. All rounds answer the same dev tasks, and equally many words are drawn from each, so neither harder tasks nor longer "
    "answers move a bar. A student that does not change keeps all bars at their outline; in one that collapses the rare ones shrink first."
)
GROUP = {name: "rare at round 0" if name in RARE else "common at round 0" for _, name in CLASSES}


def of_run(run: RunData) -> Section:
    """The photocopy of one run: a chart, what is lost by name, and the figures with intervals."""
    copies = read_copies(run)
    if isinstance(copies, str):
        return Section(ID, TITLE, missing=copies)
    columns = [f"round {n}" for n in copies.rounds]
    charts = [Chart(_bars(copies, "Word pairs of round 0 that are still written")), Chart(_lines(copies))]
    words = ["words a text", *(say(round(w, 1)) for w in copies.words)]
    shares = [[name, *(interval(*t) for t in values)] for name, values in copies.kept.items()]
    table = Table("In figures", ["written in half of round 0", *columns], [*shares, words], folded=True)
    data: dict[str, Any] = {"columns": copies.rounds, "rows": copies.kept, "groups": {n: GROUP[n] for n in copies.kept}}
    data |= {"words": copies.words, "draw": copies.draw, "tasks": copies.tasks, "lost": copies.lost}
    data |= {"in_words": _said(copies)}
    return Section(ID, TITLE, LEAD, charts, [table], data=data)


def _said(copies: Copies) -> str:
    """The last round in words."""
    last = copies.rounds[-1]
    told = [f"By round {last}, {_ends({'': copies})} of what round 0 shows, on {counted(copies.tasks, 'task')}."]
    if copies.lost:
        names = listed(f'"{name}"' for name in copies.lost)
        told.append(f"Often written in round 0 and never in round {last}: {names}.")
    if copies.greedy:
        told.append("The run samples no dev tasks; these are its greedy answers.")
    if copies.short:
        told.append(f"Left out, since too little was written to compare: round {listed(map(str, copies.short))}.")
    return " ".join(told)


def _ends(found: Mapping[str, Copies]) -> str:
    """`a: common pairs are at 0.98 and rare ones at 0.41`."""
    told = []
    for name, copies in found.items():
        parts = {part: copies.of(n for n, g in GROUP.items() if g.startswith(part)) for part in ("common", "rare")}
        ends = [f"{part} word pairs are at {values[-1][0]:.2f}" for part, values in parts.items() if values]
        told.append(f"{name + ': ' if name else ''}{' and '.join(ends)}")
    return "; ".join(told)


def _bars(copies: Copies, title: str) -> str:
    rows = {name: [value for value, *_ in values] for name, values in copies.kept.items()}
    note = "rows: how often half of round 0's samples have them; outline: round 0"
    return bar_matrix(rows, [f"round {n}" for n in copies.rounds], GROUP, title, note, whole=1.0, width=480, tall=26)


def _lines(copies: Copies) -> str:
    """The commonest and the rare classes by round, with their intervals."""
    shown = dict.fromkeys([next(iter(copies.kept)), *(name for name in RARE if name in copies.kept)])
    lines = {n: [(float(r), *t) for r, t in zip(copies.rounds, copies.kept[n], strict=True)] for n in shown}
    top = max(hi or value for points in lines.values() for _, value, _, hi in points)
    title = "The commonest and the rare ones, with 95 % intervals"
    return line_chart(lines, title, "round", "share of what round 0 shows", y_range=(0.0, top))


def side_by_side(arms: Mapping[str, Sequence[RunData]], warning: str = "") -> Section:
    """The photocopies of several settings over the same rounds; of several seeds the mean of those that have the same rounds.

    `warning`: a sentence on what cannot be compared.
    """
    shared = set.intersection(*(set(run.rounds) for runs in arms.values() for run in runs))
    only = pick(sorted(shared), 3)
    found = {name: _mean([read_copies(run, len(only), only) for run in runs]) for name, runs in arms.items()}
    read = {name: copies for name, copies in found.items() if isinstance(copies, Copies)}
    if not read:
        return Section(ID, TITLE, missing=next(str(why) for why in found.values()))
    charts = [Chart(_bars(copies, name)) for name, copies in read.items()]
    gone = [f"{name}: {copies}" for name, copies in found.items() if isinstance(copies, str)]
    last = max(copies.rounds[-1] for copies in read.values())
    lead = f"{LEAD} {warning}By round {say(last)}, {_ends(read)}.{' ' if gone else ''}{' '.join(gone)}"
    return Section(
        ID, TITLE, lead, charts, data={name: {"columns": c.rounds, "rows": c.kept} for name, c in read.items()}
    )


def _mean(found: Sequence[Copies | str]) -> Copies | str:
    """The mean over seeds, class by class; a sentence if no seed has a picture."""
    copies = [c for c in found if isinstance(c, Copies)]
    same = [c for c in copies if c.rounds == copies[0].rounds]
    if len(same) < 2:
        return same[0] if same else next(c for c in found if isinstance(c, str))
    names = [name for _, name in CLASSES if all(name in c.kept for c in same)]
    kept = {
        name: [(sum(t[0] for t in at) / len(at), None, None) for at in zip(*(c.kept[name] for c in same), strict=True)]
        for name in names
    }
    first = same[0]
    return Copies(first.rounds, kept, first.words, first.draw, first.tasks, first.greedy)
