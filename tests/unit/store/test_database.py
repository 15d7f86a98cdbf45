"""Writes that share a commit: durable when they are answered, in order, none at another's cost."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from scheduler.errors import StoreDownError
from service.store.commit import MOST_ROWS
from service.store.database import Database

PATIENCE_SECONDS = 30.0
"""A writer that has died never answers; without an end the test would never fail."""

SCHEMA = "CREATE TABLE cats (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cats.sqlite3"


@pytest.fixture
async def database(path: Path) -> AsyncIterator[Database]:
    database = Database(path)
    await database.open(schema=SCHEMA)
    yield database
    await database.aclose()


def names(path: Path) -> list[str]:
    """Return what another process would see, in the order of the ids."""
    connection = sqlite3.connect(path)
    try:
        return [name for (name,) in connection.execute("SELECT name FROM cats ORDER BY id")]
    finally:
        connection.close()


@pytest.mark.parametrize("count", [1, 2, 3, MOST_ROWS, 3 * MOST_ROWS + 7])
async def test_rows_are_there_when_the_future_is_done(
    database: Database, path: Path, count: int
) -> None:
    rows = [database.insert("cats", (number, f"cat {number}")) for number in range(count)]
    await asyncio.gather(*rows)
    assert names(path) == [f"cat {number}" for number in range(count)]


async def test_a_refused_row_takes_no_other_with_it(database: Database, path: Path) -> None:
    await database.insert("cats", (100, "cat 2"))
    rows = [database.insert("cats", (number, f"cat {number}")) for number in range(11)]
    results = await asyncio.gather(*rows, return_exceptions=True)
    refused = results.pop(2)
    assert isinstance(refused, sqlite3.IntegrityError)
    assert results == [None] * 10
    assert names(path) == [f"cat {number}" for number in range(11) if number != 2] + ["cat 2"]


async def test_writes_of_all_kinds_run_in_the_order_of_the_calls(
    database: Database, path: Path
) -> None:
    def rename(connection: sqlite3.Connection) -> int:
        return connection.execute("UPDATE cats SET name = name || '!'").rowcount

    writes = [
        database.insert("cats", (1, "Tom")),
        database.insert("cats", (2, "Kit")),
        database.write(rename, atomic=True),
        database.insert("cats", (3, "Felix")),
        database.write(rename),
    ]
    assert await asyncio.gather(*writes) == [None, None, 2, None, 3]
    assert names(path) == ["Tom!!", "Kit!!", "Felix!"]


async def test_work_that_fails_undoes_its_own_statements_only(
    database: Database, path: Path
) -> None:
    def fail(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO cats VALUES (2, 'Kit')")
        raise ValueError("as the test wants")

    before = database.insert("cats", (1, "Tom"))
    failing = database.write(fail)
    after = database.insert("cats", (3, "Felix"))
    with pytest.raises(ValueError, match="as the test wants"):
        await failing
    await asyncio.gather(before, after)
    assert names(path) == ["Tom", "Felix"]


async def test_a_database_that_cannot_be_written_says_so_to_all(
    database: Database, path: Path
) -> None:
    other = sqlite3.connect(path)
    other.execute("DROP TABLE cats")
    other.close()
    rows = [database.insert("cats", (number, f"cat {number}")) for number in range(3)]
    results = await asyncio.gather(*rows, return_exceptions=True)
    assert [type(result) for result in results] == [StoreDownError] * 3


async def test_closing_finishes_what_was_called(database: Database, path: Path) -> None:
    row = database.insert("cats", (1, "Tom"))
    await database.aclose()
    assert row.done()  # else it would never be
    await row
    assert names(path) == ["Tom"]
    with pytest.raises(StoreDownError):
        await database.insert("cats", (2, "Kit"))
    with pytest.raises(StoreDownError):
        await database.read(lambda connection: connection.total_changes)


async def test_a_row_that_is_none_takes_no_other_with_it(database: Database, path: Path) -> None:
    refused = ("\udcff", 2**64, object())
    rows = [database.insert("cats", (number, f"cat {number}")) for number in range(4)]
    rows[2:2] = [database.insert("cats", (100, name)) for name in refused]
    results = await asyncio.wait_for(
        asyncio.gather(*rows, return_exceptions=True), PATIENCE_SECONDS
    )
    wrong = [UnicodeEncodeError, OverflowError, sqlite3.ProgrammingError]
    assert [type(result) for result in results[2:5]] == wrong
    assert results[:2] + results[5:] == [None] * 4
    assert names(path) == [f"cat {number}" for number in range(4)]


async def test_a_damaged_file_is_nobody_s_fault(path: Path) -> None:
    before = Database(path)
    await before.open(schema=SCHEMA)
    await before.insert("cats", (1, "Tom"))
    await before.aclose()
    with path.open("r+b") as file:
        file.seek(4096)  # the schema's page is whole, so that it can be opened
        file.write(b"\xff" * 8192)
    database = Database(path)
    await database.open(schema="")
    try:
        for write in (
            database.insert("cats", (2, "Kit")),
            database.write(lambda connection: connection.execute("DELETE FROM cats")),
        ):
            with pytest.raises(StoreDownError, match=r"cannot be written: .*malformed"):
                await write
        with pytest.raises(StoreDownError, match=r"cannot be read: .*malformed"):
            await database.read(
                lambda connection: connection.execute("SELECT * FROM cats").fetchall()
            )
    finally:
        await database.aclose()


def flushes(connection: sqlite3.Connection) -> bool:
    """Say whether the commit that is being made will be flushed."""
    full: bool = connection.execute("PRAGMA synchronous").fetchone()[0] == 2
    return full


async def test_only_a_commit_that_nobody_wants_flushed_is_not(database: Database) -> None:
    assert await database.write(flushes)
    assert not await database.write(flushes, flush=False)
    alone = [database.write(flushes, flush=False) for _ in range(2)]
    assert await asyncio.gather(*alone) == [False, False]
    beside = [database.write(flushes, flush=False), database.write(flushes)]
    assert await asyncio.gather(*beside) == [True, True]
    row, behind = database.insert("cats", (1, "Tom")), database.write(flushes, flush=False)
    assert await asyncio.gather(row, behind) == [None, True]
    assert await database.write(flushes)


async def test_a_commit_that_failed_leaves_the_next_one_flushed(database: Database) -> None:
    def fail(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO dogs VALUES (1)")

    with pytest.raises(StoreDownError):
        await database.write(fail, flush=False)
    assert await database.write(flushes)


async def test_what_was_not_flushed_can_be_read_at_once(database: Database, path: Path) -> None:
    def name(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO cats VALUES (1, 'Tom')")

    await database.write(name, flush=False)
    assert names(path) == ["Tom"]
