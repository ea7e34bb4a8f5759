"""The tiny student: a stock Llama with random weights and a BPE tokenizer trained on the run's own texts. Imports torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

PAD, EOS = "<pad>", "<eos>"
NO_ROTATION = 1e30
"""A rotary base so large that positions turn nothing but one pair of dimensions (Lee et al. 2025 use infinity)."""

MARKERS = r"\n *# |\n *- "
"""Starts of lines that are tokens of their own."""


def build_student(out: Path, *, texts: Sequence[str], vocab_size: int, shape: dict[str, Any], seed: int) -> None:
    """Writes a folder that AutoModelForCausalLM and AutoTokenizer load; equal arguments give equal weights.

    `shape`: hidden_size, layers, heads, intermediate_size, max_positions, and nope (True: no position encoding) or
    rope_theta (10,000 if not given; a large one, such as 1e12, keeps near order and blurs far positions). The vocabulary
    is smaller than `vocab_size` where the texts have fewer pairs to merge.
    """
    theta = NO_ROTATION if shape.get("nope") else float(shape.get("rope_theta", 10_000.0))
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=train_tokenizer(texts, vocab_size), pad_token=PAD, eos_token=EOS
    )
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape["hidden_size"],
        num_hidden_layers=shape["layers"],
        num_attention_heads=shape["heads"],
        num_key_value_heads=shape["heads"],
        intermediate_size=shape["intermediate_size"],
        max_position_embeddings=shape["max_positions"],
        rope_parameters={"rope_type": "default", "rope_theta": theta},
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,  # one more token before every prompt made some random starts learn markedly worse
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)


def train_tokenizer(texts: Sequence[str], vocab_size: int) -> Any:
    """A byte-level BPE tokenizer: any text is encoded without loss, digits stand alone, lines never run together.

    Merges cross spaces, so that a phrase of the texts becomes one token; what follows a list or comment marker is the
    same token in prompt and completion, which makes an echo plain copying.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex("[0-9]"), "isolated"),
            pre_tokenizers.Split(Regex("\n"), "merged_with_next"),
            pre_tokenizers.Split(Regex(MARKERS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[PAD, EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer
