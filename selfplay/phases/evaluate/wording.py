"""Floor 5: what the wording of the dev set's samples says: variety and repetition at one draw, frozen at round 0."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from selfplay.collapse import Budget, budget_of, drawn, reference_of
from selfplay.records import Outcome
from selfplay.runtime.chunk_runner import Json
from selfplay.textstats.token_stream import units_of

FROZEN = "wording"
SPARE = 0.8
"""Share of round 0's text that later rounds are drawn to, so that a round of somewhat shorter texts is still compared."""


def figures(samples: Sequence[Json], first: Mapping[str, Any] | None) -> tuple[Json, Json]:
    """Keys of `selfplay.collapse.drawn`, and what round 0 freezes: the budget and its frequent tokens."""
    texts = [row["text"] for row in samples if row["outcome"] != Outcome.ERROR.value]
    frozen = dict((first or {}).get(FROZEN) or (_freeze(texts) if first is None else {}))
    if not frozen or not texts:
        return {}, {}
    budget, common = Budget(**frozen["budget"]), np.asarray(frozen["common"], dtype=np.uint64)
    found = drawn(texts, budget, frozen["units"], common)
    return found, frozen if first is None else {}


def _freeze(texts: Sequence[str]) -> Json:
    if not any(text.split() for text in texts):
        return {}
    units = units_of(texts)
    whole = budget_of([texts], units)
    budget = Budget(int(SPARE * whole.tokens), whole.cut, int(SPARE * whole.characters), whole.cut_characters)
    if budget.tokens < 2:
        return {}
    common = reference_of(texts, budget, units=units).common()
    return {"units": units, "budget": asdict(budget), "common": [int(x) for x in common]}
