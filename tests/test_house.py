"""The house rules of the tests themselves."""

import ast
from pathlib import Path

import pytest

from tests.support import ROOT

TESTS = sorted((ROOT / "tests").rglob("test_*.py"))
NAMES = {path.stem for path in TESTS}


def imported_by(path: Path) -> set[str]:
    """The last part of every module that a file imports, late imports too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.rpartition(".")[2] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {str(node.module).rpartition(".")[2], *(alias.name for alias in node.names)}
    return found


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_no_test_module_imports_another(path: Path) -> None:
    shared = imported_by(path) & NAMES
    assert not shared, f"{path} imports {sorted(shared)}; move what both need to tests/support"
