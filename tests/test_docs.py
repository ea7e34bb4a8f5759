"""The pages: every link leads somewhere, and what is made by a script is what the script makes."""

import ast
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from tests.support import ROOT

PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]


def script(name: str) -> ModuleType:
    """A file of scripts/ as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def prose(page: Path) -> str:
    """A page without its blocks and spans of code."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.S | re.M)
    return re.sub(r"`[^`\n]*`", "code", text)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.S | re.M)
    titles = re.findall(r"^#+ (.+)$", text, flags=re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading_that_are_there(page: Path) -> None:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"\w+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("name", ["configuration_page", "metrics_page"])
def test_page_is_what_its_script_makes_of_the_code(name: str) -> None:
    made = script(name)
    assert made.page() == made.PAGE.read_text(encoding="utf-8"), f"run `python scripts/{name}.py`"


def said(node: ast.AST) -> str:
    """A text in the source as a user meets it, each value as an ellipsis; "" for any other expression."""
    if isinstance(node, ast.Constant):
        return re.sub(r"%(\.\d)?[sdf]", "…", node.value) if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(said(part) or "…" for part in node.values)
    return ""


def test_messages_that_troubleshooting_explains_are_in_the_package() -> None:
    texts = {
        said(node)
        for path in (ROOT / "selfplay").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    }
    quoted = re.findall(
        r"^\*\*`([^`]+)`\*\*$", (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8"), re.M
    )
    assert len(quoted) > 25
    assert [message for message in quoted if not any(message in text for text in texts)] == []
