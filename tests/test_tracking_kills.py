"""Tracking under kills at any moment: whatever dies when, the sessions of one id join into one series."""

import random
import signal
from pathlib import Path

import pytest

from tests.support.wandb_files import python, rows_of

PLAYED = """
import json, os, signal, sys, threading, time
from pathlib import Path
from selfplay.tracking import Tracker
folder, after, rounds = Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
def end():
    time.sleep(after)
    os.kill(os.getpid(), signal.SIGKILL)
if after >= 0:
    threading.Thread(target=end, daemon=True).start()
tracker = Tracker(folder, {}, privacy="none", system_metrics=False)
tracker.catch_up()
for n in range(rounds):
    place = folder / "rounds" / f"{n:03d}"
    if (place / "COMMIT").exists():
        continue
    (place / "train").mkdir(parents=True, exist_ok=True)
    curve = place / "train" / "curve.jsonl"
    with tracker.follow(curve), curve.open("w") as file:
        for k in range(1, 21):
            file.write(json.dumps({"train/loss": 1.0 / k, "train/step": 20 * n + k, "round": n}) + "\\n")
            file.flush()
            time.sleep(0.02)
    row = {"round": n, "eval/greedy_accuracy": n / 10}
    (place / "COMMIT.tmp").write_text(json.dumps({"round": n, "metrics": row}))
    (place / "COMMIT.tmp").rename(place / "COMMIT")
    tracker.log_round(row)
tracker.finish({"best_round": rounds - 1})
"""


@pytest.mark.prove
@pytest.mark.parametrize("seed", range(4))
def test_any_number_of_kills_leaves_one_series_with_each_step_once(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(5):
        played = python(PLAYED, tmp_path, rng.uniform(0.05, 3.5), 6)
        assert played.returncode in (0, -signal.SIGKILL), played.stderr
    last = python(PLAYED, tmp_path, -1, 6)
    assert last.returncode == 0, last.stderr
    rows = rows_of(tmp_path)
    expected = [(n, step) for n in range(6) for step in [*range(20 * n + 1, 20 * n + 21), None]]
    assert [(row["round"], row.get("train/step")) for row in rows] == expected
    assert [row["_step"] for row in rows] == list(range(len(expected)))
