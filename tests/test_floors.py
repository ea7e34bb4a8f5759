"""The house rules of the package's shape: imports go down the floors, no cycle, no torch until it is needed."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache

import selfplay
from tests.support import ROOT

FLOORS = {
    "records errors seeds config jsonlines cores": 0,
    "textstats": 0.5,  # floor 1 as well; curate and collapse use it
    "prompts answers curate collapse": 1,
    "store tasks models sandbox tracking report": 2,
    "verify": 3,
    "runtime": 4,
    "training synthesis": 5,
    "phases": 6,
    "loop view plan publish": 7,
    "cli": 8,
    "__init__ __main__": 9,
}
FLOOR_OF = {unit: floor for units, floor in FLOORS.items() for unit in units.split()}
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "selfplay").rglob("*.py"))
    if "starts" not in path.parts  # data: files that `selfplay init` copies
}


def unit_of(module: str) -> str:
    return [*module.split("."), "__init__"][1]


@cache
def parsed(module: str) -> ast.Module:
    return ast.parse(FILES[module].read_text(encoding="utf-8"))


def imports_of(module: str, *, late: bool) -> Iterator[tuple[str, int]]:
    """(module of ours, line) of each import: at the top of the file, or with `late` also inside functions and for types."""
    tree = parsed(module)
    for node in ast.walk(tree) if late else tree.body:
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno}: a relative import; write it out"
            names = [
                f"{node.module}.{a.name}" if f"{node.module}.{a.name}" in FILES else str(node.module)
                for a in node.names
            ]
        yield from ((name, node.lineno) for name in names if name in FILES)


def test_every_module_stands_on_a_floor() -> None:
    assert {unit_of(module) for module in FILES} <= set(FLOOR_OF)


def test_imports_go_down_late_ones_too_and_units_of_one_floor_stay_apart() -> None:
    wrong = []
    for module in FILES:
        unit = unit_of(module)
        for target, line in imports_of(module, late=True):
            other = unit_of(target)
            face = target == "selfplay"  # `from selfplay import __version__` is free for all
            words = {FLOOR_OF[unit], FLOOR_OF[other]} == {0}  # the units of the lowest floor may import each other
            if other != unit and not face and not words and FLOOR_OF[other] >= FLOOR_OF[unit]:
                wrong.append(f"{FILES[module]}:{line} imports {target}")
    assert wrong == []


def test_phases_never_import_what_stands_around_the_loop() -> None:
    around = ("selfplay.tracking", "selfplay.report", "selfplay.cli")
    found = [
        (m, t) for m in FILES if unit_of(m) == "phases" for t, _ in imports_of(m, late=True) if t.startswith(around)
    ]
    assert found == []


def test_phases_never_import_each_other() -> None:
    phases = {"propose", "generate", "verify", "correct", "audit", "curate", "train", "evaluate", "synthesize"}

    def phase(module: str) -> str:
        parts = module.split(".")
        return parts[2] if parts[1:2] == ["phases"] and parts[2:] and parts[2] in phases else ""

    found = [(m, t) for m in FILES if phase(m) for t, _ in imports_of(m, late=True) if phase(t) not in ("", phase(m))]
    assert found == []


def test_no_import_cycle() -> None:
    edges = {module: {target for target, _ in imports_of(module, late=False)} - {module} for module in FILES}
    while leaves := [module for module, targets in edges.items() if not targets & edges.keys()]:
        for module in leaves:
            del edges[module]
    assert not edges, f"cycle among {sorted(edges)}"


def loaded_by(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_importing_the_loop_loads_no_torch_no_wandb_and_no_sandbox() -> None:
    heavy = {"torch", "transformers", "trl", "wandb", "datasets", "accelerate", "selfplay.sandbox", "matplotlib"}
    assert loaded_by("import selfplay.loop") & heavy == set()


def test_public_names_are_all_there_and_listed() -> None:
    assert set(selfplay.__all__) == {"__version__", *selfplay._HOMES}
    for name in selfplay.__all__:
        assert getattr(selfplay, name) is not None
    assert callable(selfplay.run) and callable(selfplay.fork)


def test_all_lists_name_what_is_there() -> None:
    """`from package import *` of every package that has an `__all__` works."""
    found: dict[str, object] = {}
    for module, path in FILES.items():
        if path.name == "__init__.py" and module != "selfplay" and "\n__all__" in path.read_text(encoding="utf-8"):
            exec(f"from {module} import *", found)
    assert {"Executor", "verify", "admit", "Commit", "load_config", "extract_answer"} <= set(found)
