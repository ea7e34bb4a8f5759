"""The entries of `curate.quotas`: shares by tag."""

from pydantic import model_validator

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
