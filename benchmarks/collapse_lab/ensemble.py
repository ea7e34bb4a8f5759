"""Many small transformers of one shape trained and sampled as one: each parameter has a leading member axis.

Members share nothing but the clock: gradients of the summed loss are each member's own, and the optimiser works element
by element. `E` members, `B` sequences, `L` tokens, `D` width, `V` vocabulary.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Shape:
    """One member's size."""

    vocabulary: int
    length: int
    width: int = 128
    layers: int = 4
    heads: int = 4

    @property
    def parameters(self) -> int:
        """Parameters of one member."""
        return self.width * (2 * self.vocabulary + self.length) + self.layers * (12 * self.width**2 + 2 * self.width)


class Ensemble:
    """E transformers (pre-norm, GELU, learned positions) as plain tensors."""

    def __init__(self, shape: Shape, members: int, seed: int, device: str = "cpu") -> None:
        self.shape, self.members, self.device = shape, members, device
        self.generator = torch.Generator(device="cpu").manual_seed(seed)
        D, V = shape.width, shape.vocabulary
        self.weights: dict[str, Tensor] = {
            "token": self._normal(V, D, scale=0.1),
            "place": self._normal(shape.length, D, scale=0.1),
            "head": self._normal(D, V, scale=0.02),
            "norm": torch.ones(members, 1, D, device=device),
        }
        for i in range(shape.layers):
            deep = (2 * shape.layers) ** -0.5
            self.weights |= {
                f"{i}.qkv": self._normal(D, 3 * D, scale=D**-0.5),
                f"{i}.out": self._normal(D, D, scale=deep * D**-0.5),
                f"{i}.up": self._normal(D, 4 * D, scale=D**-0.5),
                f"{i}.down": self._normal(4 * D, D, scale=deep * (4 * D) ** -0.5),
                f"{i}.norm_a": torch.ones(members, 1, D, device=device),
                f"{i}.norm_b": torch.ones(members, 1, D, device=device),
            }
        for weight in self.weights.values():
            weight.requires_grad_(True)

    def _normal(self, *size: int, scale: float) -> Tensor:
        drawn = torch.randn((self.members, *size), generator=self.generator) * scale
        return drawn.to(self.device)

    def _embed(self, x_E_B_L: Tensor, start: int) -> Tensor:
        E, B, L = x_E_B_L.shape
        offset = torch.arange(E, device=x_E_B_L.device)[:, None, None] * self.shape.vocabulary
        flat = self.weights["token"].flatten(0, 1)
        places = self.weights["place"][:, None, start : start + L]
        return F.embedding(x_E_B_L + offset, flat) + places.expand(E, B, L, -1)

    def _block(self, h: Tensor, i: int, cache: list[tuple[Tensor, Tensor]] | None) -> Tensor:
        E, B, L, D = h.shape
        w, heads = self.weights, self.shape.heads
        x = F.rms_norm(h, (D,)).reshape(E, B * L, D) * w[f"{i}.norm_a"]
        q, k, v = (x @ w[f"{i}.qkv"]).reshape(E * B, L, 3, heads, D // heads).permute(2, 0, 3, 1, 4)
        if cache is not None:
            if len(cache) > i:
                k, v = torch.cat([cache[i][0], k], 2), torch.cat([cache[i][1], v], 2)
                cache[i] = (k, v)
            else:
                cache.append((k, v))
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=k.shape[2] == L and L > 1)
        h = h + (seen.transpose(1, 2).reshape(E, B * L, D) @ w[f"{i}.out"]).reshape(E, B, L, D)
        y = F.rms_norm(h, (D,)).reshape(E, B * L, D) * w[f"{i}.norm_b"]
        return h + (F.gelu(y @ w[f"{i}.up"]) @ w[f"{i}.down"]).reshape(E, B, L, D)

    def logits(self, x_E_B_L: Tensor, start: int = 0, cache: list[tuple[Tensor, Tensor]] | None = None) -> Tensor:
        """Next-token logits (E, B, L, V); with a cache, `x` is what follows it and `start` its length."""
        h = self._embed(x_E_B_L, start)
        for i in range(self.shape.layers):
            h = self._block(h, i, cache)
        E, B, L, D = h.shape
        out = (F.rms_norm(h, (D,)).reshape(E, B * L, D) * self.weights["norm"]) @ self.weights["head"]
        return out.reshape(E, B, L, -1)

    def loss(self, x_E_B_L: Tensor, prompt: int, pad: int) -> Tensor:
        """Mean nats a token of the answers, each member's own (E,)."""
        logits = self.logits(x_E_B_L[:, :, :-1])[:, :, prompt - 1 :]
        wanted = x_E_B_L[:, :, prompt:]
        nats = F.cross_entropy(logits.flatten(0, 2), wanted.flatten(), reduction="none").reshape(wanted.shape)
        real = (wanted != pad).float()
        return (nats * real).sum((1, 2)) / real.sum((1, 2))

    def train(self, pools: list[Tensor], steps: int, batch: int, prompt: int, pad: int, rate: float = 3e-3) -> None:
        """AdamW with warm-up and cosine decay; each step draws a batch from every member's own pool, without regard to its
        size: equal compute for all."""
        optimiser = torch.optim.AdamW(list(self.weights.values()), lr=rate, weight_decay=0.01, betas=(0.9, 0.98))
        warm = max(1, steps // 20)
        plan = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda t: min((t + 1) / warm, 0.5 * (1 + float(torch.cos(torch.tensor(3.14159 * t / steps)))))
        )
        for _ in range(steps):
            picks = [pool[torch.randint(len(pool), (batch,), generator=self.generator)] for pool in pools]
            loss = self.loss(torch.stack(picks).to(self.device), prompt, pad).sum()
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimiser.step()
            plan.step()

    @torch.no_grad()
    def test_loss(self, rows: Tensor, prompt: int, pad: int) -> Tensor:
        """Nats a token of the same rows under every member (E,)."""
        parts, sizes = [], []
        for at in range(0, len(rows), 1024):
            part = rows[at : at + 1024]
            same = part[None].expand(self.members, -1, -1).to(self.device)
            parts.append(self.loss(same, prompt, pad) * len(part))
            sizes.append(len(part))
        return torch.stack(parts).sum(0) / sum(sizes)

    @torch.no_grad()
    def write(self, prompts_E_B_L: Tensor, length: int, heat_E: Tensor, end: int, pad: int) -> Tensor:
        """Samples to `length` tokens at each member's temperature; PAD after END. (E, B, length), on the CPU."""
        x = prompts_E_B_L.to(self.device)
        rows, cache = [x], list[tuple[Tensor, Tensor]]()
        done = torch.zeros(x.shape[:2], dtype=torch.bool, device=self.device)
        at, step = 0, x
        noise = torch.Generator(device=self.device).manual_seed(
            int(torch.randint(2**31, (1,), generator=self.generator))
        )
        while at + step.shape[2] < length:
            logits = self.logits(step, at, cache)[:, :, -1] / heat_E.to(self.device)[:, None, None]
            at += step.shape[2]
            spread = torch.rand(logits.shape, generator=noise, device=self.device).clamp_min(1e-9)
            token = (logits - torch.log(-torch.log(spread))).argmax(-1)  # Gumbel: one draw of the softmax
            token = torch.where(done, pad, token)
            done |= token == end
            step = token[:, :, None]
            rows.append(step)
        return torch.cat(rows, 2).cpu()
