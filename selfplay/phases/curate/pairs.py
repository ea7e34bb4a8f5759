"""Builds the preference pairs of a round, group by group, and mixes them with those of earlier rounds.

One group of tasks is in memory at a time; pairs of earlier rounds are held as arrow tables.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from selfplay.config.tree import Curate
from selfplay.curate.pairs import Pair, preference_pairs
from selfplay.phases.curate.mixing import by_regime
from selfplay.records import Preference, Trace
from selfplay.store.traces import PAIRS, Stacked


@dataclass
class PairWriter:
    """Builds the pairs of each group of decided traces, passes them to `write`, and counts them."""

    write: Callable[[Sequence[Preference]], None]
    corrections: Literal["final", "whole"]
    """With `final`, an accepted correction may be the chosen side of a pair, under the task's own prompt."""
    pairs: int = 0
    tasks: int = 0
    one_sided: int = 0
    too_uneven: int = 0
    log_ratios: float = 0.0

    def add(self, traces: Sequence[Trace]) -> None:
        """Adds the pairs of whole tasks, on the token ids that were sampled; the rejected side is always a first try."""
        fit = [trace for trace in traces if self._fits(trace)]
        found, report = preference_pairs(fit, [trace.decision for trace in fit if trace.decision])
        by_id = {trace.attempt.id: trace for trace in fit} if found else {}
        self.write([_preference(pair, by_id) for pair in found])
        self.pairs += report.pairs
        self.tasks += report.tasks
        self.one_sided += report.one_sided
        self.too_uneven += report.too_uneven
        self.log_ratios += report.mean_log_ratio * report.pairs

    def _fits(self, trace: Trace) -> bool:
        if trace.decision is None:
            return False
        if trace.attempt.turn == 0:
            return True
        return self.corrections == "final" and trace.decision.decision == "accepted"

    def figures(self, trained: int) -> dict[str, float]:
        """The `data/` metrics of the round. `trained`: the number of pairs after mixing."""
        return {
            "data/pairs": self.pairs,
            "data/pairs_tasks": self.tasks,
            "data/pairs_one_sided_tasks": self.one_sided,
            "data/pairs_too_uneven": self.too_uneven,
            "data/pairs_log_length_ratio": round(self.log_ratios / max(1, self.pairs), 6),
            "data/train_pairs": trained,
        }


def _preference(pair: Pair, by_id: dict[str, Trace]) -> Preference:
    chosen, rejected = by_id[pair.chosen_id].attempt, by_id[pair.rejected_id].attempt
    return Preference(
        task_id=pair.task_id,
        prompt_ids=rejected.prompt_ids or (),
        chosen_ids=chosen.completion_ids or (),
        rejected_ids=rejected.completion_ids or (),
        chosen=pair.chosen_id,
        rejected=pair.rejected_id,
        reason=pair.reason,
        round=rejected.round,
    )


def mix_pairs(section: Curate, new: Path, older: Sequence[Path], out: Path, seed: int) -> int:
    """Writes the pairs that a round trains on, mixed by the regime as `mixing.mix` mixes rows; returns their number.

    `anchor_share` and `above_level_share` do not apply to pairs. Deterministic by seed; a missing file counts as empty.
    """
    with Stacked([new, *older], PAIRS) as pairs:
        fresh, past = pairs.rows_of(0, 1), pairs.rows_of(1, 1 + len(older))
        chosen = sorted(by_regime(section, fresh, past, random.Random(seed)))
        pairs.write(out, chosen, lambda row: "new" if row < len(fresh) else "older")
    return len(chosen)
