"""Writes the accepted attempts of a round and its ancestors as a data set: parquet that `datasets` reads, one row an attempt.

Whatever a model wrote is a value in a column, and nothing else.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from selfplay.curate.privacy import Surrogates, scrub
from selfplay.curate.screening import PRIVATE_RULES
from selfplay.publish.facts import RoundFacts
from selfplay.publish.public import public_text
from selfplay.store.files import writing
from selfplay.store.traces import READ_ROWS, read_parquet

COLUMNS = {
    "id": "name of the attempt, unique in the data set",
    "task_id": "the task that it solves; several attempts may solve one task",
    "round": "the round that sampled it",
    "prompt": "the task",
    "completion": "the accepted solution",
    "outcome": "what the verifiers said together: `pass`, unless the run had no filter",
    "verdicts": "one entry per verifier: its name, outcome, reason, evidence, and a score from 0 to 1 or null",
    "origin": "who wrote the solution: `student`, `teacher` or `human`",
    "turn": "0: a first try; 1: the correction of a failed one",
    "source": "where the task comes from",
    "tags": "tags of the task, such as `difficulty:3`",
}
_READ = (
    "task_id",
    "attempt",
    "round",
    "prompt",
    "text",
    "outcome",
    "decision",
    "verdicts",
    "origin",
    "turn",
    "source",
    "tags",
    "task",
)
_TEXT = pa.string()
_CHAT = pa.list_(pa.struct([("role", _TEXT), ("content", _TEXT)]))
_VERDICT = pa.struct(
    [("verifier", _TEXT), ("outcome", _TEXT), ("reason", _TEXT), ("evidence", _TEXT), ("score", pa.float64())]
)


@dataclass
class Written:
    """What a written data set holds."""

    rows: int = 0
    tasks: int = 0
    scrubbed: int = 0
    """Rows in which a personal identifier was replaced."""
    by_round: list[tuple[int, int, int]] = field(default_factory=list)
    """Round, its rows, its tasks."""
    authors: Counter[str] = field(default_factory=Counter)
    """Rows by who wrote the solution."""


def write_accepted(facts: RoundFacts, path: Path) -> Written:
    """Writes the accepted attempts of the round's lineage, by round and task. Personal identifiers in texts become made-up ones.

    Prompt and completion are chat messages for a student that is asked with a chat template, else texts.
    """
    chat = facts.config.student.prompt_form == "chat"
    written, tasks = Written(), set[str]()
    with writing(path) as temporary, pq.ParquetWriter(temporary, _schema(chat), compression="zstd") as writer:
        for number in facts.data_rounds:
            before, of_round = written.rows, set[str]()
            for rows in _batches(facts.run.round(number) / "traces.parquet"):
                made = [_row(row, chat, written) for row in rows]
                of_round |= {row["task_id"] for row in made}
                written.authors.update(row["origin"] for row in made)
                written.rows += len(made)
                writer.write_table(pa.Table.from_pylist(made, schema=_schema(chat)))
            tasks |= of_round
            written.by_round.append((number, written.rows - before, len(of_round)))
    written.tasks = len(tasks)
    return written


def _schema(chat: bool) -> pa.Schema:
    text = _CHAT if chat else _TEXT
    kinds = {"round": pa.int32(), "turn": pa.int32(), "prompt": text, "completion": text}
    kinds |= {"verdicts": pa.list_(_VERDICT), "tags": pa.list_(_TEXT)}
    return pa.schema([(name, kinds.get(name, _TEXT)) for name in COLUMNS])


def _batches(path: Path) -> Iterator[list[dict[str, Any]]]:
    """The accepted rows of a round's traces, at most READ_ROWS at once."""
    held: list[dict[str, Any]] = []
    for row in read_parquet(path, _READ):
        if row["decision"] == "accepted":
            held.append(row)
        if len(held) == READ_ROWS:
            yield held
            held = []
    if held:
        yield held


def _row(row: Mapping[str, Any], chat: bool, written: Written) -> dict[str, Any]:
    surrogates, found = Surrogates(), Counter[str]()

    def clean(text: str) -> str:
        done = scrub(text, rules=PRIVATE_RULES, surrogates=surrogates)
        found.update(done.counts)
        return done.text or ""

    messages = _messages(row)
    prompt: Any = [{**one, "content": clean(one["content"])} for one in messages] if chat else clean(row["prompt"])
    reply = clean(row["text"])
    made = {
        **{name: row[name] for name in ("task_id", "round", "outcome", "origin", "turn", "source", "tags")},
        "id": f"r{row['round']}/{row['task_id']}/{row['attempt']}",
        "prompt": prompt,
        "completion": [{"role": "assistant", "content": reply}] if chat else reply,
        "verdicts": [_verdict(one, clean) for one in json.loads(row["verdicts"])],
    }
    written.scrubbed += bool(found)
    return made


def _messages(row: Mapping[str, Any]) -> Sequence[Mapping[str, str]]:
    """The prompt as messages; a plain prompt is one of the user."""
    return json.loads(row["task"]).get("messages") or [{"role": "user", "content": row["prompt"]}]


def _verdict(one: Mapping[str, Any], clean: Any) -> dict[str, Any]:
    said = {key: clean(public_text(one.get(key) or "")) for key in ("reason", "evidence")}
    return {"verifier": public_text(one["verifier"]), "outcome": one["outcome"], "score": one.get("score"), **said}
