"""Reads YAML and `key=value`, merges plain dicts, validates once, and says every fault with its place.

YAML 1.1 traps are handled: `1e-5` is a number, `1:30` and `no` stay words (the latter with a hint), a duplicate key is refused.
Size, depth and the number of values are bounded, so that no file takes long, whatever its aliases stand for.
"""

import math
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from selfplay.config.faults import Fault, describe
from selfplay.config.tree import Config
from selfplay.errors import ConfigError

Tree = TypeVar("Tree", bound=BaseModel)
Place = tuple[str, ...]
"""A path of keys, such as ("train", "lora", "rank"); list items by their number."""

MAX_BYTES = 256_000
"""Of a configuration; the parser is slow, and the largest that ships has 2 % of it."""
MAX_VALUES = 20_000
"""Of a configuration, those that an alias stands for counted anew each time."""
MAX_DEPTH = 40
MAX_DIGITS = 40
"""Of a number."""

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")
_CONSTRUCTOR = yaml.constructor.SafeConstructor()
_WORD_BOOLEANS = {"yes", "no", "on", "off", "y", "n"}
_VARIABLE = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True)
class Loaded:
    """A validated configuration with the origin of each given value."""

    config: Config
    path: Path
    overrides: tuple[str, ...] = ()
    """As they were given; `load_config(path, overrides)` gives the same again."""
    origins: dict[Place, str] = field(default_factory=dict)
    """`file:line` or `command line` for each value that is not a default."""


@dataclass
class _Reader:
    """Walks a composed YAML document into plain values, keeping where each stood."""

    path: Path
    marks: dict[Place, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    values: int = 0
    """Read so far."""

    def value(self, node: yaml.Node, place: Place) -> Any:
        """The plain value of a node; its position and its faults are kept. Raises ConfigError past the bounds of this module."""
        where = f"{self.path}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"
        self.values += 1
        if len(place) > MAX_DEPTH:
            raise ConfigError(
                f"{where}: is nested over {MAX_DEPTH} deep, or holds itself by an alias; write it out, less deep"
            )
        if self.values > MAX_VALUES:
            raise ConfigError(
                f"{where}: is one of over {MAX_VALUES} values, what an alias (*name) stands for counted each time; write a smaller file"
            )
        self.marks.setdefault(place, where)
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, place)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*place, str(number))) for number, item in enumerate(node.value)]
        return self.scalar(node, place, where)

    def mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        """A mapping with string keys; a second use of a key is a fault."""
        out: dict[str, Any] = {}
        for key_node, value_node in node.value:
            mark = key_node.start_mark
            where = f"{self.path}:{mark.line + 1}:{mark.column + 1}"
            if not isinstance(key_node, yaml.ScalarNode):
                self.faults.append(Fault(where, ".".join(place), "has a key that is no word", "write plain keys"))
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
        """A scalar as YAML 1.2 means it."""
        text, tag, plain = str(node.value), node.tag.rsplit(":", 1)[-1], getattr(node, "style", None) is None
        if plain and tag == "bool" and text.lower() in _WORD_BOOLEANS:
            self.faults.append(
                Fault(
                    where,
                    ".".join(place),
                    f"is {text}, which old YAML reads as a boolean",
                    f'write true or false, or "{text}" for the word',
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
        """The number that a scalar writes; one that is too long, infinite or none is a fault."""
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
                    f"is {shown}, no number that can be used",
                    "write a smaller one, or a text in quotes",
                )
            )
            return 0
        return value

    def expanded(self, text: str, place: Place, where: str) -> str:
        """`${NAME}` replaced from the environment; a name that is not set is a fault."""
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


def load_config(path: str | Path, overrides: list[str] | tuple[str, ...] = ()) -> Loaded:
    """The configuration of a YAML file with `key.path=value` overrides laid over it.

    Raises ConfigError with one line a fault, all at once: `file:line:col: what is wrong, the value; what to do`.
    """
    config, marks = load_tree(path, overrides, Config)
    return Loaded(
        config, Path(path), tuple(overrides), {place: _origin(mark) for place, mark in marks.items() if place}
    )


def load_tree(
    path: str | Path, overrides: list[str] | tuple[str, ...], shape: type[Tree]
) -> tuple[Tree, dict[Place, str]]:
    """Any tree of sections, read as `load_config` reads its own, and where each value stood."""
    path = Path(path)
    reader = _Reader(path)
    data = _read_file(reader)
    marks = dict(reader.marks)
    for text in overrides:
        _lay_over(data, text, reader, marks)
    if reader.faults:
        raise ConfigError("\n".join(str(fault) for fault in reader.faults))
    try:
        config = shape.model_validate(data)
    except ValidationError as error:
        raise ConfigError("\n".join(str(fault) for fault in describe(error, shape, marks, str(path)))) from None
    return config, marks


def _origin(mark: str) -> str:
    return mark if mark == "command line" else mark.rsplit(":", 1)[0]


def _read_file(reader: _Reader) -> dict[str, Any]:
    """The file's mapping; an unreadable file raises at once, since nothing else can be checked."""
    path = reader.path
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise ConfigError(
                f"{path}: has over {MAX_BYTES} bytes, too many for a configuration; is this the right file?"
            )
        node = _composed(raw.decode("utf-8-sig"), str(path))
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: no such configuration file; give the path of a YAML file such as configs/quickstart.yaml"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}); give a UTF-8 YAML file") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise ConfigError(
            f"{where}: is no YAML ({error.problem}); mend the line, mind indentation and quotes"
        ) from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: is no YAML ({error}); mend the file") from None
    if node is None:
        raise ConfigError(f"{path}:1:1: is empty; start from configs/quickstart.yaml")
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"{path}:1:1: is no mapping of keys to values; start from configs/quickstart.yaml")
    data: dict[str, Any] = reader.value(node, ())
    return data


def _composed(text: str, where: str) -> yaml.Node | None:
    """The document of a YAML text, None for an empty one. Raises yaml.YAMLError, and ConfigError where it is nested too deeply."""
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except RecursionError:
        raise ConfigError(f"{where}: is nested too deeply; nest at most {MAX_DEPTH} deep") from None


def _lay_over(data: dict[str, Any], text: str, reader: _Reader, marks: dict[Place, str]) -> None:
    """One `key.path=value` into the tree of plain values."""
    key, equals, raw = text.partition("=")
    place = tuple(key.strip().split("."))
    if not equals or not all(place):
        raise ConfigError(
            f"command line: {text!r} is no override; write key.path=value, as in rounds=6 or gate.action=observe"
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
