"""Floor 2: a backend that plays recorded attempts from a JSON Lines file, plain or gzip. No model, no network.

For dry runs of the whole loop on real solutions, and for verifying what another system wrote.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from selfplay.errors import DataError
from selfplay.jsonlines import read_json_objects
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
        for where, row in read_json_objects(self.path, "mended"):
            self._add(where, row, id_field, text_field)
        if not self._texts:
            raise DataError(
                f"{self.path}: holds no recorded attempts; give JSON Lines with {id_field} and {text_field}"
            )
        played = {task: [c.text for c in texts] for task, texts in self._texts.items()}
        self.identity = identity or f"recorded:{self.path.name}:{digest(played)}"

    def _add(self, where: str, row: Mapping[str, Any], id_field: str, text_field: str) -> None:
        for field in (id_field, text_field):
            if field not in row:
                raise DataError(f"{where}: has no {field}, only {', '.join(sorted(row)) or 'nothing'}; name the field")
        texts = row[text_field] if isinstance(row[text_field], list) else [row[text_field]]
        if not all(isinstance(text, str) for text in texts):
            raise DataError(f"{where}: {text_field} is no text, {str(texts)[:80]}; give a string or a list of strings")
        finish: Literal["stop", "length"] = "length" if row.get("finish_reason") == "length" else "stop"
        self._texts.setdefault(str(row[id_field]), []).extend(Completion(text=t, finish_reason=finish) for t in texts)

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
