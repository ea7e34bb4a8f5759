"""Turns the errors of pydantic into messages `file:line:col: key is value, what is wrong; what to do`."""

import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from selfplay.config.near_words import likeliest, nearest
from selfplay.config.registry import PartOf
from selfplay.config.tree import Config

_REMEDIES = {
    "missing": "add it",
    "extra_forbidden": "remove it",
    "int_parsing": "write a whole number",
    "int_type": "write a whole number",
    "int_from_float": "write a whole number",
    "float_parsing": "write a number",
    "float_type": "write a number",
    "bool_parsing": "write true or false",
    "bool_type": "write true or false",
    "string_type": "write a text, in quotes if it looks like a number",
    "dict_type": "write a block of keys",
    "model_type": "write a block of keys",
    "model_attributes_type": "write a block of keys",
    "tuple_type": "write a list, as in [a, b]",
}


class Fault(NamedTuple):
    """One fault of a configuration."""

    where: str
    key: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        return (
            f"{self.where}: {self.key} {self.problem}; {self.remedy}"
            if self.key
            else f"{self.where}: {self.problem}; {self.remedy}"
        )


def describe(
    error: ValidationError, tree: type[BaseModel], marks: Mapping[tuple[str, ...], str], path: str
) -> Iterator[Fault]:
    """The faults behind pydantic's errors, in the order of the file. `marks`: the position `file:line:col` of each key."""
    found = [fault for item in error.errors() for fault in _all(dict(item), tree, marks, path)]
    yield from dict.fromkeys(sorted(found, key=file_order))


def file_order(fault: Fault) -> tuple[int, int]:
    """Line and column of a fault, by which faults of one file are sorted; (0, 0) for one of the command line."""
    parts = fault.where.rsplit(":", 2)
    return (int(parts[1]), int(parts[2])) if len(parts) == 3 and parts[1].isdigit() and parts[2].isdigit() else (0, 0)


def _all(
    item: dict[str, Any], tree: type[BaseModel], marks: Mapping[tuple[str, ...], str], path: str
) -> Iterator[Fault]:
    """The faults of one error: a check over several keys reports each fault on its own line."""
    if item["type"] != "value_error":
        yield _one(item, tree, marks, path)
        return
    place, _ = _walk(tuple(item["loc"]), tree)
    for line in str(item["ctx"]["error"]).splitlines():
        problem, _, remedy = line.partition("; ")
        yield Fault(_where(place, marks, path), ".".join(place), problem, remedy or "change it")


def _one(item: dict[str, Any], tree: type[BaseModel], marks: Mapping[tuple[str, ...], str], path: str) -> Fault:
    place, sections = _walk(tuple(item["loc"]), tree)
    where, key = _where(place, marks, path), ".".join(place)
    kind, given, context = item["type"], _shown(item["input"]), item.get("ctx") or {}
    if kind == "extra_forbidden" and (new := new_name(key)) is not None and ("." in key or new in tree.model_fields):
        return Fault(where, key, f"is {given}, which is named {new} since 0.2", "rename it")
    if kind == "extra_forbidden":
        if homes := _parts_with(place, tree):
            return Fault(where, key, f"is {given}, but {item['loc'][-2]} has no such key", f"it goes with {homes}")
        return Fault(where, key, f"is {given}, but there is no such key", _advice(place[-1], sections, tree))
    if kind == "missing":
        return Fault(where, key, "is missing", "add it")
    if kind in ("union_tag_invalid", "union_tag_not_found", "literal_error"):
        expected = context.get("expected_tags") or context.get("expected", "")
        tag_key = context.get("discriminator", "").strip("'")
        inner = f"{key}.{tag_key}" if tag_key else key
        value = context.get("tag") if "tag" in context else given
        return Fault(
            where,
            inner,
            "is missing" if kind == "union_tag_not_found" else f"is {value}, which is not a known value",
            f"use one of: {expected or _tags(place, tree)}",
        )
    wrong = item["msg"][:1].lower() + item["msg"][1:]
    wrong = (
        wrong.replace("input should be", "must be")
        .replace("greater than or equal to", ">=")
        .replace("less than or equal to", "<=")
    )
    return Fault(where, key, f"is {given}, {wrong}", _REMEDIES.get(kind, "change it to a valid value"))


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _where(place: tuple[str, ...], marks: Mapping[tuple[str, ...], str], path: str) -> str:
    """The position of a key, or of the nearest block above it whose position is known."""
    for length in range(len(place), 0, -1):
        if place[:length] in marks:
            return marks[place[:length]]
    return f"{path}:1:1"


def _walk(loc: tuple[Any, ...], tree: type[BaseModel]) -> tuple[tuple[str, ...], list[type[BaseModel]]]:
    """A pydantic location as the keys that the user wrote (without union tags), and the sections that may contain the last key."""
    place: list[str] = []
    sections = [tree]
    for part in (str(p) for p in loc):
        tagged = [s for s in sections if any(part in typing.get_args(f.annotation) for f in s.model_fields.values())]
        known = [s for s in sections if part in s.model_fields]
        if not known and tagged and place:
            sections = tagged
            continue
        place.append(part)
        inner = [m for s in known for m in _sections(s.model_fields[part])]
        sections = inner or sections
    return tuple(place), sections


def _parts_with(place: tuple[str, ...], tree: type[BaseModel]) -> str:
    """The parts of a registry that have a key which the chosen part lacks, such as `dpo and kto`; "" if there is none."""
    *above, block, key = ("", *place)
    _, sections = _walk(tuple(above[1:]), tree)
    fields = [section.model_fields[block] for section in sections if block in section.model_fields]
    parts = [mark for field in fields for mark in field.metadata if isinstance(mark, PartOf)]
    names = [n for part in parts for n in part.names if key in part.registry.settings(n).model_fields]
    return " and ".join(dict.fromkeys(names))


MOST_PATHS = 3
"""Keys of other sections that a suggestion names."""


def _advice(word: str, sections: list[type[BaseModel]], tree: type[BaseModel]) -> str:
    """The key that was meant: of the sections here, or of another section if it has one of that very name or none here is like it."""
    names = sorted({name for section in sections for name in section.model_fields})
    if near := likeliest(word, names):
        return f"did you mean {near[0]!r}?"
    paths = sorted(dict.fromkeys(_paths(tree)), key=lambda path: path.count("."))
    last = {path.rpartition(".")[2] for path in paths}
    if word.lower() not in last and (alike := nearest(word, names)):
        return f"did you mean {alike!r}?"
    meant = {word.lower()} & last or likeliest(word, last)
    there = [path for path in paths if path.rpartition(".")[2] in meant][:MOST_PATHS]
    return f"did you mean {' or '.join(map(repr, there))}?" if there else f"known keys here: {', '.join(names)}"


def _paths(tree: type[BaseModel], above: str = "") -> Iterator[str]:
    """The path of each key of a tree, with those of all parts that a section may be."""
    for name, key in tree.model_fields.items():
        yield f"{above}{name}"
        for section in _sections(key):
            yield from _paths(section, f"{above}{name}.")


def _sections(field: FieldInfo) -> list[type[BaseModel]]:
    """The section classes that a field may contain."""
    parts = [mark for mark in field.metadata if isinstance(mark, PartOf)]
    return [part.registry.settings(name) for part in parts for name in part.names] or _models(field.annotation)


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The section classes inside an annotation such as `A | B | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if typing.get_origin(annotation) in (typing.Union, types.UnionType, typing.Annotated):
        return [model for part in typing.get_args(annotation) for model in _models(part)]
    return []


def _tags(place: tuple[str, ...], tree: type[BaseModel]) -> str:
    """The values that the discriminating key of the section at `place` may have."""
    _, sections = _walk((*place, ""), tree)
    tags = [
        w
        for s in sections
        for name in ("source", "kind")
        if name in s.model_fields
        for w in typing.get_args(s.model_fields[name].annotation)
    ]
    return ", ".join(repr(tag) for tag in tags)


def positioned(text: str, marks: Mapping[tuple[str, ...], str], path: str) -> str:
    """Each line that begins with a key, such as `judge.backend.url is ...`, behind the position of that key or of its block.

    `marks`: the position of each value that was set. `path`: the configuration, of which the line is unknown where no block was set.
    """
    keys, lines = set(_paths(Config)), []
    for line in text.splitlines():
        key = line.partition(" ")[0]
        name = key.rstrip(":")
        place = tuple(name.split("."))
        known = (marks[place[:length]] for length in range(len(place), 0, -1) if place[:length] in marks)
        lines.append(f"{next(known, path)}: {line}" if name in keys and (key != name or "." in key) else line)
    return "\n".join(lines)


RENAMED: Final[Mapping[str, str]] = {
    "audit.least": "audit.min_rechecked",
    "audit.most": "audit.max_rechecked",
    "backend.wait_seconds": "backend.initial_backoff_seconds",
    "curate.beyond_share": "curate.above_level_share",
    "curate.cap": "curate.max_per_task",
    "curate.drop_share": "curate.drop_bottom_share",
    "curate.rows": "curate.max_rows",
    "curriculum.edges": "curriculum.levels",
    "generate.samples": "generate.samples_per_task",
    "isolate": "phase_subprocess",
    "makers": "methods",
    "propose.make": "propose.synthesize",
    "seeds": "seed_tasks",
    "synthesize.makers": "synthesize.methods",
    "tasks.panel": "tasks.dev",
    "train.batch_rows": "train.batch_size",
    "train.micro_batch_rows": "train.micro_batch_size",
}
"""Old key -> new key. A key with a dot matches every path that ends in it, such as `judge.backend.wait_seconds`."""


def new_name(key: str) -> str | None:
    """The new name of a key of version 0.1, as a full path; None if the key was not renamed."""
    if key in RENAMED:
        return RENAMED[key]
    section, _, last = key.rpartition(".")
    above, _, inner = section.rpartition(".")
    new = RENAMED.get(f"{inner}.{last}")
    return None if new is None else f"{above}.{new}" if above else new
