"""Jobs begin and end as they should, whatever the engine does meanwhile."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from typing_extensions import override

from engines.base import Capabilities, EngineName, Health, Picture
from engines.card import test_card as a_card
from engines.fake import NAME, FakeEngine
from scheduler.errors import IllegalTransitionError, StoreDownError
from scheduler.job import Failed, Queued, Running, Storing, Succeeded
from scheduler.ports import SystemClock
from tests.unit.scheduler.parts import Lingering, a_scheduler, an_ask


async def test_a_picture_that_fails_at_once_costs_no_seat(tmp_path: Path) -> None:
    async with a_scheduler(tmp_path) as parts:
        job_id = await parts.submit("[fail invalid_spec]", count=4)
        await parts.until(job_id, Failed)
        assert len(parts.scheduler.stations[NAME].seats) == 0


class Buggy(FakeEngine):
    """Answers a probe with a bug."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()

    @override
    async def probe(self) -> Health:
        self.asked.set()
        raise RuntimeError


async def test_a_probe_with_a_bug_is_followed_by_another(tmp_path: Path) -> None:
    engine = Buggy()
    async with a_scheduler(tmp_path, engine) as parts:
        station, long_ago = parts.scheduler.stations[NAME], SystemClock().monotonic() - 60
        station.breaker.failed(long_ago, reason="engine_down", gone=True)
        await parts.submit()
        await engine.asked.wait()
        assert station.breaker.wait_seconds(SystemClock().monotonic()) > 0
        assert not station.probing


async def test_an_impatient_retry_after_a_restart_draws_once(tmp_path: Path) -> None:
    async with a_scheduler(tmp_path) as parts:
        job_id = await parts.submit("[fail invalid_spec]")
        await parts.until(job_id, Failed)
    engine = Lingering()
    async with a_scheduler(tmp_path, engine) as parts:
        retries = [parts.scheduler.retry(job_id) for _ in range(3)]
        answers = await asyncio.gather(*retries, return_exceptions=True)
        assert [type(answer) for answer in answers].count(IllegalTransitionError) == 2
        await engine.began.wait()
        engine.free.set()


async def test_a_job_that_is_just_beginning_can_be_paused(tmp_path: Path) -> None:
    engine = Lingering()
    engine.free.set()
    async with a_scheduler(tmp_path, engine) as parts:
        job, _ = await parts.scheduler.submit(an_ask())
        await asyncio.sleep(0)
        assert isinstance(parts.scheduler.table[job.id].status, Queued)
        paused = await parts.scheduler.pause(job.id, paused=True)
        assert (paused.status.kind, getattr(paused.status, "paused", None)) == ("running", True)


async def test_a_journal_that_cannot_be_written_costs_no_job(tmp_path: Path) -> None:
    async with a_scheduler(tmp_path) as parts:
        await parts.scheduler.pause_all(paused=True)
        job_id = await parts.submit()
        connection = await parts.database.write(lambda connection: connection)
        connection.execute("PRAGMA query_only = ON")
        with pytest.raises(StoreDownError):
            await parts.scheduler.pause_all(paused=False)
        assert parts.scheduler.paused
        parts.scheduler._dispatch.hold(False)
        with parts.scheduler.events.subscribe(job_id=job_id) as news:
            async for event in news:
                if not isinstance(event.job.status, Running):
                    break
        assert isinstance(event.job.status, Queued)
        connection.execute("PRAGMA query_only = OFF")
        job = await parts.until(job_id, Succeeded, Failed)
        assert (job.status.kind, job.attempts) == ("succeeded", 0)


async def test_a_picture_that_only_waits_for_the_store_needs_no_engine(tmp_path: Path) -> None:
    async with a_scheduler(tmp_path) as parts:
        job = an_ask().job(number=1, now=SystemClock().now(), highres_cost=64.0)
        drawn = Picture(png=a_card(width=64, height=64, seed=1), width=64, height=64, seed=1)
        artifact = await parts.images.put(job, 0, drawn)
        storing = Storing(SystemClock().now(), artifacts=(artifact,))
        await parts.journal.add(replace(job, status=storing))
    async with a_scheduler(tmp_path, FakeEngine(name=EngineName("other"))) as parts:
        assert parts.scheduler.position(parts.scheduler.table[job.id]) is None
        assert (await parts.until(job.id, Succeeded, Failed)).status.kind == "succeeded"


async def test_a_paused_job_keeps_nobody_from_drawing(tmp_path: Path) -> None:
    async with a_scheduler(tmp_path, FakeEngine(batch=1, slots=2)) as parts:
        held = await parts.submit("[fail hang]")
        await parts.until(held, Running)
        await parts.scheduler.pause(held, paused=True)
        await parts.until(await parts.submit(), Succeeded)
        assert isinstance(parts.scheduler.table[held].status, Running)


class Forgetful(FakeEngine):
    """Does not know for a moment what it can do."""

    asked = 1

    @property
    @override
    def capabilities(self) -> Capabilities:
        self.asked += 1
        if self.asked == 1:
            raise RuntimeError
        return self._known

    @capabilities.setter
    def capabilities(self, known: Capabilities) -> None:
        self._known = known


async def test_a_bug_in_a_look_at_the_queue_does_not_end_the_looking(tmp_path: Path) -> None:
    engine = Forgetful()
    async with a_scheduler(tmp_path, engine) as parts:
        engine.asked = 0
        await parts.until(await parts.submit(), Succeeded)
        assert engine.asked > 1
