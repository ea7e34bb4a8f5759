"""What every chart is drawn with: palette, escaped tags, numbers as text, scales, axes, labels that do not overlap.

Colours stand as presentation attributes (light) and again in `STYLE` (light and dark), so a chart is legible with the
style sheet and without it. Marks differ by shape and dash as well as by colour. No scripts, no style attributes, no
foreign objects: the charts live under a strict content security policy.
"""

import hashlib
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

LIGHT = ("#0b62a4", "#c2500c", "#00795a", "#9c3f80", "#7a6500", "#4b5a68")
DARK = ("#6db5f5", "#ff9d66", "#4ecba0", "#ee9ace", "#dcc24a", "#aeb9c4")
DASHES = ("", "7 3", "2 3", "9 3 2 3", "5 2", "1 2")
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Liberation Sans', sans-serif"
MUTED, RULE, INK = "#5a6570", "#dfe3e8", "#1b232b"
SIZE = 13.0
"""Font size of a chart's text in its own units; a chart is 480 units wide unless told otherwise."""
SMALL = SIZE - 1
"""Font size of axes and notes, which a text has that states none."""
CHAR = 0.6
"""Width of an average character in font sizes, for texts that are measured by their length alone."""
_WIDTHS = {**dict.fromkeys("mwMW@%", 0.98), **dict.fromkeys("iljtfrI.,:;|!'()[] ", 0.42)}

_VARS = "".join(f"--sp-{i}:{c};" for i, c in enumerate(LIGHT))
_DARK_VARS = "".join(f"--sp-{i}:{c};" for i, c in enumerate(DARK))
STYLE = (
    f":root{{{_VARS}--sp-ink:{INK};--sp-muted:{MUTED};--sp-rule:{RULE};--sp-paper:#ffffff}}"
    f"@media (prefers-color-scheme:dark){{:root{{{_DARK_VARS}--sp-ink:#e6eaee;--sp-muted:#a3adb7;--sp-rule:#333b44;"
    "--sp-paper:#14181d}}"
    f".sp-chart{{display:block;width:100%;height:auto;font-family:{FONT}}}"
    + "".join(f".sp-chart .sp-f{i}{{fill:var(--sp-{i})}}.sp-chart .sp-s{i}{{stroke:var(--sp-{i})}}" for i in range(6))
    + ".sp-chart .sp-ink{fill:var(--sp-ink)}.sp-chart .sp-muted{fill:var(--sp-muted)}"
    ".sp-chart .sp-ghost{fill:var(--sp-rule)}.sp-chart .sp-rule{stroke:var(--sp-rule)}.sp-chart .sp-axis{stroke:var(--sp-muted)}"
    ".sp-chart .sp-halo{stroke:var(--sp-paper);stroke-width:4px;paint-order:stroke;stroke-linejoin:round}"
    ".sp-chart .sp-paper{stroke:var(--sp-paper)}.sp-chart .sp-whisker{stroke:var(--sp-ink)}"
)
"""The style sheet of all charts, needed once per page; it follows the reader's light or dark setting."""


def tag(name: str, body: str = "", /, **attributes: object) -> str:
    """One SVG element; `body` is markup, attributes are escaped, None leaves one out, `class_` and `_` become legal."""
    named = {("class" if k == "class_" else k.replace("_", "-")): v for k, v in attributes.items() if v is not None}
    attrs = "".join(f' {k}="{escape(num(v) if isinstance(v, float) else str(v))}"' for k, v in named.items())
    return f"<{name}{attrs}>{body}</{name}>" if body else f"<{name}{attrs}/>"


def clean(text: object) -> str:
    """Text that a document may hold: control characters and lone surrogates replaced, then escaped."""
    kept = "".join(c if c >= " " or c in "\t\n" else "�" for c in str(text))
    return escape(kept.encode("utf-8", "replace").decode("utf-8"))


def num(value: float) -> str:
    """A coordinate, one decimal at most: a tenth of a pixel."""
    return f"{value:.1f}".rstrip("0").rstrip(".") or "0"


def say(value: float | None, step: float | None = None) -> str:
    """A number for people: 12k for 12000, the decimals that `step` needs (without one: three digits), None as a dash."""
    if value is None or not math.isfinite(value):
        return "\u2013"
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            scale = 1e3 if unit == "k" else limit
            return f"{value / scale:.3g}{unit}"
    if step is not None:
        places = max(0, -math.floor(math.log10(step) + 1e-9))
        places += places > 0 and not math.isclose(step * 10**places, round(step * 10**places), rel_tol=1e-6)
        return f"{value:.{places}f}"
    if float(value).is_integer():
        return f"{value:.0f}"
    return f"{value:.3f}" if 0.001 <= abs(value) < 10 else f"{value:.3g}"


def text_width(text: str, size: float = SIZE) -> float:
    """A generous estimate of the drawn width of `text`, since no font is at hand."""
    return sum(_WIDTHS.get(c, 0.74 if c.isupper() else 0.64) for c in text) * size


def shorten(text: str, width: float, size: float = SIZE) -> str:
    """`text` cut with an ellipsis so that it fits `width`."""
    if text_width(text, size) <= width:
        return text
    cut = text[:400]
    while len(cut) > 1 and text_width(cut + "\u2026", size) > width:
        cut = cut[:-1]
    return cut + "\u2026"


def label(x: float, y: float, text: str, kind: str = "ink", anchor: str = "start", **more: object) -> str:
    """One line of text; `kind` is ink, muted or a palette index as a string."""
    fill = LIGHT[int(kind)] if kind.isdigit() else {"ink": INK, "muted": MUTED}[kind]
    named = (f"sp-f{kind}" if kind.isdigit() else f"sp-{kind}") + (" sp-halo" if more.pop("halo", False) else "")
    size = more.pop("size", SIZE)
    where = {"text_anchor": None if anchor == "start" else anchor, "font_size": None if size == SMALL else size, **more}
    return tag("text", clean(text), class_=named, fill=fill, x=float(x), y=float(y), **where)


def mark(index: int, x: float, y: float, hint: str, r: float = 3.6) -> str:
    """A point in the series' colour and shape (dot, square, diamond, triangle, ...), with a tooltip."""
    look = {"class_": f"sp-f{index % 6} sp-paper", "fill": LIGHT[index % 6], "stroke": "#fff", "stroke_width": 1}
    tip = tag("title", clean(hint))
    shape = index % 4
    if shape == 0:
        return tag("circle", tip, cx=float(x), cy=float(y), r=r, **look)
    if shape == 1:
        return tag("rect", tip, x=x - r + 0.3, y=y - r + 0.3, width=2 * r - 0.6, height=2 * r - 0.6, **look)
    tall = r * 1.3
    corners = [(0, -tall), (tall, 0), (0, tall), (-tall, 0)] if shape == 2 else [(0, -tall), (tall, r), (-tall, r)]
    return tag("polygon", tip, points=" ".join(f"{num(x + a)},{num(y + b)}" for a, b in corners), **look)


def ticks(lo: float, hi: float, wanted: int = 5, whole: bool = False) -> tuple[list[float], float]:
    """Round numbers that span [lo, hi], and their step; `whole` keeps them integers."""
    rough = max(hi - lo, 1e-12) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(s * power for s in (1, 2, 2.5, 5, 10) if s * power >= rough * 0.999)
    step = max(1.0, float(math.ceil(step))) if whole else step
    first, last = math.floor(lo / step + 1e-9), math.ceil(hi / step - 1e-9)
    return [i * step for i in range(first, max(last, first + 1) + 1)], step


def span(values: Iterable[float | None]) -> tuple[float, float]:
    """Range of an axis for these values: from zero if the data come near it; never empty."""
    real = [v for v in values if v is not None and math.isfinite(v)]
    lo, hi = (min(real), max(real)) if real else (0.0, 1.0)
    if lo >= 0 and lo < 0.6 * hi:
        lo = 0.0
    if lo > 0:
        lo, hi = max(0.0, lo - (hi - lo) * 0.08), hi + (hi - lo) * 0.08
    if hi - lo < 1e-9 and 0 <= lo <= 1:
        return 0.0, 1.0
    if hi - lo < 1e-9:
        lo, hi = (lo - abs(lo) * 0.1 - 0.5, hi + abs(hi) * 0.1 + 0.5) if lo else (0.0, 1.0)
    return lo, hi


def apart(wanted: Sequence[float], gap: float, top: float, bottom: float) -> list[float]:
    """Label heights near the wanted ones, at least `gap` apart and inside [top, bottom] while there is room."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    placed = list(wanted)
    floor = top
    for i in order:
        placed[i] = max(wanted[i], floor)
        floor = placed[i] + gap
    ceiling = bottom
    for i in reversed(order):
        placed[i] = min(placed[i], ceiling)
        ceiling = placed[i] - gap
    return placed


@dataclass(frozen=True)
class Frame:
    """The plotting area in chart units and the data range shown in it."""

    left: float
    top: float
    right: float
    bottom: float
    x0: float
    x1: float
    y0: float
    y1: float

    def x(self, value: float) -> float:
        """Chart position of a data x."""
        return self.left + (value - self.x0) / ((self.x1 - self.x0) or 1) * (self.right - self.left)

    def y(self, value: float) -> float:
        """Chart position of a data y, kept inside the frame."""
        share = (value - self.y0) / ((self.y1 - self.y0) or 1)
        return self.bottom - min(1.0, max(0.0, share)) * (self.bottom - self.top)


def y_axis(frame: Frame, marks: Sequence[float], step: float) -> str:
    """Horizontal rules with their numbers."""
    rules = [f"M{num(frame.left)} {num(frame.y(v))}H{num(frame.right)}" for v in marks if v != frame.y0]
    axis = [f"M{num(frame.left)} {num(frame.y(v))}H{num(frame.right)}" for v in marks if v == frame.y0]
    drawn = (("sp-rule", RULE, rules), ("sp-axis", MUTED, axis))
    lines = "".join(tag("path", d="".join(paths), class_=kind, stroke=color) for kind, color, paths in drawn if paths)
    places = [(frame.left - 7, frame.y(v) + SIZE * 0.35, say(v, step)) for v in marks]
    return lines + labels(places, "end")


def labels(places: Iterable[tuple[float, float, str]], anchor: str) -> str:
    """Small muted texts (x, y, text) with the same anchor, `start`, `middle` or `end`."""
    texts = "".join(tag("text", clean(text), x=float(x), y=float(y)) for x, y, text in places)
    return tag("g", texts, class_="sp-muted", fill=MUTED, text_anchor=anchor)


_COLORED = re.compile(
    r'(class="sp-(?:[fs]\d|ink|muted|ghost|rule|axis|whisker)[^"]*")((?: (?:fill|stroke)="#[0-9a-f]{3,6}")+)'
)


def slim(element: str) -> str:
    """A chart without what a page that has `STYLE` says anyway: its colours, its font, the name space of files, and ids."""
    head, title, rest = element.partition("<title")
    head = re.sub(r' (?:xmlns|font-family|aria-labelledby)="[^"]*"', "", head)
    return _COLORED.sub(r"\1", head + title + re.sub(r' id="sp[0-9a-f]{10}[td]"', "", rest, count=2))


def chart(title: str, summary: str, width: float, height: float, body: str) -> str:
    """The outer element with its accessible name and description; ids follow from the content."""
    key = "sp" + hashlib.sha256(f"{title}|{summary}|{body}".encode("utf-8", "replace")).hexdigest()[:10]
    head = tag("title", clean(title), id=f"{key}t") + tag("desc", clean(summary) or " ", id=f"{key}d")
    return tag(
        "svg",
        head + body,
        xmlns="http://www.w3.org/2000/svg",
        class_="sp-chart",
        viewBox=f"0 0 {num(width)} {num(height)}",
        role="img",
        aria_labelledby=f"{key}t {key}d",
        font_family=FONT,
        font_size=SMALL,
    )


def heading(title: str, y_label: str, width: float) -> tuple[str, float]:
    """Title and label of the y axis above the plot, and their height."""
    parts, y = [], 6.0
    for text, kind, size, weight in ((title, "ink", SIZE + 2, 600), (y_label, "muted", SIZE - 1, None)):
        if text:
            y += size + 4
            parts.append(label(0, y, shorten(text, width, size), kind, size=size, font_weight=weight))
    return "".join(parts), y + 12


def nothing(title: str, why: str, width: float = 480) -> str:
    """An empty chart with the reason in words, if there is nothing to draw."""
    head, top = heading(title, "", width)
    return chart(title, why, width, top + 36, head + label(0, top + 14, shorten(why, width), "muted"))
