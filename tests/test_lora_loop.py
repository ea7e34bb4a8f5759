"""A pretrained student with LoRA through the whole loop: adapters stay adapters, start from the base, export merged."""

import json
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from selfplay import fork, load_config, open_run, run
from selfplay.cli.export import Wanted, export_command
from selfplay.publish import Names
from tests.support.tiny_models import make_tiny

CONFIG = """\
name: lora
rounds: 1
tasks: {{source: arithmetic, anchor: 12, held_out: 4}}
student: {{kind: pretrained, model: {base}, template: plain}}
propose: {{tasks_per_round: 6}}
generate: {{samples_per_task: 2, max_new_tokens: 8}}
train: {{min_accepted: 0, steps: 3, batch_size: 4, learning_rate: 0.01, lora: {{rank: 4}}}}
eval: {{samples: 2, sample_tasks: 2}}
tracking: {{mode: disabled}}
launch: {{threads: 1}}
"""


def test_round_0_keeps_the_base_and_round_1_is_an_adapter_that_exports_merged(tmp_path: Path) -> None:
    base = make_tiny(tmp_path / "base")
    (tmp_path / "c.yaml").write_text(CONFIG.format(base=base))
    finished = run(load_config(tmp_path / "c.yaml", [f"runs_dir={tmp_path}/runs"]))
    folder = open_run(finished.path).folder
    assert json.loads((folder.model(0) / "base.json").read_text())["base"] == str(base)
    assert (folder.model(1) / "adapter_config.json").is_file() and not (folder.model(1) / "model.safetensors").exists()
    targets = json.loads((folder.model(1) / "adapter_config.json").read_text())["target_modules"]
    assert targets == sorted(targets), "in hash order, two identical runs would have other weights"
    assert not list(finished.path.glob("rounds/*/**/README.md")), "PEFT writes a card that says nothing"
    rows = [json.loads(line) for line in (finished.path / "metrics.jsonl").read_text().splitlines()]
    assert rows[1]["train/steps"] == 3 and rows[0]["train/steps"] == 0

    export_command(finished.path, "1", Wanted(tmp_path / "merged"), Names(""))
    card = (tmp_path / "merged/README.md").read_text()
    assert "a LoRA adapter of rank 4, merged into the base here" in card and "More Information Needed" not in card
    merged, plain = (AutoModelForCausalLM.from_pretrained(path) for path in (tmp_path / "merged", base))
    changed = [name for name, weight in merged.named_parameters() if not torch.equal(weight, plain.get_parameter(name))]
    assert changed and all("proj" in name for name in changed), "LoRA touches linear layers alone"


def test_fork_goes_on_from_an_earlier_round_under_another_config(tmp_path: Path) -> None:
    base = make_tiny(tmp_path / "base")
    (tmp_path / "c.yaml").write_text(CONFIG.format(base=base))
    given = [f"runs_dir={tmp_path}/runs"]
    first = run(load_config(tmp_path / "c.yaml", given))
    fork(first.path, 0, "branch")
    again = run(load_config(tmp_path / "c.yaml", [*given, "name=branch", "generate.temperature=0.5"]))
    assert [commit.round for commit in again.commits] == [0, 1]
    assert again.commits[0].metrics == first.commits[0].metrics
