"""What the methods that train on preference pairs share: their data, settings and figures. Imports without torch."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, model_validator

from selfplay.errors import DataError
from selfplay.records import Preference
from selfplay.store.traces import PAIRS_FILE, read_pairs
from selfplay.training.methods.base import Curve, Needs, TrainingMethod
from selfplay.training.schedule import TrainSchedule
from selfplay.training.trl_arguments import RESERVED_TRL_ARGS

if TYPE_CHECKING:
    from selfplay.config.tree import Config

OPEN_TO_PAIRS = ("loss_type", "label_smoothing")
"""Arguments that SFT reserves and that preference methods leave to the user, since they are about another loss."""


@dataclass(frozen=True)
class PairSchedule(TrainSchedule):
    """One training run on pairs."""

    pairs: tuple[Preference, ...]
    """The pairs that take part."""


class PairMethod(TrainingMethod):
    """Base of the methods that train on pairs of an accepted and a wrong attempt at one task."""

    needs: ClassVar[Needs] = "pairs"
    reserved_args: ClassVar[Mapping[str, str]] = {
        **{key: advice for key, advice in RESERVED_TRL_ARGS.items() if key not in OPEN_TO_PAIRS},
        "beta": "use train.beta",
        "precompute_ref_log_probs": "the reference is computed once, before the first step",
        "precompute_ref_batch_size": "the reference is computed in the micro-batches of training",
        "sync_ref_model": "the reference is the round's starting weights; the next round has a new one",
        "ref_model_mixup_alpha": "the reference stays fixed within a round",
        "ref_model_sync_steps": "the reference stays fixed within a round",
        "truncation_mode": "longer pairs are left out; use train.max_length",
        "pad_to_multiple_of": "micro-batches are padded to their longest example",
        "dataset_num_proc": "pairs are token ids already",
    }

    beta: float = Field(0.1, gt=0)
    """KL penalty strength; the reference is the round's starting weights."""

    @model_validator(mode="after")
    def _trains_without_dropout(self) -> "PairMethod":
        if self.lora and self.lora.dropout and self.args.get("disable_dropout", True):
            raise ValueError(
                f"lora.dropout is {self.lora.dropout}, but {self.method} trains without dropout; "
                "remove it, or set args.disable_dropout to false"
            )
        return self

    def read(self, folder: Path) -> list[Preference]:
        """The pairs that curation mixed for the round; none where it made none."""
        return [pair for group in read_pairs(folder / PAIRS_FILE) for pair in group]

    def shortage(self, data: Sequence[Preference], accepted: int) -> str:
        """Any pair is enough."""
        return "" if self.fitting(data) else f"{len(data)} pairs, and none can be trained on"

    def fitting(self, pairs: Sequence[Preference]) -> tuple[Preference, ...]:
        """The pairs with two completions, both within `max_length`."""
        longest = self.max_length
        return tuple(
            pair for pair in pairs if _is_whole(pair) and (longest is None or max(lengths_of(pair)) <= longest)
        )

    def kept_pairs(self, pairs: Sequence[Preference]) -> tuple[Preference, ...]:
        """The pairs that fit. Raises DataError where none does."""
        if kept := self.fitting(pairs):
            return kept
        limit = f" and at most {self.max_length} tokens" if self.max_length else ""
        raise DataError(
            f"train: nothing to train on: none of {len(pairs)} pairs has two completions{limit}; "
            "raise train.max_length, or look at why curate made none"
        )

    def figures(self, schedule: PairSchedule, curve: Curve) -> dict[str, float]:
        """`pairs`, and reward margin and accuracy at either end of the curve, each the mean over a tenth of the steps."""
        tenth, found = max(1, len(curve) // 10), dict[str, float](pairs=schedule.examples)
        for name in ("rewards_margin", "rewards_accuracy"):
            for end, rows in (("first", curve[:tenth]), ("last", curve[-tenth:])):
                known = [row[f"train/{name}"] for row in rows if f"train/{name}" in row]
                if known:  # a batch with one kind of side alone has no margin
                    found[f"{name}_{end}"] = round(sum(known) / len(known), 6)
        return found

    def untrained_figures(self, data: Sequence[Any]) -> dict[str, float]:
        """No pair took part."""
        return {"pairs": 0, "rows_left_out": len(data)}

    def faults(self, config: "Config") -> Iterator[str]:
        """Pairs need verdicts and two attempts at a task, and no rows are mixed in."""
        yield from super().faults(config)
        is_method, curate = f"train.method is {self.method}", config.curate
        if not curate.verified_only:
            yield f"{is_method}, but curate.verified_only is false: without a verdict no attempt is rejected; use sft"
        if config.generate.samples_per_task == 1 and not config.correct.attempts:
            yield f"{is_method}, but generate.samples_per_task is 1: a pair needs two attempts at a task; raise it"
        if config.correct.attempts and config.correct.format == "whole":
            yield f"{is_method}, but correct.format is whole: no other attempt has a correction's prompt; use final"
        for key, given in (
            ("anchor_share", curate.anchor_share != type(curate).model_fields["anchor_share"].default),
            ("above_level_share", curate.above_level_share is not None),
        ):
            if given:
                yield f"curate.{key} is {getattr(curate, key)}, but {is_method}, which trains on pairs alone; remove it"


def _is_whole(pair: Preference) -> bool:
    return bool(pair.prompt_ids and pair.chosen_ids and pair.rejected_ids)


def lengths_of(pair: Preference) -> tuple[int, int]:
    """Tokens of the chosen and of the rejected side, each with the prompt."""
    return len(pair.prompt_ids) + len(pair.chosen_ids), len(pair.prompt_ids) + len(pair.rejected_ids)
