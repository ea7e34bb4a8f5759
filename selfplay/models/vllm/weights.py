"""What of a model folder a vLLM server is given: a base by its folder, and an adapter beside it; and what adapters it cannot hold."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfplay.errors import ConfigError

RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""Values that vLLM accepts as `--max-lora-rank`."""
HEADS = frozenset({"lm_head", "embed_tokens", "wte"})
"""Layers whose adapters vLLM drops or leaves out of `prompt_logprobs` (vllm#51594)."""
BASE_NAME = "base"
"""The name under which a server knows its full weights."""


@dataclass(frozen=True)
class Held:
    """The weights that a server is to sample with."""

    base: Path
    """Folder of full weights."""
    base_identity: str
    """Hash of the full weights."""
    adapter: Path | None = None
    name: str = BASE_NAME
    """The server's name for the weights; an adapter's has their hash in it, so that no name ever means other weights."""


def held(folder: Path, identity: str) -> Held:
    """The parts of a model folder: full weights, an adapter beside its base, or a pointer. `identity`: hash of the folder.

    Raises ConfigError for an adapter of a kind that vLLM does not load, DataError or ConfigError where the weights are gone.
    """
    from selfplay.models.transformers import library

    local = library.resolve(folder)
    if not library.is_adapter(local):
        return Held(local.resolve(), library.identity_of(local))
    if fault := adapter_fault(local):
        raise ConfigError(f"{local}: {fault}")
    name, revision = library.base_of(local)
    base = library.resolve(name, revision)
    return Held(base.resolve(), library.identity_of(base), local.resolve(), f"adapter-{identity[:16]}")


def _named(modules: Any) -> list[str]:
    """The layers that `target_modules` names; none where it is a pattern."""
    return [] if isinstance(modules, str) or modules is None else [str(name).rpartition(".")[2] for name in modules]


def target_fault(modules: str | Sequence[str]) -> str:
    """Why vLLM cannot sample with adapters on these layers, as `key is value, problem; remedy`; "" if it can."""
    heads = sorted(set([modules] if isinstance(modules, str) else _named(modules)) & HEADS)
    if not heads:
        return ""
    return (
        f"train.lora.target_modules has {' and '.join(heads)}, which vLLM leaves out of the likelihoods it gives (or of the adapter); "
        "leave it out, or remove student.engine"
    )


def rank_limit(rank: int) -> int:
    """The smallest `--max-lora-rank` that holds an adapter of this rank. Raises ConfigError above the largest."""
    limit = next((limit for limit in RANKS if rank <= limit), None)
    if limit is None:
        raise ConfigError(f"train.lora.rank is {rank}, above {RANKS[-1]}, the most that vLLM holds; lower it")
    return limit


def adapter_fault(folder: Path) -> str:
    """Why vLLM cannot load the adapter of a folder, as `problem; remedy`; "" if it can."""
    config: dict[str, Any] = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    found = [
        f"{key} is {value!r}"
        for key in ("use_dora", "modules_to_save", "lora_bias", "alora_invocation_tokens", "layer_replication")
        if (value := config.get(key))
    ]
    if config.get("bias", "none") != "none":
        found.append(f"bias is {config['bias']!r}")
    if heads := sorted(set(_named(config.get("target_modules"))) & HEADS):
        found.append(f"target_modules has {' and '.join(heads)}")
    highest = max([int(config.get("r") or 1), *map(int, (config.get("rank_pattern") or {}).values())])
    if highest > RANKS[-1]:
        found.append(f"its rank is {highest}, above {RANKS[-1]}")
    if not found:
        return ""
    return (
        f"{' and '.join(found)}, which vLLM does not load; merge the adapter (`selfplay export`), or sample in this process: "
        "remove student.engine"
    )
