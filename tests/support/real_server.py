"""A real server, `transformers serve`, and tiny models built for it on the spot.

One has random weights and writes noise. The other learns in some 20 CPU seconds to be a judge of one rubric: it finds the word
good or bad in a solution and replies with a grade, so that a whole judgement runs over a real server.
"""

import importlib.util
import os
import random
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from selfplay.seeds import rng_of
from selfplay.verify.judge import messages
from tests.support.servers import wait_for

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

RUBRIC = "Full score for good."
TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant:"


def tokenizer_of(corpus: list[str]) -> "PreTrainedTokenizerFast":
    """A byte-level tokenizer trained on these texts, with an end token and the chat template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=1500, special_tokens=["<end>", "<pad>"], initial_alphabet=alphabet, show_progress=False
    )
    raw.train_from_iterator(corpus, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<end>", pad_token="<pad>")
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def model_of(tokenizer: "PreTrainedTokenizerFast", size: int) -> "LlamaForCausalLM":
    """A llama of two layers with random weights; samples by default, or the server would decode greedily."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=size,
        intermediate_size=2 * size,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=4096,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.eos_token_id,
    )
    model = LlamaForCausalLM(config)
    model.generation_config.do_sample = True
    return model


def solution(rng: random.Random, good: bool) -> str:
    """Some words, one of which is the one that counts."""
    words = rng.sample(["we", "see", "that", "it", "holds", "for", "all", "cases", "and", "so"], rng.randint(3, 8))
    words.insert(rng.randrange(len(words)), "good" if good else "bad")
    return " ".join(words)


def lesson(rng: random.Random, tokenizer: "PreTrainedTokenizerFast") -> tuple[str, str]:
    """A judge's prompt as the template renders it, and the reply that it should give."""
    good = rng.random() < 0.5
    shown = messages("Prove it.", RUBRIC, None, solution(rng, good), solution_last=rng.random() < 0.5)
    chat = [{"role": m.role, "content": m.content} for m in shown]
    prompt = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    word, score = ("good", 9) if good else ("bad", 1)
    return str(prompt), f'{{"reason": "{word}", "score": {score}, "sure": true}}'


def train_judge(folder: Path) -> None:
    """Trains until the replies are learnt, and saves the model."""
    import torch

    rng, plain = rng_of("lessons"), tokenizer_of([])
    tokenizer = tokenizer_of(["".join(lesson(rng, plain)) for _ in range(50)])
    model = model_of(tokenizer, 64)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for _ in range(400):
        rows = [lesson(rng, tokenizer) for _ in range(16)]
        coded = [(tokenizer.encode(p), [*tokenizer.encode(r), tokenizer.eos_token_id]) for p, r in rows]
        longest = max(len(p) + len(r) for p, r in coded)
        ids = torch.tensor([p + r + [1] * (longest - len(p) - len(r)) for p, r in coded])
        labels = torch.tensor([[-100] * len(p) + r + [-100] * (longest - len(p) - len(r)) for p, r in coded])
        loss = model(input_ids=ids, labels=labels).loss  # padding stands right of all that is scored
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if loss.item() < 0.01:
            break
    assert loss.item() < 0.01, "the tiny judge did not learn"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def healthy(port: int) -> bool:
    """Whether a server answers there."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Starts a server, gives (address, folder for models) and ends it; it loads models by their path."""
    missing = [name for name in ("fastapi", "uvicorn", "openai") if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: pip install 'transformers[serving]' (extra: serve)")
    folder = tmp_path_factory.mktemp("served")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [Path(sys.executable).with_name("transformers"), "serve", "--device", "cpu", "--port", str(port)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder)}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
        try:
            up = wait_for(lambda: process.poll() is not None or healthy(port), 120)
            assert up and process.poll() is None, (folder / "log").read_text()[-3000:]
            yield f"http://127.0.0.1:{port}/v1", folder
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
