"""What the writer thread of a database does with writes that share a transaction."""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import Any

from scheduler.errors import StoreDownError

MOST_ROWS = 64
"""Rows in one statement. The thread lets the interpreter go for each statement and takes it back
after it, so that a statement for every row would be a fight with the event loop for every row."""


@dataclass(frozen=True, slots=True)
class Work:
    """Statements and the future of who waits for them.

    Attributes:
        atomic: Only one of them changes anything.
        flush: The commit is on the disk when the future is done; else the next one that flushes
            brings it there too.
    """

    run: Callable[[sqlite3.Connection], Any]
    done: asyncio.Future[Any]
    atomic: bool
    flush: bool


@dataclass(frozen=True, slots=True)
class Row:
    """What a table is to get, and the future of whoever waits for that."""

    table: str
    values: tuple[object, ...]
    done: asyncio.Future[Any]


def commit(connection: sqlite3.Connection, batch: Sequence[Row | Work]) -> list[object]:
    """Write all in one transaction, in their order; return each one's result or exception."""
    results: list[object] = []
    unflushed = all(isinstance(write, Work) and not write.flush for write in batch)
    try:
        if unflushed:
            connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("BEGIN IMMEDIATE")
        for _, group in groupby(batch, key=_kind):
            results += _perform(connection, list(group))
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        down = StoreDownError(f"the database cannot be written: {error}")
        down.__cause__ = error
        return [down] * len(batch)
    finally:
        if unflushed:
            connection.execute("PRAGMA synchronous=FULL")
    return results


def _kind(write: Row | Work) -> str:
    """Return what writes must have in common to be done together."""
    match write:
        case Row(table=table):
            return table
        case Work():
            return ""


def _perform(connection: sqlite3.Connection, writes: Sequence[Row | Work]) -> list[object]:
    """Do neighbours of one kind."""
    rows = [write for write in writes if isinstance(write, Row)]
    results: list[object] = []
    for start in range(0, len(rows), MOST_ROWS):
        results += _insert(connection, rows[start : start + MOST_ROWS])
    return results or [_attempt(connection, write) for write in writes if isinstance(write, Work)]


def _insert(connection: sqlite3.Connection, rows: Sequence[Row]) -> list[object]:
    """Insert rows of one table in one statement; if it is refused, in halves.

    There is one statement for each power of two, so that SQLite compiles few of them.
    """
    size = 1 << (len(rows).bit_length() - 1)
    if size == len(rows):
        statement = _statement(rows[0].table, len(rows[0].values), size)
        try:
            connection.execute(statement, [value for row in rows for value in row.values])
        except Exception as error:
            if not _is_refusal(error):
                raise
            if size == 1:
                return [error]
            size //= 2
        else:
            return [None] * size
    return _insert(connection, rows[:size]) + _insert(connection, rows[size:])


@cache
def _statement(table: str, columns: int, rows: int) -> str:
    """Return the statement that inserts so many rows."""
    row = f"({','.join('?' * columns)})"
    return f"INSERT INTO {table} VALUES {','.join([row] * rows)}"  # noqa: S608 - a name of ours


def _attempt(connection: sqlite3.Connection, work: Work) -> object:
    """Run one work so that it takes no other with it if it fails."""
    if not work.atomic:
        connection.execute("SAVEPOINT one")
    result: object
    try:
        result = work.run(connection)
    except Exception as error:
        if not _is_refusal(error):
            raise
        result = error
        if not work.atomic:
            connection.execute("ROLLBACK TO one")
    if not work.atomic:
        connection.execute("RELEASE one")
    return result


def _is_refusal(error: Exception) -> bool:
    """Say whether a write is at fault, so that the error is its asker's; else the file is."""
    wrong = (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.InterfaceError)
    return isinstance(error, wrong) or not isinstance(error, sqlite3.Error)
