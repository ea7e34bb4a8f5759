"""The HTTP backend and the judge against a real server: `transformers serve` with tiny models built here.

One model has random weights and writes noise. The other learns in some 20 CPU seconds to be a judge of one rubric: it finds the
word good or bad in a solution and replies with a grade, so that a whole judgement runs over a real server.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from selfplay.errors import BudgetError
from selfplay.models.openai.client import Http
from selfplay.models.openai.limits import Budget, Patience
from selfplay.records import Attempt, Completion, Message, Outcome, Request, Sampling, Task
from selfplay.seeds import rng_of
from selfplay.verify.judge import Judge
from tests.support.real_server import RUBRIC, model_of, serving, solution, tokenizer_of, train_judge

if TYPE_CHECKING:
    pass

pytestmark = pytest.mark.prove
PATIENCE = Patience(deadline_seconds=120)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """(address, folder for models) of a server that runs while this module's tests do."""
    yield from serving(tmp_path_factory)


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
