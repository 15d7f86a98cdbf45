"""Which pictures were deleted, or are being deleted: the memory that a deletion leaves.

The stages: 0 its files may still be there; 1 gone since the start; 2 gone before it. A rebuild that
began before a deletion still holds the sidecar, so what is gone since the start is not entered
again. What was gone before, and is there again, somebody has brought back.
"""

import sqlite3
from collections.abc import Sequence

import orjson


def note(connection: sqlite3.Connection, key: str) -> None:
    """Note that a picture is being deleted."""
    connection.execute("INSERT OR REPLACE INTO removed VALUES (?, 0)", (key,))


def settle(connection: sqlite3.Connection, key: str) -> None:
    """Note that the files of a picture that is being deleted are gone."""
    connection.execute("UPDATE removed SET stage = 1 WHERE key = ? AND stage = 0", (key,))


def forget(connection: sqlite3.Connection, key: str) -> None:
    """Forget that a picture was deleted: it is there again."""
    connection.execute("DELETE FROM removed WHERE key = ?", (key,))


def is_recent(connection: sqlite3.Connection, key: str) -> bool:
    """Say whether a picture is being deleted, or was since the start."""
    query = "SELECT 1 FROM removed WHERE key = ? AND stage < 2"
    return connection.execute(query, (key,)).fetchone() is not None


def leaving(connection: sqlite3.Connection) -> list[str]:
    """Return the pictures whose files may still be there."""
    return [key for (key,) in connection.execute("SELECT key FROM removed WHERE stage = 0")]


def among(connection: sqlite3.Connection, keys: Sequence[str]) -> set[str]:
    """Return which of these pictures were deleted or are being deleted."""
    query = "SELECT key FROM removed WHERE key IN (SELECT value FROM json_each(?))"
    return {key for (key,) in connection.execute(query, (orjson.dumps(keys).decode(),))}
