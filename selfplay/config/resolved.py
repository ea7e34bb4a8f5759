"""Flattens a configuration: its science keys for the fingerprint, and the resolved YAML with the origin of each value."""

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from selfplay.config.load import Loaded
from selfplay.config.tree import Config


def science_of(config: Config) -> dict[str, Any]:
    """The science keys with their values, which must not change during a run; operation keys are left out."""
    return dict(_leaves(config, "", science_only=True))


def resolved_text(loaded: Loaded) -> str:
    """The whole configuration as YAML, with the origin of each value that was set; it loads to the same tree."""
    import yaml

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
    import json

    indent = "  " * len(place)
    for key, item in value.items():
        if isinstance(item, dict) and item:
            yield f"{indent}{key}:", (*place, key)
            yield from _yaml_lines(item, (*place, key))
        else:
            yield f"{indent}{key}: {json.dumps(item)}", (*place, key)


def _leaves(section: BaseModel, prefix: str, *, science_only: bool) -> Iterator[tuple[str, Any]]:
    for name, field in type(section).model_fields.items():
        extra = field.json_schema_extra
        if science_only and isinstance(extra, dict) and extra.get("operation"):
            continue
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from _leaves(value, f"{prefix}{name}.", science_only=science_only)
        else:
            yield f"{prefix}{name}", section.model_dump(mode="json", include={name})[name]
