"""Keys that had another name in version 0.1, for the message about an unknown key. The old names have no effect."""

from collections.abc import Mapping
from typing import Final

RENAMED: Final[Mapping[str, str]] = {
    "audit.least": "audit.min_rechecked",
    "audit.most": "audit.max_rechecked",
    "backend.wait_seconds": "backend.initial_backoff_seconds",
    "curate.beyond_share": "curate.above_level_share",
    "curate.cap": "curate.max_per_task",
    "curate.drop_share": "curate.drop_bottom_share",
    "curate.rows": "curate.max_rows",
    "curriculum.edges": "curriculum.levels",
    "generate.samples": "generate.samples_per_task",
    "isolate": "phase_subprocess",
    "makers": "methods",
    "propose.make": "propose.synthesize",
    "seeds": "seed_tasks",
    "synthesize.makers": "synthesize.methods",
    "tasks.panel": "tasks.dev",
    "train.batch_rows": "train.batch_size",
    "train.micro_batch_rows": "train.micro_batch_size",
}
"""Old key -> new key. A key with a dot matches every path that ends in it, such as `judge.backend.wait_seconds`."""


def new_name(key: str) -> str | None:
    """The new name of a key of version 0.1, as a full path; None if the key was not renamed."""
    if key in RENAMED:
        return RENAMED[key]
    section, _, last = key.rpartition(".")
    above, _, inner = section.rpartition(".")
    new = RENAMED.get(f"{inner}.{last}")
    return None if new is None else f"{above}.{new}" if above else new
