"""A key of version 0.1 is answered with its present name, and works under no other."""

from pathlib import Path

import pytest

from selfplay.config import load_config
from selfplay.config.faults import RENAMED, new_name
from selfplay.errors import ConfigError
from tests.support import ROOT
from tests.support.runs import CONFIG

INSIDE = {"backend": "judge.", "curriculum": "propose.", "synthesize": "propose."}
"""First part of an old key -> what stood before it in a run's configuration."""
RUN = [old for old in RENAMED if old not in ("makers", "seeds")]  # these two: of `selfplay synthesize`


def path_of(key: str) -> str:
    """The whole path of an old key."""
    return INSIDE.get(key.partition(".")[0], "") + key


@pytest.mark.parametrize("old", RUN)
def test_old_key_is_answered_with_the_new_one(tmp_path: Path, old: str) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG)
    key = path_of(old)
    kind = ["judge.backend={kind: http, url: 'http://127.0.0.1:1/v1', model: m}"] if old.startswith("backend.") else []
    with pytest.raises(ConfigError) as refused:
        load_config(tmp_path / "c.yaml", [*kind, f"{key}=1"])
    wanted = f"{key} is 1, which is named {new_name(key)} since 0.2; rename it"
    assert any(line.endswith(wanted) for line in str(refused.value).splitlines()), refused.value


def test_key_that_never_changed_has_no_new_name() -> None:
    assert new_name("train.steps") is None and new_name("rounds") is None


def test_every_renamed_key_is_in_the_list_of_changes() -> None:
    page = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert [old for old, new in RENAMED.items() if f"| `{old}` | `{new}` |" not in page] == []
