"""Configuration: every fault at once with its place, the YAML 1.1 traps, overrides, science against operation."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from selfplay.config import Config, load_config
from selfplay.config.load import load_tree, resolved_text, science_of
from selfplay.config.synthesis import DatasetSynthesis
from selfplay.errors import ConfigError
from tests.support import ROOT

SOUND = """\
rounds: 2
tasks: {source: arithmetic}
student: {kind: scripted}
propose: {tasks_per_round: 10}
train: {epochs: 1, start: continue}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "c.yaml"
    path.write_text(text)
    return path


def faults(folder: Path, text: str, *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config(write(folder, text), list(overrides))
    return str(caught.value).split("\n")


def test_all_faults_are_told_at_once_with_line_and_column(tmp_path: Path) -> None:
    text = SOUND.replace("rounds: 2", "rounds: two\nseed: -1") + "gate:\n  acton: stop\n"
    found = faults(tmp_path, text)
    assert len(found) == 3
    assert found[0].startswith(f"{tmp_path}/c.yaml:1:9: rounds is 'two'") or ":1:1: rounds is 'two'" in found[0]
    assert ":2:1: seed is -1, must be >= 0" in found[1]
    assert ":8:3: gate.acton is 'stop', but there is no such key; did you mean 'action'?" in found[2]


def test_unknown_key_of_a_section_chosen_by_kind_is_told_by_the_users_own_path(tmp_path: Path) -> None:
    found = faults(tmp_path, SOUND.replace("{kind: scripted}", "{kind: scripted, skil: 0.2}"))
    assert "student.skil is 0.2, but there is no such key; did you mean 'skill'?" in found[0]


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("generate.temp=1", "'temperature'"),  # a beginning
        ("generate.temperture=1", "'temperature'"),  # a misspelling
        ("train.lr=1", "'learning_rate'"),  # initials
        ("train.bs=4", "'batch_size'"),
        ("train.num_train_epochs=2", "'epochs'"),  # another library's name, with the same part
        ("generate.max_tokens=3", "'max_new_tokens'"),
        ("generate.learning_rate=1", "'train.learning_rate' or 'train.warmup.learning_rate'"),  # another section's key
        ("batch_size=3", "'train.batch_size'"),
        ("lr=3", "'train.learning_rate' or 'train.warmup.learning_rate'"),
        ("eval.temperature=1", "'generate.temperature' or 'judge.temperature' or 'correct.temperature'"),
        ("seeds=3", "'seed'"),
        ("gen.temp=1", "'generate'"),
    ],
)
def test_key_that_was_meant_is_suggested_in_its_section_and_in_all_others(
    tmp_path: Path, given: str, meant: str
) -> None:
    (found,) = faults(tmp_path, SOUND, given)
    assert found.endswith(f"but there is no such key; did you mean {meant}?")


def test_key_that_is_like_no_other_gets_the_list_of_those_there_are(tmp_path: Path) -> None:
    (found,) = faults(tmp_path, SOUND, "gate.enabled=true")
    assert found.endswith("known keys here: action, kl_budget, plateau_rounds, roll_back")


def test_wrong_kind_names_the_kinds_there_are(tmp_path: Path) -> None:
    found = faults(tmp_path, SOUND.replace("kind: scripted", "kind: tinny"))
    assert "student.kind is tinny, which is not a known value; use one of: 'tiny', 'pretrained', 'scripted'" in found[0]


def test_missing_section_is_named(tmp_path: Path) -> None:
    assert "train is missing; add it" in faults(tmp_path, SOUND.replace("train: {epochs: 1, start: continue}\n", ""))[0]


def test_exponent_without_a_dot_is_a_number(tmp_path: Path) -> None:
    loaded = load_config(write(tmp_path, SOUND.replace("epochs: 1,", "epochs: 1, learning_rate: 1e-5,")))
    assert loaded.config.train.learning_rate == 1e-5


def test_word_that_old_yaml_reads_as_a_boolean_is_refused_with_both_remedies(tmp_path: Path) -> None:
    found = faults(tmp_path, SOUND + "phase_subprocess: no\n")
    assert (
        'phase_subprocess is no, which YAML 1.1 reads as a boolean; write true or false, or "no" in quotes for the text'
        in found[0]
    )


def test_quoted_no_stays_a_word(tmp_path: Path) -> None:
    found = faults(tmp_path, SOUND + 'phase_subprocess: "maybe"\n')
    assert "phase_subprocess is 'maybe'" in found[0] and "write true or false" in found[0]


def test_duplicate_key_is_refused(tmp_path: Path) -> None:
    assert ":6:1: rounds is given twice in one block" in faults(tmp_path, SOUND + "rounds: 3\n")[0]


def test_missing_empty_and_broken_files_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no such configuration file; give the path"):
        load_config(tmp_path / "absent.yaml")
    assert "is empty" in faults(tmp_path, "")[0]
    assert "is not valid YAML" in faults(tmp_path, "a: [1\n")[0]
    assert "is not a mapping" in faults(tmp_path, "- a\n")[0]
    (tmp_path / "c.yaml").write_bytes(b"a: \xff\xfe")
    with pytest.raises(ConfigError, match="UTF-8"):
        load_config(tmp_path / "c.yaml")


def test_override_wins_and_its_fault_is_told_as_the_command_lines(tmp_path: Path) -> None:
    loaded = load_config(write(tmp_path, SOUND), ["rounds=7", "train.learning_rate=3e-4", "curate.regime=replace"])
    assert (loaded.config.rounds, loaded.config.train.learning_rate) == (7, 3e-4)
    assert loaded.origins[("rounds",)] == "command line"
    assert faults(tmp_path, SOUND, "rounds=x")[0].startswith("command line: rounds is 'x'")
    with pytest.raises(ConfigError, match=r"is not an override; write key\.path=value"):
        load_config(write(tmp_path, SOUND), ["rounds"])


def test_unset_variable_is_a_fault_and_a_set_one_is_read(tmp_path: Path) -> None:
    text = SOUND.replace("{source: arithmetic}", "{source: jsonl, train: '${SELFPLAY_TEST_ROWS}/a.jsonl'}").replace(
        "scripted", "tiny"
    )
    text = text.replace("start: continue", "start: continue, warmup: {}")
    assert "names the environment variable SELFPLAY_TEST_ROWS, which is not set" in faults(tmp_path, text)[0]
    os.environ["SELFPLAY_TEST_ROWS"] = "rows"
    try:
        assert load_config(tmp_path / "c.yaml").config.tasks.train == "rows/a.jsonl"
    finally:
        del os.environ["SELFPLAY_TEST_ROWS"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("curate: {max_rows: 5}", "rows goes with accumulate_subsample"),
        ("curate: {regime: accumulate_subsample}", "needs max_rows"),
        ("curate: {regime: replace, newest_share: 0.5}", "newest_share is 0.5, but regime replace"),
        ("train: {start: continue}", "give exactly one of them"),
        ("propose: {}", "arithmetic generates tasks without end; set it to a number"),
    ],
)
def test_setting_without_effect_is_an_error(tmp_path: Path, change: str, message: str) -> None:
    key = change.partition(":")[0]
    lines = [line for line in SOUND.splitlines() if not line.startswith(f"{key}:")]
    assert any(message in fault for fault in faults(tmp_path, "\n".join([*lines, change]) + "\n"))


def test_operation_keys_are_no_science(tmp_path: Path) -> None:
    path = write(tmp_path, SOUND)
    before = science_of(load_config(path).config)
    free = [
        "rounds=9",
        "name=other",
        "phase_subprocess=true",
        "verify.sandbox.workers=3",
        "tracking.mode=disabled",
        "keep.last=5",
    ]
    assert science_of(load_config(path, free).config) == before
    assert science_of(load_config(path, ["generate.temperature=0.7"]).config) != before
    assert "generate.temperature" in before and "rounds" not in before


def test_resolved_text_says_where_values_came_from_and_loads_to_the_same_tree(tmp_path: Path) -> None:
    loaded = load_config(write(tmp_path, SOUND), ["seed=5"])
    text = resolved_text(loaded)
    assert "seed: 5  # command line" in text and "rounds: 2  # " in text and "c.yaml:1" in text
    again = write(tmp_path, text)
    assert load_config(again).config == loaded.config


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    st.dictionaries(
        st.text(max_size=8),
        st.recursive(st.none() | st.integers() | st.text(max_size=9), st.lists, max_leaves=4),
        max_size=4,
    )
)
def test_any_yaml_gives_a_config_or_a_config_error(
    tmp_path_factory: pytest.TempPathFactory, data: dict[str, object]
) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "c.yaml"
    path.write_text(SOUND + yaml.safe_dump({"extra": data}), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert "extra" in str(caught.value)


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_config_is_sound_has_a_header_and_repeats_no_default(path: Path) -> None:
    dataset = "\nmethods:" in path.read_text()  # for `selfplay synthesize`, a tree of its own
    unset = os.environ.setdefault("SELFPLAY_DATA", "no-data-needed-here") == "no-data-needed-here"
    try:
        config, marks = load_tree(path, [], DatasetSynthesis if dataset else Config)
    finally:
        if unset:  # other tests look for the data themselves
            del os.environ["SELFPLAY_DATA"]
    assert path.read_text().startswith("# "), "a header says hardware, minutes, expectation"
    for place in marks:
        assert not place or not _is_default(config, place), f"{path.name}: {'.'.join(place)} repeats its default"


def _is_default(section: object, place: tuple[str, ...]) -> bool:
    for part in place[:-1]:
        section = getattr(section, part, None)
    fields = getattr(type(section), "model_fields", {})
    field = fields.get(place[-1])
    if field is None or field.is_required() or place[-1] in ("kind", "source", "method", "name", "rounds"):
        return False
    return bool(getattr(section, place[-1]) == field.get_default(call_default_factory=True))


def test_validate_tells_all_faults_quickly_and_without_torch(tmp_path: Path) -> None:
    path = write(tmp_path, SOUND.replace("epochs: 1,", "epochs: 1, args: {max_grad_nrm: 1.0, seed: 3},"))
    code = (
        "import sys; sys.argv = ['selfplay', 'validate', sys.argv[1]]\n"
        "from selfplay.cli import main\n"
        "try: main()\n"
        "finally: print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert (
        "train.args.max_grad_nrm is 1.0, but TRL's SFTConfig has no such argument; did you mean 'max_grad_norm'?"
        in done.stderr
    )
    assert "train.args.seed is 3, but selfplay sets this argument; use seed" in done.stderr
    assert done.stdout.strip() == "False"
