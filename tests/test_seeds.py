"""`selfplay run --seeds`: one run per seed, on the same held-out tasks, resumed by the same command, and compared."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from selfplay.cli.app import app
from selfplay.cli.seeds import parse_seeds
from selfplay.errors import ConfigError
from selfplay.store import read_json
from tests.support.runs import CONFIG


def invoke(home: Path, *words: str) -> str:
    (home / "sums.yaml").write_text(CONFIG.replace("name: a\n", ""))
    done = CliRunner().invoke(app, ["run", str(home / "sums.yaml"), *words, "--runs-dir", str(home / "runs")])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


def test_each_seed_is_a_run_on_the_same_dev_tasks_and_the_command_resumes(tmp_path: Path) -> None:
    invoke(tmp_path, "rounds=1", "--seeds", "0,2")
    runs = [tmp_path / "runs" / f"sums-seed-{n}" for n in (0, 2)]
    science = [read_json(run / "fingerprint.json")["science"] for run in runs]
    assert [s["seed"] for s in science] == [0, 2] and science[0]["eval.seed"] == science[1]["eval.seed"]
    dev = [read_json(run / "rounds/000/evaluate/dev.json") for run in runs]
    assert json.dumps(sorted(dev[0])) == json.dumps(sorted(dev[1]))
    page = tmp_path / "runs" / "sums-seeds.html"
    assert page.is_file()
    before = [(run / "rounds/001/COMMIT").read_bytes() for run in runs]
    output = invoke(tmp_path, "rounds=1", "--seeds", "0,2")
    assert [(run / "rounds/001/COMMIT").read_bytes() for run in runs] == before
    assert str(page) in output


@pytest.mark.parametrize("text", ["", "0,,1", "0,x", "-1", "1,1", "0 1", "1.5", "²"])
def test_a_list_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--seeds is "):
        parse_seeds(text)


def test_an_override_of_the_seed_beside_seeds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="seed is set together with --seeds"):
        invoke(tmp_path, "seed=4", "--seeds", "0,1")


def test_a_launch_of_several_ranks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="launch once per seed"):
        invoke(tmp_path, "--seeds", "0,1")
