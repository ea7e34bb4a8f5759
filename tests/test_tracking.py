"""W&B tracking against the real wandb: what its offline file holds, after clean ends, kills and outages."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from selfplay.config.metrics import definitions
from selfplay.tracking import Tracker, choose_mode
from selfplay.tracking.cells import cell_of
from tests.support.wandb_files import of_kind, python, rows_of

ROOT = Path(__file__).resolve().parent.parent


def trace(number: int, round_: int = 0) -> dict[str, Any]:
    """A trace row as in traces.parquet."""
    told = {"outcome": "pass", "decision": "accepted", "reason": "accepted", "rank": None if number % 2 else 0}
    return told | {"task_id": f"t{number}", "attempt": 0, "round": round_, "text": "ask jo@x.org <b>", "tags": ["rare"]}


def curve_row(step: int, round_: int = 0) -> dict[str, Any]:
    """A line of a training curve."""
    return {"train/loss": 1 / step, "train/step": step, "round": round_}


def test_the_offline_file_holds_each_row_once_with_its_axis_table_summary_and_group(tmp_path: Path) -> None:
    folder = tmp_path / "arm"
    folder.mkdir()
    config = {"seed": 3, "owner": "jo@x.org", "gate": {"action": "observe"}}
    privacy = str.maketrans({"@": "#"})
    tracker = Tracker(
        folder, config, privacy=lambda text: text.translate(privacy), family="fam", metrics="all", system_metrics=False
    )
    tracker.log_train([curve_row(1), curve_row(2), curve_row(2), {"note": "no step"}])
    row = {
        "round": 0,
        "eval/greedy_accuracy": 0.25,
        "eval_difficulty/3": 0.1,
        "train/loss_last": 0.5,
        "data/gone": None,
    }
    tracker.log_round(row, (trace(i) for i in range(80)))
    tracker.log_round(row)
    tracker.log_round({"round": 1, "collapse_alarm/level": 2, "collapse_alarm/first_metric": "collapse_tails/a"})
    tracker.finish({"best_round": 1, "best/greedy_accuracy": 0.5})
    tracker.finish()

    rows = rows_of(folder)
    assert [r["_step"] for r in rows] == [0, 1, 2, 3]
    assert [r.get("train/step") for r in rows] == [1, 2, None, None]
    assert [r["round"] for r in rows] == [0, 0, 0, 1]
    assert rows[2]["eval/greedy_accuracy"] == 0.25 and "data/gone" not in rows[2]
    assert rows[2]["traces/nrows"] == 50
    table = next(folder.glob("wandb/offline-run-*/files/media/table/traces*.json")).read_text()
    assert "ask jo#x.org" in table and "jo@x.org" not in table
    run = of_kind(folder, "run")[0]
    stored = {c.key: json.loads(c.value_json) for c in run.config.update}
    assert run.run_group == "fam" and run.display_name == "arm" and stored["owner"] == "jo#x.org"
    axes = {m.name or m.glob_name: (m.step_metric, m.options.step_sync) for m in of_kind(folder, "metric")}
    assert axes["train/*"] == ("train/step", False)
    assert axes["eval/*"] == axes["eval_difficulty/*"] == axes["train/loss_last"] == ("round", False)
    assert of_kind(folder, "alert")[0].title == "collapse alarm level 2"
    last = {}
    for summary in of_kind(folder, "summary"):
        last |= {u.key or "/".join(u.nested_key): json.loads(u.value_json) for u in summary.update}
    assert last["best_round"] == 1
    assert not of_kind(folder, "output") and not of_kind(folder, "output_raw")


KILLED = """
import json, os, signal, sys, time
from pathlib import Path
from tests.support.wandb_files import of_kind, python, records, rows_of
from selfplay.tracking import Tracker
folder, first, last, wait = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
tracker = Tracker(folder, {"seed": 0}, privacy="none", family="fam", system_metrics=False)
tracker.catch_up()
for n in range(first, last):
    train = folder / "rounds" / f"{n:03d}" / "train"
    train.mkdir(parents=True, exist_ok=True)
    with tracker.follow(train / "curve.jsonl"):
        lines = [{"train/loss": 1.0, "train/step": 10 * n + k, "round": n} for k in range(1, 11)]
        (train / "curve.jsonl").write_text("".join(json.dumps(line) + "\\n" for line in lines))
    row = {"round": n, "eval/greedy_accuracy": n / 10, "time/round_seconds": 2.0}
    (train.parent / "COMMIT").write_text(json.dumps({"round": n, "metrics": {"eval/greedy_accuracy": n / 10}, "time": {"time/round_seconds": 2.0}}))
    if n == last - 1 and wait >= 0:
        time.sleep(wait)
        os.kill(os.getpid(), signal.SIGKILL)
    tracker.log_round(row)
tracker.finish({"best_round": last - 1})
"""


@pytest.mark.parametrize("wait", [0.0, 1.6], ids=["before_the_file_was_flushed", "after_it"])
def test_killed_between_two_rounds_and_resumed_is_one_series_with_each_step_once(tmp_path: Path, wait: float) -> None:
    killed = python(KILLED, tmp_path, 0, 2, wait)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    resumed = python(KILLED, tmp_path, 2, 4, -1)
    assert resumed.returncode == 0, resumed.stderr

    files = sorted(tmp_path.glob("wandb/offline-run-*/*.wandb"))
    assert len(files) == 2 and len({f.name for f in files}) == 1
    rows = rows_of(tmp_path)
    assert [r["_step"] for r in rows] == list(range(44))
    assert [(r["round"], r.get("train/step")) for r in rows] == [
        (n, step) for n in range(4) for step in [*range(10 * n + 1, 10 * n + 11), None]
    ]
    assert [r["time/round_seconds"] for r in rows if "train/step" not in r] == [2.0] * 4
    assert {r.run_id for r in of_kind(tmp_path, "run")} == {json.loads((tmp_path / "tracking.json").read_text())["id"]}


def test_files_that_were_synced_and_cleaned_away_count_as_sent(tmp_path: Path) -> None:
    first = python(KILLED, tmp_path, 0, 1, -1)
    assert first.returncode == 0, first.stderr
    for path in sorted(tmp_path.glob("wandb/offline-run-*/**/*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    next(tmp_path.glob("wandb/offline-run-*")).rmdir()
    second = python(KILLED, tmp_path, 1, 2, -1)
    assert second.returncode == 0, second.stderr
    assert [(r["_step"], r["round"]) for r in rows_of(tmp_path)] == [(n, 1) for n in range(11, 22)]


def test_a_training_phase_that_starts_again_sends_no_step_twice(tmp_path: Path) -> None:
    curve = tmp_path / "curve.jsonl"
    tracker = Tracker(tmp_path, {}, privacy="none", system_metrics=False)
    with tracker.follow(curve):
        curve.write_text("".join(json.dumps(curve_row(k)) + "\n" for k in (1, 2, 3)))
        deadline = time.monotonic() + 10
        while len(rows_of(tmp_path, None)) < 3 and time.monotonic() < deadline:
            time.sleep(0.2)
        live = [r["train/step"] for r in rows_of(tmp_path, None)]
        curve.write_text("".join(json.dumps(curve_row(k)) + "\n" for k in (1, 2)))
        time.sleep(0.7)
        with curve.open("a") as file:
            file.write(json.dumps(curve_row(3)) + "\nnot json\n" + json.dumps(curve_row(4)) + "\n" + '{"train/st')
    tracker.finish()
    assert live == [1, 2, 3]
    assert [r["train/step"] for r in rows_of(tmp_path)] == [1, 2, 3, 4]


MODES = """
import os, sys
from pathlib import Path
from tests.support.wandb_files import of_kind, python, records, rows_of
from selfplay.tracking import choose_mode
netrc = Path(sys.argv[1]) / "netrc"
netrc.write_text("machine api.wandb.ai login user password " + "0" * 40)
for mode, key, asked, file in [
    ("", "", "auto", ""), ("", "k", "auto", ""), ("", "", "auto", str(netrc)), ("offline", "k", "online", ""),
    ("disabled", "k", "online", ""), ("online", "", "auto", ""), ("dryrun", "k", "auto", ""), ("", "k", "disabled", ""),
]:
    os.environ.update(WANDB_MODE=mode, WANDB_API_KEY=key, NETRC=file or "/nonexistent")
    print(choose_mode(asked)[0])
assert "wandb" not in sys.modules
"""


def test_the_mode_follows_the_key_and_wandb_mode_wins(tmp_path: Path) -> None:
    done = python(MODES, tmp_path)
    expected = ["offline", "online", "online", "offline", "disabled", "offline", "offline", "disabled"]
    assert done.stdout.split() == expected, done.stderr
    assert choose_mode("auto")[0] == "offline"


START = """
import logging, sys
from pathlib import Path
from tests.support.wandb_files import of_kind, python, records, rows_of
from selfplay.tracking import Tracker
logging.basicConfig(level=logging.WARNING)
with Tracker(Path(sys.argv[1]), {}, privacy="none", system_metrics=False, init_timeout=2) as tracker:
    tracker.log_round({"round": 0, "eval/x": 1.0})
    print("mode", tracker.mode, "wandb" in sys.modules)
"""


def test_disabled_does_nothing_and_never_imports_wandb(tmp_path: Path) -> None:
    done = python(START, tmp_path, WANDB_MODE="disabled")
    assert done.stdout.split() == ["mode", "disabled", "False"], done.stderr
    assert not list(tmp_path.iterdir())


def test_a_key_without_a_server_falls_back_to_offline_with_one_line(tmp_path: Path) -> None:
    key = "0123456789abcdef" * 2 + "01234567"
    done = python(START, tmp_path, WANDB_API_KEY=key, WANDB_BASE_URL="http://127.0.0.1:9")
    assert done.returncode == 0 and done.stdout.split() == ["mode", "offline", "True"], done.stderr
    assert (
        done.stderr.count("online start failed") == done.stderr.count(" failed, ") == 1
        and key not in done.stderr + done.stdout
    )
    assert [r["round"] for r in rows_of(tmp_path)] == [0]


def test_no_key_on_a_terminal_asks_nothing(tmp_path: Path) -> None:
    import pty

    master, slave = pty.openpty()
    env = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")} | {
        "PYTHONPATH": str(ROOT),
        "NETRC": "/none",
    }
    command = [sys.executable, "-c", START, str(tmp_path)]
    with subprocess.Popen(command, env=env, stdin=slave, stdout=slave, stderr=slave) as process:
        os.close(slave)
        said = b""
        try:
            while chunk := os.read(master, 4096):
                said += chunk
        except OSError:  # the terminal's end on Linux
            pass
        process.wait(60)
    os.close(master)
    assert process.returncode == 0 and b"mode offline True" in said


def test_a_dead_wandb_service_costs_warnings_and_not_the_run(tmp_path: Path) -> None:
    code = START + (
        "import os, signal, subprocess, time\n"
        "tracker = Tracker(Path(sys.argv[1]), {}, privacy='none', system_metrics=False)\n"
        "found = subprocess.run(['ps', '-o', 'pid=,comm=', '--ppid', str(os.getpid())], capture_output=True, text=True)\n"
        "core = [int(l.split()[0]) for l in found.stdout.splitlines() if 'wandb' in l or 'gpu' in l]\n"
        "for pid in core: os.kill(pid, signal.SIGKILL)\n"
        "time.sleep(0.5)\n"
        "tracker.log_round({'round': 1, 'eval/x': 1.0})\n"
        "tracker.log_train([{'train/step': 1, 'round': 1}])\n"
        "tracker.finish({'best_round': 1})\n"
        "print('killed', len(core), 'and the run went on')\n"
    )
    done = python(code, tmp_path)
    assert done.returncode == 0 and "and the run went on" in done.stdout and "killed 0" not in done.stdout, done.stderr
    assert "tracking: round 1 failed" in done.stderr


@pytest.mark.parametrize("metrics", ["headline", "all"])
def test_a_round_sends_its_headline_figures_or_all_of_them(tmp_path: Path, metrics: Any) -> None:
    row = {
        "round": 2,
        "eval/greedy_accuracy": 0.5,
        "eval/greedy_accuracy_lo": 0.4,
        "eval_frequency/rare": 0.1,
        "collapse_alarm/first_metric": "eval/pass_at_1",
        "data/dropped_over_cap": 3,
    }
    curve = {"round": 2, "train/step": 7, "train/loss": 0.25, "train/reward_std": 1.5}
    with Tracker(tmp_path, {}, privacy="none", metrics=metrics, system_metrics=False) as tracker:
        tracker.log_train([curve])
        tracker.log_round(row)
    kept = {"round", "train/step", "train/loss", "eval/greedy_accuracy", "collapse_alarm/first_metric"}
    sent = [{key: value for key, value in found.items() if key[0] != "_"} for found in rows_of(tmp_path)]
    wanted = [{k: v for k, v in given.items() if metrics == "all" or k in kept} for given in (curve, row)]
    assert sent == wanted


def test_about_thirty_figures_of_a_round_are_headline_figures() -> None:
    chosen = [key for key, found in definitions().items() if found.headline]
    assert 25 <= sum(not key.startswith("train/") for key in chosen) <= 35
    assert not any("*" in key or key.endswith(("_lo", "_hi", "_delta")) for key in chosen)


def test_a_chat_in_the_table_of_traces_keeps_its_roles() -> None:
    task = {"id": "t", "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2 + 2"}]}
    for given in (task, json.dumps(task)):  # as a trace is read, and as it is skimmed
        trace = {"task": given, "prompt": "Be brief.\n\n2 + 2", "text": "4"}
        assert cell_of(trace, "prompt") == "system:\nBe brief.\n\nuser:\n2 + 2" and cell_of(trace, "text") == "4"
    for plain in ({"prompt": "2 + 2"}, {"prompt": "2 + 2", "task": '{"prompt": "2 + 2", "messages": null}'}):
        assert cell_of(plain, "prompt") == "2 + 2"


def test_a_tracker_cannot_be_built_without_a_privacy_filter(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="privacy"):
        Tracker(tmp_path, {})  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="'off'; give a function"):
        Tracker(tmp_path, {}, privacy="off")  # type: ignore[arg-type]


def test_a_series_of_a_newer_schema_is_left_alone_with_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "tracking.json").write_text('{"schema_version": 99}')
    tracker = Tracker(tmp_path, {}, privacy="none", system_metrics=False)
    tracker.log_round({"round": 0})
    assert tracker.mode == "disabled" and "schema_version 99 is newer" in caplog.text and len(caplog.records) == 1


HOSTS = """
import os, sys
from pathlib import Path
from selfplay.tracking import choose_mode
folder = Path(sys.argv[1])
os.environ.update(NETRC=str(folder / "netrc"), WANDB_CONFIG_DIR=str(folder), HOME=str(folder))
os.chdir(folder)
def told(machine, settings="", url=""):
    (folder / "netrc").write_text(f"machine {machine} login user password " + "0" * 40)
    (folder / "settings").write_text(settings)
    os.environ["WANDB_BASE_URL"] = url
    print(choose_mode("auto")[0])
told("api.forge.coreweave.com")                                  # what `wandb login` of 0.31 writes
told("api.wandb.ai", url="https://api.forge.coreweave.com")      # the same server under its other name
told("other.example")
told("other.example", url="https://other.example")
told("other.example", "[default]\\nbase_url = https://other.example\\n")
told("api.wandb.ai", "[default]\\nbase_url = https://other.example\\n")
told("api.wandb.ai", "no settings at all")
"""


def test_the_key_of_the_server_that_wandb_would_use_is_found(tmp_path: Path) -> None:
    from wandb.sdk.lib.urls import DEFAULT_BASE_URL

    from selfplay.tracking.mode import CLOUD

    assert urlsplit(DEFAULT_BASE_URL).hostname in CLOUD
    done = python(HOSTS, tmp_path)
    expected = ["online", "online", "offline", "online", "online", "offline", "online"]
    assert done.stdout.split() == expected, done.stderr
