"""The HTTP backend and the judge against a real server: `transformers serve` with a tiny model built here."""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import wait_for

from selfplay.errors import BudgetError, ConfigError
from selfplay.models.budget import Budget
from selfplay.models.http import Http
from selfplay.models.limits import Patience
from selfplay.records import Attempt, Completion, Message, Outcome, Request, Sampling, Task
from selfplay.verify.judge import Judge

pytestmark = pytest.mark.prove
PATIENCE = Patience(deadline_seconds=120)
TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant:"


def build_model(folder: Path) -> None:
    """A llama of two layers with random weights and a byte-level tokenizer, saved as `from_pretrained` reads it."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    raw.train_from_iterator([], trainers.BpeTrainer(special_tokens=["<end>", "<pad>"], initial_alphabet=alphabet))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<end>", pad_token="<pad>")
    tokenizer.chat_template = TEMPLATE
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.eos_token_id,
    )
    model = LlamaForCausalLM(config)
    model.generation_config.do_sample = True  # or the server decodes greedily, whatever temperature it is sent
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """(address, model name) of a server that runs while this module's tests do."""
    missing = [name for name in ("fastapi", "uvicorn", "openai") if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: pip install 'transformers[serving]' (extra: serve)")
    folder = tmp_path_factory.mktemp("served")
    build_model(folder / "tiny")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    name = str(folder / "tiny")
    command = [Path(sys.executable).with_name("transformers"), "serve", name, "--device", "cpu", "--port", str(port)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder)}
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
        try:
            up = wait_for(lambda: server.poll() is not None or healthy(port), 120)
            assert up and server.poll() is None, (folder / "log").read_text()[-3000:]
            yield f"http://127.0.0.1:{port}/v1", name
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)
                server.wait()


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


def test_real_server_with_another_model_pinned_is_a_clear_error(served: tuple[str, str]) -> None:
    url, _ = served
    with Http(url, "no-such-model", privacy="none", patience=PATIENCE) as backend:
        try:
            [[only]] = backend.complete(asked("one"), n=1, sampling=Sampling(max_new_tokens=4), seed=1)
        except ConfigError as error:
            assert "check key, base_url and model" in str(error)
        else:
            assert "no-such-model" in str(only.error)


def test_judge_on_a_real_server_that_writes_noise_is_out_of_order_and_never_fails_a_student(
    served: tuple[str, str],
) -> None:
    url, model = served
    task = Task.model_validate({"id": "t", "prompt": "1 + 1?", "check": {"type": "judge"}})
    attempts = [Attempt(task_id="t", attempt=i, round=0, text=f"{i}", model="student") for i in range(2)]
    sampling = Sampling(temperature=0.7, max_new_tokens=16)
    with Http(url, model, privacy="none", patience=PATIENCE, max_concurrency=2) as backend:
        judge = Judge(
            backend, "Right or wrong.", lineage=["tiny"], student_lineage=["other"], samples=2, sampling=sampling
        )
        verdicts = judge.grade([task] * 2, attempts, seed=1)
        assert backend.spent.requests == 8, "two samples each, each asked again once"
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
