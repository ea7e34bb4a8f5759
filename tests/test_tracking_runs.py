"""Whole runs in W&B's offline files: artifacts and their lineage, families, sending after the fact, no empty session."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import selfplay.tracking.tracker as tracking
from selfplay.cli.app import app
from selfplay.config import load_config
from selfplay.loop import run
from selfplay.loop.tracked import arm_of, family_of, send, tags_of
from selfplay.tracking import Tracker
from tests.support.runs import CONFIG
from tests.support.wandb_files import of_kind, rows_of


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of three rounds, tracked offline."""
    home = tmp_path_factory.mktemp("home")
    start(home)
    return home


def start(home: Path) -> None:
    (home / "sums.yaml").write_text(CONFIG.replace("mode: disabled", "mode: offline"))
    run(load_config(home / "sums.yaml", [f"runs_dir={home / 'runs'}"]))


def sessions(folder: Path) -> int:
    return len(list(folder.glob("wandb/offline-run-*")))


def made(folder: Path) -> list[Any]:
    """The run's own artifacts, without the tables' own."""
    return [a for a in of_kind(folder, "artifact") if a.type != "run_table"]


def test_artifacts_have_their_parents_aliases_and_references_and_upload_no_text(played: Path) -> None:
    folder = played / "runs" / "a"
    found = made(folder)
    run_id = json.loads((folder / "tracking.json").read_text())["id"]
    newest = {(a.type, json.loads(a.metadata)["round"]): a for a in found}
    assert set(newest) == {(k, n) for k in ("model", "dataset", "traces") for n in range(3)} - {("traces", 0)}
    parents = {key: json.loads(a.metadata)["parents"] for key, a in newest.items()}
    commits = [json.loads((folder / f"rounds/{n:03d}/COMMIT").read_text()) for n in range(3)]
    for n in (1, 2):
        older = f"a-{run_id}-model:round-{commits[n]['parent']:03d}"
        assert parents["traces", n] == [older]
        assert parents["dataset", n] == [f"a-{run_id}-traces:round-{n:03d}"]
        assert parents["model", n] == [f"a-{run_id}-dataset:round-{n:03d}", older]
        sha = json.loads(newest["model", n].metadata)["sha256"]
        assert sha == {"model": commits[n]["outputs"]["model"]}
    for artifact in found:
        held = {c.path: (c.ref, c.local_path) for c in artifact.manifest.contents}
        assert [path for path, (ref, _) in held.items() if not ref] == ["product.json"]
        assert all(ref.startswith("file:///") for path, (ref, _) in held.items() if path != "product.json")
        assert Path(held["product.json"][1]).is_relative_to(folder / "wandb"), "the run folder has all"


def test_latest_and_best_end_where_the_gate_says(played: Path) -> None:
    folder = played / "runs" / "a"
    where: dict[tuple[str, str], int] = {}
    for artifact in made(folder):
        for alias in artifact.aliases:
            where[artifact.type, alias] = json.loads(artifact.metadata)["round"]
    best = json.loads((folder / "rounds/002/COMMIT").read_text())["metrics"]["eval/best_round"]
    assert where["model", "latest"] == where["traces", "latest"] == where["dataset", "latest"] == 2
    assert where["model", "best"] == where["dataset", "best"] == best
    assert all(where["model", f"round-{n:03d}"] == n for n in range(3))


def test_one_key_has_the_traces_of_all_rounds_and_round_is_their_axis(played: Path) -> None:
    rows = rows_of(played / "runs" / "a")
    tables = {row["round"]: row["traces/nrows"] for row in rows if "traces/nrows" in row}
    assert set(tables) == {1, 2} and min(tables.values()) > 0
    assert not any(key.startswith("traces/round") for row in rows for key in row)
    axes = {m.name or m.glob_name: m.step_metric for m in of_kind(played / "runs" / "a", "metric")}
    assert axes["eval/*"] == axes["data/*"] == axes["traces"] == "round"


def test_a_run_has_family_tags_job_type_and_system_metrics(played: Path) -> None:
    found = of_kind(played / "runs" / "a", "run")[0]
    assert found.run_group.startswith("sums-") and found.job_type == "verified"
    assert set(found.tags) == {"sft", "arithmetic", "scripted", "verified"}
    assert of_kind(played / "runs" / "a", "stats")


def test_seeds_and_names_are_one_family_and_other_keys_are_not(tmp_path: Path) -> None:
    (tmp_path / "sums.yaml").write_text(CONFIG)

    def family(*overrides: str) -> str:
        return family_of(load_config(tmp_path / "sums.yaml", overrides), tmp_path / "none")

    assert len({family(), family("seed=3"), family("eval.seed=9"), family("name=b"), family("rounds=5")}) == 1
    assert family("generate.temperature=0.5") != family()
    control = load_config(tmp_path / "sums.yaml", ["curate.verified_only=false"])
    assert arm_of(control) == "control" and "control" in tags_of(control)


def test_a_finished_run_that_starts_again_opens_no_session(played: Path) -> None:
    before = (played / "runs/a/tracking.json").read_text()
    start(played)
    assert sessions(played / "runs" / "a") == 1
    assert (played / "runs/a/tracking.json").read_text() == before


def test_a_finished_run_whose_summary_was_lost_sends_it_alone(played: Path, tmp_path: Path) -> None:
    folder = tmp_path / "a"
    shutil.copytree(played / "runs" / "a", folder, symlinks=True)
    noted = json.loads((folder / "tracking.json").read_text())
    (folder / "tracking.json").write_text(json.dumps({k: v for k, v in noted.items() if k != "summary"}))
    tracker = Tracker(folder, {}, privacy="none", mode="offline", wait=True, system_metrics=False)
    tracker.catch_up()
    tracker.finish({"best_round": 1})
    assert sessions(folder) == 2 and len(rows_of(folder)) == 3


def test_track_sends_a_folder_of_another_machine_once(played: Path, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere" / "a"
    shutil.copytree(played / "runs" / "a", folder, ignore=shutil.ignore_patterns("wandb", "tracking*"))
    first = CliRunner().invoke(app, ["track", str(folder)])
    assert first.exit_code == 0 and "3 rounds, offline" in first.output and "wandb sync" in first.output
    assert [row["round"] for row in rows_of(folder)] == [0, 1, 2]
    assert len(made(folder)) >= 8
    again = CliRunner().invoke(app, ["track", str(folder)])
    assert again.exit_code == 0 and "nothing was sent" in again.output
    assert sessions(folder) == 1


def test_data_is_uploaded_through_the_filter_and_weights_only_with_all(played: Path, tmp_path: Path) -> None:
    folder = tmp_path / "a"
    shutil.copytree(played / "runs" / "a", folder, ignore=shutil.ignore_patterns("wandb", "tracking*"))
    held = {}
    for wanted in ("data", "all"):
        with Tracker(
            folder, {}, privacy=lambda text: text.replace("answer", "#"), artifacts=wanted, system_metrics=False
        ) as tracker:
            tracker.catch_up()
        held[wanted] = {
            (a.type, c.path): c for a in made(folder) for c in a.manifest.contents if c.path != "product.json"
        }
        texts = [Path(c.local_path).read_text() for (kind, _), c in held[wanted].items() if kind == "traces"]
        assert texts and all("answer" not in text and "#" in text for text in texts)
        weights = [c.ref for (kind, _), c in held[wanted].items() if kind == "model"]
        assert weights and all(bool(ref) == (wanted == "data") for ref in weights)
        shutil.rmtree(folder / "wandb")
        for note in folder.glob("tracking*"):
            note.unlink()


class Online:
    """What `Tracker._link` needs of an online run."""

    def __init__(self, lost: Sequence[str] = ()) -> None:
        self.used: list[str] = []
        self.lost = lost

    def use_artifact(self, name: str) -> None:
        if name in self.lost:
            raise ValueError("not there")
        self.used.append(name)


def test_edges_of_rounds_sent_offline_are_made_once_the_run_is_online(played: Path, tmp_path: Path) -> None:
    folder = tmp_path / "a"
    shutil.copytree(played / "runs" / "a", folder, symlinks=True)
    name = f"a-{json.loads((folder / 'tracking.json').read_text())['id']}-model"
    parents = [json.loads((folder / f"rounds/{n:03d}/COMMIT").read_text())["parent"] for n in (1, 2)]
    for lost, expected in (([f"{name}:round-{parents[0]:03d}"], []), ([], parents), ([], [])):
        tracker = Tracker(folder, {}, privacy="none", mode="offline", wait=True, system_metrics=False)
        online = Online(lost)
        tracker._run, tracker.mode = online, "online"
        tracker._link_older()
        assert online.used == [f"{name}:round-{n:03d}" for n in expected]


def test_resend_counts_what_the_server_has_and_not_the_files(
    played: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "a"
    shutil.copytree(played / "runs" / "a", folder, symlinks=True)
    sent = tracking.Sent(folder)
    sent.recover([], 2, tracking.history)
    assert sent.rounds == {0, 1} and sent.next_step == 2


def test_track_refuses_a_run_without_rounds(tmp_path: Path) -> None:
    from selfplay.errors import SelfplayError

    found = CliRunner().invoke(app, ["track", str(tmp_path)])
    assert found.exit_code != 0 and isinstance(found.exception, SelfplayError)


def test_a_run_with_wandb_disabled_can_still_be_sent(played: Path, tmp_path: Path) -> None:
    folder = tmp_path / "a"
    shutil.copytree(played / "runs" / "a", folder, ignore=shutil.ignore_patterns("wandb", "tracking*"))
    loaded = load_config(folder / "config.yaml", ["tracking.mode=disabled", f"runs_dir={tmp_path}"])
    assert send(loaded, folder)[::2] == ("offline", True)
