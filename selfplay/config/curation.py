"""Settings of the section `curate` with a class of their own: shares by tag, and what counts as evaluation text."""

from typing import Annotated, Any, Final

from pydantic import Field, field_validator, model_validator

from selfplay.config.near_words import nearest
from selfplay.config.sections import Section, Share


class TagQuota(Section):
    """The share of a round's accepted attempts that a tag should have."""

    tag: str
    """A tag such as `operation:twice`, or `synthesized_by:*`, by which each value of the name is a stratum of its own."""
    minimum: Share = 0.0
    """Lowest share. To reach it, attempts that passed and were dropped only for their rank are accepted after all. 0: no minimum."""
    maximum: Share = 1.0
    """Highest share. To reach it, the lowest-ranked attempts of the stratum are dropped, first from tasks with the most attempts. 1: none."""

    @model_validator(mode="after")
    def _acts(self) -> "TagQuota":
        if not self.tag:
            raise ValueError("tag is empty; give a tag such as topic:sets, or name:* for each of its values")
        if not (self.minimum < 1 and self.maximum > 0 and self.minimum <= self.maximum):
            raise ValueError(
                f"{self.tag} has minimum {self.minimum} and maximum {self.maximum}; give minimum <= maximum, minimum < 1, maximum > 0"
            )
        if self.minimum == 0 and self.maximum == 1:
            raise ValueError(f"{self.tag} has neither minimum nor maximum, so no effect; give one or remove it")
        return self


RULES: Final = ("exact", "spacing_case", "numbers", "in_context", "half", "overlap", "answer_only", "code_exact", "code_renamed")  # fmt: skip
"""What a hit can be, by how the text has the protected row: as it begins; with other spacing, case or punctuation; with
other numbers; inside more text; its beginning alone; another part of it; its answer alone; its code; its code renamed."""
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
                near = nearest(rule, known)
                advice = f"did you mean {near!r}?" if near else f"use some of {', '.join(known)}"
                raise ValueError(f"has {rule!r}, which is not a rule; {advice}")
        return rules

    @property
    def wanted(self) -> tuple[str, ...]:
        """The rules to apply, with `code` replaced by its two rules; empty: no search."""
        code = ("code_exact", "code_renamed") if BOTH_CODE in self.rules else ()
        return tuple(rule for rule in RULES if rule in (*self.rules, *code))
