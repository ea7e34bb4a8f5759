"""Replies that were paid for, and what was paid: one sqlite file, JSON inside, never pickle.

The key holds the sample index, so k samples of one prompt are k entries; a reply and its cost are written in one
transaction, so a run that is killed and started again pays for nothing twice but the requests in flight. Several
processes of one host may share a file (write-ahead log); on a network file system give each host its own.
"""

import sqlite3
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from selfplay.errors import StoreError
from selfplay.models.openai.limits import Spent
from selfplay.records import Completion

_TABLES = """
CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, reply TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS spent (
  account TEXT PRIMARY KEY, prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL,
  money REAL NOT NULL, requests INTEGER NOT NULL, estimated INTEGER NOT NULL
) WITHOUT ROWID;
"""
_ADD = """
INSERT INTO spent VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (account) DO UPDATE SET
  prompt_tokens = prompt_tokens + excluded.prompt_tokens,
  completion_tokens = completion_tokens + excluded.completion_tokens,
  money = money + excluded.money, requests = requests + excluded.requests, estimated = estimated + excluded.estimated
"""
_KEYS_AT_ONCE = 500


class ReplyCache:
    """Completions by key, and the ledger by account. `path` None keeps both in memory, for this object only.

    Raises StoreError where the file cannot be used. Failed completions are never stored. Several threads may use it.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = str(path) if path is not None else ":memory:"
        self._lock = threading.Lock()
        try:
            if path is not None:
                Path(path).parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.path, timeout=60.0, check_same_thread=False, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise self._fault(error) from error
        try:
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_TABLES)
        except sqlite3.Error as error:
            self._db.close()
            raise self._fault(error) from error

    def _fault(self, error: Exception) -> StoreError:
        return StoreError(f"{self.path}: the reply cache cannot be used, {error}; free the disk, or move the file away")

    def get(self, keys: Sequence[str]) -> dict[str, Completion]:
        """The completions there are, by key; an entry that cannot be read is as if it were not there."""
        found: dict[str, Completion] = {}
        for start in range(0, len(keys), _KEYS_AT_ONCE):
            part = list(keys[start : start + _KEYS_AT_ONCE])
            marks = ", ".join("?" * len(part))
            for key, text in self._read(f"SELECT key, reply FROM replies WHERE key IN ({marks})", part):
                try:
                    found[key] = Completion.model_validate_json(text)
                except ValidationError:
                    continue
        return found

    def put(self, account: str, replies: Mapping[str, Completion], spent: Spent) -> None:
        """Stores replies and adds what they cost to the account, both or neither; `replies` may be empty."""
        rows = [(key, reply.model_dump_json()) for key, reply in replies.items() if reply.finish_reason != "error"]
        money = (spent.prompt_tokens, spent.completion_tokens, spent.money, spent.requests, spent.estimated)
        try:
            with self._lock, self._db:  # commits, or rolls back on an error
                self._db.execute("BEGIN IMMEDIATE")
                self._db.executemany("INSERT OR REPLACE INTO replies VALUES (?, ?)", rows)
                self._db.execute(_ADD, (account, *money))
        except sqlite3.Error as error:
            raise self._fault(error) from error

    def spent(self, account: str) -> Spent:
        """All that was ever spent on this account, by every run that used this file."""
        columns = "prompt_tokens, completion_tokens, money, requests, estimated"
        rows = self._read(f"SELECT {columns} FROM spent WHERE account = ?", [account])
        return Spent(*rows[0]) if rows else Spent()

    def spent_in_all(self) -> Spent:
        """The same over all accounts."""
        sums = "sum(prompt_tokens), sum(completion_tokens), sum(money), sum(requests), sum(estimated)"
        row = self._read(f"SELECT {sums} FROM spent", [])[0]
        return Spent(*(value or 0 for value in row))

    def __len__(self) -> int:
        return int(self._read("SELECT count(*) FROM replies", [])[0][0])

    def _read(self, query: str, values: list[str]) -> list[Any]:
        try:
            with self._lock:
                return self._db.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise self._fault(error) from error

    def close(self) -> None:
        """Closes the file; safe to call twice."""
        with self._lock:
            self._db.close()
