"""Jobs of the process before: all are there from the first moment, though most are not yet read."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from engines.fake import FakeEngine
from scheduler import leftovers
from scheduler.errors import QueueFullError, StoreDownError
from scheduler.intake import Limits
from scheduler.job import Cancelled, Job, JobId, Queued, Running, Succeeded
from scheduler.outcome import MAX_CRASHES
from service.store import journal
from service.store.database import Database
from tests.unit.scheduler.parts import Parts, a_scheduler, an_ask
from tests.unit.scheduler.test_job import NOW

MANY = 150
"""Jobs that the journal gives out in several portions."""


class SlowJournal(journal.Journal):
    """Lets queued jobs be read when the test says so."""

    def __init__(self, database: Database, *, gate: asyncio.Event) -> None:
        super().__init__(database)
        self._gate = gate

    async def unfinished(self, state: str, *, until: int) -> AsyncIterator[Sequence[Job]]:
        async for jobs in super().unfinished(state, until=until):
            if state == "queued":
                await self._gate.wait()
            yield jobs


class TornJournal(journal.Journal):
    """Breaks off after the first portion of queued jobs, until the test `mends` it."""

    def __init__(self, database: Database, *, broken: asyncio.Event, mends: asyncio.Event) -> None:
        super().__init__(database)
        self._broken = broken
        self._mends = mends

    async def unfinished(self, state: str, *, until: int) -> AsyncIterator[Sequence[Job]]:
        if self._broken.is_set():
            await self._mends.wait()
        async for jobs in super().unfinished(state, until=until):
            yield jobs
            if state == "queued" and not self._broken.is_set():
                self._broken.set()
                raise StoreDownError("as the test wants")


@pytest.fixture
def gate() -> asyncio.Event:
    return asyncio.Event()


async def leave(folder: Path, count: int, *, paused: bool = False) -> list[JobId]:
    """Leave waiting jobs behind, in a queue that stands still or goes on."""
    async with a_scheduler(folder) as parts:
        await parts.scheduler.pause_all(paused=True)
        jobs = [await parts.submit(f"card {number}") for number in range(count)]
        await parts.journal.pause(paused)
    return jobs


async def drawn(parts: Parts, count: int) -> list[JobId]:
    """Return the jobs in the order of their beginnings, up to so many."""
    begun: list[JobId] = []
    with parts.scheduler.events.subscribe(since=0) as news:
        async for event in news:
            if isinstance(event.job.status, Running) and event.job.id not in begun:
                begun.append(event.job.id)
            if len(begun) == count:
                break
    return begun


async def test_what_is_not_read_yet_is_known_all_the_same(
    tmp_path: Path, gate: asyncio.Event
) -> None:
    left = await leave(tmp_path, 3)
    slow, limits = partial(SlowJournal, gate=gate), Limits(queue_max=4)
    async with a_scheduler(tmp_path, limits=limits, journal_on=slow, taken_up=False) as parts:
        scheduler = parts.scheduler
        assert (len(scheduler.table), scheduler.queued, scheduler.waiting) == (0, 3, 3)
        for job_id in left:
            assert isinstance((await scheduler.table.find(job_id)).status, Queued)
        new = await parts.submit()
        with pytest.raises(QueueFullError):
            await parts.submit()
        gate.set()
        for job_id in (*left, new):
            await parts.until(job_id, Succeeded)
        assert (scheduler.queued, scheduler.waiting) == (0, 0)


async def test_a_key_from_before_is_known_before_its_job_is_read(
    tmp_path: Path, gate: asyncio.Event
) -> None:
    ask = replace(an_ask(), client="one", idempotency_key="key", digest="d")
    async with a_scheduler(tmp_path) as parts:
        await parts.scheduler.pause_all(paused=True)
        first, _ = await parts.scheduler.submit(ask)
    slow = partial(SlowJournal, gate=gate)
    async with a_scheduler(tmp_path, journal_on=slow, taken_up=False) as parts:
        again, repeated = await parts.scheduler.submit(ask)
        assert (again.id, repeated) == (first.id, True)


async def test_who_comes_meanwhile_stands_behind_those_from_before(
    tmp_path: Path, gate: asyncio.Event
) -> None:
    left = await leave(tmp_path, MANY)
    slow, one_by_one = partial(SlowJournal, gate=gate), FakeEngine(batch=1, slots=1)
    async with a_scheduler(tmp_path, one_by_one, journal_on=slow, taken_up=False) as parts:
        new = [await parts.submit() for _ in range(3)]
        gate.set()
        order = await drawn(parts, MANY + 3)
        assert order == [*left, *new]
        await parts.until(new[-1], Succeeded)


async def test_a_job_that_is_not_read_yet_can_be_ended_and_held(
    tmp_path: Path, gate: asyncio.Event
) -> None:
    left = await leave(tmp_path, 4)
    slow = partial(SlowJournal, gate=gate)
    engine = FakeEngine()
    async with a_scheduler(tmp_path, engine, journal_on=slow, taken_up=False) as parts:
        scheduler = parts.scheduler
        await scheduler.pause_all(paused=True)
        assert isinstance((await scheduler.cancel(left[0])).status, Cancelled)
        assert (await scheduler.pause(left[1], paused=True)).status == Queued(paused=True)
        await scheduler.pause(left[2], paused=True)
        await scheduler.pause(left[2], paused=False)
        new = await parts.submit()
        await scheduler.cancel(new)
        assert scheduler.queued == 3
        gate.set()
        await scheduler.taken_up()
        assert scheduler.queued == 3
        await scheduler.pause_all(paused=False)
        for job_id in left[2:]:
            await parts.until(job_id, Succeeded)
        assert isinstance((await scheduler.table.find(left[0])).status, Cancelled)
        assert scheduler.table[left[1]].status == Queued(paused=True)
        assert engine.drawn == 2


async def test_what_was_drawing_is_taken_up_before_anything_else(
    tmp_path: Path, gate: asyncio.Event
) -> None:
    left = await leave(tmp_path, 3, paused=True)
    for crashes in range(1, MAX_CRASHES):
        async with a_scheduler(tmp_path) as parts:
            job = parts.scheduler.table[left[2]]
            await parts.journal.update(replace(job, status=Running(NOW)))
        slow = partial(SlowJournal, gate=gate)
        async with a_scheduler(tmp_path, journal_on=slow, taken_up=False) as parts:
            assert list(parts.scheduler.table) == [parts.scheduler.table[left[2]]]
            assert parts.scheduler.table[left[2]].crashes == crashes


async def test_a_stop_does_not_wait_for_what_is_unread(tmp_path: Path, gate: asyncio.Event) -> None:
    left = await leave(tmp_path, 3)
    slow = partial(SlowJournal, gate=gate)
    async with a_scheduler(tmp_path, journal_on=slow, taken_up=False) as parts:
        new = await parts.submit()
    async with a_scheduler(tmp_path) as parts:
        for job_id in (*left, new):
            await parts.until(job_id, Succeeded)


async def test_what_could_not_be_read_is_known_and_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(leftovers, "AGAIN_SECONDS", 0.0)
    left = await leave(tmp_path, MANY, paused=True)
    broken, mends, engine = asyncio.Event(), asyncio.Event(), FakeEngine()
    torn = partial(TornJournal, broken=broken, mends=mends)
    async with a_scheduler(tmp_path, engine, journal_on=torn, taken_up=False) as parts:
        scheduler = parts.scheduler
        before = await parts.submit()
        await broken.wait()
        after = await parts.submit()
        assert left[-1] not in scheduler.table
        assert (scheduler.queued, scheduler.waiting) == (MANY + 2, MANY + 2)
        for new in (before, after):
            assert scheduler.position(scheduler.table[new]) is not None
        await scheduler.pause(left[-1], paused=True)
        assert isinstance((await scheduler.cancel(left[-2])).status, Cancelled)
        assert (scheduler.queued, scheduler.waiting) == (MANY + 1, MANY)
        mends.set()
        await scheduler.taken_up()
        assert (scheduler.queued, scheduler.waiting) == (MANY + 1, MANY)
        await scheduler.pause_all(paused=False)
        for job_id in (*left[:-2], before, after):
            await parts.until(job_id, Succeeded)
        assert scheduler.table[left[-1]].status == Queued(paused=True)
        assert engine.drawn == MANY
    assert "not all that the journal left over could be read" in caplog.text


async def test_who_was_never_counted_is_not_counted_down(tmp_path: Path) -> None:
    async with a_scheduler(tmp_path) as parts:
        job = an_ask().job(number=7, now=NOW, highres_cost=1.0)
        await parts.journal.add(job)
        await parts.scheduler.pause(job.id, paused=True)
        assert (parts.scheduler.queued, parts.scheduler.waiting) == (1, 0)


async def test_a_damaged_row_costs_no_other_job_its_place(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    left = await leave(tmp_path, 3)
    database = Database(tmp_path / "kitty.sqlite3")
    await database.open(schema=journal.SCHEMA)
    await database.write(
        lambda connection: connection.execute(
            "UPDATE jobs SET request = x'7b7d' WHERE id = ?", (left[1],)
        )
    )
    await database.aclose()
    async with a_scheduler(tmp_path) as parts:
        for job_id in (left[0], left[2]):
            await parts.until(job_id, Succeeded)
        assert (parts.scheduler.queued, parts.scheduler.waiting) == (0, 0)
    assert "cannot be read" in caplog.text
