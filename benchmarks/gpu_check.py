"""`make gpu-check`: two short rounds on a GPU, without a network, under the machine's own python3.

1. One round of the quick start (configs/quickstart.yaml) on the device.
2. One LoRA round of a 7B-class shape with random weights, at the sizes of configs/gsm8k.yaml: generation and training.

Peak memory, tokens a second and versions go to benchmarks/results/gpu-check-DATE.json. Packages that the machine lacks
are carried as wheels (`make wheels` on a connected machine, then copy the folder): they are unpacked into a temporary
folder, and nothing is installed.

    python3 benchmarks/gpu_check.py --wheels wheels
    python3 benchmarks/gpu_check.py --device cpu --shape tiny      the same code where there is no GPU, in a minute
"""

import argparse
import json
import platform
import sys
import tempfile
import time
import zipfile
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SHAPES = {
    "7b": {
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "vocab_size": 152064,
    },
    "tiny": {
        "hidden_size": 64,
        "intermediate_size": 160,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 2048,
    },
}
"""Qwen2.5-7B's published shape, and one for trying this script."""


def carry(wheels: Path, into: Path) -> None:
    """Unpacks carried wheels in front of the path."""
    for wheel in sorted(wheels.glob("*.whl")):
        zipfile.ZipFile(wheel).extractall(into)
    sys.path[:0] = [str(ROOT), str(into)]


def quickstart_round(device: str, runs: Path, small: bool) -> dict[str, Any]:
    """One round of the quick start."""
    from selfplay import load_config, run

    given = [
        "rounds=1",
        f"launch.device={device}",
        f"runs_dir={runs}",
        "tracking.mode=disabled",
        "verify.sandbox.require_tier=best",
    ]
    if small:
        given += [
            "train.warmup.steps=4",
            "train.steps=4",
            "propose.tasks_per_round=20",
            "tasks.per_length=2",
            "tasks.anchor=60",
            "eval.sample_tasks=4",
        ]
    started = time.perf_counter()
    finished = run(load_config(ROOT / "configs" / "quickstart.yaml", given))
    rows = [commit.row() for commit in finished.commits]
    keys = (
        "test/greedy_accuracy",
        "time/generate_seconds",
        "time/train_seconds",
        "time/evaluate_seconds",
        "time/overhead_share",
    )
    return {
        "seconds": round(time.perf_counter() - started, 1),
        "rounds": [{k: row[k] for k in keys if k in row} for row in rows],
    }


def lora_round(device: str, shape: dict[str, int], folder: Path, small: bool) -> dict[str, Any]:
    """Random weights of a shape: sample a chunk, train LoRA on it, as a round would."""
    import torch
    from transformers import AutoModelForCausalLM, Qwen2Config

    from selfplay.config.training import Lora
    from selfplay.models.encode import row_of
    from selfplay.models.transformers.backend import Embedded
    from selfplay.models.transformers.build import train_tokenizer
    from selfplay.records import Request, Sampling
    from selfplay.runtime.distributed import Ranks
    from selfplay.training.methods.base import TrainRun
    from selfplay.training.methods.sft import Sft
    from selfplay.training.run import train

    base = folder / "base"
    config = Qwen2Config(**shape, max_position_embeddings=4096, eos_token_id=1, pad_token_id=0)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(base)
    del model
    save_tokenizer(train_tokenizer(["a word problem with 12 and 30"], 400), base)
    requests = [
        Request(task_id=str(n), prompt=f"problem {n} with {n * 7} apples\n" * 8) for n in range(4 if small else 32)
    ]
    new_tokens, samples = (8, 2) if small else (512, 8)
    reset_peak(device)
    with Embedded(base, template="plain", device=device) as student:
        started = time.perf_counter()
        made = student.complete(requests, n=samples, sampling=Sampling(max_new_tokens=new_tokens), seed=0)
        seconds = time.perf_counter() - started
    tokens = sum(len(c.completion_ids or ()) for row in made for c in row)
    figures = {
        "generate": {
            "tokens": tokens,
            "seconds": round(seconds, 2),
            "tokens_per_second": round(tokens / seconds, 1),
            "peak_bytes": peak(device),
        }
    }
    rows = [row_of(c.prompt_ids or (), c.completion_ids or ()) for row in made for c in row]
    settings = Sft(
        steps=2 if small else 8,
        batch_size=8 if small else 64,
        micro_batch_size=2 if small else 8,
        lora=Lora(),
        args={"gradient_checkpointing": True},
    )
    reset_peak(device)
    run = TrainRun(start=base, out=folder / "train", seed=0, ranks=Ranks(), device=device)
    report = train(settings, rows, run)
    rate = report.tokens / report.seconds_in_train
    figures["train"] = {**report.model_dump(), "tokens_per_second": round(rate, 1), "peak_bytes": peak(device)}
    return figures


def save_tokenizer(tokenizer: Any, folder: Path) -> None:
    """Beside the weights, so that the folder loads as a student."""
    from transformers import PreTrainedTokenizerFast

    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>").save_pretrained(folder)


def reset_peak(device: str) -> None:
    """Forgets the peak so far."""
    import torch

    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()


def peak(device: str) -> int:
    """Peak bytes: of the GPU, or of this process."""
    import resource

    import torch

    return (
        int(torch.cuda.max_memory_allocated())
        if device == "cuda"
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheels", type=Path, default=ROOT / "wheels")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--shape", choices=sorted(SHAPES), default="7b")
    parser.add_argument("--out", type=Path, help="JSON file; benchmarks/results/gpu-check-DATE.json by default")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        carry(options.wheels, folder / "site")
        import torch

        if options.device == "cuda" and not torch.cuda.is_available():
            sys.exit(
                "gpu-check: torch finds no CUDA device; run it on a GPU machine, or give --device cpu --shape tiny"
            )
        small = options.shape == "tiny"
        found: dict[str, Any] = {
            "date": date.today().isoformat(),
            "device": torch.cuda.get_device_name()
            if options.device == "cuda"
            else platform.processor() or platform.machine(),
            "versions": {
                "python": platform.python_version(),
                **{n: metadata.version(n) for n in ("torch", "transformers", "trl", "peft")},
            },
            "quickstart": quickstart_round(options.device, folder / "runs", small),
            f"lora_{options.shape}": lora_round(options.device, SHAPES[options.shape], folder, small),
        }
    out = options.out or ROOT / "benchmarks" / "results" / f"gpu-check-{found['date']}.json"
    out.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
