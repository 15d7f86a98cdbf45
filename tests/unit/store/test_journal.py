"""The record of jobs as it is read: page by page, and around what is damaged."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scheduler.job import Failed, Job
from service.store import journal
from service.store.database import Database
from tests.unit.scheduler.parts import an_ask

NOW = datetime(2026, 1, 31, tzinfo=UTC)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(tmp_path / "kitty.sqlite3")
    await database.open(schema=journal.SCHEMA)
    yield database
    await database.aclose()


def a_job(number: int) -> Job:
    """Return a job; every third has failed."""
    job = an_ask().job(number=number, now=NOW, highres_cost=64.0)
    return job if number % 3 else replace(job, status=Failed("internal", "", NOW))


async def numbers(record: journal.Journal, limit: int, *states: str) -> list[list[int]]:
    """Return the numbers of all jobs, page by page."""
    pages: list[list[int]] = []
    before = None
    while page := await record.page(limit=limit, before=before, states=states):
        pages.append([job.number for job in page])
        before = pages[-1][-1]
    return pages


async def test_a_damaged_row_shortens_no_page(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    record = journal.Journal(database)
    for number in range(1, 10):
        await record.add(a_job(number))
    assert await numbers(record, 4) == [[9, 8, 7, 6], [5, 4, 3, 2], [1]]
    assert await numbers(record, 2, "failed") == [[9, 6], [3]]
    await database.write(
        lambda connection: connection.execute(
            "UPDATE jobs SET request = x'7b7d' WHERE number IN (1, 6, 7)"
        )
    )
    assert await numbers(record, 4) == [[9, 8, 5, 4], [3, 2]]
    assert await numbers(record, 3) == [[9, 8, 5], [4, 3, 2]]
    assert await numbers(record, 2, "failed", "queued") == [[9, 8], [5, 4], [3, 2]]
    assert "job number 6 cannot be read" in caplog.text
