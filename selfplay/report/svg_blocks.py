"""Charts made of blocks: histogram, funnel and bar matrix. Call them through `selfplay.report.svg`."""

import textwrap
from collections.abc import Mapping, Sequence

from selfplay.report.svg_primitives import (
    CHAR,
    LIGHT,
    RULE,
    SIZE,
    Frame,
    chart,
    clean,
    heading,
    label,
    mark,
    nothing,
    say,
    shorten,
    span,
    tag,
    text_width,
    ticks,
    y_axis,
)


def histogram(
    counts: Sequence[float],
    edges: Sequence[float],
    title: str,
    x_label: str,
    y_label: str = "count",
    *,
    width: float = 480,
    height: float = 240,
) -> str:
    """Bars that touch: `counts[i]` between `edges[i]` and `edges[i + 1]`; raises ValueError if the lengths do not fit."""
    if len(edges) != len(counts) + 1:
        raise ValueError(f"histogram: {len(counts)} counts and {len(edges)} edges; give one edge more than counts")
    if not counts:
        return nothing(title, "Nothing to show yet.", width)
    head, top = heading(title, y_label, width)
    y_marks, y_step = ticks(*span([0.0, *counts]))
    left = max(text_width(say(v, y_step), SIZE - 1) for v in y_marks) + 9
    x_marks, x_step = ticks(edges[0], edges[-1], 6)
    edge = max(12.0, text_width(say(edges[-1], x_step), SIZE - 1) / 2 + 2)
    frame = Frame(max(left, edge), top, width - edge, height - 40, edges[0], edges[-1], y_marks[0], y_marks[-1])
    body = [head, y_axis(frame, y_marks, y_step)]
    look = {"class_": "sp-f0", "fill": LIGHT[0]}
    for count, lo, hi in zip(counts, edges, edges[1:], strict=False):
        x, y = frame.x(lo), frame.y(count)
        tip = tag("title", f"{say(lo)} to {say(hi)}: {say(count)}")
        body.append(tag("rect", tip, x=x, y=y, width=max(0.5, frame.x(hi) - x - 1), height=frame.bottom - y, **look))
    for value in (v for v in x_marks if edges[0] <= v <= edges[-1]):
        body.append(label(frame.x(value), frame.bottom + 18, say(value, x_step), "muted", "middle", size=SIZE - 1))
    body.append(label((frame.left + frame.right) / 2, height - 5, x_label, "muted", "middle", size=SIZE - 1))
    return chart(title, f"{say(sum(counts))} in {len(counts)} bins of {x_label}", width, height, "".join(body))


def funnel(stages: Sequence[tuple[str, float, str]], title: str, *, width: float = 480) -> str:
    """Stages (name, count, note), each a bar with its count and its share of the first; the largest fills the width.

    `note` stands below the bar in up to three lines, such as why the others left; "" for none. A count of 0 draws no bar.
    """
    if not stages:
        return nothing(title, "Nothing to show yet.", width)
    head, top = heading(title, "", width)
    first = max(float(stages[0][1]), 1e-9)
    largest = max(first, *(float(count) for _, count, _ in stages))
    left = min(width * 0.28, max(text_width(name) for name, *_ in stages) + 12)
    numbers = [f"{say(count)} ({count / first:.0%})" if i else say(count) for i, (_, count, _) in enumerate(stages)]
    room = width - left - max(text_width(n) for n in numbers) - 8
    parts, y = [head], top
    for i, ((name, count, note), words) in enumerate(zip(stages, numbers, strict=True)):
        long = max(0.0, count / largest) * room
        parts.append(label(0, y + 16, shorten(name, left), "ink"))
        if count > 0:
            look = {"class_": "sp-f0", "fill": LIGHT[0], "fill_opacity": round(1 - 0.14 * min(i, 4), 2), "rx": 2}
            parts.append(tag("rect", x=left, y=y, width=max(1.0, long), height=22, **look))
        parts.append(label(left + long + 7, y + 16, words, "ink"))
        lines = textwrap.wrap(note, max(20, int((width - left) / (CHAR * (SIZE - 1)))))[:3]
        for k, line in enumerate(lines):
            parts.append(label(left, y + 37 + 15 * k, line, "muted", size=SIZE - 1))
        y += 36 + 16 * len(lines)
    summary = "; ".join(f"{name}: {say(count)}{' (' + note + ')' if note else ''}" for name, count, note in stages)
    return chart(title, summary, width, y, "".join(parts))


def bar_matrix(
    rows: Mapping[str, Sequence[float | None]],
    columns: Sequence[str],
    groups: Mapping[str, str],
    title: str,
    note: str = "",
    *,
    whole: float | None = None,
    width: float = 960,
    tall: float = 15.0,
) -> str:
    """Small multiples of bars: a row per value and a column per round, so that a shrinking tail is visible at once.

    `rows` maps a name to its values, one a column (None: not known); `groups` maps the name to its group, whose colour
    it takes. The largest value fills a column; `whole` outlines that value behind every bar. `tall`: height of a row.
    Every number is in its bar's tooltip.
    """
    top_value = max((v for values in rows.values() for v in values if v is not None), default=0.0)
    if not rows or not columns or top_value <= 0:
        return nothing(title, "Nothing to show yet.", width)
    top_value = max(top_value, whole or 0.0)
    head, top = heading(title, note, width)
    kinds = list(dict.fromkeys(groups.get(name, "") for name in rows))
    left = min(width * 0.3, max(text_width(name, SIZE - 1) for name in rows) + 10)
    slot = (width - left) / len(columns)
    parts = [head]
    for k, column in enumerate(columns):
        x = left + slot * k
        parts.append(label(x, top + 12, shorten(column, slot), "muted", size=SIZE - 1))
        bottom = top + 20 + tall * len(rows)
        parts.append(tag("line", class_="sp-rule", stroke=RULE, x1=x, x2=x, y1=top + 20, y2=bottom))
    for r, (name, values) in enumerate(rows.items()):
        y = top + 20 + tall * r
        kind = kinds.index(groups.get(name, ""))
        look = {"class_": f"sp-f{kind % 6}", "fill": LIGHT[kind % 6]}
        parts.append(label(left - 8, y + tall / 2 + 4, shorten(name, left - 8, SIZE - 1), "ink", "end", size=SIZE - 1))
        for k, value in enumerate(values):
            place = {"x": left + slot * k, "y": y + 2, "height": tall - 4}
            if whole:
                parts.append(tag("rect", width=whole / top_value * (slot - 14), class_="sp-ghost", fill=RULE, **place))
            tip = tag("title", clean(f"{name}, {columns[k]}: {say(value)}"))
            long = max(1.0, (value or 0.0) / top_value * (slot - 14))
            parts.append(tag("rect", tip, width=long, **place, **look) if value else "")
    y, x = top + 20 + tall * len(rows) + 22, left
    for k, kind_name in enumerate(kinds if len(kinds) > 1 else []):
        parts += [mark(k, x + 6, y - SIZE * 0.35, kind_name, 4.2), label(x + 16, y, kind_name)]
        x += 30 + text_width(kind_name)
    summary = "; ".join(f"{name}: " + ", ".join(say(v) for v in values) for name, values in rows.items())
    return chart(title, summary[:800], width, y + (6 if len(kinds) > 1 else -14), "".join(parts))
