"""QLoRA: an adapter on a base in 4 bits. bitsandbytes has kernels for the CPU."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from selfplay.runtime.distributed import Ranks
from selfplay.training.checkpoints import read_curve
from selfplay.training.methods.base import TrainRun
from selfplay.training.methods.sft import Sft
from selfplay.training.run import train
from tests.support.tiny_models import make_tiny, random_rows

BASIC: dict[str, Any] = {"steps": 6, "batch_size": 8, "learning_rate": 5e-3, "precision": "fp32"}
needs_bitsandbytes = pytest.mark.skipif(
    importlib.util.find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed (selfplay[qlora])"
)


def go(start: Path, out: Path, *, four_bit: bool, **more: Any) -> list[float]:
    """Losses of a training with LoRA."""
    lora = {"rank": 4, "alpha": 8, "load_in_4bit": four_bit}
    train(Sft(**(BASIC | more), lora=lora), random_rows(30), TrainRun(start, out, seed=7, ranks=Ranks(), device="cpu"))
    return [row["train/loss"] for row in read_curve(out / "curve.jsonl")]


@needs_bitsandbytes
@pytest.mark.filterwarnings("ignore")
def test_an_adapter_is_trained_on_a_4_bit_base_and_goes_on_in_fp32(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    start = make_tiny(tmp_path / "start")
    plain, quantized = (go(start, tmp_path / str(four_bit), four_bit=four_bit) for four_bit in (False, True))
    assert quantized != plain, "the base was in 4 bits"
    assert quantized[0] == pytest.approx(plain[0], abs=0.5)
    first = load_file(tmp_path / "True" / "model" / "adapter_model.safetensors")
    assert {tensor.dtype for tensor in first.values()} == {torch.float32}
    go(tmp_path / "True" / "model", tmp_path / "further", four_bit=True)
    further = load_file(tmp_path / "further" / "model" / "adapter_model.safetensors")
    assert first.keys() == further.keys()
    assert all((first[name] - further[name]).abs().max() > 0 for name in first)
    assert not (tmp_path / "True" / "model" / "model.safetensors").exists(), "the base is not saved in 4 bits"


def test_4_bits_without_bitsandbytes_are_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "bitsandbytes" else found(name))
    faults = list(Sft(steps=1, lora={"load_in_4bit": True}).launch_faults(sharded=False))
    assert faults == [
        "train.lora.load_in_4bit is true, but bitsandbytes is not installed; pip install 'selfplay[qlora]', or set it to false"
    ]
    assert list(Sft(steps=1, lora={}).launch_faults(sharded=False)) == []
