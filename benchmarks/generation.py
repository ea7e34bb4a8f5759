"""Useful tokens a second at mixed lengths: the embedded student against one plain batch of transformers' generate.

A model of the quick start's size is taught to end after about 64 tokens, so that lengths are geometric with a long tail.
Both sides draw the same number of samples for the same prompts, in turns, in one process; CPU seconds count.

    python benchmarks/generation.py --json benchmarks/results/generation-DATE.json
"""

import argparse
import json
import os
import platform
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
import transformers

from selfplay.cores import usable_cores
from selfplay.models.transformers.backend import Embedded
from selfplay.records import Request, Sampling
from tests.support.tiny_models import make_tiny

SHAPE = {
    "hidden_size": 128,
    "intermediate_size": 384,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 512,
    "initializer_range": 0.02,
}


def teach_length(folder: Path, mean: int, steps: int) -> None:
    """Trains the model on random tokens that end after a geometric number of them."""
    rng = random.Random(0)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(steps):
        rows = []
        for _ in range(32):
            row = [0]
            while row[-1] != 1 and len(row) < 100:
                row.append(1 if rng.random() < 1 / mean else rng.randrange(3, 259))
            rows.append(torch.tensor(row))
        ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-100)
        loss = model(input_ids=ids.clamp(min=0), labels=ids, use_cache=False).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)


def plain(folder: Path, dtype: torch.dtype, prompts: list[str], n: int, new: int) -> Callable[[int], dict[str, float]]:
    """One padded batch of everything, as a short script would write it."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, padding_side="left")
    given = tokenizer([f"<s>{p}" for p in prompts], return_tensors="pt", padding=True, add_special_tokens=False)

    def run(seed: int) -> dict[str, float]:
        torch.manual_seed(seed)
        made = model.generate(
            input_ids=given["input_ids"],
            attention_mask=given["attention_mask"],
            max_new_tokens=new,
            do_sample=True,
            temperature=1.0,
            top_p=1.0,
            top_k=0,
            num_return_sequences=n,
        )[:, given["input_ids"].shape[1] :]
        ended = (made == 1).long().cumsum(1)
        useful = int(((ended == 0) | ((made == 1) & (ended == 1))).sum())
        return {"tokens": useful, "row_steps": made.numel()}

    return run


def ours(folder: Path, dtype: str, prompts: list[str], n: int, new: int) -> Callable[[int], dict[str, float]]:
    """The embedded student."""
    student = Embedded(folder, template="plain", device="cpu", dtype=dtype)
    requests = [Request(task_id=str(i), prompt=p) for i, p in enumerate(prompts)]

    def run(seed: int) -> dict[str, float]:
        before = student.row_steps
        made = student.complete(requests, n=n, sampling=Sampling(max_new_tokens=new), seed=seed)
        tokens = sum(len(c.completion_ids or ()) for group in made for c in group)
        return {"tokens": tokens, "row_steps": student.row_steps - before}

    return run


def measure(sides: dict[str, Callable[[int], dict[str, float]]], rounds: int) -> dict[str, dict[str, float]]:
    """Runs the sides in turns; sums of tokens, row-steps, CPU and wall seconds."""
    sums: dict[str, dict[str, float]] = {name: {} for name in sides}
    for round in range(-1, rounds):  # the first turn warms up
        for name, run in sides.items():
            cpu, wall = time.process_time(), time.perf_counter()
            made = run(round + 10)
            made |= {"cpu_seconds": time.process_time() - cpu, "wall_seconds": time.perf_counter() - wall}
            if round >= 0:
                sums[name] = {key: sums[name].get(key, 0) + value for key, value in made.items()}
    for one in sums.values():
        one["useful_tokens_per_cpu_second"] = round_to(one["tokens"] / one["cpu_seconds"])
        one["useful_share_of_row_steps"] = round_to(one["tokens"] / one["row_steps"])
    return sums


def round_to(value: float) -> float:
    """Four digits."""
    return float(f"{value:.4g}")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--prompts", type=int, default=48)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--new", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.set_flush_denormal(True)
    rng = random.Random(1)
    prompts = ["".join(rng.choice("abcdefgh ") for _ in range(rng.randint(20, 90))) for _ in range(given.prompts)]
    with tempfile.TemporaryDirectory() as name:
        folder = make_tiny(Path(name), **SHAPE)
        teach_length(folder, mean=64, steps=40)
        work: tuple[Any, ...] = (prompts, given.samples, given.new)
        sides = {
            "generate fp32": plain(folder, torch.float32, *work),
            "embedded fp32": ours(folder, "fp32", *work),
            "generate bf16": plain(folder, torch.bfloat16, *work),
            "embedded bf16": ours(folder, "bf16", *work),
        }
        found = measure(sides, given.rounds)
    speed = {name: one["useful_tokens_per_cpu_second"] for name, one in found.items()}
    result = {
        "what": f"{given.prompts} prompts x {given.samples} samples, <= {given.new} new tokens, {given.threads} thread",
        "sides": found,
        "ratio_fp32": round_to(speed["embedded fp32"] / speed["generate fp32"]),
        "ratio_bf16": round_to(speed["embedded bf16"] / speed["generate bf16"]),
        "ratio_auto": round_to(speed["embedded bf16"] / max(speed["generate fp32"], speed["generate bf16"])),
        "versions": {
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "python": platform.python_version(),
        },
        "machine": f"{platform.machine()}, {usable_cores()} cores, load {os.getloadavg()[0]:.1f}",
    }
    print(json.dumps(result, indent=1))
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
