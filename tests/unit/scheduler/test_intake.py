"""How many jobs are let in, and who is let in again."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from scheduler.ask import Ask
from scheduler.errors import IdempotencyError, QueueFullError
from scheduler.eta import NEEDED
from scheduler.intake import Limits
from scheduler.job import Queued, Succeeded
from tests.unit.scheduler.parts import a_scheduler, an_ask

TWO = Limits(queue_max=2)


def keyed(key: str, *, client: str = "one", digest: str = "d") -> Ask:
    return replace(an_ask(), idempotency_key=key, client=client, digest=digest)


async def test_a_repeat_is_answered_though_the_queue_is_full(tmp_path: Path) -> None:
    async with a_scheduler(tmp_path, limits=TWO) as parts:
        scheduler = parts.scheduler
        await scheduler.pause_all(paused=True)
        first, again = await scheduler.submit(keyed("a"))
        assert not again
        await scheduler.submit(keyed("b"))
        for _ in range(2):
            job, again = await scheduler.submit(keyed("a"))
            assert (job.id, again) == (first.id, True)
        with pytest.raises(IdempotencyError):
            await scheduler.submit(keyed("a", digest="other"))
        for stranger in (keyed("c"), keyed("a", client="two"), an_ask()):
            with pytest.raises(QueueFullError):
                await scheduler.submit(stranger)
        assert len(scheduler.table) == 2


async def test_a_repeat_that_comes_with_its_first_finds_it(tmp_path: Path) -> None:
    async with a_scheduler(tmp_path, limits=Limits(queue_max=1)) as parts:
        await parts.scheduler.pause_all(paused=True)
        both = await asyncio.gather(*(parts.scheduler.submit(keyed("a")) for _ in range(2)))
        assert [again for _, again in both] == [False, True]
        assert both[0][0].id == both[1][0].id


async def test_a_paused_job_has_its_place_in_the_queue(tmp_path: Path) -> None:
    async with a_scheduler(tmp_path, limits=TWO) as parts:
        scheduler = parts.scheduler
        await scheduler.pause_all(paused=True)
        for _ in range(2):
            await scheduler.pause(await parts.submit(), paused=True)
        assert (scheduler.waiting, scheduler.queued) == (0, 2)
        with pytest.raises(QueueFullError):
            await parts.submit()


async def test_a_job_that_is_drawn_or_done_leaves_its_place(tmp_path: Path) -> None:
    async with a_scheduler(tmp_path, limits=TWO) as parts:
        for _ in range(5):
            await parts.until(await parts.submit(), Succeeded)
        assert parts.scheduler.queued == 0


async def test_nobody_knows_when_a_paused_queue_goes_on(tmp_path: Path) -> None:
    async with a_scheduler(tmp_path) as parts:
        for _ in range(NEEDED + 1):
            await parts.until(await parts.submit(), Succeeded)
        await parts.scheduler.pause_all(paused=True)
        job = parts.scheduler.table[await parts.submit()]
        assert parts.scheduler.eta(job) is None


async def test_a_queue_that_was_paused_stays_so_through_restarts(tmp_path: Path) -> None:
    async with a_scheduler(tmp_path) as parts:
        await parts.scheduler.pause_all(paused=True)
        job_id = await parts.submit()
    for _ in range(2):
        async with a_scheduler(tmp_path) as parts:
            assert parts.scheduler.paused
            assert isinstance(parts.scheduler.table[job_id].status, Queued)
    async with a_scheduler(tmp_path) as parts:
        await parts.scheduler.pause_all(paused=False)
        await parts.until(job_id, Succeeded)
    async with a_scheduler(tmp_path) as parts:
        assert not parts.scheduler.paused
