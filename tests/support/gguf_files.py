"""Makes gguf files: a small llama with a byte-level tokenizer and a chat template, in float32."""

from pathlib import Path

import gguf
import numpy as np
from tokenizers import pre_tokenizers

LAYERS, HEADS, KEPT, WIDTH, INNER = 2, 4, 2, 32, 48
TOKENS = [*("<|endoftext|>", "<|im_start|>", "<|im_end|>"), *sorted(pre_tokenizers.ByteLevel.alphabet()), "Ġt", "he"]
MERGES = ["Ġ t", "h e"]
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def write_gguf(file: Path, architecture: str = "llama") -> dict[str, np.ndarray]:
    """Writes the file and returns its weights by their names in transformers."""
    draw, weights = np.random.default_rng(0), dict[str, np.ndarray]()
    writer = gguf.GGUFWriter(file, architecture)
    writer.add_context_length(128)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEPT)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(len(TOKENS))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(TOKENS)
    writer.add_token_types([gguf.TokenType.CONTROL] * 3 + [gguf.TokenType.NORMAL] * (len(TOKENS) - 3))
    writer.add_token_merges(MERGES)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template(TEMPLATE)

    def put(name: str, theirs: str, shape: tuple[int, ...], heads: int = 0) -> None:
        value = draw.normal(1.0 if len(shape) == 1 else 0.0, 0.2, shape).astype(np.float32)
        weights[theirs] = value
        if heads:  # llama.cpp keeps the two halves of a head's rotary dimensions interleaved
            value = value.reshape(heads, 2, shape[0] // heads // 2, shape[1]).swapaxes(1, 2).reshape(shape)
        writer.add_tensor(name, value)

    put("token_embd.weight", "model.embed_tokens.weight", (len(TOKENS), WIDTH))
    put("output_norm.weight", "model.norm.weight", (WIDTH,))
    for i in range(LAYERS):
        block, layer, small = f"blk.{i}", f"model.layers.{i}", KEPT * WIDTH // HEADS
        put(f"{block}.attn_norm.weight", f"{layer}.input_layernorm.weight", (WIDTH,))
        put(f"{block}.attn_q.weight", f"{layer}.self_attn.q_proj.weight", (WIDTH, WIDTH), HEADS)
        put(f"{block}.attn_k.weight", f"{layer}.self_attn.k_proj.weight", (small, WIDTH), KEPT)
        put(f"{block}.attn_v.weight", f"{layer}.self_attn.v_proj.weight", (small, WIDTH))
        put(f"{block}.attn_output.weight", f"{layer}.self_attn.o_proj.weight", (WIDTH, WIDTH))
        put(f"{block}.ffn_norm.weight", f"{layer}.post_attention_layernorm.weight", (WIDTH,))
        put(f"{block}.ffn_gate.weight", f"{layer}.mlp.gate_proj.weight", (INNER, WIDTH))
        put(f"{block}.ffn_up.weight", f"{layer}.mlp.up_proj.weight", (INNER, WIDTH))
        put(f"{block}.ffn_down.weight", f"{layer}.mlp.down_proj.weight", (WIDTH, INNER))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return weights
