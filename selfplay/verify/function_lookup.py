"""Looks for the functions of `python:package.module:function` checks in their source files, without importing them.

What only an import can decide is left to it: an extension module, `from x import *`, a module `__getattr__`, a decorated function.
"""

import ast
import importlib.util
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from selfplay.config.near_words import nearest


def lookup_fault(kind: str, folder: Path | None) -> str:
    """Why the function of a check's type cannot be found or called, with the remedy; "" if nothing is wrong, as far as one can see.

    `folder`: where modules are looked for before installed packages, the configuration's; None: only installed ones.
    """
    _, module, name = kind.split(":", 2)
    spec = _spec(module, folder)
    if spec is None:
        near = nearest(module, _modules(folder))
        advice = f"did you mean {near}?" if near else f"put {module.replace('.', '/')}.py there, or install it"
        return f"there is no module {module} in {folder or 'the installed packages'}, nor is one installed; {advice}"
    if spec.origin is None or not spec.origin.endswith(".py"):
        return ""
    try:
        tree = ast.parse(Path(spec.origin).read_bytes())
    except (OSError, ValueError) as error:
        return f"{spec.origin} cannot be read ({error}); correct the file"
    except SyntaxError as error:
        return f"{Path(spec.origin).name}, line {error.lineno}, does not parse ({error.msg}); correct the line"
    return _fault_in(tree, name, Path(spec.origin).name)


def place_of(kind: str, folder: Path | None) -> str:
    """The type of a check with the place of its function, as `python:checks:grade (checks.py, line 4)`; the bare type where it cannot be seen."""
    _, module, name = kind.split(":", 2)
    spec = _spec(module, folder)
    try:
        body = ast.parse(Path(str(spec.origin)).read_bytes()).body if spec is not None else []
    except (OSError, ValueError, SyntaxError):
        return kind
    lines = [node.lineno for one, node in _bound(body) if one == name]
    return f"{kind} ({Path(str(spec.origin)).name}, line {lines[-1]})" if spec is not None and lines else kind


def _fault_in(tree: ast.Module, name: str, file: str) -> str:
    bound = list(_bound(tree.body))
    names = {one for one, _ in bound}
    if name not in names:
        if names & {"*", "__getattr__"}:
            return ""
        near = nearest(name, names)
        known = ", ".join(sorted(one for one, node in bound if isinstance(node, ast.FunctionDef))) or "none"
        return f"{file} has no function {name}; {f'did you mean {near}?' if near else f'it has {known}'}"
    node = [node for one, node in bound if one == name][-1]
    if not isinstance(node, ast.FunctionDef) or node.decorator_list:
        return ""
    given = node.args
    most, fewest = len(given.posonlyargs + given.args), len(given.posonlyargs + given.args) - len(given.defaults)
    named = any(default is None for default in given.kw_defaults)
    if (most < 2 and given.vararg is None) or fewest > 2 or named:
        return f"{file}, line {node.lineno}: {name} is called with two arguments, (task, text), and takes others; correct it"
    return ""


def _bound(body: list[ast.stmt]) -> Iterator[tuple[str, ast.stmt]]:
    """The names that statements bind at the top level of a module, those inside `if`, `try` and `with` included."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from (((alias.asname or alias.name).partition(".")[0], node) for alias in node.names)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            inside = (part for target in targets for part in ast.walk(target))
            yield from ((part.id, node) for part in inside if isinstance(part, ast.Name))
        else:
            for block in ("body", "orelse", "finalbody"):
                yield from _bound(getattr(node, block, []))
            for handler in getattr(node, "handlers", []):
                yield from _bound(handler.body)


def _spec(module: str, folder: Path | None) -> ModuleSpec | None:
    """Where a module is, the folder first as in the process that imports it; no package is imported to look into it."""
    top, *inner = module.split(".")
    spec = PathFinder.find_spec(top, [str(folder)]) if folder else None
    if spec is None or spec.origin is None:
        if module in sys.modules:  # such as os.path, of a module that is no package
            return sys.modules[module].__spec__
        try:
            spec = importlib.util.find_spec(top)
        except ValueError:  # a module such as __main__, which has no place
            return None
    for place, _ in enumerate(inner, start=2):
        if spec is None or spec.submodule_search_locations is None:
            return None
        spec = PathFinder.find_spec(".".join(module.split(".")[:place]), list(spec.submodule_search_locations))
    return spec


def _modules(folder: Path | None) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.py")) if folder else []
