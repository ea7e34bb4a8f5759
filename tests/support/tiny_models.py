"""Small real models with random weights, made on the spot: byte-level tokenizer, stock transformers architectures."""

import random
from pathlib import Path
from typing import Any

from selfplay.models.encode import row_of
from selfplay.records import Preference, Row

CHAT = "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"


CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' and '</think>' in m.content %}"
    "{{ m.content.split('</think>')[-1].strip() }}{% else %}{{ m.content }}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
THINKING = CHATML.replace("assistant\n{% endif %}", "assistant\n<think>\n{% endif %}")
WITH_BOS = "{{ bos_token }}" + CHATML
NO_SYSTEM = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" + CHATML
)
SILENT = CHATML.replace("{% for m in messages %}", "{% for m in messages if m.role != 'system' %}")
GEMMA = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user') }}{% endif %}"
    "<|im_start|>{{ 'model' if m.role == 'assistant' else m.role }}\n{{ m.content | trim }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>model\n{% endif %}"
)
QWEN3 = (
    "{% if tools %}<|im_start|>system\n# tools {{ tools }}<|im_end|>\n{% endif %}"
    + CHATML[: -len("{% endif %}")]
    + "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
QWEN3_THINKING = QWEN3[: -len("{% endif %}{% endif %}")] + "{% else %}<think>\n{% endif %}{% endif %}"
DEEPSEEK = "{{ bos_token }}" + THINKING
SMOLLM2 = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\n"
    "You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""SmolLM2-Instruct's own (Hugging Face, Apache-2.0)."""
STRIPPING = "{% for m in messages %}<|user|>\n{{ m.content | trim }}<|end|>\n{% endfor %}<|assistant|>\n"


def chat_tokenizer(template: str, *, blanks: str = "bytes", adds_bos: bool = False) -> Any:
    """A tokenizer with ChatML's and Phi's control tokens. `blanks`: bytes (GPT-2's way), first or always (sentencepiece's prefix blank)."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    if blanks == "bytes":
        pieces = sorted(pre_tokenizers.ByteLevel.alphabet())
        core = Tokenizer(models.BPE(vocab={p: i for i, p in enumerate(pieces)}, merges=[]))
        core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        core.decoder = decoders.ByteLevel()
    else:
        pieces = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), "\u2581", *map(chr, range(33, 127))]
        core = Tokenizer(
            models.BPE(vocab={p: i for i, p in enumerate(pieces)}, merges=[], unk_token="<unk>", byte_fallback=True)
        )
        core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=blanks, split=False)
        core.decoder = decoders.Sequence(
            [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        )
    special = ["<s>", "<|im_start|>", "<|im_end|>"]
    phi = [AddedToken(word, rstrip=True, special=True) for word in ("<|user|>", "<|assistant|>", "<|end|>")]
    core.add_special_tokens([*special, *phi])
    core.add_tokens([AddedToken(word, special=False, normalized=False) for word in ("<think>", "</think>")])
    if adds_bos:
        core.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", core.token_to_id("<s>"))]
        )
    tokenizer: Any = PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>", eos_token="<|im_end|>")  # type: ignore[no-untyped-call]
    tokenizer.chat_template = template
    return tokenizer


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
