"""The workspace and the report at W&B: what they show, that they need no server to be built, and what a server gets."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from selfplay.cli.app import app
from selfplay.cli.wandb_pages import report_command, workspace_command
from selfplay.config import load_config
from selfplay.config.headline import headline
from selfplay.config.metrics import is_headline
from selfplay.errors import ConfigError
from selfplay.loop import run
from selfplay.loop.tracked import summary_of
from selfplay.store import RunFolder
from selfplay.tracking.panels import ARMS, STEP, TEXTS, sections
from selfplay.tracking.workspace import COLUMNS, Place, spec_of, workspace
from tests.support.runs import CONFIG
from tests.support.wandb_files import python


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A verified run and its control, tracked offline."""
    home = tmp_path_factory.mktemp("home")
    (home / "sums.yaml").write_text(CONFIG.replace("mode: disabled", "mode: offline"))
    control = ["name=control", "curate.verified_only=false", "gate.action=observe"]
    for more in ([], control):
        run(load_config(home / "sums.yaml", [f"runs_dir={home / 'runs'}", *more]))
    return [home / "runs" / name for name in ("a", "control")]


def shown(spec: Any) -> list[dict[str, Any]]:
    """The settings of all panels of a workspace or report."""
    if isinstance(spec, dict):
        own = [spec["config"]] if "viewType" in spec else []
        return own + [one for value in spec.values() for one in shown(value)]
    return [one for value in spec for one in shown(value)] if isinstance(spec, list) else []


def test_every_headline_number_has_one_panel_and_nothing_else_has_one() -> None:
    made = sections()
    numbers = [k for keys in headline().values() for k in keys if k not in TEXTS | {STEP, "round"}]
    arms = made.pop("Arms side by side")
    assert sorted(k for panels in made.values() for panel in panels for k in panel.keys) == sorted(numbers)
    assert [panel.keys for panel in arms] == [(key,) for key in ARMS] and set(ARMS) <= set(numbers)
    assert list(made)[:5] == ["Quality", "Diversity", "Tails", "Gate", "Cost"]


def test_panels_are_those_of_the_metrics_that_the_runs_have() -> None:
    some = sections({"eval/greedy_accuracy", "train/loss"})
    assert {name: [p.keys for p in panels] for name, panels in some.items()} == {
        "Arms side by side": [("eval/greedy_accuracy",)],
        "Quality": [("eval/greedy_accuracy",)],
        "Cost": [("train/loss",)],
    }
    pair = {"collapse_quality/verifier_tpr", "collapse_quality/verifier_fpr"}
    assert [len(panel.keys) for panel in sections(pair)["Gate"]] == [2]
    assert [panel.keys for panel in sections({min(pair)})["Gate"]] == [(min(pair),)]


def test_workspace_groups_by_arm_and_family_and_counts_in_rounds(runs: list[Path]) -> None:
    spec = spec_of(workspace(Place("p")))["section"]
    assert [(key["section"], key["name"]) for key in spec["runSets"][0]["grouping"]] == [
        ("run", "jobType"),
        ("run", "group"),
    ]
    parts = spec["panelBankConfig"]["sections"]
    assert spec["settings"]["xAxis"] == "round" == parts[0]["localPanelSettings"]["xAxis"]
    assert {p["groupBy"] for p in shown(parts[0])} == {"jobType"} and not any("groupBy" in p for p in shown(parts[1:]))
    axes = {p["xAxis"]: {key.partition("/")[0] for key in p["metrics"]} for p in shown(parts) if p["xAxis"] != "round"}
    assert axes == {"train/step": {"train"}}
    known = {*summary_of(RunFolder(runs[0]).commits()), "collapse_alarm/level"}
    assert {c.partition(":")[2] for c in COLUMNS if c.startswith("summary:")} <= known


def test_workspace_of_runs_is_written_without_a_key_and_shows_what_they_have(runs: list[Path], tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["wandb-workspace", *map(str, runs), "--dry-run", str(tmp_path / "w.json")])
    assert done.exit_code == 0, done.output
    written = json.loads((tmp_path / "w.json").read_text())
    has = {key for one in runs for row in RunFolder(one).commits() for key in row.row()}
    keys = {key for panel in shown(written["spec"]) for key in panel["metrics"]}
    assert written["project"] == "selfplay" and "eval/greedy_accuracy" in keys
    assert keys <= has and all(is_headline(key) for key in keys)


def test_report_says_what_compare_says_and_shows_these_runs_alone(runs: list[Path], tmp_path: Path) -> None:
    command = [
        "wandb-report",
        *map(str, runs),
        "--title",
        "ann.lee@gmail.com: both",
        "--dry-run",
        str(tmp_path / "r.json"),
    ]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "a, control: not online yet" in done.output.replace("\n", " ")
    written = json.loads((tmp_path / "r.json").read_text())
    blocks = written["spec"]["blocks"]
    text = "\n".join(block["content"] for block in blocks if block["type"] == "markdown-block")
    assert "| a | " in text and "paired over 12 tasks" in text and "curate.verified_only" in text
    grids = [block for block in blocks if block["type"] == "panel-grid"]
    wanted = [json.loads((one / "tracking.json").read_text())["id"] for one in runs]
    for grid in grids:
        [chosen] = grid["metadata"]["runSets"][0]["filters"]["filters"]
        assert (chosen["key"]["name"], chosen["op"], chosen["value"]) == ("name", "IN", wanted)
    assert written["name"].endswith(": both")
    assert len(grids) >= 5 and "ann.lee@gmail.com" not in json.dumps(written)


def test_what_cannot_be_made_is_refused_in_a_sentence(
    runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "x.json"
    with pytest.raises(ConfigError, match="name at least two"):
        report_command(runs[:1], "", "", out)
    other = Path(shutil.copytree(runs[1], tmp_path / "other"))
    known = json.loads((other / "tracking.json").read_text())
    (other / "tracking.json").write_text(json.dumps(known | {"project": "q"}))
    with pytest.raises(ConfigError, match="several W&B projects, q, selfplay; name runs of one project only"):
        workspace_command([runs[0], other], "", "", "n", out)
    (other / "tracking.json").unlink()
    with pytest.raises(ConfigError, match="other: was never tracked; send it first with `selfplay track RUN`"):
        report_command([runs[0], other], "", "", out)
    monkeypatch.setenv("NETRC", "/none")
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match=r"no key is set.*`wandb login`, or write it to a file with --dry-run"):
        workspace_command([], "", "", "n", None)
    monkeypatch.setenv("WANDB_API_KEY", "k")
    monkeypatch.setenv("WANDB_MODE", "offline")
    with pytest.raises(ConfigError, match=r"W&B is offline .WANDB_MODE=offline., so nothing can be saved"):
        workspace_command([], "", "", "n", None)
    assert not out.exists()


def test_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delitem(sys.modules, "selfplay.tracking.workspace")
    for name in [name for name in sys.modules if name.startswith("wandb_workspaces")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)  # as if it were not installed
    with pytest.raises(ConfigError, match=r"pip install 'selfplay.workspace.'"):
        workspace_command([], "", "", "n", tmp_path / "w.json")


SERVER = """
import http.server, json, os, sys, threading
seen = []
class Server(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        seen.append(asked)
        who = {"id": "u", "entity": os.environ["ENTITY"] or None, "username": "me", "email": "", "flags": "{}",
               "teams": {"edges": []}}
        view = {"id": "VmlldzE=", "name": "nw-abc-v", "displayName": "n", "description": "", "user": None,
                "project": {"name": "p", "entityName": "me"}, "spec": "{}", "createdAt": None, "updatedAt": None}
        if "upsertView" in asked["query"] and os.environ["ENTITY"] == "stranger":
            told = {"data": None, "errors": [{"message": "project not found"}]}
        elif "upsertView" in asked["query"]:
            told = {"data": {"upsertView": {"view": view, "inserted": True}}}
        else:
            told = {"data": {"viewer": who}}
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ["WANDB_BASE_URL"] = f"http://127.0.0.1:{server.server_address[1]}"
from selfplay.cli.app import start
sys.argv = ["selfplay", "wandb-workspace", "--project", "p"]
try:
    start()
except SystemExit as ended:
    print("exit", ended.code)
for asked in seen:
    if "upsertView" in asked["query"]:
        sent = asked["variables"]
        print("saved", sent["entityName"], sent["projectName"], sent["type"], "eval/greedy_accuracy" in sent["spec"])
"""
"""A server on loopback that answers as W&B's API does to the three questions that are asked. It is not W&B's."""
KEY = "0123456789abcdef" * 2 + "01234567"


@pytest.mark.parametrize(
    ("entity", "says"),
    [
        ("me", "workspace  http://127.0.0.1:PORT/me/p?nw=abc\nexit 0\nsaved me p project-view True"),
        ("", "W&B names no default entity for this key; give one with --entity, a user or a team"),
        (
            "stranger",
            "stranger/p: W&B refused (input: project not found); check the key (`wandb login`), --entity and --project",
        ),
    ],
)
def test_server_gets_the_workspace_and_what_it_refuses_is_a_sentence_without_the_key(entity: str, says: str) -> None:
    done = python(SERVER, WANDB_API_KEY=KEY, ENTITY=entity)
    said = done.stdout + done.stderr
    for port in [word for word in said.replace("/", ":").split(":") if word.isdigit() and len(word) > 3]:
        said = said.replace(f":{port}", ":PORT")
    assert says in said and KEY not in said, said
    assert "Traceback" not in said and "View saved" not in said


@pytest.mark.prove
def test_server_that_is_not_there_is_an_outage_without_the_key() -> None:
    """wandb itself waits 20 seconds."""
    code = "import sys; from selfplay.cli.app import start; sys.argv = ['selfplay', 'wandb-workspace']; start()"
    done = python(code, WANDB_API_KEY=KEY, WANDB_BASE_URL="http://127.0.0.1:9")
    assert done.returncode == 3 and "W&B was not reached" in done.stderr, done.stderr
    assert KEY not in done.stderr and "Traceback" not in done.stderr
