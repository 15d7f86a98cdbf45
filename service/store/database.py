"""One SQLite file: a writer thread whose commits are shared, and a reader thread beside it."""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from scheduler.errors import StoreDownError

T = TypeVar("T")

MAX_SHARED = 1000
"""Writes in one commit; bounds how long the first of them waits for the others."""


@dataclass(frozen=True, slots=True)
class _Write:
    """Work for the writer thread and the future of whoever waits for it."""

    work: Callable[[sqlite3.Connection], Any]
    done: asyncio.Future[Any]


def connect(path: Path) -> sqlite3.Connection:
    """Open the file durably: WAL, and a commit returns only when it is on the disk."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA busy_timeout=5000")
    return connection


class Database:
    """Runs work on SQLite without blocking the event loop.

    Writes run in the order of the calls; those that wait together share one transaction, each
    in a savepoint of its own, so that one that fails takes no other with it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writes: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._writer: threading.Thread | None = None
        self._readers: ThreadPoolExecutor | None = None
        self._reading: sqlite3.Connection | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def open(self, *, schema: str) -> None:
        """Open the file, create what `schema` declares, and start both threads."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._loop = asyncio.get_running_loop()
        writing = connect(self._path)
        writing.executescript(schema)
        self._reading = connect(self._path)
        self._readers = ThreadPoolExecutor(1, thread_name_prefix="sqlite-read")
        self._writer = threading.Thread(
            target=self._run, args=(writing,), name="sqlite-write", daemon=True
        )
        self._writer.start()

    def write(self, work: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        """Queue work at once; the future has its result when the commit is on the disk.

        The future raises what the work raised, or `StoreDownError` when the commit failed.
        """
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        if self._writer is None:
            done.set_exception(StoreDownError("the database is closed"))
        else:
            self._writes.put(_Write(work, done))
        return done

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run work that changes nothing on the reader thread."""
        if self._readers is None or self._reading is None:
            raise StoreDownError("the database is closed")
        return await asyncio.get_running_loop().run_in_executor(self._readers, work, self._reading)

    async def aclose(self) -> None:
        """Finish the queued writes and close; may be called twice."""
        writer, self._writer = self._writer, None
        if writer is None or self._readers is None or self._reading is None:
            return
        self._writes.put(None)
        await asyncio.to_thread(writer.join)
        self._readers.shutdown()
        self._reading.close()

    def _run(self, connection: sqlite3.Connection) -> None:
        """Serve writes until the end mark comes (the writer thread's whole life)."""
        ending = False
        while not ending:
            batch, ending = self._gather()
            if batch:
                self._deliver(batch, _commit(connection, batch))
        connection.close()

    def _gather(self) -> tuple[list[_Write], bool]:
        """Wait for one write, and take along what has come meanwhile."""
        batch: list[_Write] = []
        item = self._writes.get()
        while item is not None:
            batch.append(item)
            if len(batch) == MAX_SHARED:
                return batch, False
            try:
                item = self._writes.get_nowait()
            except queue.Empty:
                return batch, False
        return batch, True

    def _deliver(self, batch: list[_Write], results: list[object]) -> None:
        """Hand the results to the event loop in one call."""

        def resolve() -> None:
            for write, result in zip(batch, results, strict=True):
                if write.done.done():
                    continue
                if isinstance(result, BaseException):
                    write.done.set_exception(result)
                else:
                    write.done.set_result(result)

        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(resolve)


def _commit(connection: sqlite3.Connection, batch: list[_Write]) -> list[object]:
    """Run a batch in one transaction; return each write's result or exception."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        results = [_attempt(connection, write) for write in batch]
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        down = StoreDownError(f"the database cannot be written: {error}")
        down.__cause__ = error
        return [down] * len(batch)
    return results


def _attempt(connection: sqlite3.Connection, write: _Write) -> object:
    """Run one write in its savepoint."""
    connection.execute("SAVEPOINT one")
    try:
        result: object = write.work(connection)
    except sqlite3.OperationalError:
        raise
    except Exception as error:  # noqa: BLE001 - it belongs to whoever asked
        connection.execute("ROLLBACK TO one")
        result = error
    connection.execute("RELEASE one")
    return result
