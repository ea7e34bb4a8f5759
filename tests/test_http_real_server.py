"""The HTTP backend and the judge against a real server: `transformers serve` with tiny models built here.

One model has random weights and writes noise. The other learns in some 20 CPU seconds to be a judge of one rubric: it finds the
word good or bad in a solution and replies with a grade, so that a whole judgement runs over a real server.
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
from servers import wait_for

from selfplay.errors import BudgetError
from selfplay.models.budget import Budget
from selfplay.models.http import Http
from selfplay.models.limits import Patience
from selfplay.records import Attempt, Completion, Message, Outcome, Request, Sampling, Task
from selfplay.seeds import rng_of
from selfplay.verify.judge import Judge
from selfplay.verify.judge_prompt import messages

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

pytestmark = pytest.mark.prove
PATIENCE = Patience(deadline_seconds=120)
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
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """(address, folder for models) of a server that runs while this module's tests do."""
    yield from serving(tmp_path_factory)


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


@pytest.fixture(scope="module")
def served(server: tuple[str, Path]) -> tuple[str, str]:
    """(address, name) of the model that writes noise."""
    url, folder = server
    tokenizer = tokenizer_of([])
    tokenizer.save_pretrained(folder / "noise")
    model_of(tokenizer, 32).save_pretrained(folder / "noise")
    return url, str(folder / "noise")


def asked(*texts: str) -> list[Request]:
    return [Request(task_id=f"t{i}", messages=(Message(role="user", content=text),)) for i, text in enumerate(texts)]


def flat(replies: list[list[Completion]]) -> list[Completion]:
    return [completion for row in replies for completion in row]


def test_real_server_answers_every_sample_with_exact_usage(served: tuple[str, str], tmp_path: Path) -> None:
    url, model = served
    sampling = Sampling(temperature=1.0, max_new_tokens=8)
    with Http(url, model, privacy="none", patience=PATIENCE, cache=tmp_path / "r.db", max_concurrency=4) as backend:
        replies = backend.complete(asked("one", "two", "three"), n=2, sampling=sampling, seed=1)
        assert [c.error for c in flat(replies)] == [None] * 6
        assert backend.use_n is False, "this server ignores n"
        assert all(c.usage["completion_tokens"] <= 8 for c in flat(replies))
        assert all(c.completion_ids is None for c in flat(replies)), "this server gives no ids"
        assert all(row[0].text != row[1].text for row in replies), "each sample has a seed of its own"
        spent = backend.spent
        assert (spent.requests, spent.estimated) == (6, 0)
        assert spent.completion_tokens == sum(c.usage["completion_tokens"] for c in flat(replies))
        assert backend.complete(asked("one", "two", "three"), n=2, sampling=sampling, seed=1) == replies
        assert backend.spent == spent, "the second time came from the cache"


def test_real_server_repeats_itself_for_the_same_seed(served: tuple[str, str]) -> None:
    url, model = served

    def sampled(seed: int) -> list[str]:
        with Http(url, model, privacy="none", patience=PATIENCE, max_concurrency=1) as backend:
            replies = backend.complete(asked("one"), n=2, sampling=Sampling(max_new_tokens=12), seed=seed)
        return [c.text for c in flat(replies)]

    assert sampled(1) == sampled(1) != sampled(2)


def test_real_server_that_refuses_extras_is_asked_without_them(served: tuple[str, str]) -> None:
    url, model = served
    with Http(url, model, privacy="none", patience=PATIENCE, token_ids=True, logprobs="raw") as backend:
        [[only]] = backend.complete(asked("one"), n=1, sampling=Sampling(max_new_tokens=4), seed=1)
        assert only.error is None
        assert "return_token_ids" in backend.refused


def test_real_server_completes_bare_prompts_in_text_mode(served: tuple[str, str]) -> None:
    url, model = served
    request = [Request(task_id="t", prompt="once upon a time")]
    with Http(url, model, privacy="none", patience=PATIENCE, mode="text") as backend:
        [[only]] = backend.complete(request, n=1, sampling=Sampling(max_new_tokens=4), seed=1)
    assert only.error is None
    assert only.usage["prompt_tokens"] > 0


def test_model_that_a_real_server_does_not_have_is_an_error_with_its_name(served: tuple[str, str]) -> None:
    url, _ = served
    with Http(url, "no-such-model", privacy="none", patience=Patience(retries=0)) as backend:
        [[only]] = backend.complete(asked("one"), n=1, sampling=Sampling(max_new_tokens=4), seed=1)
    assert only.finish_reason == "error"
    assert only.error


def test_judge_on_a_real_server_passes_right_and_fails_wrong_solutions(server: tuple[str, Path]) -> None:
    url, folder = server
    train_judge(folder / "judge")
    rng, task = rng_of("unseen"), Task.model_validate({"id": "t", "prompt": "Prove it.", "check": {"type": "judge"}})
    truth = [number % 2 == 0 for number in range(12)]
    attempts = [
        Attempt(task_id="t", attempt=i, round=0, text=solution(rng, good), model="student")
        for i, good in enumerate(truth)
    ]
    sampling = Sampling(temperature=0.7, max_new_tokens=40)
    with Http(url, str(folder / "judge"), privacy="none", patience=PATIENCE, max_concurrency=2) as backend:
        judge = Judge(backend, RUBRIC, model_family=["tiny"], student_family=["other"], samples=2, sampling=sampling)
        verdicts = judge.grade([task] * 12, attempts, seed=1)
    decided = [v.outcome for v in verdicts]
    expected = [Outcome.PASS if good else Outcome.FAIL for good in truth]
    assert sum(a is b for a, b in zip(decided, expected, strict=True)) >= 11
    assert Outcome.ERROR not in decided


def test_judge_on_a_real_server_that_writes_noise_is_out_of_order_and_never_fails_a_student(
    served: tuple[str, str],
) -> None:
    url, model = served
    task = Task.model_validate({"id": "t", "prompt": "1 + 1?", "check": {"type": "judge"}})
    attempts = [Attempt(task_id="t", attempt=i, round=0, text=f"{i}", model="student") for i in range(2)]
    sampling = Sampling(temperature=0.7, max_new_tokens=16)
    with Http(url, model, privacy="none", patience=PATIENCE, max_concurrency=2) as backend:
        judge = Judge(
            backend, "Right or wrong.", model_family=["tiny"], student_family=["other"], samples=2, sampling=sampling
        )
        verdicts = judge.grade([task] * 2, attempts, seed=1)
        assert backend.spent.requests == 10, "two samples each and one of a harmless solution, each asked again once"
    assert [v.outcome for v in verdicts] == [Outcome.ERROR] * 2
    assert all("unreadable" in v.reason for v in verdicts)


def test_budget_stops_on_a_real_server_and_the_cache_goes_on(served: tuple[str, str], tmp_path: Path) -> None:
    url, model = served
    requests, sampling = asked(*(f"q{i}" for i in range(6))), Sampling(max_new_tokens=8)

    def run(most: int | None) -> list[list[Completion]]:
        budget = Budget(max_tokens=most)
        with Http(url, model, privacy="none", patience=PATIENCE, cache=tmp_path / "r.db", budget=budget) as backend:
            return backend.complete(requests, n=1, sampling=sampling, seed=1)

    with pytest.raises(BudgetError, match="budget is used up"):
        run(120)
    assert all(c.error is None for c in flat(run(None)))
