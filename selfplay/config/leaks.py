"""The section `curate.decontaminate`: the rules by which text counts as evaluation text, and what counts as common wording."""

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
"""`selfplay.curate.decontaminate` describes what each rule finds."""
BOTH_CODE: Final = "code"
"""Short name for the two rules about code."""


class Decontaminate(Section):
    """Which training text counts as a copy of an evaluation task. `true`: the defaults. `false`: no search."""

    rules: tuple[str, ...] = RULES
    """The rules to apply: exact, spacing_case, numbers, in_context, half, overlap, answer_only, code_exact, code_renamed; `code` is
    short for the last two. Empty: no search."""
    common_tasks: Annotated[int, Field(ge=2)] = 2
    """Words that at least this many different evaluation tasks share count as instruction or template, not as a leak."""
    common_training: Annotated[int, Field(ge=2)] = 10
    """Words that at least this many different training prompts share count as instruction or template, not as a leak."""

    @model_validator(mode="before")
    @classmethod
    def _switch(cls, given: Any) -> Any:
        if isinstance(given, bool):
            return {} if given else {"rules": ()}
        if isinstance(given, dict | Decontaminate):
            return given
        raise ValueError(f"is {given!r}, which is not valid; write true, false, or keys such as rules: [exact, half]")

    @field_validator("rules")
    @classmethod
    def _known(cls, rules: tuple[str, ...]) -> tuple[str, ...]:
        known = (*RULES, BOTH_CODE)
        for rule in rules:
            if rule not in known:
                near = difflib.get_close_matches(rule, known, n=1)
                advice = f"did you mean {near[0]!r}?" if near else f"use some of {', '.join(known)}"
                raise ValueError(f"has {rule!r}, which is not a rule; {advice}")
        return rules

    @property
    def wanted(self) -> tuple[str, ...]:
        """The rules to apply, with `code` replaced by its two rules; empty: no search."""
        code = ("code_exact", "code_renamed") if BOTH_CODE in self.rules else ()
        return tuple(rule for rule in RULES if rule in (*self.rules, *code))
