"""The next token: what a plain reference picks, over the whole vocabulary, ties included."""

from typing import Any

import numpy as np
import pytest

from selfplay.records import Sampling

LARGE = 40_000
"""A vocabulary of which only a part is looked at."""


def plain_pick(logits: Any, sampling: Sampling, uniforms: Any) -> list[tuple[int, float]]:
    """Token and log-probability of each row, from a full sort and sums in double precision (in id order where nothing is cut)."""
    import torch

    picked = []
    for row, uniform in zip(logits.float() / sampling.temperature, uniforms, strict=True):
        cut = sampling.top_k or sampling.top_p < 1
        values, ids = row.sort(descending=True, stable=True) if cut else (row.log_softmax(-1), torch.arange(len(row)))
        if sampling.top_k:
            values = values[: sampling.top_k]
        masses = values.double().softmax(-1) if cut else values.double().exp()
        if sampling.top_p < 1:
            masses = masses[masses.cumsum(-1) - masses < sampling.top_p]
        reached = masses.cumsum(-1)
        place = min(int((reached <= uniform * reached[-1]).sum()), len(masses) - 1)
        picked.append((int(ids[place]), float((masses[place] / reached[-1]).log())))
    return picked


def logits_of(kind: str, vocabulary: int) -> Any:
    import torch

    made = torch.randn(12, vocabulary, generator=torch.Generator().manual_seed(vocabulary))
    if kind == "peaked":
        made = made * 8
    elif kind == "ties":
        made = (made * 2).round()
    elif kind == "bf16":
        made = (made * 5).bfloat16()
    elif kind == "one ahead":
        made[:, vocabulary // 3] += 60
    elif kind == "equal":
        made = made * 0
    elif kind == "mostly forbidden":
        made[:, 300:-5] = -torch.inf
    return made


@pytest.mark.parametrize("vocabulary", [430, 4160, LARGE + 1])
@pytest.mark.parametrize("kind", ["flat", "peaked", "ties", "bf16", "one ahead", "equal", "mostly forbidden"])
@pytest.mark.parametrize(
    "sampler",
    [
        {},
        {"temperature": 0.6},
        {"top_p": 0.9},
        {"top_k": 1},
        {"top_k": 40},
        {"top_k": 200, "top_p": 0.7},
        {"top_k": 9999999},
    ],
)
def test_picked_tokens_are_those_of_a_full_sort(vocabulary: int, kind: str, sampler: dict[str, Any]) -> None:
    from selfplay.models.transformers.picking import pick

    logits, sampling = logits_of(kind, vocabulary), Sampling(**sampler)
    uniforms = np.random.default_rng(7).random(len(logits))
    uniforms[:3] = 0.0, 1 - 2**-53, 0.5
    tokens, logprobs = pick(logits, sampling, uniforms)
    wanted = plain_pick(logits, sampling, uniforms)
    assert tokens == [token for token, _ in wanted]
    assert logprobs == pytest.approx([logprob for _, logprob in wanted], abs=2e-5)


def test_greedy_is_the_first_of_the_likeliest() -> None:
    from selfplay.models.transformers.picking import pick

    logits = logits_of("ties", LARGE)
    tokens, logprobs = pick(logits, Sampling(temperature=0), np.zeros(len(logits)))
    assert tokens == logits.argmax(-1).tolist()
    assert logprobs == pytest.approx(logits.log_softmax(-1).max(-1).values.tolist())
