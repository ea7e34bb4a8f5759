"""From sections to HTML; the only file that imports jinja2. Pages are self-contained, escape all text and run nothing.

The content security policy allows one style sheet, by its hash, and nothing else: no script and no fetch.
"""

import base64
import hashlib
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from selfplay import __version__
from selfplay.config.metrics import Definition, definition
from selfplay.report.page_model import Section
from selfplay.report.svg import STYLE
from selfplay.report.svg_primitives import slim

SCHEMA_VERSION = 2
"""Of report.json and of the comparison's JSON."""
_TEMPLATES = Path(__file__).parent / "templates"
_CONTROL = {
    c: "\ufffd"
    for c in [*range(32), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
    if c not in (9, 10)
}
"""Control characters, and characters that change the direction of text: both could make a page read as something else."""


def page(
    kind: str,
    name: str,
    headline: Mapping[str, Any],
    groups: Sequence[tuple[str, Sequence[Section]]],
    notes: Sequence[str],
) -> str:
    """One page: a headline, and groups of sections under their headings. `notes` are sentences about what is missing."""
    keys = [key for _, sections in groups for section in sections for key in section.keys]
    values = {"kind": kind, "name": name, "headline": headline, "groups": groups, "notes": notes}
    return "".join(written("page", **values, definitions=define(keys)))


def written(template: str, **values: Any) -> Iterator[str]:
    """The text of a page in pieces, while its template goes through the values: a value may be an iterator that takes time.

    Beside the values a template knows `style`, the hash that allows it (`allowed`) and the `version` of selfplay.
    """
    style = STYLE + (_TEMPLATES / "page.css").read_text(encoding="utf-8")
    allowed = "sha256-" + base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    stream = (
        _environment()
        .get_template(f"{template}.html.j2")
        .stream(**values, style=style, allowed=allowed, version=__version__)
    )
    stream.enable_buffering(PIECES)
    return (piece.translate(_CONTROL) for piece in stream)


PIECES = 24
"""Pieces of a template that are put together before they are handed on."""


@cache
def _environment() -> Any:
    """The templates, each of them compiled once per process."""
    import jinja2

    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["slim"] = slim
    return found


def twin(
    kind: str,
    name: str,
    headline: Mapping[str, Any],
    groups: Sequence[tuple[str, Sequence[Section]]],
    more: Mapping[str, Any],
) -> str:
    """The page's numbers as JSON; NaN and infinities are null."""
    sections = [section for _, group in groups for section in group]
    content = {
        "schema_version": SCHEMA_VERSION,
        "kind": kind,
        "name": name,
        "headline": dict(headline),
        **more,
        "sections": {p.id: {"title": p.title, "missing": p.missing, "lead": p.lead, **p.data} for p in sections},
        "definitions": define(key for section in sections for key in section.keys),
    }
    return json.dumps(_plain(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def define(keys: Iterable[str]) -> list[dict[str, str]]:
    """Definitions of the keys shown, in order; keys with the same definition are put together."""
    groups: dict[Definition, list[str]] = {}
    for key in dict.fromkeys(keys):
        found = definition(key) or Definition("", "This key has no definition.", "Unknown.", "")
        groups.setdefault(found, []).append(key)
    return [
        {
            "title": d.title,
            "meaning": d.meaning,
            "estimator": d.estimator,
            "range": d.range,
            "link": d.link,
            "keys": ", ".join(keys),
        }
        for d, keys in groups.items()
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def write_whole(path: Path, text: str) -> None:
    """Writes the whole file or nothing; lone surrogates become question marks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with fresh.open("wb") as file:
        file.write(text.encode("utf-8", "replace"))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
