"""The isolation of a zygote as plain data, worked out by the caller: an `IsolationPlan` for each tier.

Tier 3: namespaces, a private read-only root, Landlock where the kernel has it, seccomp, rlimits. Tier 2: Landlock,
seccomp, rlimits. Tier 1: seccomp that opens no file, rlimits. Tier 0: rlimits. Root also becomes another user.
"""

import ast
import ctypes
import functools
import marshal
import os
import platform
import stat
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfplay.sandbox import syscalls
from selfplay.sandbox.languages import LANGUAGES

FLAVOURS: dict[str, tuple[str, ...]] = {
    "bare": (),
    "slim": ("typing", "math", "re", "collections", "itertools", "functools", "operator"),
    "full": (
        *("typing", "math", "re", "collections", "itertools", "functools", "heapq", "bisect", "string", "operator"),
        *("random", "copy", "datetime", "json", "decimal", "fractions", "statistics", "hashlib", "threading", "abc"),
        *("enum", "dataclasses", "cmath", "array", "time", "io", "contextlib", "collections.abc", "warnings"),
    ),
    "numpy": (
        "numpy",
        "numpy.random",
        "random",
        "threading",
        "typing",
        "math",
        "re",
        "collections",
        "itertools",
        "functools",
    ),
}
FLAVOURS |= {"tests": FLAVOURS["full"], "tests_numpy": (*FLAVOURS["numpy"], "numpy.testing")}
"""Modules a zygote imports before it forks. `random` (and numpy's) is seeded anew for each program. `tests...`: for test code that a model wrote."""

# those that do not draw on `random` when they are imported late
_SAFE_IMPORTS = frozenset(
    ("sys", "cmath", "copy", "array", "time", "abc", "heapq", "bisect", "string", *FLAVOURS["slim"])
)
_NUMPY = ("numpy", "numpy.libs")
_PACKAGES = frozenset(("site-packages", "dist-packages"))
_LOOSE = 64
_READ_FILE, _READ_FOLDER = 4, 8
_RESERVED_UID = 1_879_048_192  # + the zygote's number: a user id of its own, so that limits and signals stay its own


@dataclass(frozen=True)
class IsolationPlan:
    """How a tier is reached on this machine. Only starting a zygote shows whether it works."""

    tier: int
    as_root: bool
    landlock: int
    """The kernel's Landlock ABI, 0: none or not used."""
    python: str
    path: tuple[str, ...]
    binds: tuple[str, ...]
    machine: str
    prelude: str = ""
    """Trusted source that a zygote runs once, after its imports and before the lockdown, so that it can still read files."""


def landlock_abi() -> int:
    """The Landlock version that the kernel reports; 0 where it has none."""
    nr = syscalls.numbers(platform.machine())
    if sys.platform != "linux" or not nr:
        return 0
    abi = int(ctypes.CDLL(None).syscall(nr["landlock_create_ruleset"], None, ctypes.c_ulong(0), 1))
    return max(abi, 0)


def plan_for(tier: int) -> IsolationPlan:
    """The plan for one tier. Only starting a zygote shows whether it works."""
    library = str(Path(os.__file__).parent)
    site = [entry for entry in sys.path if entry and Path(entry, "numpy", "__init__.py").is_file()][:1]
    path = (library, str(Path(library) / "lib-dynload"), *site)
    binds = [library, *_system_libraries(), *(str(Path(entry, name)) for entry in site for name in _NUMPY)]
    unique = [
        b for b in dict.fromkeys(binds) if not any(b != a and b.startswith(a + "/") for a in binds) or _packages(b)
    ]
    chosen = tuple(sorted(b for b in unique if Path(b).exists()))
    abi = landlock_abi() if tier >= 2 else 0
    python = getattr(sys, "_base_executable", None) or sys.executable
    return IsolationPlan(tier, os.geteuid() == 0, abi, python, path, chosen, platform.machine())


def _packages(path: str) -> bool:
    """Whether a path lies in a folder of installed packages, which are no part of Python's own library."""
    return not _PACKAGES.isdisjoint(Path(path).parts)


def _system_libraries() -> list[str]:
    """Folders and files that hold the C libraries which the interpreter and its extension modules load."""
    triplet = sysconfig.get_config_var("MULTIARCH") or ""
    found = ["/etc/ld.so.cache", "/usr/lib64", "/lib64"]
    folders = [Path(sys.base_prefix, "lib"), Path("/usr/local/lib"), Path("/usr/lib"), Path("/lib")]
    for folder in folders:
        if triplet and (folder / triplet).is_dir():
            found.append(str(folder / triplet))
        elif folder.is_dir():
            loose = [str(path) for path in folder.glob("*.so*")]
            # a system that keeps hundreds of them beside everything else: the folder is shown whole
            found += loose if len(loose) <= _LOOSE else [str(folder)]
    return found


def _readable(binds: tuple[str, ...], library: str, covered: bool) -> tuple[tuple[str, int], ...]:
    """What programs may read, as (path, Landlock's bits): the library's own modules, not the packages beside them.

    `covered`: mounts hide those already. Every rule is copied for every program, so there are no more than are needed.
    """
    found: list[tuple[str, int]] = []
    for path in binds:
        if path != library or covered:
            found.append((path, _READ_FILE | _READ_FOLDER))
            continue
        found.append((path, _READ_FOLDER))
        inside = sorted(entry for entry in Path(path).iterdir() if entry.name not in _PACKAGES)
        found += [(str(entry), _READ_FILE | _READ_FOLDER) for entry in inside]
    return tuple(found)


def _covers(binds: tuple[str, ...]) -> tuple[str, ...]:
    """Folders of installed packages below the binds: their content is not shown."""
    return tuple(str(Path(path, name)) for path in binds for name in _PACKAGES if Path(path, name).is_dir())


def _empty_folder() -> str:
    """A folder of the system that is empty and only root's, for programs to stand in at tier 2; none: empty text."""
    for name in ("/var/empty", "/srv", "/media", "/mnt", "/opt", "/usr/local/src", "/usr/local/games"):
        try:
            status, empty = Path(name).stat(), not any(Path(name).iterdir())
        except OSError:
            continue
        if empty and status.st_uid == 0 and not status.st_mode & 0o022:
            return name
    return ""


def _hidden(paths: tuple[str, ...]) -> bool:
    """Whether another user could not walk to one of the paths."""
    for path in paths:
        for folder in (Path(path), *Path(path).parents):
            if folder.is_dir() and not folder.stat().st_mode & stat.S_IXOTH:
                return True
    return False


def zygote_config(how: IsolationPlan, flavour: str, number: int) -> dict[str, Any]:
    """The first message to a zygote: marshal-able, everything it needs to lock itself in.

    `number` tells zygotes of one machine apart (the starting process's id): it makes root's stand-in user unique.
    """
    code = b""
    holes: list[tuple[int, int]] = []
    if how.tier:
        fenced = how.tier == 3 or how.landlock >= 6
        code, holes = syscalls.build(
            how.machine, paths=how.tier >= 2, signals=fenced, execs=flavour in LANGUAGES, writes=how.tier == 3
        )
    empty = _empty_folder() if how.tier == 2 else ""
    language = LANGUAGES.get(flavour)
    program = (language.program() if language else None) or ""
    more = tuple(p for p in (program, *language.binds) if Path(p).exists()) if language else ()
    binds = tuple(sorted({*how.binds, *(p for p in more if p)}))
    named = FLAVOURS.get("full" if how.tier == 1 and "numpy" not in flavour else flavour, ())
    return {
        "tier": how.tier,
        "as_root": how.as_root,
        "uid": _RESERVED_UID + number if how.as_root and how.tier else 0,
        "search": how.as_root and how.tier == 2 and _hidden(how.path),
        "nproc": _process_base(how),
        "binds": binds if how.tier == 3 else (),
        "covers": _covers(binds) if how.tier == 3 else (),
        "empty": empty,
        "read": (*_readable(binds, how.path[0], how.tier == 3), *(((empty, _READ_FOLDER),) if empty else ())),
        "program": program,
        "landlock": how.landlock if how.tier >= 2 else 0,
        "nr": syscalls.numbers(how.machine) if sys.platform == "linux" else {},
        "filter": code,
        "holes": holes,
        "path": list(how.path),
        "preload": list(named),
        "prelude": marshal.dumps(compile(how.prelude, "<prelude>", "exec", dont_inherit=True)) if how.prelude else b"",
        "lockdown": compiled("lockdown.py"),
        "fork_layout": compiled("fork_layout.py"),
        "libc": compiled("libc.py"),
        "runner": compiled("runner.py"),
        "serving": compiled("serving.py"),
        "zygote_main": compiled("zygote_main.py"),
    }


@functools.cache
def compiled(name: str) -> bytes:
    """A file of this folder that runs inside a zygote, compiled here, so that the zygote never holds its source or syntax tree."""
    return compiled_text(Path(__file__).with_name(name).read_text(encoding="utf-8"), name)


def compiled_text(source: str, name: str) -> bytes:
    """The same of a text; `name` is what tracebacks call it."""
    tree = _Bare().visit(ast.parse(source))
    return marshal.dumps(compile(tree, f"<{name}>", "exec", dont_inherit=True, optimize=2))


class _Bare(ast.NodeTransformer):
    """Removes annotations and what only a type checker reads, since every kilobyte in a zygote adds to the cost of every fork."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        if node.value is None:
            return None
        return ast.copy_location(ast.Assign(targets=[node.target], value=node.value), node)

    def visit_If(self, node: ast.If) -> ast.AST | None:
        name = node.test.id if isinstance(node.test, ast.Name) else ""
        return None if name == "TYPE_CHECKING" else self.generic_visit(node)


def _process_base(how: IsolationPlan) -> int:
    """Processes that count against a program's limit beside its threads; 0: the limit cannot be used here."""
    if how.as_root and how.tier:
        return 2  # the zygote and the program, under a user of their own
    return 3 if how.tier == 3 else 0  # and the stub outside the process namespace


def flavour_of(code: str) -> str:
    """The flavour of zygote that a program is forked from, by the modules that its text names. Any choice is correct; this one is fast."""
    if "import" not in code:
        return "bare"
    if "numpy" in code:
        return "numpy"
    for line in code.split("\n"):
        words = line.replace(",", " ").split()
        if len(words) > 1 and words[0] == "from":
            words = words[:2]
        elif words[:1] != ["import"]:
            if (
                ("import" in line and "__import__" in line)
                or "importlib" in line
                or "; import" in line
                or ": import" in line
            ):
                return "full"
            continue
        skip = False
        for word in words[1:]:
            if skip or word in ("as", "#"):
                skip = word == "as"
                continue
            if word.split(".")[0] not in _SAFE_IMPORTS:
                return "full"
    return "slim"
