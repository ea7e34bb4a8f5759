"""Small real models with random weights, made on the spot: byte-level tokenizer, stock transformers architectures."""

import random
from pathlib import Path
from typing import Any

from selfplay.models.encode import row_of
from selfplay.records import Preference, Row

CHAT = "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"


def make_tiny(folder: Path, *, kind: str = "llama", seed: int = 0, chat: bool = False, **changes: Any) -> Path:
    """Weights and tokenizer of a model of the given transformers type in `folder`."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {piece: i for i, piece in enumerate(["<s>", "</s>", "<pad>", *letters])}
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>", eos_token="</s>", pad_token="<pad>")
    tokenizer.chat_template = CHAT if chat else None
    shape: dict[str, Any] = {
        "vocab_size": len(vocabulary),
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "tie_word_embeddings": False,
        "initializer_range": 0.2,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 2,
    }
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **(shape | changes)))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def random_rows(count: int, seed: int = 0, longest: int = 40) -> list[Row]:
    """Training rows of mixed length with something to learn: the completion repeats the prompt's first token."""
    rng = random.Random(seed)
    rows = []
    for i in range(count):
        prompt = [0, *(rng.randrange(3, 250) for _ in range(rng.randint(2, longest // 2)))]
        completion = [prompt[1]] * rng.randint(2, longest // 2) + [1]
        rows.append(row_of(prompt, completion, source=f"task-{i}"))
    return rows


def random_pairs(count: int, seed: int = 0, longest: int = 20) -> list[Preference]:
    """Pairs with something to learn: the chosen completion repeats the prompt's first token, the rejected one its last."""
    rng = random.Random(seed)
    pairs = []
    for i in range(count):
        prompt = (0, *(rng.randrange(3, 250) for _ in range(rng.randint(2, longest))))
        chosen = (prompt[1],) * rng.randint(2, longest) + (1,)
        rejected = (prompt[-1],) * rng.randint(2, longest) + (1,)
        names = {"task_id": f"task-{i}", "chosen": f"r1/task-{i}/0", "rejected": f"r1/task-{i}/1"}
        pairs.append(Preference(prompt_ids=prompt, chosen_ids=chosen, rejected_ids=rejected, reason="failed", **names))
    return pairs
