"""What a round made, as artifacts: its model, its data set, its traces, and which of them each was made from."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow.parquet as pq

Artifacts = Literal["off", "references", "data", "all"]
UPLOAD_BYTES = 64 * 2**20
"""Largest file of data that `data` and `all` upload; a larger one stays a reference."""
FILES = {"traces": ("traces.parquet",), "dataset": ("train.parquet", "pairs.parquet"), "model": ("model",)}
"""Files or folders of a round by the type of their artifact, in the order in which a round makes them."""


@dataclass(frozen=True)
class Product:
    """One artifact of a round."""

    name: str
    kind: str
    """Type at W&B: model, dataset or traces."""
    round: int
    paths: tuple[Path, ...]
    """Files and folders that still exist; weights may have been removed since."""
    metadata: Mapping[str, Any]
    """Round, sha256 of each part, `parents` (artifacts it was made from, as name:alias), and `weights` of a model."""


def read_commit(folder: Path, number: int) -> dict[str, Any]:
    """The COMMIT of a round, empty if there is none."""
    place = folder / "rounds" / f"{number:03d}" / "COMMIT"
    return dict(json.loads(place.read_text(encoding="utf-8"))) if place.is_file() else {}


def alias(number: int) -> str:
    """The alias of a round's artifacts."""
    return f"round-{number:03d}"


def products(folder: Path, run_id: str, number: int) -> list[Product]:
    """The artifacts of a committed round; none without a COMMIT. What the round did not make has none."""
    commit = read_commit(folder, number)
    made = {kind: [p for p in parts if p in commit.get("outputs", {})] for kind, parts in FILES.items()}
    parent = commit.get("parent")
    name = f"{re.sub(r'[^a-zA-Z0-9_.-]', '-', folder.name)}-{run_id}"
    older = [] if parent is None else [f"{name}-model:{alias(parent)}"]
    if parent is not None and "model" not in read_commit(folder, parent).get("outputs", {}):
        older = []
    own = {kind: [f"{name}-{kind}:{alias(number)}"] if parts else [] for kind, parts in made.items()}
    parents = {"traces": older, "dataset": own["traces"], "model": [*own["dataset"], *older]}
    place = folder / "rounds" / f"{number:03d}"
    found = []
    for kind, parts in made.items():
        if not parts:
            continue
        told: dict[str, Any] = {"round": number, "sha256": {p: commit["outputs"][p] for p in parts}}
        told["parents"] = parents[kind]
        if kind == "model":
            told["weights"] = "adapter" if (place / "model" / "adapter_config.json").is_file() else "full"
        kept = tuple(place / part for part in parts if (place / part).exists())
        found.append(Product(f"{name}-{kind}", kind, number, kept, told))
    return found


def fill(artifact: Any, product: Product, wanted: Artifacts, filtered: Callable[[Any], Any]) -> None:
    """Puts the parts of a product into a W&B artifact: product.json (its metadata), and each part as a file or a reference.

    `references` refers to all parts; `data` uploads data files up to UPLOAD_BYTES as JSON Lines, each text through `filtered`;
    `all` uploads weights too. A reference is the file's address on this machine; its contents are not read.
    """
    with artifact.new_file("product.json") as file:
        json.dump(filtered(dict(product.metadata)), file, indent=1)
    for path in product.paths:
        if product.kind == "model" and wanted == "all":
            artifact.add_dir(str(path), name=path.name)
        elif product.kind != "model" and wanted != "references" and path.stat().st_size <= UPLOAD_BYTES:
            with artifact.new_file(f"{path.stem}.jsonl", encoding="utf-8") as file:
                file.writelines(f"{json.dumps(filtered(row), ensure_ascii=False)}\n" for row in _rows(path))
        else:
            artifact.add_reference(path.resolve().as_uri(), name=path.name, checksum=False)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=1024):
            yield from batch.to_pylist()


def best_of(commit: Mapping[str, Any], key: str) -> int | None:
    """The best round as a round's gate named it; None if it named none."""
    found = commit.get("metrics", {}).get(key)
    return int(found) if isinstance(found, int | float) else None


def aliases_of(folder: Path, number: int, key: str) -> Sequence[tuple[int, list[str]]]:
    """Which rounds' artifacts are logged once a round is committed, in order, with their aliases.

    The round's own have `latest`, and `best` if `key` (the metric that names the best round) is this round. Where the best has
    become an earlier round, that one's are logged again with `best`: the same contents are the same version. They come first,
    because wandb adds `latest` to whatever is logged.
    """
    commit = read_commit(folder, number)
    best, before = best_of(commit, key), best_of(read_commit(folder, number - 1), key) if number else None
    own = ["latest", alias(number), *(["best"] if best == number else [])]
    moved = [] if best is None or best in (number, before) else [(best, ["best", alias(best)])]
    return [*moved, (number, own)]
