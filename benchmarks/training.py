"""Tokens a second of the train phase (TRL inside) against a bare torch loop on the same rows, after imports.

The quick start's size: about 1 M parameters, 64 rows of about 120 tokens a step. Both sides take the same rows in the same
micro-batches with the same AdamW and clipping, in turns; CPU seconds count. `TRL with its defaults` is SFTTrainer with its
own loss, metrics and one micro-batch.

    python benchmarks/training.py --json benchmarks/results/training-DATE.json
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import datasets
import torch
import transformers
import trl
from generation import SHAPE, round_to

from selfplay.cores import usable_cores
from selfplay.models.transformers.library import quiet_cpu
from selfplay.runtime.distributed import Ranks
from selfplay.training.methods.base import TrainRun
from selfplay.training.methods.sft import RowSchedule, Sft
from selfplay.training.run import train
from selfplay.training.schedule import micro_batch_size
from selfplay.training.trl.sft_trainer import RowCollator
from tests.support.tiny_models import make_tiny, random_rows

Clock = tuple[float, float]
Side = Callable[[Path, Sft, RowSchedule, int], Clock]


def clock() -> Clock:
    """CPU seconds and wall seconds."""
    return time.process_time(), time.perf_counter()


def bare(start: Path, settings: Sft, made: RowSchedule, micro: int) -> Clock:
    """What a careful short script would do: one loop, no trainer. Seconds of the steps."""
    model = transformers.AutoModelForCausalLM.from_pretrained(start, dtype=torch.float32).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=0.0, fused=True)
    collate = RowCollator(made.rows, pad=2, join=False)
    began = clock()
    for step, batch in enumerate(made.order):
        for at in range(0, len(batch), micro):
            inputs = collate([{"row": r} for r in batch[at : at + micro]])
            with torch.autocast("cpu", torch.bfloat16, enabled=settings.precision == "bf16"):
                logits = model(input_ids=inputs["input_ids"], use_cache=False).logits[:, :-1]
            labels = inputs["labels"][:, 1:]
            wanted = labels != -100
            loss = torch.nn.functional.cross_entropy(logits[wanted].float(), labels[wanted], reduction="sum")
            (loss / made.labels[step]).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    ended = clock()
    return ended[0] - began[0], ended[1] - began[1]


def phase(start: Path, settings: Sft, made: RowSchedule, micro: int) -> Clock:
    """The train phase; the seconds inside TRL's `train`, by its callbacks' clock for CPU."""
    with tempfile.TemporaryDirectory() as out:
        began = clock()
        run = TrainRun(start=start, out=Path(out), seed=1, ranks=Ranks(), device="cpu")
        report = train(settings, made.rows, run)
        ended = clock()
    share = report.seconds_in_train / (ended[1] - began[1])
    return (ended[0] - began[0]) * share, report.seconds_in_train


def as_it_comes(start: Path, settings: Sft, made: RowSchedule, micro: int) -> Clock:
    """TRL's own SFTTrainer on the same rows, in one micro-batch a step."""
    order = [made.rows[r] for batch in made.order for r in batch]
    rows = datasets.Dataset.from_dict({"input_ids": [r.input_ids for r in order], "labels": [r.labels for r in order]})
    with tempfile.TemporaryDirectory() as out:
        args = trl.SFTConfig(
            output_dir=out, max_steps=made.steps, per_device_train_batch_size=settings.batch_size, report_to="none",
            learning_rate=settings.learning_rate, use_cpu=True, bf16=settings.precision == "bf16", max_length=None,
            save_strategy="no", disable_tqdm=True, logging_steps=1, train_sampling_strategy="sequential",
        )  # fmt: skip
        model = transformers.AutoModelForCausalLM.from_pretrained(start, dtype=torch.float32)
        tokenizer = transformers.AutoTokenizer.from_pretrained(start)
        trainer = trl.SFTTrainer(model=model, args=args, train_dataset=rows, processing_class=tokenizer)
        trainer.pop_callback(transformers.PrinterCallback)
        began = clock()
        trainer.train()
        ended = clock()
    return ended[0] - began[0], ended[1] - began[1]


def in_turns(
    sides: dict[str, Side], rounds: int, start: Path, settings: Sft, made: RowSchedule, micro: int
) -> dict[str, Clock]:
    """CPU and wall seconds of each side, all sides once a round; the first round warms up and does not count."""
    sums: dict[str, Clock] = dict.fromkeys(sides, (0.0, 0.0))
    for turn in range(-1, rounds):
        for side, run in sides.items():
            cpu, wall = run(start, settings, made, micro)
            if turn >= 0:
                sums[side] = (sums[side][0] + cpu, sums[side][1] + wall)
    return sums


def main() -> None:
    """Measures in turns and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--skip-plain-trl", action="store_true")
    given = parser.parse_args()
    threads = int(os.environ["OMP_NUM_THREADS"])
    quiet_cpu(threads)
    native = bool(torch.cpu._is_avx512_bf16_supported())
    precision = given.precision if given.precision != "auto" else ("bf16" if native else "fp32")
    settings = Sft(steps=given.steps, batch_size=64, learning_rate=1.5e-3, precision=precision)
    made = settings.schedule(random_rows(400, longest=235), seed=1)
    micro = micro_batch_size(settings, made, least=1, world_size=1, on_cpu=True)
    sides: dict[str, Side] = {"bare loop": bare, "train phase": phase}
    if not given.skip_plain_trl:
        sides["TRL with its defaults"] = as_it_comes
    with tempfile.TemporaryDirectory() as name:
        sums = in_turns(sides, given.rounds, make_tiny(Path(name), **SHAPE), settings, made, micro)
    speed = {side: round_to(given.rounds * made.tokens / cpu) for side, (cpu, _) in sums.items()}
    result = {
        "what": f"{given.steps} steps of 64 rows, {made.tokens // given.steps} tokens a step, micro-batch {micro}, {precision}",
        "tokens_per_cpu_second": speed,
        "tokens_per_wall_second": {
            side: round_to(given.rounds * made.tokens / wall) for side, (_, wall) in sums.items()
        },
        "ratio": round_to(speed["train phase"] / speed["bare loop"]),
        "threads": threads,
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__, "trl": trl.__version__},
        "machine": f"{platform.machine()}, {usable_cores()} cores, load {os.getloadavg()[0]:.1f}",
    }
    print(json.dumps(result, indent=1))
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
