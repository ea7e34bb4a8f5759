"""The shares by tag that `curate.quotas` asks for."""

from pydantic import model_validator

from selfplay.config.sections import Section, Share


class TagQuota(Section):
    """The share of a round's accepted attempts that a tag should have."""

    tag: str
    """`operation:twice`, a bare tag, or `synthesized_by:*`, where every value of the name is a stratum of its own."""
    minimum: Share = 0.0
    """Takes back attempts that passed and were dropped for their rank alone, as long as there are any."""
    maximum: Share = 1.0
    """Drops the lowest-ranked attempts of the stratum, from the tasks with the most attempts first."""

    @model_validator(mode="after")
    def _acts(self) -> "TagQuota":
        if not self.tag:
            raise ValueError("tag is empty; give a tag such as topic:sets, or name:* for each of its values")
        if not (self.minimum < 1 and self.maximum > 0 and self.minimum <= self.maximum):
            raise ValueError(f"{self.tag} asks for {self.minimum} to {self.maximum}; shares are minimum <= maximum")
        if self.minimum == 0 and self.maximum == 1:
            raise ValueError(f"{self.tag} has neither minimum nor maximum, so no effect; give one or remove it")
        return self
