"""Lists the parts that a configuration can name: task sources, students, engines, verifiers, training methods, metrics.

A registry maps the name in the configuration to `module:Class`. The class is the part's settings, a `Section` in the part's own
file, which can open the part. The file is imported when its name is first used, so that a run loads only what it needs. A new part
is one new file and one new line here.
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
    """What a part is called in messages, such as `task source`."""
    key: str
    """The key that names the part: `source` in `tasks: {source: jsonl}`."""
    places: Mapping[str, str]
    """Name -> `module:Class`."""
    default: str | None = None
    """The part that is used if the key is left out; None: the key is required."""

    def part(self, name: str) -> Any:
        """The class of a part. Raises KeyError if there is no such part."""
        module, _, attribute = self.places[name].partition(":")
        return getattr(import_module(module), attribute)

    def settings(self, name: str) -> type[BaseModel]:
        """The class of a part's settings; not for VERIFIERS and METRICS, whose classes are the parts themselves."""
        settings: type[BaseModel] = self.part(name)
        return settings

    def default_settings(self, name: str) -> Any:
        """A part's settings with all defaults."""
        return self.settings(name)(**{self.key: name})


TASK_SOURCES = Registry(
    "task source",
    "source",
    {
        "list_programs": "selfplay.tasks.list_programs:ListPrograms",
        "arithmetic": "selfplay.tasks.arithmetic:Arithmetic",
        "jsonl": "selfplay.tasks.jsonl:JsonlTasks",
        "gsm8k": "selfplay.tasks.gsm8k:Gsm8k",
        "gsm8k_recorded": "selfplay.tasks.gsm8k:Gsm8kRecorded",
        "mbpp": "selfplay.tasks.mbpp:Mbpp",
        "humaneval": "selfplay.tasks.humaneval:HumanEval",
        "svamp": "selfplay.tasks.word_problems:WordProblems",
        "aqua": "selfplay.tasks.word_problems:WordProblems",
        "gsm_hard": "selfplay.tasks.word_problems:WordProblems",
        "reasoning_gym": "selfplay.tasks.reasoning_gym:ReasoningGym",
    },
)
STUDENTS = Registry(
    "student",
    "kind",
    {
        "tiny": "selfplay.models.transformers:TinyStudent",
        "pretrained": "selfplay.models.transformers:PretrainedStudent",
        "scripted": "selfplay.models.scripted:ScriptedStudent",
    },
)
ENGINES = Registry(
    "engine",
    "kind",
    {
        "student": "selfplay.models.student:StudentEngine",
        "pretrained": "selfplay.models.transformers:PretrainedEngine",
        "http": "selfplay.models.openai:HttpEngine",
        "vllm": "selfplay.models.vllm:VllmEngine",
        "recorded": "selfplay.models.recorded:RecordedEngine",
    },
)
STUDENT_ENGINES = Registry("engine of the student", "kind", {"vllm": "selfplay.models.vllm:VllmStudentEngine"})
"""Engines that are given each round's weights."""
VERIFIERS = Registry(
    "verifier",
    "type",
    {
        "math": "selfplay.verify.math_answer:MathAnswer",
        "code_tests": "selfplay.verify.code_tests:CodeTests",
        "steps": "selfplay.verify.steps:Steps",
        "heuristic": "selfplay.verify.heuristic:Heuristic",
        "judge": "selfplay.verify.judge:Judge",
        "reasoning_gym": "selfplay.verify.reasoning_gym:Gym",
        "python": "selfplay.verify.python_function:PythonFunction",
    },
)
"""Types of checks. The class is the verifier itself, since its keys are in the check of a task and not in the configuration."""
TRAINING_METHODS = Registry(
    "training method",
    "method",
    {
        "sft": "selfplay.training.methods.sft:Sft",
        "dpo": "selfplay.training.methods.dpo:Dpo",
        "kto": "selfplay.training.methods.kto:Kto",
        "grpo": "selfplay.training.methods.grpo:Grpo",
    },
    default="sft",
)
METRICS = Registry(
    "metric",
    "metric",
    {
        "accuracy": "selfplay.runtime.metrics.accuracy:Accuracy",
        "samples": "selfplay.runtime.metrics.samples:Samples",
        "voting": "selfplay.runtime.metrics.voting:Voting",
        "strata": "selfplay.runtime.metrics.strata:Strata",
        "wording": "selfplay.runtime.metrics.wording:Wording",
        "likelihood": "selfplay.runtime.metrics.likelihood:HumanLikelihood",
        "human_texts": "selfplay.runtime.metrics.human_texts:HumanTexts",
        "drift": "selfplay.runtime.metrics.drift:Drift",
        "seen": "selfplay.runtime.metrics.seen:Seen",
        "rollouts": "selfplay.runtime.metrics.rollouts:Rollouts",
        "provenance": "selfplay.runtime.metrics.provenance:Provenance",
        "audit": "selfplay.runtime.metrics.audit:Audit",
        "alarms": "selfplay.runtime.metrics.alarms:Alarms",
        "data": "selfplay.runtime.metrics.data:Data",
        "training": "selfplay.runtime.metrics.training:Training",
        "cost": "selfplay.runtime.metrics.cost:Cost",
    },
)
"""Each computes a group of keys in the metrics of a round; see `selfplay.runtime.metrics.base.Metric`."""


class PartOf:
    """Marks a field of a section as a part of a registry: `Annotated[Base, PartOf(TASK_SOURCES)]`.

    Validation looks up the name, imports its file and validates the block with the part's own settings; faults keep their position.
    `but`: names of the registry that this field does not accept.
    """

    def __init__(self, registry: Registry, but: tuple[str, ...] = ()) -> None:
        self.registry, self.names = registry, tuple(name for name in registry.places if name not in but)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        dump = core_schema.plain_serializer_function_ser_schema(_dumped, info_arg=True)
        return core_schema.no_info_plain_validator_function(self.checked, serialization=dump)

    def checked(self, given: Any) -> BaseModel:
        """The part's settings from a block of keys. Raises ValidationError, or an error that pydantic turns into one."""
        if isinstance(given, BaseModel):
            given = given.model_dump()
        if not isinstance(given, Mapping):
            raise PydanticKnownError("dict_type")
        key = self.registry.key
        name = given.get(key, self.registry.default)
        if name is None:
            raise PydanticKnownError("union_tag_not_found", {"discriminator": f"'{key}'"})
        if name not in self.names:
            known = ", ".join(map(repr, self.names))
            raise PydanticKnownError(
                "union_tag_invalid", {"discriminator": f"'{key}'", "tag": str(name), "expected_tags": known}
            )
        settings = self.registry.settings(name)
        try:
            return settings.model_validate({key: name, **given})
        except ValidationError as error:
            raise ValidationError.from_exception_data(
                settings.__name__, [_below(name, dict(item)) for item in error.errors()]
            ) from None


def _dumped(value: BaseModel, info: core_schema.SerializationInfo) -> Any:
    return value.model_dump(mode=info.mode)


def _below(name: str, item: dict[str, Any]) -> InitErrorDetails:
    """An error with the part's name at the start of its location, as pydantic does for the tag of a union."""
    return InitErrorDetails(type=item["type"], loc=(name, *item["loc"]), input=item["input"], ctx=item.get("ctx") or {})
