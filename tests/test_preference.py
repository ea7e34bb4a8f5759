"""Preference pairs: from decided traces to the ids that a trainer sees, DPO and KTO, durable as SFT is."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from tiny_models import make_tiny, random_pairs

from selfplay.config.tree import Lora, Train
from selfplay.phases.train import TrainReport, train
from selfplay.phases.train.disk import read_curve
from selfplay.ranks import Ranks
from selfplay.records import Preference

BASIC: dict[str, Any] = {"steps": 4, "batch_rows": 8, "learning_rate": 2e-3, "precision": "fp32", "method": "dpo"}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny(tmp_path_factory.mktemp("tiny"))


def go(start: Path, out: Path, pairs: list[Preference] | None = None, **changes: Any) -> TrainReport:
    made = Train(**(BASIC | changes))
    given = random_pairs(20) if pairs is None else pairs
    return train(made, given, start=start, out=out, seed=7, round=2, step_offset=100, ranks=Ranks(), device="cpu")


@pytest.mark.parametrize("method", ["dpo", "kto"])
def test_training_on_pairs_widens_the_margin_from_nothing(tiny: Path, tmp_path: Path, method: str) -> None:
    report = go(tiny, tmp_path, method=method, steps=20)
    curve = read_curve(tmp_path / "curve.jsonl")
    print(curve[0], curve[-1], report)
