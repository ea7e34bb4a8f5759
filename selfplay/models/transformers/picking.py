"""The next token of each row: greedy, or drawn by inverting the cumulative distribution at one uniform number. Imports torch.

Only part of a large vocabulary is looked at closely: sums of blocks say in which block a draw falls, and maxima of blocks say
where the likeliest tokens are. A row for which this leaves a doubt is computed over the whole vocabulary.
"""

import numpy as np
import torch

from selfplay.records import Sampling

BLOCK = 64
"""Tokens in a block."""

HEAD_BLOCKS = 256
"""Blocks that are searched for the likeliest tokens."""

SMALL = 4096
"""Most tokens of a vocabulary that is computed whole."""

ROUNDING = 2e-6
"""Bound on the rounding of cumulative probabilities that are sums of single-precision ones."""


def pick(logits: torch.Tensor, sampling: Sampling, uniforms: np.ndarray) -> tuple[list[int], list[float]]:
    """Next token of each row of logits [row, vocabulary], and its log-probability under what it was drawn from.

    `uniforms`: one number in [0, 1) a row. Tokens with equal logits stand in the order of their ids. Greedy (temperature 0) gives the
    log-probability at temperature 1: its own distribution has a single point.
    """
    scaled = logits.float()
    if sampling.temperature == 0:
        logprobs = scaled.log_softmax(-1)
        best = logprobs.argmax(-1, keepdim=True)
        return best[:, 0].tolist(), logprobs.gather(1, best)[:, 0].tolist()
    if sampling.temperature != 1:
        scaled = scaled / sampling.temperature
    drawn = torch.from_numpy(uniforms).to(logits.device)[:, None]
    if sampling.top_k or sampling.top_p < 1:
        token, logprob = _draw_truncated(scaled, sampling, drawn)
    else:
        token, logprob = _draw(scaled.log_softmax(-1), drawn)
    return token[:, 0].tolist(), logprob[:, 0].tolist()


# ---- from the whole distribution ----


def _draw(logprobs: torch.Tensor, uniforms: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Token and log-probability [row, 1] of each row; the same tokens as `_draw_exactly`."""
    if logprobs.shape[-1] <= SMALL:
        return _draw_exactly(logprobs, uniforms)
    masses = logprobs.exp()
    sums = _by_block(masses, "sum").double().cumsum(-1)
    wanted = uniforms * sums[:, -1:]
    block = torch.searchsorted(sums, wanted, right=True).clamp_(max=sums.shape[-1] - 1)
    columns = block * BLOCK + torch.arange(BLOCK, device=logprobs.device)
    inside = columns < logprobs.shape[-1]
    columns.clamp_(max=logprobs.shape[-1] - 1)
    own = masses.gather(1, columns).double() * inside
    reached = own.cumsum(-1) + torch.where(block > 0, sums.gather(1, (block - 1).clamp_(min=0)), 0.0)
    index = torch.searchsorted(reached, wanted, right=True).clamp_(max=BLOCK - 1)
    token = columns.gather(1, index)
    above = reached.gather(1, index) - wanted
    doubtful = ((above < ROUNDING) | (own.gather(1, index) - above < ROUNDING))[:, 0]
    logprob = logprobs.gather(1, token) - sums[:, -1:].log().float()
    if doubtful.any():
        token[doubtful], logprob[doubtful] = _draw_exactly(logprobs[doubtful], uniforms[doubtful])
    return token, logprob


def _draw_exactly(logprobs: torch.Tensor, uniforms: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Token and log-probability [row, 1], with every probability in double precision."""
    reached = logprobs.double().exp().cumsum(-1)
    wanted = uniforms * reached[:, -1:]
    token = torch.searchsorted(reached, wanted, right=True).clamp_(max=logprobs.shape[-1] - 1)
    return token, logprobs.gather(1, token) - reached[:, -1:].log().float()


def _by_block(values: torch.Tensor, kind: str) -> torch.Tensor:
    """The sum or the maximum (`amax`) of each block [row, block]; the last block may be short."""
    whole = values.shape[-1] // BLOCK * BLOCK
    parts = [values[:, :whole].view(len(values), -1, BLOCK)] if whole else []
    rest = [values[:, None, whole:]] if whole < values.shape[-1] else []
    return torch.cat([getattr(part, kind)(-1) for part in parts + rest], dim=-1)


# ---- from the likeliest tokens alone ----


def _draw_truncated(
    scaled: torch.Tensor, sampling: Sampling, uniforms: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Token and log-probability [row, 1] among what top-k leaves, and of that top-p."""
    large = scaled.shape[-1] > 2 * HEAD_BLOCKS * BLOCK
    whole = torch.zeros(0) if sampling.top_k else scaled.logsumexp(-1, keepdim=True)
    values, tokens = _likeliest(scaled) if large else _ordered(scaled)
    masses, known = _truncated(values, sampling, whole, scaled.shape[-1])
    token, logprob = _draw_ordered(masses, tokens, uniforms)
    if not known.all():
        rest = ~known
        values, tokens = _ordered(scaled[rest])
        masses, _ = _truncated(values, sampling, whole[rest] if len(whole) else whole, scaled.shape[-1])
        token[rest], logprob[rest] = _draw_ordered(masses, tokens, uniforms[rest])
    return token, logprob


def _ordered(scaled: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """All values in falling order, equal ones in the order of their ids, and the ids."""
    values, order = scaled.sort(dim=-1, descending=True, stable=True)
    return values, order


def _likeliest(scaled: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The first values of `_ordered` and their ids, as many as are surely known; -inf behind them where a row has fewer.

    What is above the largest value outside the searched blocks lies in these blocks.
    """
    top = _by_block(scaled, "amax").topk(HEAD_BLOCKS + 1, dim=-1)
    bound = top.values[:, -1:]
    blocks = top.indices[:, :-1, None]
    columns = (blocks * BLOCK + torch.arange(BLOCK, device=scaled.device)).flatten(1)
    inside = columns < scaled.shape[-1]
    columns.clamp_(max=scaled.shape[-1] - 1)
    values = scaled.gather(1, columns)
    values.masked_fill_(~inside | (values <= bound), -torch.inf)
    most = max(1, int((values > -torch.inf).sum(-1).max()))
    values, place = values.topk(most, dim=-1)
    tokens, by_id = columns.gather(1, place).sort(dim=-1)
    values, order = values.gather(1, by_id).sort(dim=-1, descending=True, stable=True)
    return values, tokens.gather(1, order)


def _truncated(
    values: torch.Tensor, sampling: Sampling, whole: torch.Tensor, vocabulary: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Probabilities of `values` [row, rank], 0 behind the cut, in double precision; and of which rows the cut is known.

    `whole`: the logarithm of the sum of all exponentials [row, 1]; not used with top-k, whose tokens are the whole for top-p.
    """
    masses = values.double()
    found = (values > -torch.inf).sum(-1)
    complete = values.shape[-1] == vocabulary
    if sampling.top_k:
        masses = masses[:, : sampling.top_k].softmax(-1)
        known = found >= min(sampling.top_k, vocabulary)
    else:
        masses = (masses - whole.double()).exp()
        known = masses.sum(-1) >= sampling.top_p
    if sampling.top_p < 1:
        masses = masses.masked_fill(masses.cumsum(-1) - masses >= sampling.top_p, 0.0)
    return masses, known | complete


def _draw_ordered(
    masses: torch.Tensor, tokens: torch.Tensor, uniforms: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Token and log-probability [row, 1] of a draw from probabilities in falling order."""
    reached = masses.cumsum(-1)
    index = torch.searchsorted(reached, uniforms * reached[:, -1:], right=True)
    index = torch.minimum(index, (masses > 0).sum(-1, keepdim=True) - 1).clamp_(
        min=0
    )  # a row of unknown tokens has none
    logprob = (masses.gather(1, index) / reached[:, -1:]).log().float()
    return tokens.gather(1, index), logprob
