"""What training leaves on disk: checkpoints that count only once committed, the curve, the finished weights."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from selfplay.errors import StoreError
from selfplay.store.files import sha256_of, sync, write_whole

COMMITTED = "COMMITTED"
"""Marker of a whole checkpoint: JSON with `step`, `world_size` and the size of each file."""

MANIFEST = "manifest.json"
"""In the finished model's folder: sha256 of every other file."""


# ---- checkpoints ----


def commit_checkpoint(folder: Path, *, step: int, world_size: int) -> None:
    """Makes the checkpoint durable and gives it its marker. Rank 0, once all ranks have written."""
    files = {str(f.relative_to(folder)): f.stat().st_size for f in sorted(folder.rglob("*")) if f.is_file()}
    for name in files:
        sync(folder / name)
    write_whole(folder / COMMITTED, json.dumps({"step": step, "world_size": world_size, "files": files}))
    sync(folder.parent)


def good_checkpoint(folder: Path) -> tuple[Path, int] | None:
    """The newest whole checkpoint and its step, or None. A folder without a true marker does not count."""
    found = [(int(p.name.split("-")[1]), p) for p in folder.glob("checkpoint-*") if p.name.split("-")[1].isdigit()]
    for step, path in sorted(found, reverse=True):
        if _is_whole(path):
            return path, step
    return None


def _is_whole(path: Path) -> bool:
    try:
        marker = json.loads((path / COMMITTED).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False
    return all(
        (path / name).is_file() and (path / name).stat().st_size == size for name, size in marker["files"].items()
    )


def world_size_of(checkpoint: Path) -> int:
    """How many ranks wrote it."""
    return int(json.loads((checkpoint / COMMITTED).read_text(encoding="utf-8"))["world_size"])


def sweep(folder: Path) -> None:
    """Removes checkpoints that were cut short; the next one of that name starts from nothing."""
    for path in folder.glob("checkpoint-*"):
        if not _is_whole(path):
            shutil.rmtree(path)


# ---- the curve ----


def truncate_curve(file: Path, last_step: int) -> None:
    """Keeps the rows up to this cumulative step, so that each step stands once after a resume."""
    if not file.is_file():
        return
    kept = [row for row in read_curve(file) if row["train/step"] <= last_step]
    write_whole(file, "".join(json.dumps(row) + "\n" for row in kept))


def read_curve(file: Path) -> list[dict[str, Any]]:
    """All whole rows; a line that a crash has torn is left out."""
    rows = []
    for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else ():
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return rows


# ---- the finished model ----


def export(out: Path, save: Callable[[Path], None]) -> None:
    """`save` writes into a temporary folder, which becomes `out/model` as a whole, with a manifest of hashes."""
    whole, part = out / "model", out / "model.tmp"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    save(part)
    hashes = {str(f.relative_to(part)): sha256_of(f) for f in sorted(part.rglob("*")) if f.is_file()}
    for name in hashes:
        sync(part / name)
    write_whole(part / MANIFEST, json.dumps(hashes, indent=1) + "\n")
    shutil.rmtree(whole, ignore_errors=True)
    part.replace(whole)
    sync(out)


def is_exported(out: Path) -> bool:
    """Whether `out/model` is whole. Raises StoreError where a file of it is missing or has changed."""
    manifest = out / "model" / MANIFEST
    if not manifest.is_file():
        return False
    for name, wanted in json.loads(manifest.read_text(encoding="utf-8")).items():
        file = manifest.parent / name
        if not file.is_file() or sha256_of(file) != wanted:
            raise StoreError(
                f"{file}: missing, or not the file that training wrote; remove {out / 'model'} to train this round again"
            )
    return True
