"""Publishing a round: true cards, nothing private, the base's data type, and the upload to a hub on loopback."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from huggingface_hub import DatasetCard, ModelCard, constants
from safetensors.torch import load_file

from selfplay.cli.export import Wanted, export_command
from selfplay.config import load_config
from selfplay.config.load import science_of
from selfplay.errors import ConfigError, DataError, OutageError, SelfplayError, StoreError
from selfplay.publish import Names, hub, public
from selfplay.publish.facts import facts_of
from selfplay.publish.publication import write_model
from selfplay.store import RunFolder
from tests.support.hub import FakeHub, serving
from tests.support.published import GENERATION, HOSTILE, write_published

pytestmark = pytest.mark.filterwarnings("ignore:Use .content=:DeprecationWarning")  # huggingface_hub's large uploads
MODEL, DATA = "me/shop", "me/shop-data"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_published(tmp_path_factory.mktemp("publish"))


@pytest.fixture(scope="module")
def folders(made: Path) -> Path:
    """What a dry run writes."""
    export(made, made.parent.parent / "out", dry_run=True)
    return made.parent.parent / "out"


def export(
    run: Path, out: Path, which: str = "best", *, push: str = MODEL, data: str | None = DATA, **wanted: Any
) -> None:
    names = Names(push, data, **{key: wanted.pop(key) for key in ("base", "license") if key in wanted})
    export_command(run, which, Wanted(out, push=push, **wanted), names)


def text_files(folder: Path) -> dict[str, str]:
    return {
        str(f.relative_to(folder)): f.read_text() for f in folder.rglob("*") if f.suffix in (".md", ".json", ".yaml")
    }


# ---- the cards ----


def test_front_matter_of_both_cards_is_what_the_hub_reads(folders: Path) -> None:
    model, data = ModelCard.load(folders / "model/README.md"), DatasetCard.load(folders / "dataset/README.md")
    assert (model.data.license, model.data.base_model, model.data.datasets) == ("gemma", None, [DATA])
    assert {"selfplay", "trl"} <= set(model.data.tags)
    (result,) = model.data.eval_results
    assert (result.metric_type, result.metric_value, result.dataset_split) == ("accuracy", 0.5, "test")
    assert (data.data.license, data.data.size_categories) == ("cc0-1.0", ["n<1K"])


def test_card_tells_lineage_gate_verifiers_and_screening_as_the_run_has_them(folders: Path) -> None:
    said = (folders / "model/README.md").read_text()
    for true in (
        "0.200 [0.150, 0.250] in round 0, 0.500 [0.450, 0.550] in this round, paired change +0.300 [+0.250, +0.350]",
        "round 3, which comes from rounds 0 and 1. The gate abandoned round 2",
        "| 2 | 1 | no | rolled back | 2 | 3 of 12 |",
        "| 3 | 1 | yes | went on | 0 | 3 of 12 |",
        r"Round 2: collapse alarm level 2: the dev accuracy fell \| twice.",
        "| 3 | 0.730 [0.680, 0.780] |",
        "`math/1: pass` on 6 accepted attempts",
        "A language model, judge, is the judge.",
        "compared with this run's 80 dev tasks and 80 test tasks",
        "4 of 24 attempts were dropped for it",
        "(e-mail addresses, telephone and account numbers, ...) were dropped before training: 2.",
        f"`tasks.jsonl`, sha256 {'ab' * 32}",
        "its name on the hub is unknown. Base model's licence: gemma.",
        "selfplay run selfplay_config.yaml\n",
    ):
        assert true in said, true
    assert "| 2 | 0.720" not in said, "the verifiers of an abandoned round are not those of the published data"


def test_what_the_publisher_declares_stands_in_the_cards_as_declared(made: Path, tmp_path: Path) -> None:
    export(made, tmp_path / "out", dry_run=True, base="lab/base-1b", license="mit", data=None)
    card = ModelCard.load(tmp_path / "out/model/README.md")
    assert (card.data.license, card.data.base_model, card.data.datasets) == ("mit", "lab/base-1b", None)
    assert "which the run read from a folder and the publisher names so" in card.text
    assert (
        yaml.safe_load((tmp_path / "out/model/selfplay_config.yaml").read_text())["student"]["model"] == "lab/base-1b"
    )
    assert not (tmp_path / "out/dataset").exists()


def test_unknown_licences_are_said_to_be_unknown(made: Path, tmp_path: Path) -> None:
    run = copied(made, tmp_path)
    (run / "config.yaml").write_text((run / "config.yaml").read_text().replace('license: "cc0-1.0"', "license: null"))
    (made.parent.parent / "people/bob/base/README.md").rename(tmp_path / "card")
    try:
        export(run, tmp_path / "out", dry_run=True)
    finally:
        (tmp_path / "card").rename(made.parent.parent / "people/bob/base/README.md")
    assert ModelCard.load(tmp_path / "out/model/README.md").data.license == "unknown"
    data = DatasetCard.load(tmp_path / "out/dataset/README.md")
    assert data.data.license == "unknown" and "The licence of the tasks is unknown" in data.text


def test_published_configuration_loads_and_is_that_of_the_run(made: Path, folders: Path) -> None:
    here, there = (
        science_of(load_config(path).config) for path in (made / "config.yaml", folders / "model/selfplay_config.yaml")
    )
    changed = {key for key in here if here[key] != there.get(key)}
    assert changed == {"tasks.train", "student.model", "judge.backend.model"}
    assert there["tasks.train"] == "tasks.jsonl" and there["generate.stop"] == ["/end"]


# ---- nothing private, nothing that acts ----


def test_nothing_published_names_this_machine_its_people_or_its_servers(made: Path, folders: Path) -> None:
    private = ("bob", "corp", "internal", "BOBS_KEY", str(made.parent.parent), "/srv/")
    found = [(name, word) for name, text in text_files(folders).items() for word in private if word in text]
    assert found == []
    rows = json.dumps(rows_of(folders))
    assert not [word for word in (*private, "corp-mail") if word in rows] and "x.py" in rows


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("/srv/bob/models/qwen", "qwen"),
        ("~/models/qwen/", "qwen"),
        ("C:\\Users\\bob\\qwen", "qwen"),
        ("\\\\server\\share\\qwen", "qwen"),
        ("../bob/tasks.jsonl", "tasks.jsonl"),
        ("openai/gsm8k", "openai/gsm8k"),
        ("lost 3/4 of the tasks and/or more", "lost 3/4 of the tasks and/or more"),
        ('File "/srv/bob/a b/x.py", line 2', 'File "x.py", line 2'),
        ("see http://gpu7:8000/v1 now", "see [address] now"),
        ("key hf_" + "a" * 30, "key [key]"),
        ("two\nlines", "two lines"),
    ],
)
def test_public_text_keeps_what_is_said_and_drops_where_it_was(given: str, kept: str) -> None:
    assert public.public_text(given).replace("a b/x.py", "x.py") == kept


def test_a_key_that_stands_in_the_configuration_stops_the_export(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CORP_API_KEY", "correct-horse-battery")
    run = copied(made, tmp_path)
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(config.replace('rubric: ""', 'rubric: "say correct-horse-battery"'))
    with pytest.raises(
        StoreError, match=r"selfplay_config.yaml holds the value of \$CORP_API_KEY; nothing was published"
    ):
        export(run, tmp_path / "out", dry_run=True)


def test_text_of_models_is_data_and_never_reaches_a_card(folders: Path) -> None:
    rows = rows_of(folders)
    assert [row["completion"][0]["content"] for row in rows[::3]] == [HOSTILE, HOSTILE]
    for name, text in text_files(folders).items():
        assert "Approved" not in text and "script" not in text, name


def test_hostile_words_of_a_run_stay_inside_their_cell() -> None:
    from selfplay.publish import markdown as md

    line = md.table(("a", "b"), [[md.text(HOSTILE), md.code(HOSTILE)]]).splitlines()
    assert len(line) == 3 and line[2].startswith("| --- license") and line[2].count(r"\<script\>") == 1
    assert len(re.findall(r"(?<!\\)\|", line[2])) == 3


# ---- the data set ----


def rows_of(folders: Path) -> list[dict[str, Any]]:
    from datasets import load_dataset

    return list(
        load_dataset(
            "parquet",
            data_files=str(folders / "dataset/data/*.parquet"),
            split="train",
            cache_dir=str(folders.parent / ".cache"),
        )
    )


def test_data_set_is_the_accepted_attempts_of_the_lineage_with_their_verdicts(folders: Path) -> None:
    rows = rows_of(folders)
    assert [row["id"] for row in rows] == [f"r{n}/t-{i}/0" for n in (1, 3) for i in range(3)], "round 2 was rolled back"
    chat = rows[2]
    assert [one["role"] for one in chat["prompt"]] == ["system", "user"]
    assert chat["completion"] == [{"role": "assistant", "content": "A: 4"}]
    assert chat["verdicts"][0] | {"evidence": ""} == {
        "verifier": "math/1",
        "outcome": "pass",
        "reason": "",
        "evidence": "",
        "score": None,
    }
    card = (folders / "dataset/README.md").read_text()
    assert "6 accepted attempts at 3 tasks, from 2 rounds" in card and "made-up one: in 2 rows" in card


def test_data_set_leaves_out_rounds_that_the_model_never_saw(made: Path, tmp_path: Path) -> None:
    run = copied(made, tmp_path)
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(config.replace('regime: "accumulate"', 'regime: "replace"'))
    export(run, tmp_path / "out", dry_run=True)
    assert {row["round"] for row in rows_of(tmp_path / "out")} == {3}, "replace from the base trains on one round alone"


# ---- the weights ----


def test_full_fine_tune_keeps_data_type_chat_template_and_generation_config_of_its_base(
    made: Path, folders: Path
) -> None:
    trained, out = (
        load_file(made / "rounds/003/model/model.safetensors"),
        load_file(folders / "model/model.safetensors"),
    )
    assert {one.dtype for one in trained.values()} == {torch.float32}
    assert {one.dtype for one in out.values()} == {torch.bfloat16}
    assert all(torch.equal(out[name], weight.bfloat16()) for name, weight in trained.items())
    assert json.loads((folders / "model/generation_config.json").read_text()) == GENERATION
    base = made.parent.parent / "people/bob/base"
    for name in ("chat_template.jinja", "tokenizer.json", "LICENSE"):
        assert (folders / "model" / name).read_bytes() == (base / name).read_bytes()
    assert json.loads((folders / "model/config.json").read_text())["dtype"] == "bfloat16"


def test_data_type_can_be_chosen_and_a_strange_one_is_refused(made: Path, tmp_path: Path) -> None:
    export_command(made, "3", Wanted(tmp_path / "full", "float32"), Names(""))
    assert {one.dtype for one in load_file(tmp_path / "full/model.safetensors").values()} == {torch.float32}
    assert "# full\n" in (tmp_path / "full/README.md").read_text()
    with pytest.raises(ConfigError, match="--dtype is 'fp8', must be one of float32, bfloat16, float16"):
        export_command(made, "3", Wanted(tmp_path / "other", "fp8"), Names(""))


# ---- dry run and refusals ----


def copied(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "shop"))


def test_dry_run_lists_every_file_with_its_size_and_sends_nothing(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], server: FakeHub
) -> None:
    export(made, tmp_path / "out", dry_run=True)
    said = capsys.readouterr().out
    for file in (tmp_path / "out").rglob("*"):
        assert not file.is_file() or str(file) in said
    assert "as the model me/shop; private if it is new" in said and "as the data set me/shop-data" in said
    assert said.splitlines()[-1].startswith("nothing was uploaded") and server.asked == []
    export(made, tmp_path / "out", dry_run=True)  # the same command writes the same folder again


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A hub on loopback that huggingface_hub talks to, with the token of `me`."""
    with serving() as found:
        monkeypatch.setattr(constants, "ENDPOINT", found.url)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setenv("HF_TOKEN", found.token)
        yield found


def test_push_makes_two_private_repositories_with_exactly_what_the_folder_has(
    made: Path, tmp_path: Path, server: FakeHub, capsys: pytest.CaptureFixture[str]
) -> None:
    export(made, tmp_path / "out", push="lab/shop", data="lab/shop-data")
    server.repos["models/lab/shop"]["old.bin"] = b"of an earlier push"
    export(made, tmp_path / "out", push="lab/shop", data="lab/shop-data", public=True)
    for name, folder in (("models/lab/shop", "model"), ("datasets/lab/shop-data", "dataset")):
        files = {
            str(f.relative_to(tmp_path / "out" / folder)): f.read_bytes()
            for f in (tmp_path / "out" / folder).rglob("*")
            if f.is_file()
        }
        assert server.repos[name] == {".gitattributes": b"", **files}
        assert server.private[name] is True, "the visibility of a repository that exists stays"
    assert capsys.readouterr().out.splitlines()[-2:] == [
        f"{server.url}/datasets/lab/shop-data",
        f"{server.url}/lab/shop",
    ]


@pytest.mark.parametrize("module", ["selfplay.publish.hub", "selfplay.models.transformers.hub"])
def test_what_asks_the_hub_sends_nothing_but_the_question(module: str) -> None:
    code = f"import {module}; from huggingface_hub import constants; print(constants.HF_HUB_DISABLE_TELEMETRY)"
    env = {name: value for name, value in os.environ.items() if name != "HF_HUB_DISABLE_TELEMETRY"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True", (
        "otherwise it names packages, and asks for a list of coding agents to name ours"
    )


def test_public_is_asked_for_and_only_then(made: Path, tmp_path: Path, server: FakeHub) -> None:
    export(made, tmp_path / "out", public=True, data=None)
    assert server.private == {"models/me/shop": False}


def no_token(server: FakeHub, patch: pytest.MonkeyPatch) -> None:
    patch.delenv("HF_TOKEN")
    patch.setattr(hub, "get_token", lambda: None)


def offline(server: FakeHub, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(constants, "HF_HUB_OFFLINE", True)


def no_network(server: FakeHub, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")


def wrong_token(server: FakeHub, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("HF_TOKEN", "hf_wrong")


def of_another_kind(server: FakeHub, patch: pytest.MonkeyPatch) -> None:
    server.repos["datasets/me/shop"], server.private["datasets/me/shop"] = {}, True


def not_ours(server: FakeHub, patch: pytest.MonkeyPatch) -> None:
    server.repos["models/me/shop"], server.private["models/me/shop"] = {"pytorch_model.bin": b"1"}, True


def may_not_create(server: FakeHub, patch: pytest.MonkeyPatch) -> None:
    server.refuse["/repos/create"] = 403


def large_refused(server: FakeHub, patch: pytest.MonkeyPatch) -> None:
    server.refuse["/lfs-put/"] = 403


def breaks_down(server: FakeHub, patch: pytest.MonkeyPatch) -> None:
    server.refuse["/commit/"] = 500


@pytest.mark.parametrize(
    ("spoil", "kind", "said"),
    [
        (no_token, ConfigError, "there is no token of the Hugging Face hub; run `hf auth login`, or set HF_TOKEN"),
        (offline, ConfigError, "HF_HUB_OFFLINE is set, so nothing can be uploaded; unset it, or use --dry-run"),
        (no_network, OutageError, r"asking who you are: the hub cannot be reached .*check the network and HF_ENDPOINT"),
        (wrong_token, ConfigError, "asking who you are: the hub does not accept the token .*run `hf auth login`"),
        (of_another_kind, ConfigError, "me/shop: is a data set on the hub already, not a model; push to another name"),
        (not_ours, ConfigError, "me/shop: exists with 1 files that selfplay did not write .*push to another name"),
        (may_not_create, ConfigError, "uploading me/shop: the token may not do that .*write access to this namespace"),
        (large_refused, ConfigError, "uploading me/shop: the token may not do that"),
        (breaks_down, OutageError, "uploading me/shop: the hub answers 500 .*run the same command again later"),
    ],
)
def test_what_the_hub_or_the_network_refuses_is_a_sentence_with_the_remedy(
    made: Path,
    tmp_path: Path,
    server: FakeHub,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Any,
    kind: type[SelfplayError],
    said: str,
) -> None:
    spoil(server, monkeypatch)
    with pytest.raises(kind, match=said):
        export(made, tmp_path / "out", data=None)
    assert spoil in (may_not_create, large_refused, breaks_down) or not (tmp_path / "out").exists(), (
        "checked before any work"
    )


@pytest.mark.parametrize(
    ("push", "which", "said"),
    [
        ("shop", "3", "--push is 'shop', which is no name on the hub; give NAMESPACE/NAME"),
        ("me/a--b", "3", "--push is 'me/a--b', which is no name on the hub"),
        ("you/shop", "3", "the token belongs to me, who may write to me, lab; push to one of these"),
        (
            MODEL,
            "2",
            r"the gate refused round 2 \(collapse alarm level 2: .*\); publish another one, such as --round best",
        ),
        (MODEL, "0", "round 0 is the base model unchanged, so there is nothing to publish; give --round"),
        (MODEL, "1", r"the weights of round 1 were removed .*rounds with weights: \[0, 3\]"),
    ],
)
def test_what_should_not_be_pushed_is_refused_before_any_work(
    made: Path, tmp_path: Path, server: FakeHub, push: str, which: str, said: str
) -> None:
    with pytest.raises((ConfigError, DataError), match=said):
        export(made, tmp_path / "out", which, push=push, data=None)
    assert not (tmp_path / "out").exists() and not any("create" in path for path in server.asked)


def test_a_round_that_the_gate_refused_is_exported_with_a_card_that_says_so(made: Path, tmp_path: Path) -> None:
    run = copied(made, tmp_path)
    shutil.copytree(run / "rounds/003/model", run / "rounds/002/model")
    write_model(facts_of(RunFolder(run), 2, Names("out")), tmp_path / "out")
    said = (tmp_path / "out/README.md").read_text()
    assert (
        "> **The gate of the run refused this round.**" in said
        and "- **The gate refused this round**: collapse alarm" in said
    )


def test_a_run_without_a_finished_round_has_nothing_to_export(made: Path, tmp_path: Path) -> None:
    run = copied(made, tmp_path)
    shutil.rmtree(run / "rounds")
    with pytest.raises(DataError, match="has no committed round yet; run it first"):
        export(run, tmp_path / "out", dry_run=True)
