"""The section `curate.decontaminate`: which rules count as evaluation text, and what counts as common wording."""

import difflib
from typing import Annotated, Any, Final

from pydantic import Field, field_validator, model_validator

from selfplay.config.sections import Section

RULES: Final = (
    "exact",
    "spacing_case",
    "numbers",
    "in_context",
    "half",
    "overlap",
    "answer_only",
    "code_exact",
    "code_renamed",
)
"""What each of them finds is described in `selfplay.curate.decontaminate`."""
BOTH_CODE: Final = "code"
"""Short for the two rules about code."""


class Decontaminate(Section):
    """What counts as evaluation text in training text. `true` stands for the defaults, `false` for no rules at all."""

    rules: tuple[str, ...] = RULES
    """exact, spacing_case, numbers, in_context, half, overlap, answer_only, code_exact, code_renamed, or code for the last two."""
    common_tasks: Annotated[int, Field(ge=2)] = 2
    """A run of words in this many different evaluation tasks is an instruction or a template, and no evidence."""
    common_training: Annotated[int, Field(ge=2)] = 10
    """The same for different training prompts."""

    @model_validator(mode="before")
    @classmethod
    def _switch(cls, given: Any) -> Any:
        if isinstance(given, bool):
            return {} if given else {"rules": ()}
        if isinstance(given, dict | Decontaminate):
            return given
        raise ValueError(f"is {given!r}, which is no setting; write true, false, or keys such as rules: [exact, half]")

    @field_validator("rules")
    @classmethod
    def _known(cls, rules: tuple[str, ...]) -> tuple[str, ...]:
        known = (*RULES, BOTH_CODE)
        for rule in rules:
            if rule not in known:
                near = difflib.get_close_matches(rule, known, n=1)
                advice = f"did you mean {near[0]!r}?" if near else f"use some of {', '.join(known)}"
                raise ValueError(f"has {rule!r}, which is no rule; {advice}")
        return rules

    @property
    def wanted(self) -> tuple[str, ...]:
        """The rules that count, `code` as the two it stands for; empty: nothing is looked for."""
        code = ("code_exact", "code_renamed") if BOTH_CODE in self.rules else ()
        return tuple(rule for rule in RULES if rule in (*self.rules, *code))
