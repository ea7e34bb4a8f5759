"""The student from nothing: loadable by the stock classes, equal for equal arguments, lossless and short in tokens."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfplay.models.transformers.build import build_student, train_tokenizer
from selfplay.tasks.list_programs import programs as lp

SHAPE = {
    "hidden_size": 32,
    "layers": 2,
    "heads": 2,
    "intermediate_size": 48,
    "max_positions": 256,
    "nope": True,
}
TEXTS = [text for task in lp.anchor(0) for text in (task.text, task.reference or "")]
TOKENIZER = train_tokenizer(TEXTS, 1024)


def weights_hash(folder: Path) -> str:
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def load(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)


def test_equal_arguments_give_equal_folders_and_another_seed_other_weights(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        build_student(tmp_path / name, texts=TEXTS, vocab_size=1024, shape=SHAPE, seed=seed)
    assert weights_hash(tmp_path / "a") == weights_hash(tmp_path / "b") != weights_hash(tmp_path / "c")
    tokenizers = {(tmp_path / name / "tokenizer.json").read_bytes() for name in "abc"}
    assert len(tokenizers) == 1


def test_the_folder_is_loaded_by_the_stock_classes_with_its_special_tokens(tmp_path: Path) -> None:
    build_student(tmp_path, texts=TEXTS, vocab_size=1024, shape=SHAPE, seed=0)
    model, tokenizer = load(tmp_path)
    assert type(model).__name__ == "LlamaForCausalLM"
    assert model.config.vocab_size == len(tokenizer)
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.bos_token_id) == (0, 1, None)
    ids = tokenizer(TEXTS[0], return_tensors="pt", add_special_tokens=False).input_ids
    assert model(input_ids=ids).logits.shape == (1, ids.shape[1], len(tokenizer))
    assert tokenizer.decode(ids[0]) == TEXTS[0]


def test_the_global_generator_is_left_alone(tmp_path: Path) -> None:
    import torch

    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    build_student(tmp_path, texts=TEXTS, vocab_size=1024, shape=SHAPE, seed=0)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize(
    ("positions", "turning"), [({"nope": True}, 1), ({"nope": False}, 8), ({"nope": False, "rope_theta": 1e12}, 3)]
)
def test_the_position_scheme_says_how_many_pairs_of_dimensions_turn(
    tmp_path: Path, positions: dict[str, Any], turning: int
) -> None:
    build_student(tmp_path, texts=TEXTS, vocab_size=1024, shape={**SHAPE, **positions}, seed=0)
    model, _ = load(tmp_path)
    assert int((model.model.rotary_emb.inv_freq > 2e-4).sum()) == turning


@given(st.text(max_size=80))
@settings(derandomize=True, deadline=None, max_examples=200)
def test_any_text_is_encoded_without_loss(text: str) -> None:
    TOKENIZER.encode_special_tokens = True  # as content is encoded: the text <pad> is five characters, no control token
    assert TOKENIZER.decode(TOKENIZER.encode(text, add_special_tokens=False).ids) == text


def test_steps_are_a_few_tokens_and_the_same_ones_in_prompt_and_echo() -> None:
    task = next(task for task in lp.anchor(1) if lp.sequence_of(task) == ("reverse",))
    prompt, reply = (TOKENIZER.encode(text).tokens for text in (task.text, task.reference or ""))
    assert set(prompt) & set(reply) >= {"reverseĠtheĠlist", "returnĠtheĠlist"}
    longest = [t for t in lp.held_out(0, per_length=20) if t.tag("difficulty") == "6"]
    assert max(len(TOKENIZER.encode(t.text).ids) for t in longest) < 40


def test_digits_stand_alone_so_that_arguments_are_copied() -> None:
    for text in TEXTS[:200]:
        assert not any(len(token) > 1 and any(c.isdigit() for c in token) for token in TOKENIZER.encode(text).tokens)
