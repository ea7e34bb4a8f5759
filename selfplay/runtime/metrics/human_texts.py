"""What the student forgets of human solutions: texts that became less likely, and its likelihood of rare and common tokens."""

from collections.abc import Mapping
from typing import ClassVar

from selfplay.collapse import wilson
from selfplay.collapse.human_texts import (
    decile_estimates,
    decile_sums,
    moved_texts,
    rare_minus_common,
    token_deciles,
)
from selfplay.config.metrics import Definition
from selfplay.runtime.metrics.base import NATS, SHARE, SHUMAILOV, Json, Measured, Metric, RoundView, interval

NAME = "human_tokens"
MOVED = (
    "Texts that are never trained on; a change counts above 0.1 nats and 10 % of the mean at round 0, as for the alarm; "
    "95 % Wilson interval over texts."
)
BY_TOKEN = "Nats over tokens of human solutions that are never trained on; 95 % interval over texts."
DECILE = "Deciles are tenths of the tokens, by how often their type occurs in these texts, fixed at round 0; 1 is the rarest."


class HumanTexts(Metric):
    """`collapse_tails/human_texts_...` and `collapse_tails/nll_...` by the frequency of tokens."""

    definitions: ClassVar = {
        "collapse_tails/human_texts_forgotten": Definition(
            "Human texts forgotten",
            "Share of the human solutions that are less likely under the student than at round 0, by nats per token.",
            MOVED,
            SHARE,
            SHUMAILOV,
            headline=True,
        ),
        "collapse_tails/human_texts_learned": Definition(
            "Human texts learned",
            "Share of the human solutions that are likelier under the student than at round 0. If it equals the share forgotten, the "
            "student has moved without losing.",
            MOVED,
            SHARE,
            SHUMAILOV,
        ),
        "collapse_tails/nll_rare_minus_common": Definition(
            "Rare minus common tokens of human text",
            "Negative log-likelihood per token of the rarest decile minus that of the commonest. It rises when the student forgets rare "
            f"tokens first. {DECILE}",
            f"Difference of two ratios of sums. {BY_TOKEN}",
            "nats, any number",
            SHUMAILOV,
            headline=True,
        ),
        "collapse_tails/nll_decile_*": Definition(
            "Human likelihood in a decile of tokens",
            f"Negative log-likelihood per token of the human solutions' tokens in one decile. {DECILE}",
            f"Ratio of sums. {BY_TOKEN}",
            NATS,
            SHUMAILOV,
        ),
    }

    def compute(self, view: RoundView) -> Measured:
        """Round 0 keeps the deciles of token ids and the sums of each text as `human_tokens`. Without token ids only texts are counted."""
        rows = [row for row in view.rows("likelihood") if row["tokens"]]
        known = {row["task_id"]: row["nats"] / row["tokens"] for row in rows}
        figures = _moved(known, (view.baseline or {}).get("nll") or {})
        by_token = {row["task_id"]: row for row in rows if row.get("ids")}
        if not by_token:
            return Measured(figures, {NAME: {}})
        frozen = (view.baseline or {}).get(NAME) or {}
        if frozen:
            deciles = {int(token): decile for token, decile in frozen["deciles"].items()}
        elif view.baseline is None:
            deciles = token_deciles([row["ids"] for row in by_token.values()])
        else:
            return Measured(figures, {NAME: {}})
        sums = {task: decile_sums(row["ids"], row["token_nats"], deciles) for task, row in sorted(by_token.items())}
        figures |= _by_decile(sums, frozen.get("sums"))
        kept = {} if frozen else {"deciles": {str(token): place for token, place in deciles.items()}, "sums": sums}
        return Measured(figures, {NAME: kept})


def _moved(now: Mapping[str, float], first: Mapping[str, float]) -> Json:
    moved = moved_texts(now, first)
    if not moved.texts:
        return {}
    forgotten = interval("collapse_tails/human_texts_forgotten", wilson(moved.rose, moved.texts))
    return forgotten | interval("collapse_tails/human_texts_learned", wilson(moved.fell, moved.texts))


def _by_decile(sums: Mapping[str, list[list[float]]], first: Mapping[str, list[list[float]]] | None) -> Json:
    out: Json = {}
    for decile, estimate in decile_estimates(list(sums.values())).items():
        out |= interval(f"collapse_tails/nll_decile_{decile}", estimate)
    key = "collapse_tails/nll_rare_minus_common"
    gap = rare_minus_common(list(sums.values()))
    if gap is not None:
        out |= interval(key, gap)
    both = [task for task in sums if first and task in first]
    change = rare_minus_common([sums[t] for t in both], [first[t] for t in both]) if first and both else None
    return out | (interval(f"{key}_delta", change) if change is not None else {})
