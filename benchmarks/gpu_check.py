"""`make gpu-check`: what only a GPU can tell, in one script of at most eight minutes, without a network, under the machine's own python3.

The parts run in the order of their worth, and the file of results is written after each of them, so that a session that is cut off
keeps what it measured. A part that would not fit into the time that is left is left out with a word, and a part that fails says why.

1. text and loss: the sampler's greedy text beside transformers' `generate`, and the losses of training beside those on the CPU (fp32)
2. one round of the quick start, with its sandbox on the machine's cores
3. for the shapes of Qwen2.5 0.5B, 1.5B and 7B with random weights: tokens a second of sampling from the base and from an adapter,
   and tokens a second, peak memory and model FLOPs utilisation (MFU) of LoRA training; full fine-tuning at 0.5B
4. the sandbox alone: programs a second on all cores

A bare GPU machine needs python3 with torch, transformers, accelerate and peft. What else is imported is carried as wheels
(`make wheels` on a connected machine, then copy the folder): they are unpacked into a temporary folder, and nothing is installed.

    python3 benchmarks/gpu_check.py --wheels wheels
    python3 benchmarks/gpu_check.py --tiny            the same code on a CPU, in about a minute
"""

import argparse
import gc
import json
import os
import platform
import shutil
import sys
import tempfile
import time
import traceback
import zipfile
from collections.abc import Callable
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SHAPES = {
    "0.5b": (896, 4864, 24, 14, 2, 151936, True),
    "1.5b": (1536, 8960, 28, 12, 2, 151936, True),
    "7b": (3584, 18944, 28, 28, 4, 152064, False),
}
"""Published shapes of Qwen2.5: hidden size, intermediate size, layers, heads, key-value heads, vocabulary, tied embeddings."""
TINY = {"tiny": (64, 160, 2, 4, 2, 2048, True)}
QUICKSTART_TINY = [
    "train.warmup.steps=4",
    "train.steps=4",
    "propose.tasks_per_round=20",
    "tasks.per_length=2",
    "tasks.anchor=60",
    "eval.sample_tasks=4",
    "generate.max_new_tokens=16",
]
Figures = dict[str, Any]


class Session:
    """The machine, the time that is left, and what was found so far, which is written after each part."""

    def __init__(self, device: str, tiny: bool, seconds: float, out: Path, folder: Path) -> None:
        self.device, self.tiny, self.seconds, self.out, self.folder = device, tiny, seconds, out, folder
        self.began = time.monotonic()
        self.found: Figures = {}

    def part(self, name: str, needs: float, work: Callable[["Session"], Figures]) -> None:
        """Runs one part, which takes about `needs` seconds on one H200, if that much time is left."""
        left = self.seconds - (time.monotonic() - self.began)
        started = time.monotonic()
        if left < needs:
            self.found[name] = {"left_out": f"it needs about {needs:.0f} s, and {left:.0f} s were left"}
        else:
            try:
                self.found[name] = work(self)
            except Exception as error:  # one part that fails must not lose the others
                where = traceback.format_exc().splitlines()[-12:]
                self.found[name] = {"error": f"{type(error).__name__}: {error}"[:500], "where": where}
            self.found[name]["seconds"] = round(time.monotonic() - started, 1)
        print(f"{name}: {json.dumps(self.found[name])[:1000]}", flush=True)
        self.out.parent.mkdir(parents=True, exist_ok=True)
        self.out.write_text(json.dumps(self.found, indent=1) + "\n")
        self.free()

    def free(self) -> None:
        """Frees the memory of the last part and forgets its peak."""
        gc.collect()
        if self.device == "cuda":
            import torch

            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def peak_gib(self) -> float | None:
        """Peak GPU memory since `free`. None on a CPU."""
        import torch

        return round(torch.cuda.max_memory_allocated() / 2**30, 2) if self.device == "cuda" else None


def machine(session: Session) -> Figures:
    """Device, cores and versions."""
    import torch

    versions = {}
    for name in ("torch", "transformers", "trl", "peft", "accelerate", "datasets", "vllm"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "absent"
    name = torch.cuda.get_device_name() if session.device == "cuda" else platform.processor() or platform.machine()
    return {
        "date": date.today().isoformat(),
        "device": name,
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "versions": versions,
    }


# ---- models with random weights ----


def write_model(
    folder: Path, shape: tuple[Any, ...], device: str, *, precision: str = "bfloat16", spread: float = 0.02
) -> Path:
    """A Qwen2 model of this shape with random weights and a tokenizer beside it, as a folder that loads as a student."""
    import torch
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, Qwen2Config

    from selfplay.models.transformers.build import train_tokenizer

    hidden, intermediate, layers, heads, kv_heads, vocabulary, tied = shape
    config = Qwen2Config(
        hidden_size=hidden,
        intermediate_size=intermediate,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        vocab_size=vocabulary,
        tie_word_embeddings=tied,
        max_position_embeddings=4096,
        eos_token_id=1,
        pad_token_id=0,
        initializer_range=spread,
    )
    torch.manual_seed(0)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, precision))
    model.save_pretrained(folder)
    tokenizer = train_tokenizer(["a word problem with 12 and 30"], 400)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>").save_pretrained(folder)
    return folder


def train(session: Session, start: Path, name: str, **settings: Any) -> Any:
    """Trains on random rows through the package's own training run: the run's folder, its report, and seconds a step after the first."""
    from selfplay.models.encode import row_of
    from selfplay.runtime.distributed import Ranks
    from selfplay.training.methods.base import TrainRun
    from selfplay.training.methods.sft import Sft
    from selfplay.training.run import train as run_training

    prompt, completion = settings.pop("lengths")
    device, precision = settings.pop("device", session.device), settings.pop("precision", "auto")
    method = Sft(precision=precision, **settings)
    rows = [
        row_of(
            [5 + (i * 31 + j * 7) % 300 for j in range(prompt)],
            [5 + (i * 17 + j * 11) % 300 for j in range(completion)],
        )
        for i in range(method.batch_size * (method.steps or 1))
    ]
    marks: list[float] = []
    out = session.folder / name
    run = TrainRun(
        start=start, out=out, seed=0, ranks=Ranks(), device=device, on_step=lambda *_: marks.append(time.perf_counter())
    )
    report = run_training(method, rows, run)
    return out, report, (marks[-1] - marks[0]) / max(1, len(marks) - 1)


# ---- the parts ----


def same_text(session: Session) -> Figures:
    """How many of 24 greedy texts equal those of transformers' `generate`, in fp32."""
    import torch
    from transformers import AutoModelForCausalLM

    from selfplay.models.transformers.backend import Embedded
    from selfplay.records import Request, Sampling

    folder = write_model(
        session.folder / "small", (64, 160, 4, 4, 2, 500, True), session.device, precision="float32", spread=0.15
    )
    requests = [Request(task_id=str(n), prompt=f"problem {n} with {n * 7} apples " * (1 + n % 5)) for n in range(24)]
    with Embedded(folder, template="plain", device=session.device, dtype="fp32") as student:
        ours = student.complete(requests, n=1, sampling=Sampling(temperature=0, max_new_tokens=40), seed=0)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).to(session.device).eval()
    same = 0
    for (made,) in ours:
        prompt = torch.tensor([made.prompt_ids], device=session.device)
        theirs = model.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=40, do_sample=False)
        same += theirs[0, prompt.shape[1] :].tolist() == list(made.completion_ids or ())
    return {"equal": same, "of": len(requests)}


def same_loss(session: Session) -> Figures:
    """Losses of three steps of full fine-tuning in fp32, on the device and on the CPU."""
    start = write_model(session.folder / "loss", (64, 160, 2, 4, 2, 1024, False), "cpu", precision="float32")
    found = {}
    for device in dict.fromkeys((session.device, "cpu")):
        out, *_ = train(
            session,
            start,
            f"loss-{device}",
            device=device,
            precision="fp32",
            lengths=(5, 20),
            steps=3,
            batch_size=8,
            micro_batch_size=4,
        )
        curve = (out / "curve.jsonl").read_text().splitlines()
        found[device] = [round(json.loads(line)["train/loss"], 6) for line in curve]
    return found


def quickstart_round(session: Session) -> Figures:
    """One round of the quick start, with the strongest sandbox of the machine."""
    from selfplay import load_config, run

    given = [
        "rounds=1",
        f"launch.device={session.device}",
        f"runs_dir={session.folder / 'runs'}",
        "tracking.mode=disabled",
    ]
    finished = run(
        load_config(ROOT / "configs" / "quickstart.yaml", [*given, *(QUICKSTART_TINY if session.tiny else [])])
    )
    rows = [commit.row() for commit in finished.commits]
    kept = (
        "test/greedy_accuracy",
        "time/generate_seconds",
        "time/verify_seconds",
        "time/train_seconds",
        "time/evaluate_seconds",
    )
    return {"rounds": [{key: row[key] for key in kept if key in row} for row in rows]}


def sampling_rate(session: Session, folder: Path) -> Figures:
    """Tokens a second of `complete` for 8 samples a prompt, end tokens ignored by random weights."""
    from selfplay.models.transformers.backend import Embedded
    from selfplay.records import Request, Sampling

    prompts, samples, new_tokens = (4, 2, 8) if session.tiny else (64, 8, 256)
    requests = [Request(task_id=str(n), prompt=f"problem {n} with {n * 7} apples\n" * 16) for n in range(prompts)]
    with Embedded(folder, template="plain", device=session.device) as student:
        student.complete(
            requests[:2], n=samples, sampling=Sampling(max_new_tokens=4), seed=1
        )  # kernels are loaded here
        started, host = time.perf_counter(), time.process_time()
        made = student.complete(requests, n=samples, sampling=Sampling(max_new_tokens=new_tokens), seed=0)
        seconds, host = time.perf_counter() - started, time.process_time() - host
    tokens = sum(len(c.completion_ids or ()) for row in made for c in row)
    return {
        "tokens": tokens,
        "tokens_per_second": round(tokens / seconds),
        "host_share": round(host / seconds, 2),
        "peak_gib": session.peak_gib(),
    }


def training_rate(
    session: Session, start: Path, shape: tuple[Any, ...], name: str, *, lora: bool
) -> tuple[Path, Figures]:
    """The run's folder; tokens a second, MFU (4 FLOP a parameter and token with LoRA, 6 without) and peak memory of three steps."""
    from selfplay.config.training import Lora
    from selfplay.plan.rates import PEAK

    lengths = (16, 24) if session.tiny else (160, 240)
    rows, micro = (8, 2) if session.tiny else (64, 8)
    args = {"gradient_checkpointing": lora and not session.tiny}
    session.free()
    out, report, seconds = train(
        session,
        start,
        name,
        lengths=lengths,
        steps=3,
        batch_size=rows,
        micro_batch_size=micro,
        lora=Lora() if lora else None,
        args=args,
    )
    hidden, intermediate, layers, heads, kv_heads, vocabulary, _ = shape
    attention = 2 * hidden * hidden + 2 * hidden * hidden * kv_heads // heads
    parameters = layers * (attention + 3 * hidden * intermediate) + hidden * vocabulary
    rate = report.tokens / report.steps / seconds
    flops = (4 if lora else 6) * parameters * rate
    peak = next((value for key, value in PEAK.items() if key in session.found["machine"]["device"].lower()), None)
    figures = {
        "seconds_per_step": round(seconds, 3),
        "tokens_per_second": round(rate),
        "model_tflops": round(flops / 1e12, 2),
        "mfu": None if peak is None else round(flops / peak, 3),
        "loss": [round(report.loss_first, 3), round(report.loss_last, 3)],
        "peak_gib": session.peak_gib(),
    }
    return out, figures


def model_of_shape(label: str, shape: tuple[Any, ...], *, full: bool) -> Callable[[Session], Figures]:
    """A part: sampling and training at one shape."""

    def work(session: Session) -> Figures:
        whole = session.folder / label
        folder = write_model(whole / "base", shape, session.device)
        session.free()
        found: Figures = {"sample_base": sampling_rate(session, folder)}
        out, found["train_lora"] = training_rate(session, folder, shape, f"{label}/lora", lora=True)
        session.free()
        found["sample_adapter"] = sampling_rate(session, out / "model")
        if full:
            _, found["train_full"] = training_rate(session, folder, shape, f"{label}/full", lora=False)
        shutil.rmtree(whole)
        return found

    return work


def sandbox_rate(session: Session) -> Figures:
    """Programs a second of the sandbox on all cores: one-line functions with two tests each."""
    from selfplay.sandbox import CheckTests, Executor, Job

    count = 40 if session.tiny else 4000
    jobs = [
        Job(str(n), f"def f(x):\n    return x + {n}\n", CheckTests(f"assert f(1) == {n + 1}\nassert f(0) == {n}", "f"))
        for n in range(count)
    ]
    with Executor() as executor:
        executor.run(jobs[:4])  # the workers are up
        started = time.perf_counter()
        results = executor.run(jobs)
        seconds = time.perf_counter() - started
        tier = executor.tier
    passed = sum(result.status == "passed" for result in results)
    return {"programs_per_second": round(count / seconds), "passed": passed, "of": count, "isolation_tier": tier}


def carry(wheels: Path, into: Path) -> None:
    """Unpacks carried wheels in front of the path."""
    for wheel in sorted(wheels.glob("*.whl")):
        zipfile.ZipFile(wheel).extractall(into)
    sys.path[:0] = [str(ROOT), str(into)]


def run_parts(session: Session) -> None:
    """All parts, in the order of their worth."""
    session.part("machine", 5, machine)
    session.part("same_text", 15, same_text)
    session.part("same_loss", 20, same_loss)
    session.part("quickstart_round", 60, quickstart_round)
    for label, shape in (TINY if session.tiny else SHAPES).items():
        session.part(label, 120 if label == "7b" else 50, model_of_shape(label, shape, full=label in ("0.5b", "tiny")))
    session.part("sandbox", 15, sandbox_rate)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheels", type=Path, default=ROOT / "wheels", help="folder of wheels that the machine lacks")
    parser.add_argument("--tiny", action="store_true", help="small sizes, on a CPU, to try this script")
    parser.add_argument("--seconds", type=float, default=480, help="time for all parts (default: 480)")
    parser.add_argument("--out", type=Path, help="JSON file; benchmarks/results/gpu-check-DATE.json by default")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        carry(options.wheels, folder / "site-packages")  # dill copies modules of any other folder by value
        import torch

        if not options.tiny and not torch.cuda.is_available():
            sys.exit("gpu-check: torch finds no CUDA device; run it on a GPU machine, or try it on a CPU with --tiny")
        device = "cpu" if options.tiny else "cuda"
        out = options.out or (
            folder / "tiny.json" if options.tiny else ROOT / "benchmarks" / "results" / f"gpu-check-{date.today()}.json"
        )
        session = Session(device, options.tiny, options.seconds, out, folder)
        run_parts(session)
        failed = [name for name, figures in session.found.items() if "error" in figures]
    sys.exit(f"gpu-check: these parts failed: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
