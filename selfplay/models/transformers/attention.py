"""The decoder's side of transformers' models: their cache, their attention of one query, the head on chosen positions.

What a model's attention needs is asked of its class and its configuration. Where ours does not serve, the library's own is used.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from transformers import AutoConfig, AutoModelForCausalLM, DynamicCache, PreTrainedModel
from transformers.cache_utils import Cache, DynamicLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, AttentionMaskInterface
from transformers.modeling_utils import AttentionInterface

from selfplay.errors import ConfigError
from selfplay.models.transformers.library import base_of, is_adapter, resolve

ONE_TOKEN = "selfplay_one_token"
"""Name of our attention in transformers' registry."""

CHANGES_SCORES = ("s_aux", "sinks", "softcap", "position_bias", "head_mask")
"""Arguments of an attention that change its result in ways that ours does not compute."""


def attention_for(path: str | Path, revision: str | None = None) -> str:
    """The attention that a model is sampled with: ours where its class runs on SDPA, else the library's own `eager`.

    SDPA, and so ours, leaves out attention sinks and caps of the scores; a class that has them says that it does not support SDPA.
    Raises ConfigError for layers that the decoder's cache cannot hold.
    """
    folder = resolve(path, revision)
    config = AutoConfig.from_pretrained(resolve(*base_of(folder)) if is_adapter(folder) else folder)
    text = config.get_text_config(decoder=True)
    strange = layer_kinds(text) - {"full", "sliding"}
    if strange:
        raise ConfigError(
            f"model {path}: its layers are of kind {', '.join(sorted(strange))}, which are not sampled "
            "in this process; serve it with vLLM or transformers and use backend kind: http"
        )
    made = AutoModelForCausalLM._model_mapping.get(type(config), None)
    if not getattr(made, "_supports_sdpa", False) or getattr(text, "attn_logit_softcapping", None):
        return "eager"
    AttentionInterface.register(ONE_TOKEN, one_token_attention)
    AttentionMaskInterface.register(ONE_TOKEN, ALL_MASK_ATTENTION_FUNCTIONS["sdpa"])
    return ONE_TOKEN


def layer_kinds(config: Any) -> set[str]:
    """Attention kinds of a decoder's layers: `full`, `sliding`, or another word that our cache does not serve."""
    kinds = getattr(config, "layer_types", None)
    if kinds:
        return {kind.removesuffix("_attention") for kind in kinds}
    return {"sliding"} if getattr(config, "sliding_window", None) else {"full"}


class WindowLayer(DynamicLayer):  # type: ignore[no-untyped-call]  # transformers' hook has no types
    """Keys and values of one layer as one block [row, head, column, dim]; a row's token stands in the column of its
    position, so that rows of any length share the block and a finished row is overwritten in place."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.keys: torch.Tensor = torch.empty(0)
        self.values: torch.Tensor = torch.empty(0)
        self.at: torch.Tensor = torch.empty(0)
        """Where this step's token of each (row, head) goes, in rows of the block seen as [row * head * column, dim]."""

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        """Writes one token a row in place and returns the whole block: columns a row has not reached are masked."""
        for block, new in ((self.keys, key_states), (self.values, value_states)):
            block.view(-1, block.shape[-1]).index_copy_(0, self.at, new.reshape(-1, new.shape[-1]))
        return self.keys, self.values

    def reshape_to(self, keep: torch.Tensor, rows: int, columns: int) -> None:
        """The kept rows first, then new ones, in a block of this many columns; what is new is zero, never garbage."""
        for name in ("keys", "values"):
            old = getattr(self, name)
            new = old.new_zeros(rows, old.shape[1], columns, old.shape[3])
            width = min(columns, old.shape[2])
            new[: len(keep), :, :width] = old[keep, :, :width]
            setattr(self, name, new)

    def put(self, rows: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Writes prompts [row, head, token, dim] into the first columns of these rows."""
        self.keys[rows, :, : keys.shape[2]] = keys
        self.values[rows, :, : values.shape[2]] = values


def window_cache(prompts: DynamicCache) -> Cache:
    """A cache of `WindowLayer`s without rows, for the model that filled `prompts`."""
    made = Cache(layers=[WindowLayer() for _ in prompts.layers])
    for mine, theirs in zip(cast(list[WindowLayer], made.layers), prompts.layers, strict=True):
        for name in ("keys", "values"):
            given = getattr(theirs, name)
            setattr(mine, name, given.new_zeros(0, given.shape[1], 0, given.shape[3]))
        mine.is_initialized = True
    return made


def one_token_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of one query a row, in which the queries that share keys read them once; anything longer goes to transformers' own SDPA.

    On a CPU it is two batched products: torch's flash kernel is 2 to 5 times slower there at one query. On a GPU it is one SDPA with the
    queries of a key as its queries. `attention_mask` is additive, [row, 1, 1, column]. Raises ConfigError on an argument that changes
    the scores in another way.
    """
    strange = [name for name in CHANGES_SCORES if kwargs.get(name) is not None]
    if strange:
        raise ConfigError(
            f"the model's attention asks for {', '.join(strange)}, which is not computed in this process; serve the model with vLLM or "
            "transformers and use backend kind: http"
        )
    rows, heads, queries, dim = query.shape
    if queries != 1 or attention_mask is None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, dropout=dropout, **kwargs
        )
    kept, columns = key.shape[1], key.shape[2]
    if query.device.type != "cpu":
        return _packed(query, key, value, attention_mask, scaling), None
    asked = (query * (dim**-0.5 if scaling is None else scaling)).view(rows * kept, heads // kept, dim)
    scores = torch.bmm(asked, key.view(rows * kept, columns, dim).transpose(1, 2)).view(rows, heads, columns)
    weights = (scores + attention_mask[:, 0]).softmax(-1).view(rows * kept, heads // kept, columns)
    out = torch.bmm(weights, value.view(rows * kept, columns, -1))
    return out.view(rows, 1, heads, -1), None


def _packed(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor, scaling: float | None
) -> torch.Tensor:
    """One SDPA for one query a row, [row, 1, head, dim]: the queries that share a key are its queries, so that no key is copied."""
    rows, heads, _, dim = query.shape
    packed = query.reshape(rows, key.shape[1], heads // key.shape[1], dim)
    out = torch.nn.functional.scaled_dot_product_attention(packed, key, value, mask, scale=scaling)
    return out.reshape(rows, 1, heads, -1)


@contextmanager
def head_on(model: Any, places: torch.Tensor) -> Iterator[None]:
    """Within it the model's head reads only the places [row, position] that are true: logits come as [1, place, vocabulary].

    What a model does to its logits behind the head (caps, scales) is done to these. Bounds memory: a prompt's logits are never made.
    """
    head = model.get_output_embeddings()
    hook = head.register_forward_pre_hook(lambda _, given: (given[0][places][None], *given[1:]))
    try:
        yield
    finally:
        hook.remove()


def forward_of(model: PreTrainedModel) -> Callable[..., Any]:
    """The model's forward as f(cache or None, **inputs), whatever name this transformers version has for the cache."""
    base: Any = cast(Any, model).get_base_model() if hasattr(model, "get_base_model") else model
    word = "cache" if "cache" in inspect.signature(base.forward).parameters else "past_key_values"

    def call(kept: Cache | None, **inputs: Any) -> Any:
        given = {} if kept is None else {word: kept}
        return cast(Any, model)(**given, use_cache=kept is not None, **inputs)

    return call


def prompt_cache() -> DynamicCache:
    """An empty cache that keeps every position, also in layers whose attention slides."""
    return DynamicCache()
