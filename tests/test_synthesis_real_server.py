"""Synthesis against a real server, `transformers serve`: a tiny teacher that knows its lessons by heart, killed and resumed.

The lessons are what the scripted teacher of `tests.support.teachers` was asked and answered; the tiny model learns them in a minute
or two. Its replies then pass filters and admission like any teacher's.
"""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from selfplay import open_run
from tests.support import real_server as real
from tests.support import runs
from tests.support.runs import end_state
from tests.support.servers import Act, Body, ScriptedServer
from tests.support.teachers import TAUGHT, play_text, synthesized_in, teach

pytestmark = pytest.mark.prove
SMALL = [
    "rounds=1",
    "tasks.anchor=8",
    "propose.synthesize.methods={procedural: 2, evolve: 4, backtranslate: 3, variants: 2}",
    "propose.synthesize.chunk_tasks=2",
    "propose.synthesize.solutions=1",
    "propose.synthesize.teacher.max_new_tokens=160",
    "propose.synthesize.teacher.backend.concurrency=2",
]
Lesson = tuple[list[dict[str, str]], str]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """(address, folder for models) of a server of this module."""
    yield from real.serving(tmp_path_factory)


def lessons_of(folder: Path) -> list[Lesson]:
    """What a teacher is asked in the run and what it should say, each question once."""
    heard: dict[str, Lesson] = {}

    def listen(body: Body, number: int) -> Act:
        act = teach(body, number)
        said = json.loads(act.body)["choices"][0]["message"]["content"]
        heard[str(body["messages"])] = (body["messages"], said)
        return act

    with ScriptedServer(listen) as server:
        play_text(folder, TAUGHT.format(url=server.url), *SMALL)
    return list(heard.values())


def train_teacher(lessons: list[Lesson], folder: Path) -> None:
    """Trains until the lessons are known by heart, and saves the model."""
    import torch

    tokenizer = real.tokenizer_of([text for chat, said in lessons for text in (*(m["content"] for m in chat), said)])
    rows: list[tuple[list[int], list[int]]] = []
    for chat, said in lessons:
        prompt: Any = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        rows.append((tokenizer.encode(str(prompt)), [*tokenizer.encode(said), tokenizer.eos_token_id]))
    longest = max(len(p) + len(r) for p, r in rows)
    ids = torch.tensor([p + r + [1] * (longest - len(p) - len(r)) for p, r in rows])
    labels = torch.tensor([[-100] * len(p) + r + [-100] * (longest - len(p) - len(r)) for p, r in rows])
    model = real.model_of(tokenizer, 96)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for _ in range(400):
        loss = model(input_ids=ids, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if loss.item() < 0.004:
            break
    assert loss.item() < 0.004, "the tiny teacher did not learn"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def test_tasks_are_synthesized_in_the_round_by_a_teacher_on_a_real_server_killed_or_not(
    served: tuple[str, Path], tmp_path: Path
) -> None:
    url, models = served
    for name in ("lessons", "straight", "killed"):
        (tmp_path / name).mkdir()
    train_teacher(lessons_of(tmp_path / "lessons"), models / "teacher")
    text, changed = TAUGHT.format(url=url), [*SMALL, f"propose.synthesize.teacher.backend.model={models}/teacher"]
    play_text(tmp_path / "straight", text, *changed)
    tasks = synthesized_in(tmp_path / "straight", 1)
    assert {task.synthesized_by for task in tasks} == {"procedural", "evolve", "backtranslate", "variants"}
    assert tasks == synthesized_in(tmp_path / "lessons", 1), "it says what it has learnt"
    traces = list(open_run(tmp_path / "straight/runs/a").traces(1))
    assert any(t["turn"] == 1 for t in traces), "corrected"
    assert any(t["reason"].startswith("quota:") for t in traces), "quota-curated"
    assert any(t["decision"] == "accepted" and t["source"] == "synthesized/backtranslate" for t in traces)
    killed = runs.play(tmp_path / "killed", "rename/synthesize:4", *changed, text=text)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    again = runs.play(tmp_path / "killed", "never", *changed, text=text)
    assert again.returncode == 0, again.stderr
    assert end_state(tmp_path / "killed") == end_state(tmp_path / "straight")
