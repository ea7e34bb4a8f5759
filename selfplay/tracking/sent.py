"""What W&B already has of a run: a note beside the run, checked against W&B's own files."""

import json
import os
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

History = Callable[[Path], Iterator[dict[str, Any]]]
"""Reads the rows of one `.wandb` file."""


def frames(path: Path, block: int = 32768) -> Iterator[bytes]:
    """Records of one `.wandb` file in order, as bytes; a torn tail ends them, and another kind of file has none.

    The file is live while its run is: LevelDB log framing in 32 KiB blocks, behind a 7-byte header.
    """
    with path.open("rb") as file:
        if file.read(7)[:4] != b":W&B":
            return
        whole = b""
        while True:
            left = block - file.tell() % block
            if left < 7:
                file.seek(left, 1)
                continue
            head = file.read(7)
            _, size, kind = struct.unpack("<IHB", head) if len(head) == 7 else (0, 0, 0)
            part = file.read(size)
            if kind == 0 or len(part) < size:
                return
            whole = part if kind in (1, 2) else whole + part
            if kind in (1, 4):
                yield whole


def parse(text: bytes) -> list[dict[str, Any]]:
    """Objects of JSON Lines; a torn last line and lines that are no objects are left out."""
    found = []
    for line in text.split(b"\n"):
        try:
            value = json.loads(line)
        except ValueError:
            continue
        found += [value] if isinstance(value, dict) else []
    return found


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Objects of a JSON Lines file, none where it is missing."""
    return parse(path.read_bytes()) if path.is_file() else []


def replace(path: Path, text: str) -> None:
    """Writes the whole file or nothing."""
    fresh = path.with_name(f"{path.name}.tmp")
    with fresh.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def wait_until_settled(folder: Path, quiet: float = 0.4, limit: float = 3.0) -> None:
    """Waits, at most `limit` seconds, for the service of a killed session to finish its file."""
    deadline, size = time.monotonic() + limit, -1
    while time.monotonic() < deadline:
        now = sum(p.stat().st_size for p in folder.glob("*.wandb"))
        if now == size:
            return
        size = now
        time.sleep(quiet)


class Sent:
    """Which rows W&B has: rounds by number, curve rows by (round, train/step), and the next free W&B step."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "tracking_sent.jsonl"
        self.rounds: set[int] = set()
        self.train: set[tuple[int, int]] = set()
        self.next_step = 0

    def recover(self, sessions: list[dict[str, Any]], server_steps: int, history: History) -> None:
        """Reads what arrived: rows in W&B's files, steps below `server_steps`, and all of a session whose files are gone."""
        arrived: dict[int, dict[str, Any]] = {}
        noted = read_lines(self.path)
        for i, session in enumerate(sessions):
            files = sorted((self.folder / session["folder"]).glob("*.wandb"))
            end = sessions[i + 1]["first"] if i + 1 < len(sessions) else float("inf")
            if files:
                arrived |= {int(row["_step"]): row for file in files for row in history(file) if "_step" in row}
            else:
                arrived |= {n["step"]: n for n in noted if session["first"] <= n["step"] < end}
        arrived |= {n["step"]: n for n in noted if n["step"] < server_steps}
        for row in arrived.values():
            self._take(row)
        self.next_step = max([server_steps - 1, *arrived]) + 1
        kept = [n for n in noted if n["step"] in arrived]
        replace(self.path, "".join(json.dumps(n) + "\n" for n in kept))

    def note(self, row: Mapping[str, Any]) -> int:
        """Writes down that a row is about to be sent, and returns its W&B step."""
        step = self.next_step
        line = {"step": step, **{k: row[k] for k in ("round", "train/step") if k in row}}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self.next_step += 1
        self._take(row)
        return step

    def _take(self, row: Mapping[str, Any]) -> None:
        if "train/step" in row:
            self.train.add(place(row))
        elif "round" in row:
            self.rounds.add(int(row["round"]))


def place(row: Mapping[str, Any]) -> tuple[int, int]:
    """Where a curve row stands in the series: (round, train/step)."""
    return int(row.get("round", 0)), int(row["train/step"])
