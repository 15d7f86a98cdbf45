"""The table's counts are those of the journal, whatever happens."""

import asyncio
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as some

from scheduler.errors import IllegalTransitionError
from scheduler.events import Events
from scheduler.job import (
    Cancelled,
    Failed,
    Job,
    JobId,
    Queued,
    Running,
    Status,
    Storing,
    Succeeded,
)
from scheduler.ports import SystemClock
from scheduler.table import JobTable
from service.store import journal
from service.store.database import Database
from tests.unit.scheduler.parts import an_ask
from tests.unit.scheduler.test_job import NOW

STATUSES: list[Status] = [
    Queued(again=True),
    Running(NOW),
    Storing(NOW),
    Succeeded((), NOW),
    Failed("internal", "a bug", NOW),
    Cancelled("cancelled_by_user", NOW),
]
STEPS = some.lists(some.tuples(some.integers(0, 4), some.sampled_from(STATUSES)), max_size=40)


async def a_table(database: Database) -> tuple[JobTable, journal.Journal]:
    record = journal.Journal(database)
    table = JobTable(journal=record, events=Events(SystemClock()))
    await table.start()
    return table, record


async def walk(folder: Path, steps: list[tuple[int, Status]]) -> None:
    """Take jobs through their steps; a refused one changes nothing."""
    database = Database(folder / "kitty.sqlite3")
    await database.open(schema=journal.SCHEMA)
    table, record = await a_table(database)
    jobs: dict[int, JobId] = {}
    for number, status in steps:
        if number not in jobs:
            job: Job = an_ask().job(number=number, now=NOW, highres_cost=1.0)
            table.insert(await record.add(job))
            jobs[number] = job.id
            continue
        try:
            table.move(jobs[number], status)
        except IllegalTransitionError:
            continue
    await table.written()
    assert +Counter(table.counts) == Counter(await record.counts())
    assert sum(table.counts.values()) == len(jobs)
    restarted, _ = await a_table(database)
    assert +Counter(restarted.counts) == +Counter(table.counts)
    await database.aclose()


@settings(max_examples=30, deadline=None)
@given(steps=STEPS)
def test_counts_are_those_of_the_journal(steps: list[tuple[int, Status]]) -> None:
    with TemporaryDirectory() as folder:
        asyncio.run(walk(Path(folder), steps))
