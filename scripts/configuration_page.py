"""Writes docs/configuration.md from the configuration's own classes: `python scripts/configuration_page.py`.

Each key's meaning is the docstring below its field, so the page is mended there. A test compares page and classes.
"""

import ast
import importlib
import inspect
import types
import typing
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from selfplay.config import registry
from selfplay.config.registry import PartOf
from selfplay.config.synthesis import DatasetSynthesis
from selfplay.config.tree import Config

PAGE = Path(__file__).resolve().parent.parent / "docs" / "configuration.md"
HEAD = """\
# Configuration: every key

This page is written by `python scripts/configuration_page.py` from the classes that read the configuration: change the docstrings there, not this
file.

A configuration is one YAML file. `selfplay run CONFIG key=value` overrides a key by its path, as in `train.lora.rank=8`. Every value has one default,
shown here; `(required)` has none. Unknown keys, and keys without effect beside the others, are errors.

**Science or operation.** A *science* key changes what a run finds: it is part of the run's fingerprint, and an existing run refuses to continue with
another value. An *operation* key (where files lie, how many processes, addresses, limits on cost) may change between two starts of the same run.

`None` in a meaning is `null` in YAML. A value may name an environment variable as `${NAME}`. A relative path counts
from the configuration file, unless its key says otherwise.
"""
TOP = "Top level"
STANDS_IN = {"source": "tasks", "method": "train"}
"""The key that names a part -> the section of the configuration in which it stands."""
WORDS = {int: "integer", float: "number", str: "text", bool: "true or false", dict: "mapping"}
LIMITS = (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<"))


@cache
def meanings(section: type[BaseModel]) -> dict[str, str]:
    """Key -> the docstring below its field, the nearest class first."""
    found: dict[str, str] = {}
    for owner in section.__mro__:
        if not (issubclass(owner, BaseModel) and owner.__module__.startswith(("selfplay", "__main__"))):
            continue
        body = ast.parse(inspect.cleandoc("\n" + inspect.getsource(owner))).body[0]
        assert isinstance(body, ast.ClassDef)
        for field, after in zip(body.body, body.body[1:], strict=False):
            text = after.value if isinstance(after, ast.Expr) else None
            if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Constant):
                assert isinstance(field.target, ast.Name)
                found.setdefault(field.target.id, inspect.cleandoc(str(text.value)))
    return found


def one_line(text: str) -> str:
    """Text of a docstring as a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def limits(metadata: typing.Iterable[object]) -> str:
    """The bounds that stand beside a type: ` >= 1`, ` from 0 to 1`."""
    marks = [mark for one in metadata for mark in (one.metadata if isinstance(one, FieldInfo) else [one])]
    found = {name: getattr(mark, name) for mark in marks for name, _ in LIMITS if getattr(mark, name, None) is not None}
    if found.keys() == {"ge", "le"}:
        return f" from {found['ge']} to {found['le']}"
    return "".join(f", {sign} {found[name]}" for name, sign in LIMITS if name in found).replace(",", "", 1)


def type_of(annotation: object, metadata: typing.Iterable[object] = ()) -> str:
    """A type in words: `integer >= 1 or null`."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if any(isinstance(mark, PartOf) for mark in metadata):
        return "block"
    if origin is typing.Annotated:
        return type_of(args[0], args[1:])
    if origin in (typing.Union, types.UnionType):
        return " or ".join(type_of(arg, metadata if arg is not type(None) else ()) for arg in args)
    if origin is typing.Literal:
        return " or ".join(f"`{str(arg).lower() if isinstance(arg, bool) else arg}`" for arg in args)
    if origin is tuple:
        return f"list of {type_of(args[0])}"
    if origin is dict:
        return f"mapping of {type_of(args[0])} to {type_of(args[1])}"
    if annotation is type(None):
        return "null"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "block"
    if annotation in WORDS:
        return WORDS[typing.cast(type, annotation)] + limits(metadata)
    return "any value"


def default_of(field: FieldInfo) -> str:
    """What stands where the key is left out."""
    value = field.get_default(call_default_factory=True) if not field.is_required() else None
    if field.is_required():
        return "(required)"
    if isinstance(value, BaseModel):
        return "its defaults"
    if value is None:
        return "`null`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`[{', '.join(map(str, value))}]`"
    if isinstance(value, str):
        return f"`{value}`" if value else "(empty)"
    return f"`{value}`"


def blocks(field: FieldInfo) -> Iterator[type[BaseModel]]:
    """The sections that may stand in a field; those of a registry are written where the registry is."""

    def inside(annotation: object) -> Iterator[type[BaseModel]]:
        if any(isinstance(mark, PartOf) for mark in typing.get_args(annotation)):
            return
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield annotation
        for arg in typing.get_args(annotation):
            yield from inside(arg)

    if not any(isinstance(mark, PartOf) for mark in field.metadata):
        yield from inside(field.annotation)


def registries() -> list[registry.Registry]:
    """The registries whose parts are sections of the configuration; a task's check or a metric has no section."""
    found = [one for one in vars(registry).values() if isinstance(one, registry.Registry)]
    return [one for one in found if all(issubclass(part_of(one, word), BaseModel) for word in one.places)]


def part_of(one: registry.Registry, word: str) -> type:
    """The class of a part."""
    module, _, name = one.places[word].partition(":")
    return typing.cast(type, getattr(importlib.import_module(module), name))


class Page:
    """The lines of the page; a section that two keys share is written once."""

    def __init__(self) -> None:
        self.lines: list[str] = [HEAD]
        self.written: dict[type[BaseModel], str] = {}
        self.silent: list[str] = []
        """Keys without a docstring, so without a meaning."""

    def section(self, shape: type[BaseModel], path: str, level: int, leave_out: str = "", key: str = "") -> None:
        """The heading, the meaning and the keys of a section, then its sub-sections. `key`: its path, if the heading is another."""
        self.written[shape] = path
        self.lines += [f"{'#' * level} {path}", "", inspect.cleandoc(shape.__doc__ or ""), ""]
        self.keys(shape, leave_out)
        top = path.startswith(TOP)
        for name, field in shape.model_fields.items():
            for inner in blocks(field):
                below = name if top else f"{key or path}.{name}"
                if inner not in self.written:
                    self.section(inner, below, min(level + (path != TOP), 4))
                elif self.written[inner] != below:
                    self.lines += [f"`{below}` has the keys of `{self.written[inner]}`.", ""]

    def keys(self, shape: type[BaseModel], leave_out: str = "") -> None:
        """The table of a section's keys."""
        rows = []
        for name, field in shape.model_fields.items():
            if name == leave_out:
                continue
            kinds, extra = type_of(field.annotation, field.metadata), field.json_schema_extra
            kind = "operation" if isinstance(extra, dict) and extra.get("operation") else "science"
            kind = "" if kinds in ("block", "block or null") else kind  # each key of a block is one or the other
            meaning = one_line(meanings(shape).get(name, "")) or self.pointer(shape, name, field)
            rows.append(f"| `{name}` | {meaning} | {kinds} | {default_of(field)} | {kind} |")
        if rows:
            self.lines += ["| key | meaning | type | default | |", "|---|---|---|---|---|", *rows, ""]

    def pointer(self, shape: type[BaseModel], name: str, field: FieldInfo) -> str:
        """The meaning of a block without a docstring of its own: the first sentence of its section."""
        for mark in field.metadata:
            if isinstance(mark, PartOf):
                what = mark.registry.what
                return f"The {what}: see [kinds of {what}](#kinds-of-{what.replace(' ', '-')})."
        for inner in blocks(field):
            return one_line((inner.__doc__ or "").partition(".")[0] + ".")
        self.silent.append(f"{shape.__module__}.{shape.__name__}.{name}")
        return ""

    def parts(self, one: registry.Registry) -> None:
        """The sections of all parts of a registry."""
        self.lines += [f"## Kinds of {one.what}", "", f"The key `{one.key}` names one of these.", ""]
        grouped: dict[type[BaseModel], list[str]] = {}
        for word in one.places:
            grouped.setdefault(part_of(one, word), []).append(word)
        for shape, words in grouped.items():
            self.section(
                shape, " / ".join(f"{one.key}: {word}" for word in words), 3, one.key, STANDS_IN.get(one.key, "")
            )


def fill(made: Page) -> None:
    """Writes all sections."""
    made.section(Config, TOP, 2)
    for one in registries():
        made.parts(one)
    made.lines += ["## The configuration of `selfplay synthesize`", ""]
    made.section(DatasetSynthesis, f"{TOP} of a synthesis", 3)


def page() -> str:
    """The whole page. Raises LookupError where a key has no docstring."""
    made = Page()
    fill(made)
    if made.silent:
        raise LookupError(f"no docstring says what these keys mean; add one below each: {', '.join(made.silent)}")
    return "\n".join(made.lines).rstrip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
