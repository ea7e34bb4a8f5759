"""Charts as plain inline SVG text, for pages that open from disk and load nothing.

Each function takes plain numbers and returns one `<svg>` element. Put `STYLE` once in the page for light and dark; for
a file of its own (a picture in a README) pass the element through `standalone`. Lines and points are labelled where
they end; labels are pushed apart, never drawn over one another. Values None or NaN leave a gap.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TypeGuard

from selfplay.report.svg_blocks import bar_matrix, funnel, histogram
from selfplay.report.svg_primitives import (
    DASHES,
    INK,
    LIGHT,
    SIZE,
    STYLE,
    Frame,
    apart,
    chart,
    clean,
    heading,
    label,
    labels,
    mark,
    nothing,
    num,
    say,
    shorten,
    span,
    tag,
    text_width,
    ticks,
    y_axis,
)

__all__ = ["STYLE", "bar_chart", "bar_matrix", "funnel", "histogram", "line_chart", "scatter", "standalone"]

Point = tuple[float, float | None, float | None, float | None]
"""x, y, and lo and hi of the interval; both None if there is none."""
Value = float | None | tuple[float | None, float | None, float | None]
"""A bar: y, or (y, lo, hi)."""


MARKS = 40
"""Points of a chart up to which each has a mark, and bars up to which each is an element, with a tooltip: more would be too heavy."""


def standalone(element: str) -> str:
    """The chart as a file with its own style sheet; it follows the viewer's light or dark setting."""
    opened = element.index(">") + 1
    return f"{element[:opened]}<style>{STYLE}</style>{element[opened:]}\n"


def _real(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


FEW = 20
"""Points of a line in a small chart, at most."""


def _few(points: Sequence[Point]) -> list[Point]:
    """FEW of the points, evenly spread, with the first and the last."""
    ordered = sorted(points, key=lambda p: p[0])
    if len(ordered) <= FEW:
        return ordered
    return [ordered[round(i * (len(ordered) - 1) / (FEW - 1))] for i in range(FEW)]


def _runs(points: Sequence[Point]) -> list[list[Point]]:
    """Runs of points without a gap."""
    runs: list[list[Point]] = [[]]
    for point in sorted(points, key=lambda p: p[0]):
        if _real(point[1]):
            runs[-1].append(point)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _hint(name: str, x_label: str, p: Point) -> str:
    interval = f" [{say(p[2])}, {say(p[3])}]" if _real(p[2]) and _real(p[3]) else ""
    return f"{name + ': ' if name else ''}{say(p[1])}{interval} at {x_label} {say(p[0])}"


def _line(frame: Frame, index: int, run: Sequence[Point], hints: Sequence[str]) -> tuple[str, str]:
    """One run of points: its band, below everything, and its line, with marks where there are hints for them."""
    color = {"class_": f"sp-f{index % 6}", "fill": LIGHT[index % 6]}
    stroke = {"class_": f"sp-s{index % 6}", "stroke": LIGHT[index % 6]}
    banded = [(p[0], p[2], p[3]) for p in run if _real(p[2]) and _real(p[3])]
    band = ""
    if len(banded) > 1:
        upper = [f"{frame.x(x):.0f},{frame.y(hi):.0f}" for x, _, hi in banded]
        lower = [f"{frame.x(x):.0f},{frame.y(lo):.0f}" for x, lo, _ in reversed(banded)]
        band = tag("polygon", points=" ".join(upper + lower), fill_opacity="0.14", **color)
    elif banded:
        x, lo, hi = banded[0]
        at = frame.x(x)
        band = tag("line", x1=at, x2=at, y1=frame.y(lo), y2=frame.y(hi), stroke_opacity=0.5, stroke_width=2, **stroke)
    spots = [(frame.x(p[0]), frame.y(p[1] or 0.0)) for p in run]
    spots = spots if hints else [(round(x), round(y)) for x, y in spots]
    line = ""
    if len(spots) > 1:
        path = "M" + "L".join(f"{num(x)} {num(y)}" for x, y in spots)
        dash = DASHES[index % 6] or None
        line = tag(
            "path", d=path, fill="none", stroke_width=2, stroke_linejoin="round", stroke_dasharray=dash, **stroke
        )
    dots = "".join(mark(index, *spot, hint) for spot, hint in zip(spots, hints, strict=True)) if hints else ""
    return band, line + dots


def _end_labels(frame: Frame, ends: Sequence[tuple[int, str, float, float]], room: float) -> str:
    """Names at the right of the plot, moved apart, and joined to their line if they were moved."""
    places = apart([y for *_, y in ends], SIZE + 3, frame.top + 4, frame.bottom)
    parts = []
    for (index, name, x, y), place in zip(ends, places, strict=True):
        if abs(place - y) > 3:
            stroke = {"class_": f"sp-s{index % 6}", "stroke": LIGHT[index % 6]}
            lead = {
                "x1": x + 5,
                "y1": y,
                "x2": frame.right + 9,
                "y2": place,
                "stroke_width": 0.8,
                "stroke_opacity": 0.6,
            }
            parts.append(tag("line", **lead, **stroke))
        at = frame.right + 12 if len(ends) > 1 else x + 12
        parts.append(label(at, place + SIZE * 0.35, shorten(name, room), str(index % 6)))
    return "".join(parts)


def _legend(names: Sequence[str], y: float, width: float) -> tuple[str, float]:
    """Names with their marks in rows below the plot, and the height they take."""
    parts, x, row = [], 0.0, 0
    for index, name in enumerate(names):
        shown = shorten(name, width - 24)
        need = 16 + text_width(shown) + 14
        if x and x + need > width:
            x, row = 0.0, row + 1
        at = y + row * (SIZE + 6)
        parts += [mark(index, x + 6, at - SIZE * 0.35, name, 4.2), label(x + 16, at, shown)]
        x += need
    return "".join(parts), (row + 1) * (SIZE + 6)


def line_chart(
    series: Mapping[str, Sequence[Point]],
    title: str,
    x_label: str,
    y_label: str,
    *,
    y_range: tuple[float, float] | None = None,
    width: float = 480,
    height: float = 280,
    small: bool = False,
) -> str:
    """Lines over x, up to four of them with their intervals as bands. A single point is a mark with its interval.

    `series` maps a name to points (x, y, lo, hi); an empty name is not labelled. Up to eight series are labelled where
    they end, more by a legend below. `y_range` None: the data's own range, from zero where they come near it. Charts of more
    than MARKS points have lines alone, without marks and tooltips; `small` ones as well, with FEW points a line, a coarse axis
    and no name under it.
    """
    drawn = {name: _runs(_few(points) if small else points) for name, points in series.items()}
    points = [p for runs in drawn.values() for run in runs for p in run]
    if not points:
        return nothing(title, "Nothing to show yet.", width)
    head, top = heading(title, y_label, width)
    direct = len(drawn) <= 8
    room = min(width * 0.34, max((text_width(n) for n in drawn if n), default=0)) if direct else 0.0
    lo, hi = y_range or span([v for p in points for v in p[1:]])
    y_marks, y_step = ticks(lo, hi, 3 if small else 5)
    xs = [p[0] for p in points]
    whole = all(float(x).is_integer() for x in xs)
    left = max(text_width(say(v, y_step), SIZE - 1) for v in y_marks) + 9
    x0, x1 = (min(xs), max(xs)) if max(xs) > min(xs) else (xs[0] - 0.5, xs[0] + 0.5)
    x_marks, x_step = ticks(x0, x1, 3 if small else 6, whole)
    edge = room + 14 if room else max(10.0, text_width(say(x1, x_step), SIZE - 1) / 2 + 2)
    left = max(left, text_width(say(x0, x_step), SIZE - 1) / 2)
    frame = Frame(left, top, width - edge, height - 40, x0, x1, y_marks[0], y_marks[-1])
    body = [head, y_axis(frame, y_marks, y_step)]
    under = [v for v in x_marks if x0 <= v <= x1 + 1e-9]
    body.append(labels([(frame.x(v), frame.bottom + 18, say(v, x_step)) for v in under], "middle"))
    if not small:
        body.append(label((frame.left + frame.right) / 2, height - 5, x_label, "muted", "middle", size=SIZE - 1))
    marked = len(points) <= MARKS and not small
    pieces = [
        _line(frame, i, run, [_hint(name, x_label, p) for p in run] if marked or len(run) == 1 else [])
        for i, (name, runs) in enumerate(drawn.items())
        for run in runs
    ]
    body += [band for band, _ in pieces if len(drawn) <= 4] + [line for _, line in pieces]
    summary = "; ".join(
        f"{name or y_label}: {say(runs[0][0][1])} at {x_label} {say(runs[0][0][0])} to {say(runs[-1][-1][1])} at "
        f"{say(runs[-1][-1][0])}"
        for name, runs in drawn.items()
        if runs
    )
    if not direct:
        legend, tall = _legend(list(drawn), height + 14, width)
        return chart(title, summary, width, height + tall + 4, "".join([*body, legend]))
    ends = [
        (i, n, frame.x(r[-1][-1][0]), frame.y(r[-1][-1][1] or 0)) for i, (n, r) in enumerate(drawn.items()) if n and r
    ]
    return chart(title, summary, width, height, "".join(body) + _end_labels(frame, ends, room))


def scatter(
    groups: Mapping[str, Sequence[tuple[float, float, str]]],
    title: str,
    x_label: str,
    y_label: str,
    *,
    connect: bool = False,
    width: float = 480,
    height: float = 300,
) -> str:
    """Points (x, y, label), a colour and shape a group; `connect` joins them in the order given (a path over rounds).

    Of each group the first and the last point carry their label, the others show it as a tooltip; of a path of more than MARKS
    points only the first and the last are marked.
    """
    real = {n: [p for p in ps if math.isfinite(p[0]) and math.isfinite(p[1])] for n, ps in groups.items()}
    points = [p for ps in real.values() for p in ps]
    if not points:
        return nothing(title, "Nothing to show yet.", width)
    head, top = heading(title, y_label, width)
    y_marks, y_step = ticks(*span([p[1] for p in points]))
    x_marks, x_step = ticks(*span([p[0] for p in points]))
    left = max(text_width(say(v, y_step), SIZE - 1) for v in y_marks) + 9
    edge = max(16.0, text_width(say(x_marks[-1], x_step), SIZE - 1) / 2 + 2)
    left = max(left, text_width(say(x_marks[0], x_step), SIZE - 1) / 2)
    frame = Frame(left, top, width - edge, height - 40, x_marks[0], x_marks[-1], y_marks[0], y_marks[-1])
    body = [head, y_axis(frame, y_marks, y_step)]
    body.append(labels([(frame.x(v), frame.bottom + 18, say(v, x_step)) for v in x_marks], "middle"))
    body.append(label((frame.left + frame.right) / 2, height - 5, x_label, "muted", "middle", size=SIZE - 1))
    ends: list[tuple[int, str, float, float]] = []
    for i, (name, ps) in enumerate(real.items()):
        spots = [(frame.x(x), frame.y(y)) for x, y, _ in ps]
        if connect and len(spots) > 1:
            path = "M" + "L".join(f"{num(x)} {num(y)}" for x, y in spots)
            stroke = {"class_": f"sp-s{i % 6}", "stroke": LIGHT[i % 6], "stroke_opacity": 0.5, "stroke_width": 1.6}
            body.append(tag("path", d=path, fill="none", **stroke))
        hints = [f"{name + ', ' if name else ''}{w}: {x_label} {say(x)}, {y_label} {say(y)}" for x, y, w in ps]
        kept = range(len(spots)) if len(points) <= MARKS or not connect else sorted({0, len(spots) - 1})
        body += [mark(i, *spots[k], hints[k], 4.4) for k in kept]
        ends += [(i, ps[k][2], *spots[k]) for k in sorted({0, len(ps) - 1}) if ps and ps[k][2]]
    places = apart([y for *_, y in ends], SIZE + 3, frame.top + 4, frame.bottom - 4)
    for (i, words, x, _), place in zip(ends, places, strict=True):
        flip = x + 10 + text_width(words) > width
        body.append(
            label(
                x - 9 if flip else x + 9, place + SIZE * 0.35, words, str(i % 6), "end" if flip else "start", halo=True
            )
        )
    named = [n for n in real if n]
    legend, tall = _legend(list(real), height + 14, width) if len(named) > 1 else ("", 0.0)
    summary = f"{len(points)} points of {y_label} against {x_label}"
    return chart(title, summary, width, height + tall, "".join([*body, legend]))


def _triple(value: Value) -> tuple[float | None, float | None, float | None]:
    return value if isinstance(value, tuple) else (value, None, None)


def bar_chart(
    groups: Mapping[str, Mapping[str, Value]],
    title: str,
    x_label: str,
    y_label: str,
    *,
    stacked: bool = False,
    y_range: tuple[float, float] | None = None,
    width: float = 480,
    height: float = 280,
) -> str:
    """Bars side by side (or stacked) for each group on the x axis: {group: {series: y or (y, lo, hi)}}.

    Whiskers show the interval (not where stacked). Several series get a legend below; one alone gets none.
    """
    names = list(dict.fromkeys(name for bars in groups.values() for name in bars))
    values = {g: {n: _triple(bars.get(n)) for n in names} for g, bars in groups.items()}
    flat = [t for bars in values.values() for t in bars.values() if _real(t[0])]
    if not flat:
        return nothing(title, "Nothing to show yet.", width)
    head, top = heading(title, y_label, width)
    tops = (
        [sum(t[0] or 0 for t in bars.values()) for bars in values.values()] if stacked else [v for t in flat for v in t]
    )
    lo, hi = y_range or span([0.0, *tops])
    y_marks, y_step = ticks(lo, hi)
    left = max(text_width(say(v, y_step), SIZE - 1) for v in y_marks) + 9
    frame = Frame(left, top, width - 6, height - 40, 0, len(groups), y_marks[0], y_marks[-1])
    body = [head, y_axis(frame, y_marks, y_step)]
    slot = (frame.right - frame.left) / len(groups)
    thick = min(46.0, slot * 0.72) / (1 if stacked else len(names))
    every = max(1, math.ceil(max(text_width(g, SIZE - 1) + 6 for g in groups) / slot))
    middles = [frame.left + slot * (k + 0.5) for k in range(len(groups))]
    under = list(zip(middles, groups, strict=True))[::every]
    body.append(labels([(middle, frame.bottom + 18, group) for middle, group in under], "middle"))
    if stacked and len(flat) > MARKS:
        body.append(_columns(frame, list(values.values()), middles, thick))
    else:
        for middle, (group, bars) in zip(middles, values.items(), strict=True):
            body.append(_bars(frame, bars, middle, thick, stacked, f"{x_label} {group}".strip()))
    body.append(label((frame.left + frame.right) / 2, height - 5, x_label, "muted", "middle", size=SIZE - 1))
    legend, tall = _legend(names, height + 14, width) if len(names) > 1 else ("", 0.0)
    summary = "; ".join(f"{g}: " + ", ".join(f"{n} {say(t[0])}" for n, t in bars.items()) for g, bars in values.items())
    return chart(title, summary[:600], width, height + tall, "".join([*body, legend]))


def _columns(
    frame: Frame,
    groups: Sequence[Mapping[str, tuple[float | None, float | None, float | None]]],
    middles: Sequence[float],
    thick: float,
) -> str:
    """Many stacked bars: one path a series, without tooltips."""
    paths = [""] * max(map(len, groups))
    for bars, middle in zip(groups, middles, strict=True):
        base = max(0.0, frame.y0)
        for i, (y, *_) in enumerate(bars.values()):
            if _real(y) and y:
                low, high = frame.y(base), frame.y(base + y)
                paths[i] += f"M{middle - thick / 2:.0f} {low:.0f}V{high:.0f}h{num(thick)}V{low:.0f}z"
                base += y
    looks = [{"class_": f"sp-f{i % 6}", "fill": LIGHT[i % 6]} for i in range(len(paths))]
    return "".join(tag("path", d=path, **look) for path, look in zip(paths, looks, strict=True) if path)


def _bars(
    frame: Frame,
    bars: Mapping[str, tuple[float | None, float | None, float | None]],
    middle: float,
    thick: float,
    stacked: bool,
    where: str,
) -> str:
    """One group's bars with whiskers."""
    parts, base = [], max(0.0, frame.y0)
    across = thick * (1 if stacked else len(bars))
    for i, (name, (y, lo, hi)) in enumerate(bars.items()):
        if y is None or not math.isfinite(y):
            continue
        x = middle - across / 2 + (0 if stacked else i * thick)
        upper, lower = sorted((frame.y(base + y if stacked else y), frame.y(base if stacked else max(0.0, frame.y0))))
        tip = tag("title", clean(f"{name}: {say(y)}, {where}"))
        look = {"class_": f"sp-f{i % 6}", "fill": LIGHT[i % 6], "rx": 1.5}
        parts.append(
            tag("rect", tip, x=x + 0.5, y=upper, width=max(0.5, thick - 1), height=max(0.4, lower - upper), **look)
        )
        if not stacked and _real(lo) and _real(hi):
            at = x + thick / 2
            parts.append(tag("line", class_="sp-whisker", stroke=INK, x1=at, x2=at, y1=frame.y(lo), y2=frame.y(hi)))
        base += y if stacked else 0.0
    return "".join(parts)
