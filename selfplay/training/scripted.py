"""Training of a scripted student, whose only weight is its skill."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from selfplay.models.scripted import ScriptedStudent, read_scripted, terms_of, write_scripted
from selfplay.records import Row
from selfplay.runtime.distributed import Ranks


def train_scripted(
    student: ScriptedStudent, rows: Sequence[Row], *, start: Path, out: Path, ranks: Ranks
) -> dict[str, Any]:
    """Moves the skill toward the share of the new rows that are right, and leaves the weights in `out/model`.

    Returns the `train/` figures. Without new rows the skill stays.
    """
    new = [row for row in rows if row.kind == "new"]
    before = after = read_scripted(start)
    if new:
        right = sum(_is_right(row) for row in new) / len(new)
        after = before + student.gain * (right - before)
    if ranks.is_main:
        write_scripted(out / "model", after)
    ranks.barrier("scripted student trained")
    return {"train/steps": len(rows), "train/loss_last": round(1 - after, 6)}


def _is_right(row: Row) -> bool:
    """Whether a row of bytes answers its own sum: `1 + 2` with `A: 3`."""
    prompt = bytes(token for token, label in zip(row.input_ids, row.labels, strict=True) if label == -100).decode()
    prompt = prompt.partition("\n")[0]  # a correction's prompt goes on with what was tried
    answer = bytes(label for label in row.labels if 0 <= label < 256).decode().rpartition("A:")[2].strip()
    return answer == str(sum(int(term) for term in terms_of(prompt)))
