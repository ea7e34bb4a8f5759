"""What earlier rounds accepted, as signatures; a value that the store writes and reads. Pure.

One entry an accepted attempt: the key of the exact row, the signature of the solution within its task, and a sketch for
near-duplicates. No text is kept.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from selfplay.errors import DataError


@dataclass(frozen=True)
class Entry:
    """One accepted attempt of an earlier round."""

    round: int
    task_id: str
    exact: str
    """`signature.exact_key` of prompt and text."""
    signature: str
    """`signature.signature_of`, meaningful within its task only."""
    sketch: str = ""
    """MinHash of the text, base64, by `dedup.sketch_text`; empty: not kept, then near-duplicates of it are not seen."""
    numbers: str = ""
    """The numbers of the text as one hex word, so that two texts that differ in numbers are not near-duplicates."""


@dataclass(frozen=True)
class Archive:
    """All entries so far. Adding makes a new archive; equal entries are kept once."""

    entries: tuple[Entry, ...] = ()
    _exact: Mapping[str, int] = field(default_factory=dict, repr=False, compare=False)
    _signatures: Mapping[tuple[str, str], int] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        exact: dict[str, int] = {}
        signatures: dict[tuple[str, str], int] = {}
        for entry in self.entries:
            exact[entry.exact] = exact.get(entry.exact, 0) + 1
            key = (entry.task_id, entry.signature)
            signatures[key] = signatures.get(key, 0) + 1
        object.__setattr__(self, "_exact", exact)
        object.__setattr__(self, "_signatures", signatures)

    def __len__(self) -> int:
        return len(self.entries)

    def add(self, entries: Iterable[Entry]) -> "Archive":
        """A new archive with these entries too; entries that are already in are skipped, order is kept."""
        return Archive(tuple(dict.fromkeys((*self.entries, *entries))))

    def contains_exact(self, exact: str) -> bool:
        """True if this very row was accepted in an earlier round."""
        return exact in self._exact

    def contains(self, task_id: str, signature: str) -> bool:
        """True if this task was solved this way in an earlier round."""
        return (task_id, signature) in self._signatures

    def count(self, task_id: str, signature: str) -> int:
        """How many earlier accepted attempts of the task have the signature."""
        return self._signatures.get((task_id, signature), 0)

    def of_task(self, task_id: str) -> list[Entry]:
        """The entries of one task, oldest first."""
        return self._by_task().get(task_id, [])

    def _by_task(self) -> dict[str, list[Entry]]:
        found: dict[str, list[Entry]] | None = self.__dict__.get("_tasks")
        if found is None:
            found = {}
            for entry in self.entries:
                found.setdefault(entry.task_id, []).append(entry)
            object.__setattr__(self, "_tasks", found)
        return found

    def to_lines(self) -> Iterator[str]:
        """One JSON object an entry, without line end, in order; equal archives give equal bytes."""
        for entry in self.entries:
            record = {key: value for key, value in vars(entry).items() if value != ""}
            yield json.dumps(record, ensure_ascii=True, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_lines(cls, lines: Iterable[str], where: str = "archive") -> "Archive":
        """Reads what `to_lines` wrote; blank lines are skipped. Raises DataError with file and line on anything else."""
        entries = []
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                entries.append(_entry(json.loads(line)))
            except (ValueError, TypeError) as error:
                raise DataError(
                    f"{where}:{number}: not an archive entry ({error}); restore the file from its round, or start a run of another name"
                ) from None
        return cls(tuple(dict.fromkeys(entries)))


def _entry(record: object) -> Entry:
    if not isinstance(record, dict):
        raise ValueError(f"a {type(record).__name__}, not an object")
    entry = Entry(**record)
    for name, value in vars(entry).items():
        wanted = int if name == "round" else str
        if type(value) is not wanted:
            raise ValueError(f"{name} is a {type(value).__name__}, must be {wanted.__name__}")
    return entry
