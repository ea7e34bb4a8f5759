"""Settings of LoRA on a real model: how far a few optimizer steps take SmolLM2-135M-Instruct, each setting from the same base and rows.

    python benchmarks/lora_defaults.py MODEL_FOLDER --json benchmarks/results/lora-defaults-DATE.json

The task is to pick the largest of four to six two-digit numbers after one worked turn. The rows are right answers in the form of that
turn, as a verifier accepts them. Reported: loss of the first and the last step, greedy accuracy on held-out tasks, CPU seconds.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from selfplay.models.encode import encode_prompt, row_of
from selfplay.models.transformers import library
from selfplay.models.transformers.backend import Embedded
from selfplay.records import Message, Request, Row, Sampling
from selfplay.runtime.distributed import Ranks
from selfplay.training.methods.base import TrainRun
from selfplay.training.methods.sft import Sft
from selfplay.training.run import train

SETTINGS: dict[str, dict[str, Any]] = {
    "full, 1e-4": {"learning_rate": 1e-4},
    "rank 32, scale 11.3 (rsLoRA), 1e-4": {"learning_rate": 1e-4, "lora": {"rank": 32, "alpha": 64, "rslora": True}},
    "rank 16, scale 2, 1e-4": {"learning_rate": 1e-4, "lora": {"rank": 16, "alpha": 32, "rslora": False}},
    "rank 16, scale 2, 1e-3": {"learning_rate": 1e-3, "lora": {"rank": 16, "alpha": 32, "rslora": False}},
}
MESSAGES = (("system", "Give the largest number."), ("user", "31 84 27"), ("assistant", "84"))


def tasks(count: int, seed: int) -> list[tuple[Request, str]]:
    """Prompts with their answers."""
    rng, found = random.Random(seed), []
    for number in range(count):
        numbers = rng.sample(range(10, 100), rng.randint(4, 6))
        messages = (*MESSAGES, ("user", " ".join(map(str, numbers))))
        said = tuple(Message(role=role, content=text) for role, text in messages)
        found.append((Request(task_id=f"largest-{number}", messages=said), str(max(numbers))))
    return found


def accuracy(model: Path, asked: list[tuple[Request, str]]) -> float:
    """Share of greedy replies that are the answer."""
    backend = Embedded(model, template="chat", device="cpu", threads=1)
    made = backend.complete([r for r, _ in asked], n=1, sampling=Sampling(temperature=0, max_new_tokens=6), seed=0)
    backend.close()
    return sum(one[0].text.strip() == answer for one, (_, answer) in zip(made, asked, strict=True)) / len(asked)


def rows_of(model: Path, asked: list[tuple[Request, str]]) -> list[Row]:
    """Training rows of the right answers."""
    tokenizer: Any = library.load_tokenizer(model)
    end = tokenizer.eos_token_id
    return [
        row_of(encode_prompt(tokenizer, r, "chat"), [*tokenizer.encode(answer), end], source=f"task-{n}")
        for n, (r, answer) in enumerate(asked)
    ]


def main() -> None:
    """Trains with each setting and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--held-out", type=int, default=100)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rows, held_out = rows_of(given.model, tasks(16 * given.steps, 1)), tasks(given.held_out, 2)
    found: list[dict[str, Any]] = [{"setting": "base", "accuracy": accuracy(given.model, held_out)}]
    print(json.dumps(found[0]), flush=True)
    for name, settings in SETTINGS.items():
        with tempfile.TemporaryDirectory() as out:
            began = time.process_time()
            method = Sft(steps=given.steps, batch_size=16, warmup_steps=1, precision="auto", **settings)
            run = TrainRun(start=given.model, out=Path(out), seed=0, ranks=Ranks(), device="cpu", threads=1)
            report = train(method, rows, run)
            seconds = time.process_time() - began
            row = {"setting": name, "loss_first": round(report.loss_first, 3), "loss_last": round(report.loss_last, 3)}
            row |= {"accuracy": accuracy(Path(out) / "model", held_out), "train_cpu_seconds": round(seconds)}
        found.append(row)
        print(json.dumps(row), flush=True)
        if given.json:
            head = {
                "date": date.today().isoformat(),
                "steps": given.steps,
                "rows_a_step": 16,
                "held_out": given.held_out,
            }
            given.json.write_text(json.dumps({**head, "runs": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
