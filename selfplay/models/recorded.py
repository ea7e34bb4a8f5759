"""An engine that plays recorded attempts from a JSON Lines file, plain or gzip. No model, no network.

It is for dry runs of the whole loop on real solutions, and for verifying what another system wrote.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from selfplay.config.sections import EngineSettings, StudentSettings
from selfplay.errors import DataError
from selfplay.jsonlines import read_json_objects
from selfplay.models.base import Backend, Opening
from selfplay.records import Completion, Request, Sampling, digest

Texts = dict[str, list[Completion]]
"""Recorded completions by task id."""

GSM8K_MODELS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")
"""The models of OpenAI's release of graded solutions, as its rows name them."""


class RecordedEngine(EngineSettings):
    """Attempts played from a JSONL(.gz) file, so that real outputs of other models run through the loop."""

    kind: Literal["recorded"]
    path: str
    """The JSONL(.gz) file."""
    id_field: str = "task_id"
    """Field of a line that holds the task's id."""
    text_field: str = "text"
    """Field of a line that holds the attempt, or a list of attempts."""
    layout: Literal["rows", "gsm8k_models"] = "rows"
    """`rows`: one attempt a line; `gsm8k_models`: the four graded solutions a problem of OpenAI's release."""

    @property
    def origin(self) -> Literal["student", "teacher"]:
        """Recorded attempts count as the student's own."""
        return "student"

    @property
    def answers_corrections(self) -> bool:
        """There are no recorded second attempts."""
        return False

    def prompt_form(self, student: StudentSettings) -> Literal["chat", "plain"]:
        """The student's own; nobody is asked."""
        return student.prompt_form

    def files(self, folder: Path) -> dict[str, Path]:
        """The file. Raises DataError where it is missing."""
        return {Path(self.path).name: self._file(folder)}

    def check(self, folder: Path) -> None:
        """Raises DataError where the file cannot be read."""
        self._read(folder)

    def open(self, opening: Opening) -> Backend:
        """Reads the file. Raises DataError where that fails."""
        return self._read(opening.folder)

    def _read(self, folder: Path) -> "Recorded":
        file = self._file(folder)
        if self.layout == "rows":
            return Recorded(file, self.id_field, self.text_field)
        texts = read_gsm8k_models(file)
        return Recorded(file, texts=texts, identity=f"recorded-{digest(sorted(texts))}")

    def _file(self, folder: Path) -> Path:
        for place in (folder / self.path, Path(self.path)):
            if place.is_file():
                return place
        raise DataError(
            f"{self.path}: no such file (looked in {folder} and the working directory); correct generate.backend.path"
        )


class Recorded(Backend):
    """Gives the first `n` recorded texts of a task, in file order; seed and sampling change nothing.

    A line holds one task id and either one text or a list of texts; lines of one task add up. A task that is not in
    the file, or that has fewer than `n` texts, raises DataError with file and id: repeating texts would fake a sample.
    A line's `finish_reason` (stop or length) is kept where it is given. `identity` defaults to file name and content
    hash. Half surrogate pairs, which are no text, are read as `?`. `texts`: what was read of the file already.
    """

    def __init__(
        self,
        path: str | Path,
        id_field: str = "task_id",
        text_field: str = "text",
        identity: str | None = None,
        texts: Texts | None = None,
    ) -> None:
        self.path = Path(path)
        self._texts = _read_rows(self.path, id_field, text_field) if texts is None else texts
        if not self._texts:
            raise DataError(
                f"{self.path}: holds no recorded attempts; give JSON Lines with {id_field} and {text_field}"
            )
        played = {task: [c.text for c in texts] for task, texts in self._texts.items()}
        self.identity = identity or f"recorded:{self.path.name}:{digest(played)}"

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


def _read_rows(path: Path, id_field: str, text_field: str) -> Texts:
    found: Texts = {}
    for where, row in read_json_objects(path, "replace"):
        for field in (id_field, text_field):
            _require(field, where, row)
        texts = row[text_field] if isinstance(row[text_field], list) else [row[text_field]]
        if not all(isinstance(text, str) for text in texts):
            raise DataError(f"{where}: {text_field} is no text, {str(texts)[:80]}; give a string or a list of strings")
        finish: Literal["stop", "length"] = "length" if row.get("finish_reason") == "length" else "stop"
        found.setdefault(str(row[id_field]), []).extend(Completion(text=t, finish_reason=finish) for t in texts)
    return found


def read_gsm8k_models(path: Path) -> Texts:
    """OpenAI's release of graded solutions: four completions a problem, one of each model, with the ids of GSM8K's test file."""
    found: Texts = {}
    for number, (where, row) in enumerate(read_json_objects(path)):
        for model in GSM8K_MODELS:
            _require(model, where, row)
        found[f"gsm8k-test-{number}"] = [Completion(text=str(row[model]["solution"])) for model in GSM8K_MODELS]
    return found


def _require(field: str, where: str, row: Mapping[str, Any]) -> None:
    if field not in row:
        raise DataError(f"{where}: has no {field}, only {', '.join(sorted(row)) or 'nothing'}; name the field")
