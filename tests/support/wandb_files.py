"""What W&B's offline files hold, read apart from the product, and code that tracks in a process of its own."""

import json
import os
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support import ROOT


def records(path: Path, block: int = 32768) -> Iterator[Any]:
    """Read-back apart from the product's own: LevelDB log framing behind a 7-byte header."""
    from wandb.proto import wandb_internal_pb2 as pb

    with path.open("rb") as f:
        assert f.read(7)[:4] == b":W&B"
        buf = b""
        while True:
            left = block - f.tell() % block
            if left < 7:
                f.seek(left, 1)
                continue
            head = f.read(7)
            if len(head) < 7:
                return
            _, n, kind = struct.unpack("<IHB", head)
            data = f.read(n)
            if len(data) < n:
                return
            buf = data if kind in (1, 2) else buf + data
            if kind in (1, 4):
                record = pb.Record()
                record.ParseFromString(buf)
                yield record


def of_kind(folder: Path, kind: str, wait_for: str | None = "exit") -> list[Any]:
    """All records of one kind in start order of the files; waits until the last file holds one of `wait_for`."""
    deadline = time.monotonic() + 10
    while True:
        files = sorted(folder.glob("wandb/offline-run-*/*.wandb"))
        found = [list(records(f)) for f in files]
        ended = found and any(r.WhichOneof("record_type") == wait_for for r in found[-1])
        if wait_for is None or ended or time.monotonic() > deadline:
            return [getattr(r, kind) for rs in found for r in rs if r.WhichOneof("record_type") == kind]
        time.sleep(0.1)


def rows_of(folder: Path, wait_for: str | None = "exit") -> list[dict[str, Any]]:
    """The series as W&B has it."""
    histories = of_kind(folder, "history", wait_for)
    return [{i.key or "/".join(i.nested_key): json.loads(i.value_json) for i in h.item} for h in histories]


def python(code: str, *arguments: object, **env: str) -> subprocess.CompletedProcess[str]:
    """Runs code in a process of its own, without the key and the mode of whoever runs the tests."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    given = kept | {"PYTHONPATH": str(ROOT), "NETRC": "/nonexistent"} | env
    return subprocess.run(command, env=given, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
