"""Floor 2: a backend that plays recorded attempts from a JSON Lines file, plain or gzip. No model, no network.

For dry runs of the whole loop on real solutions, and for verifying what another system wrote.
"""

import gzip
import json
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from selfplay.errors import DataError
from selfplay.records import Completion, Request, Sampling, digest


class Recorded:
    """Gives the first `n` recorded texts of a task, in file order; seed and sampling change nothing.

    A line holds one task id and either one text or a list of texts; lines of one task add up. A task that is not in
    the file, or that has fewer than `n` texts, raises DataError with file and id: repeating texts would fake a sample.
    A line's `finish_reason` (stop or length) is kept where it is given. `identity` defaults to file name and content
    hash. Half surrogate pairs, which are no text, are read as `?`.
    """

    def __init__(
        self, path: str | Path, id_field: str = "task_id", text_field: str = "text", identity: str | None = None
    ) -> None:
        self.path = Path(path)
        self._texts: dict[str, list[Completion]] = {}
        for number, row in _rows(self.path):
            self._add(number, row, id_field, text_field)
        if not self._texts:
            raise DataError(
                f"{self.path}: holds no recorded attempts; give JSON Lines with {id_field} and {text_field}"
            )
        played = {task: [c.text for c in texts] for task, texts in self._texts.items()}
        self.identity = identity or f"recorded:{self.path.name}:{digest(played)}"

    def _add(self, number: int, row: Any, id_field: str, text_field: str) -> None:
        where = f"{self.path}:{number}"
        if not isinstance(row, dict):
            raise DataError(f"{where}: is a JSON {type(row).__name__}, not an object; write one object a line")
        for field in (id_field, text_field):
            if field not in row:
                raise DataError(f"{where}: has no {field}, only {', '.join(sorted(row)) or 'nothing'}; name the field")
        texts = row[text_field] if isinstance(row[text_field], list) else [row[text_field]]
        if not all(isinstance(text, str) for text in texts):
            raise DataError(f"{where}: {text_field} is no text, {str(texts)[:80]}; give a string or a list of strings")
        finish: Literal["stop", "length"] = "length" if row.get("finish_reason") == "length" else "stop"
        clean = (text.encode("utf-8", "replace").decode() for text in texts)
        self._texts.setdefault(str(row[id_field]), []).extend(Completion(text=t, finish_reason=finish) for t in clean)

    def complete(self, requests: Sequence[Request], *, n: int, sampling: Sampling, seed: int) -> list[list[Completion]]:
        """The first `n` recorded texts a request, in the order of the requests. Raises DataError, see the class."""
        return [self._of(request.task_id, n) for request in requests]

    def _of(self, task_id: str, n: int) -> list[Completion]:
        texts = self._texts.get(task_id)
        if texts is None:
            raise DataError(f"{self.path}: has no recorded attempt of task {task_id!r}; record it, or drop the task")
        if len(texts) < n:
            raise DataError(
                f"{self.path}: task {task_id!r} has {len(texts)} recorded attempts, {n} were asked for; "
                "record more, or lower the number of attempts"
            )
        return texts[:n]

    def close(self) -> None:
        """Nothing to free."""

    def __enter__(self) -> "Recorded":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _rows(path: Path) -> Iterator[tuple[int, Any]]:
    """(line number from 1, parsed line) of every line that is not blank. Raises DataError with file and line."""
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
            yield from ((number, _parsed(path, number, line)) for number, line in enumerate(lines, 1) if line.strip())
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read, {error}; give a JSON Lines file in UTF-8") from error


def _parsed(path: Path, number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}:{number}: is not JSON, {error}; write one JSON object a line") from error
