"""One SQLite file: a writer thread whose commits are shared, and a reader thread beside it."""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from scheduler.errors import StoreDownError
from service.store.commit import Row, Work, commit

T = TypeVar("T")

MAX_SHARED = 1000
"""Writes after which a commit takes in no more: bounds how long the first of them waits."""


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

    Writes run in the order of the calls. Those that wait together share one transaction; one
    that fails takes no other with it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._called: list[Row | Work] = []
        self._writes: queue.SimpleQueue[list[Row | Work] | None] = queue.SimpleQueue()
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

    def write(
        self, run: Callable[[sqlite3.Connection], T], *, atomic: bool = False, flush: bool = True
    ) -> asyncio.Future[T]:
        """Queue work at once; the future has its result when the commit is on the disk.

        The future raises what the work raised, or `StoreDownError` when the commit failed.
        Work that changes something in one statement only is `atomic`, and costs less. Without
        `flush` it is done as soon as all can read it; a loss of power may then take it away, but
        never if it leaves a later write that is flushed: there is one log for both.
        """
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue(Work(run, done, atomic, flush))
        return done

    def insert(self, table: str, values: tuple[object, ...]) -> asyncio.Future[None]:
        """Queue a new row, as `write` does work; rows that wait together cost far less."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue(Row(table, values, done))
        return done

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run work that changes nothing on the reader thread.

        Raises:
            StoreDownError: the file cannot be read.
        """
        if self._readers is None or self._reading is None:
            raise StoreDownError("the database is closed")
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._readers, work, self._reading)
        except sqlite3.Error as error:
            raise StoreDownError(f"the database cannot be read: {error}") from error

    async def aclose(self) -> None:
        """Finish the queued writes and close; may be called twice."""
        writer, self._writer = self._writer, None
        readers, self._readers = self._readers, None
        if writer is None or readers is None or self._reading is None:
            return
        self._hand_over()
        self._writes.put(None)
        await asyncio.to_thread(writer.join)
        readers.shutdown()
        self._reading.close()

    def _queue(self, item: Row | Work) -> None:
        """Leave a write for the end of this turn of the event loop.

        Handed over one by one, the first would wake the writer, and the two threads would fight
        for the interpreter while the others are made.
        """
        if self._writer is None or self._loop is None:
            item.done.set_exception(StoreDownError("the database is closed"))
            return
        if not self._called:
            self._loop.call_soon(self._hand_over)
        self._called.append(item)

    def _hand_over(self) -> None:
        """Give the writer what was queued in this turn of the event loop."""
        if self._called:
            self._writes.put(self._called)
            self._called = []

    def _run(self, connection: sqlite3.Connection) -> None:
        """Serve writes until the end mark comes (the writer thread's whole life)."""
        ending = False
        while not ending:
            batch, ending = self._gather()
            if batch:
                self._deliver(batch, commit(connection, batch))
        connection.close()

    def _gather(self) -> tuple[list[Row | Work], bool]:
        """Wait for writes, and take along what has come meanwhile."""
        batch: list[Row | Work] = []
        items = self._writes.get()
        while items is not None:
            batch += items
            if len(batch) >= MAX_SHARED:
                return batch, False
            try:
                items = self._writes.get_nowait()
            except queue.Empty:
                return batch, False
        return batch, True

    def _deliver(self, batch: list[Row | Work], results: list[Any]) -> None:
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
