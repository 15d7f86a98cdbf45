"""The searchable index of stored pictures, newest first; can always be rebuilt from sidecars."""

import sqlite3
from asyncio import Future
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from scheduler.errors import StoreError
from service.store import removed
from service.store.database import Database
from service.store.rows import COLUMNS, Entry, Row, add_row, entry_of, remove_row
from service.store.sidecar import Sidecar
from service.store.words import MOST_WORDS, mark, match, words_of

_BEYOND: Final = 2**63 - 1
_MOST_ENDINGS: Final = 64
_INDEXED_PREFIX: Final = 3


@dataclass(frozen=True, slots=True)
class Page:
    """Some entries, newest first; `next_cursor` is where to go on, None at the end."""

    items: tuple[Entry, ...]
    next_cursor: str | None


class Catalogue:
    """One row for each stored picture.

    The id of a row is its place in the order: when the job was accepted, in microseconds, then
    the number of the picture. The full-text index yields ids in order too, so a page costs as
    much as it is long, however many pictures match.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, sidecar: Sidecar, *, flush: bool = True) -> Future[None]:
        """Enter a picture, replacing what was there under its key; see `Database.write`.

        One that was deleted before was drawn again.
        """

        def work(connection: sqlite3.Connection) -> None:
            removed.forget(connection, sidecar.key)
            add_row(connection, sidecar)

        return self._database.write(work, flush=flush)

    def add_all(self, sidecars: Sequence[Sidecar]) -> Future[None]:
        """Enter several pictures in one go, but none that was deleted meanwhile."""

        def work(connection: sqlite3.Connection) -> None:
            for sidecar in sidecars:
                if not removed.is_recent(connection, sidecar.key):
                    removed.forget(connection, sidecar.key)
                    add_row(connection, sidecar)

        return self._database.write(work)

    def remove(self, keys: Sequence[str]) -> Future[None]:
        """Forget pictures that are not there."""

        def work(connection: sqlite3.Connection) -> None:
            for key in keys:
                remove_row(connection, key)

        return self._database.write(work)

    def leave(self, key: str) -> Future[None]:
        """Forget a picture, and note that its files are to be deleted."""

        def work(connection: sqlite3.Connection) -> None:
            removed.note(connection, key)
            remove_row(connection, key)

        return self._database.write(work)

    def stay(self, key: str) -> Future[None]:
        """Take back that a picture is to be deleted; whether it is listed does not change."""
        return self._database.write(lambda connection: removed.forget(connection, key))

    def left(self, key: str) -> Future[None]:
        """Note that the files of a picture are deleted."""
        return self._database.write(lambda connection: removed.settle(connection, key))

    async def leaving(self) -> list[str]:
        """Return the pictures whose files are still to be deleted."""
        return await self._database.read(removed.leaving)

    async def deleted(self, keys: Sequence[str]) -> set[str]:
        """Return which of these pictures were deleted."""
        return await self._database.read(lambda connection: removed.among(connection, keys))

    async def get(self, key: str) -> Entry | None:
        """Return the picture under a key, None if it is not there."""

        def work(connection: sqlite3.Connection) -> Row | None:
            row: Row | None = connection.execute(
                f"SELECT {COLUMNS} FROM pictures WHERE key = ?",  # noqa: S608
                (key,),
            ).fetchone()
            return row

        row = await self._database.read(work)
        return entry_of(row) if row else None

    async def latest(
        self,
        *,
        limit: int,
        cursor: str | None = None,
        q: str = "",
        model: str = "",
        tag: str = "",
    ) -> Page:
        """Return the newest pictures, older than the cursor's, that match all that is given.

        Args:
            limit: Exactly so many entries are returned while there are that many.
            cursor: `next_cursor` of the page before, None for the first page.
            q: Words that prompt, negative prompt, model or tags hold; the last may be a
                beginning.
            model: Exact name.
            tag: Exact tag.

        Raises:
            StoreError: the cursor is none of ours.
        """
        before = _place(cursor)
        words = words_of(q)[:MOST_WORDS]
        marks = [mark(kind, value) for kind, value in (("m", model), ("t", tag)) if value]
        if q.strip() and not words:
            return Page((), None)

        def work(connection: sqlite3.Connection) -> list[Row]:
            if not words and not marks:
                return _newest(connection, before, limit + 1)
            query = match(words, _endings(connection, words), marks)
            return _matching(connection, query, before, limit + 1)

        rows = await self._database.read(work)
        items = tuple(entry_of(row) for row in rows[:limit])
        return Page(items, f"{rows[limit - 1][0]:x}" if len(rows) > limit else None)

    async def keys_between(self, after: str, until: str) -> list[str]:
        """Return the keys of pictures after one key, up to and with another, in order."""

        def work(connection: sqlite3.Connection) -> list[str]:
            rows = connection.execute(
                "SELECT key FROM pictures WHERE key > ? AND key <= ? ORDER BY key", (after, until)
            )
            return [key for (key,) in rows]

        return await self._database.read(work)

    async def count(self) -> int:
        """Return how many pictures are stored."""

        def work(connection: sqlite3.Connection) -> int:
            total: int = connection.execute("SELECT total FROM picture_count").fetchone()[0]
            return total

        return await self._database.read(work)


def _newest(connection: sqlite3.Connection, before: int, limit: int) -> list[Row]:
    """Select without any filter."""
    return connection.execute(
        f"SELECT {COLUMNS} FROM pictures WHERE id < ? ORDER BY id DESC LIMIT ?",  # noqa: S608
        (before, limit),
    ).fetchall()


def _matching(connection: sqlite3.Connection, query: str, before: int, limit: int) -> list[Row]:
    """Select with a full-text query; the index is read from the newest on.

    The join is CROSS so that SQLite keeps to that order, and stops when the page is full.
    """
    return connection.execute(
        f"SELECT {COLUMNS} FROM picture_words CROSS JOIN pictures ON id = picture_words.rowid"  # noqa: S608
        " WHERE picture_words MATCH ? AND picture_words.rowid < ?"
        " ORDER BY picture_words.rowid DESC LIMIT ?",
        (query, before, limit),
    ).fetchall()


def _endings(connection: sqlite3.Connection, words: Sequence[str]) -> list[str]:
    """Return the known words that begin with the last one, if they are few.

    SQLite gathers all matches of a prefix that is not indexed before it yields the first; a
    list of whole words it reads from the newest on.
    """
    if not words or len(words[-1]) <= _INDEXED_PREFIX:
        return []
    found = connection.execute(
        "SELECT word FROM vocabulary WHERE word >= ? AND word < ? LIMIT ?",
        (words[-1], words[-1] + "\U0010ffff", _MOST_ENDINGS + 1),
    ).fetchall()
    return [word for (word,) in found] if len(found) <= _MOST_ENDINGS else []


def _place(cursor: str | None) -> int:
    """Decode a cursor."""
    if cursor is None:
        return _BEYOND
    try:
        place = int(cursor, 16)
    except ValueError as error:
        raise StoreError("the cursor is none of ours") from error
    return min(max(place, -_BEYOND), _BEYOND)
