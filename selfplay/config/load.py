"""Reads a YAML file and `key=value` overrides, merges and validates them, and reports every fault with its position.

Pitfalls of YAML 1.1 are handled: `1e-5` is a number, `1:30` stays text, `no` and `yes` are faults, and so is a duplicate key. Size,
depth and the number of values are bounded, so that no file takes long to read, even if its aliases expand to many values.
"""

import contextlib
import json
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError

from selfplay.config.faults import Fault, describe, file_order
from selfplay.config.tree import Config
from selfplay.errors import ConfigError

Tree = TypeVar("Tree", bound=BaseModel)
Place = tuple[str, ...]
"""A path of keys, such as ("train", "lora", "rank"); list items by their number."""

MAX_BYTES = 256_000
"""Limit on the size of a configuration file. The parser is slow, and the largest file that ships has 2 % of it."""
MAX_VALUES = 20_000
"""Limit on the values of a configuration; each use of an alias counts all its values again."""
MAX_DEPTH = 40
"""Limit on the nesting of blocks."""
MAX_DIGITS = 40
"""Limit on the length of a number."""

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")
_CONSTRUCTOR = yaml.constructor.SafeConstructor()
_WORD_BOOLEANS = {"yes", "no", "on", "off", "y", "n"}
_VARIABLE = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True)
class Loaded:
    """A validated configuration with the origin of each value that was set."""

    config: Config
    path: Path
    overrides: tuple[str, ...] = ()
    """The overrides as they were given; `load_config(path, overrides)` loads the same configuration again."""
    origins: dict[Place, str] = field(default_factory=dict)
    """`file:line` or `command line` for each value that was set."""


@dataclass
class _Reader:
    """Turns a composed YAML document into plain values, and records the position of each."""

    path: Path
    marks: dict[Place, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    values: int = 0
    """Number of values read so far."""

    def value(self, node: yaml.Node, place: Place) -> Any:
        """The plain value of a node. Records its position and its faults; raises ConfigError beyond the limits of this module."""
        where = f"{self.path}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"
        self.values += 1
        if len(place) > MAX_DEPTH:
            raise ConfigError(
                f"{where}: is nested more than {MAX_DEPTH} levels deep, or contains itself through an alias; nest it less deeply"
            )
        if self.values > MAX_VALUES:
            raise ConfigError(
                f"{where}: is one of more than {MAX_VALUES} values, counting those of an alias (*name) at each use; write a smaller file"
            )
        self.marks.setdefault(place, where)
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, place)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*place, str(number))) for number, item in enumerate(node.value)]
        return self.scalar(node, place, where)

    def mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        """The value of a mapping, with string keys; a duplicate key is a fault."""
        out: dict[str, Any] = {}
        for key_node, value_node in node.value:
            mark = key_node.start_mark
            where = f"{self.path}:{mark.line + 1}:{mark.column + 1}"
            if not isinstance(key_node, yaml.ScalarNode):
                self.faults.append(
                    Fault(where, ".".join(place), "has a key that is not plain text", "write plain keys")
                )
                continue
            key = str(key_node.value)
            if key_node.tag == "tag:yaml.org,2002:merge":
                merged = "is a merge key, which YAML 1.2 does not have"
                self.faults.append(Fault(where, ".".join((*place, key)), merged, "write the keys out"))
                continue
            if key in out:
                self.faults.append(
                    Fault(where, ".".join((*place, key)), "is given twice in one block", "remove one of them")
                )
            self.marks[(*place, key)] = where
            out[key] = self.value(value_node, (*place, key))
        return out

    def scalar(self, node: yaml.Node, place: Place, where: str) -> Any:
        """The value of a scalar by the rules of YAML 1.2."""
        text, tag, plain = str(node.value), node.tag.rsplit(":", 1)[-1], getattr(node, "style", None) is None
        if plain and tag == "bool" and text.lower() in _WORD_BOOLEANS:
            self.faults.append(
                Fault(
                    where,
                    ".".join(place),
                    f"is {text}, which YAML 1.1 reads as a boolean",
                    f'write true or false, or "{text}" in quotes for the text',
                )
            )
            return text
        if tag in ("int", "float") or (plain and _NUMBER.fullmatch(text)):
            return text if plain and ":" in text else self.number(node, tag, place, where)
        if tag == "str":
            return self.expanded(text, place, where)
        if tag == "bool":
            return {"true": True, "false": False}.get(text.lower(), text)
        return None if tag == "null" else text

    def number(self, node: yaml.Node, tag: str, place: Place, where: str) -> Any:
        """The number that a scalar denotes; one that is too long, infinite or malformed is a fault."""
        text = str(node.value)
        try:
            if len(text) > MAX_DIGITS:
                raise ValueError
            value = (
                _CONSTRUCTOR.construct_yaml_int(yaml.ScalarNode(node.tag, text))
                if tag == "int"
                else float(text.replace("_", ""))
            )
            if not math.isfinite(value):
                raise ValueError
        except (ValueError, OverflowError):
            shown = text if len(text) <= MAX_DIGITS else f"{text[:20]}... of {len(text)} characters"
            self.faults.append(
                Fault(
                    where,
                    ".".join(place),
                    f"is {shown}, which is not a usable number",
                    "write a smaller number, or text in quotes",
                )
            )
            return 0
        return value

    def expanded(self, text: str, place: Place, where: str) -> str:
        """Replaces `${NAME}` by the environment variable; a variable that is not set is a fault."""
        for name in _VARIABLE.findall(text):
            if name not in os.environ:
                self.faults.append(
                    Fault(
                        where,
                        ".".join(place),
                        f"names the environment variable {name}, which is not set",
                        f"export {name}=... or write the path",
                    )
                )
        return _VARIABLE.sub(lambda found: os.environ.get(found.group(1), found.group(0)), text)


@dataclass(frozen=True)
class Examined:
    """A configuration with its faults, and as much of it as can be used."""

    faults: tuple[Fault, ...]
    config: Config | None
    """The whole configuration if it has no fault. Otherwise its valid sections and the defaults of those that it leaves out, without
    an attribute for a required section that is faulty; None if the tasks are."""
    marks: Mapping[Place, str] = field(default_factory=dict)
    """`file:line:col` or `command line` for each value that was set."""

    def where(self, *place: str) -> str:
        """The position of a key, or of the nearest block above it that was set."""
        known = (self.marks[place[:length]] for length in range(len(place), -1, -1) if place[:length] in self.marks)
        return next(known, "command line")


def load_config(path: str | Path, overrides: list[str] | tuple[str, ...] = ()) -> Loaded:
    """Loads a YAML file with `key.path=value` overrides. A run without a `name` is named after the file.

    Raises ConfigError with all faults, one per line: `file:line:col: what is wrong, the value; what to do`.
    """
    reader, data, marks = _values(path, overrides)
    config = _checked(reader, {"name": run_name(path), **data}, marks, Config)
    return Loaded(
        config, Path(path), tuple(overrides), {place: _origin(mark) for place, mark in marks.items() if place}
    )


def load_tree(
    path: str | Path, overrides: list[str] | tuple[str, ...], shape: type[Tree]
) -> tuple[Tree, dict[Place, str]]:
    """Loads any tree of sections as `load_config` does; returns it with the position of each value."""
    reader, data, marks = _values(path, overrides)
    return _checked(reader, data, marks, shape), marks


def examine(path: str | Path, overrides: Sequence[str] = ()) -> Examined:
    """Loads a configuration as `load_config` does, but returns its faults. Raises ConfigError if the file cannot be read at all."""
    reader, data, marks = _values(path, overrides)
    data = {"name": run_name(path), **data}
    config, faults = _validated(reader, data, marks, Config)
    if config is None:
        sections = dict(_valid_sections(data))
        config = Config.model_construct(None, **sections) if "tasks" in sections else None
    return Examined(tuple(faults), config, marks)


def run_name(path: str | Path) -> str:
    """The name of a run whose configuration has none: the file's name without its ending; characters that no name has become `-`."""
    return re.sub(r"[^\w.\-]", "-", Path(path).stem).lstrip("-.")[:100] or "run"


def _values(path: str | Path, overrides: Sequence[str]) -> tuple[_Reader, dict[str, Any], dict[Place, str]]:
    """The plain values of a file with its overrides, and the position of each; the reader has the faults found so far."""
    reader = _Reader(Path(path))
    data = _read_file(reader)
    marks = dict(reader.marks)
    for text in overrides:
        _override(data, text, reader, marks)
    return reader, data, marks


def _checked(reader: _Reader, data: Mapping[str, Any], marks: Mapping[Place, str], shape: type[Tree]) -> Tree:
    config, faults = _validated(reader, data, marks, shape)
    if config is None:
        raise ConfigError("\n".join(map(str, faults)))
    return config


def _validated(
    reader: _Reader, data: Mapping[str, Any], marks: Mapping[Place, str], shape: type[Tree]
) -> tuple[Tree | None, list[Fault]]:
    """The tree, or None and its faults in the order of the file: those of the YAML text, and those of other keys' values."""
    faults, config = list(reader.faults), None
    keys = {fault.key for fault in faults}
    try:
        config = shape.model_validate(data)
    except ValidationError as error:
        faults += [fault for fault in describe(error, shape, marks, str(reader.path)) if fault.key not in keys]
    return (None if faults else config), sorted(faults, key=file_order)


def _valid_sections(data: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The top-level keys of a configuration whose values are valid by themselves."""
    for name, key in Config.model_fields.items():
        if name in data:
            with contextlib.suppress(ValidationError):
                yield name, TypeAdapter(key.rebuild_annotation()).validate_python(data[name])


def _origin(mark: str) -> str:
    return mark if mark == "command line" else mark.rsplit(":", 1)[0]


def _read_file(reader: _Reader) -> dict[str, Any]:
    """The content of the file. An unreadable file raises at once, since nothing else can be checked."""
    path = reader.path
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise ConfigError(
                f"{path}: has more than {MAX_BYTES} bytes, too many for a configuration; give the path of a configuration file"
            )
        node = _composed(raw.decode("utf-8-sig"), str(path))
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: no such configuration file; give the path of a YAML file, or write one with `selfplay init NAME`"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}); give a UTF-8 YAML file") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise ConfigError(
            f"{where}: is not valid YAML ({error.problem}); fix the line, check indentation and quotes"
        ) from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: is not valid YAML ({error}); fix the file") from None
    if node is None:
        raise ConfigError(f"{path}:1:1: is empty; `selfplay init NAME` writes one to start from")
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(
            f"{path}:1:1: is not a mapping of keys to values; `selfplay init NAME` writes one to start from"
        )
    data: dict[str, Any] = reader.value(node, ())
    return data


def _composed(text: str, where: str) -> yaml.Node | None:
    """The document of a YAML text; None if it is empty. Raises yaml.YAMLError, and ConfigError if it is nested too deeply."""
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except RecursionError:
        raise ConfigError(f"{where}: is nested too deeply; nest at most {MAX_DEPTH} levels") from None


def override_text(key: str, value: Any) -> str:
    """`key=value` as the command line takes it: a string has quotes only where YAML would read it as something else without them."""
    if isinstance(value, str):
        with contextlib.suppress(yaml.YAMLError):
            if yaml.safe_load(value) == value:
                return f"{key}={value}"
    return f"{key}={json.dumps(value)}"


def plain_override(text: str) -> str:
    """An override as a person would type it: `name=three` for `name="three"`."""
    key, _, raw = text.partition("=")
    with contextlib.suppress(yaml.YAMLError):
        value = yaml.safe_load(raw)
        return override_text(key, value) if isinstance(value, str) else text
    return text


def _override(data: dict[str, Any], text: str, reader: _Reader, marks: dict[Place, str]) -> None:
    """Sets one `key.path=value` in the tree of plain values."""
    key, equals, raw = text.partition("=")
    place = tuple(key.strip().split("."))
    if not equals or not all(place):
        raise ConfigError(
            f"command line: {text!r} is not an override; write key.path=value, as in rounds=6 or gate.action=observe"
        )
    small = _Reader(Path("command line"))
    try:
        node = _composed(raw, f"command line: {key}")
    except yaml.YAMLError:
        node = yaml.ScalarNode("tag:yaml.org,2002:str", raw, yaml.error.Mark("", 0, 0, 0, None, 0), None)
    value = None if node is None else small.value(node, place)
    reader.faults += [Fault("command line", *fault[1:]) for fault in small.faults]
    target = data
    for part in place[:-1]:
        inner = target.get(part)
        if not isinstance(inner, dict):
            inner = target[part] = {}
        target = inner
    target[place[-1]] = value
    for old in [known for known in marks if known[: len(place)] == place]:
        del marks[old]
    marks[place] = "command line"


def science_of(config: Config) -> dict[str, Any]:
    """The science keys with their values, which must not change during a run; operation keys are left out."""
    return dict(_leaves(config, "", science_only=True))


def resolved_text(loaded: Loaded) -> str:
    """The whole configuration as YAML, with the origin of each value that was set; it loads to the same tree."""
    lines = [f"# resolved from {loaded.path}; every value, with its origin if it was set"]
    plain = loaded.config.model_dump(mode="json")
    for line, place in _yaml_lines(plain, ()):
        origin = loaded.origins.get(place)
        lines.append(f"{line}  # {origin}" if origin else line)
    text = "\n".join(lines) + "\n"
    if yaml.safe_load(text) != plain:  # a value that the plain writer above cannot represent
        return f"# resolved from {loaded.path}\n" + yaml.safe_dump(plain, sort_keys=False)
    return text


def _yaml_lines(value: dict[str, Any], place: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    indent = "  " * len(place)
    for key, item in value.items():
        if isinstance(item, dict) and item:
            yield f"{indent}{key}:", (*place, key)
            yield from _yaml_lines(item, (*place, key))
        else:
            yield f"{indent}{key}: {json.dumps(item)}", (*place, key)


def _leaves(section: BaseModel, prefix: str, *, science_only: bool) -> Iterator[tuple[str, Any]]:
    for name, key in type(section).model_fields.items():
        extra = key.json_schema_extra
        if science_only and isinstance(extra, dict) and extra.get("operation"):
            continue
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from _leaves(value, f"{prefix}{name}.", science_only=science_only)
        else:
            yield f"{prefix}{name}", section.model_dump(mode="json", include={name})[name]
