"""Floor 0: the parts that a configuration can name, and where each is written. A new part is one file, and one line here.

A registry maps the word that stands in the configuration to `module:Class`: the part's settings, a `Section` in the part's own
file, which knows how to open the part. A file is imported once its word is met, so that a run loads only what it uses.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from pydantic import BaseModel, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema, InitErrorDetails, PydanticKnownError, core_schema


@dataclass(frozen=True)
class Registry:
    """The parts of one kind."""

    what: str
    """What a part is, as a message says it: `task source`."""
    key: str
    """The key of a section that names the part: `source` in `tasks: {source: jsonl}`."""
    places: Mapping[str, str]
    """Word -> `module:Class`."""
    default: str | None = None
    """The part that is meant where the key is left out; None: it must be given."""

    def settings(self, word: str) -> type[BaseModel]:
        """The settings class of a part. Raises KeyError where there is no such part."""
        module, _, name = self.places[word].partition(":")
        found: type[BaseModel] = getattr(import_module(module), name)
        return found


TASK_SOURCES = Registry(
    "task source",
    "source",
    {
        "list_programs": "selfplay.config.sections:ListPrograms",
        "arithmetic": "selfplay.config.sections:Arithmetic",
        "jsonl": "selfplay.config.sections:JsonlTasks",
        "gsm8k": "selfplay.config.sections:Gsm8k",
        "gsm8k_recorded": "selfplay.config.sections:Gsm8kRecorded",
        "mbpp": "selfplay.config.sections:Mbpp",
        "humaneval": "selfplay.config.sections:HumanEval",
        "svamp": "selfplay.config.sections:WordProblems",
        "aqua": "selfplay.config.sections:WordProblems",
        "gsm_hard": "selfplay.config.sections:WordProblems",
        "reasoning_gym": "selfplay.config.sections:ReasoningGym",
    },
)
STUDENTS = Registry(
    "student",
    "kind",
    {
        "tiny": "selfplay.config.sections:TinyStudent",
        "pretrained": "selfplay.config.sections:PretrainedStudent",
        "scripted": "selfplay.config.sections:ScriptedStudent",
    },
)
ENGINES = Registry(
    "engine",
    "kind",
    {
        "student": "selfplay.config.sections:StudentBackend",
        "pretrained": "selfplay.config.sections:PretrainedBackend",
        "http": "selfplay.config.sections:HttpBackend",
        "recorded": "selfplay.config.sections:RecordedBackend",
    },
)
TRAINING_METHODS = Registry(
    "training method",
    "method",
    {
        "sft": "selfplay.training.methods.sft:Sft",
        "dpo": "selfplay.training.methods.dpo:Dpo",
        "kto": "selfplay.training.methods.kto:Kto",
    },
    default="sft",
)


class PartOf:
    """Marks a field of a section as one of a registry's parts: `Annotated[Base, PartOf(TASK_SOURCES)]`.

    The word is looked up, its file imported, and the block checked by the part's own settings; faults keep their places.
    `only`: the words that may stand here; empty: all.
    """

    def __init__(self, registry: Registry, only: tuple[str, ...] = ()) -> None:
        self.registry, self.words = registry, only or tuple(registry.places)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        dump = core_schema.plain_serializer_function_ser_schema(_dumped, info_arg=True)
        return core_schema.no_info_plain_validator_function(self.checked, serialization=dump)

    def checked(self, given: Any) -> BaseModel:
        """The part's settings from a block of keys. Raises ValidationError, or an error that becomes one."""
        if isinstance(given, BaseModel):
            given = given.model_dump()
        if not isinstance(given, Mapping):
            raise PydanticKnownError("dict_type")
        key = self.registry.key
        word = given.get(key, self.registry.default)
        if word is None:
            raise PydanticKnownError("union_tag_not_found", {"discriminator": f"'{key}'"})
        if word not in self.words:
            known = ", ".join(map(repr, self.words))
            raise PydanticKnownError(
                "union_tag_invalid", {"discriminator": f"'{key}'", "tag": str(word), "expected_tags": known}
            )
        settings = self.registry.settings(word)
        try:
            return settings.model_validate({key: word, **given})
        except ValidationError as error:
            raise ValidationError.from_exception_data(
                settings.__name__, [_below(word, dict(item)) for item in error.errors()]
            ) from None


def _dumped(value: BaseModel, info: core_schema.SerializationInfo) -> Any:
    return value.model_dump(mode=info.mode)


def _below(word: str, item: dict[str, Any]) -> InitErrorDetails:
    """A finding with the part's word before its place, as the tag of a union stands there."""
    return InitErrorDetails(type=item["type"], loc=(word, *item["loc"]), input=item["input"], ctx=item.get("ctx") or {})
