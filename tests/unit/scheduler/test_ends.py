"""Jobs that are cut off, by a cancel or by the end of the service, end as they should."""

import asyncio
import threading
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import pytest
from typing_extensions import override

from engines.base import Picture, Progress, Turn
from engines.card import test_card as a_card
from engines.errors import EngineDownError
from engines.fake import FakeEngine
from engines.spec import GenerationSpec
from scheduler.job import Cancelled, Queued, Running, Succeeded
from scheduler.ports import SystemClock
from tests.unit.scheduler.parts import Endless, Lingering, a_scheduler, an_ask


class Stubborn(Endless):
    """Answers an interrupt with an error, as a server does that dies of it."""

    @override
    async def let_go(self) -> None:
        raise EngineDownError("the interrupt was too much")


async def test_a_cancel_ends_the_job_though_the_engine_fails_at_it(tmp_path: Path) -> None:
    engine = Stubborn()
    async with a_scheduler(tmp_path, engine) as parts:
        job_id = await parts.submit()
        await engine.began.wait()
        job = await parts.scheduler.cancel(job_id)
        assert isinstance(job.status, Cancelled)


async def test_a_shutdown_costs_no_attempt_though_the_engine_fails_at_it(tmp_path: Path) -> None:
    engine = Stubborn()
    async with a_scheduler(tmp_path, engine) as parts:
        job_id = await parts.submit()
        await engine.began.wait()
        await parts.scheduler.stop(grace_seconds=0.0)
        job = parts.scheduler.table[job_id]
        assert (job.status.kind, job.attempts) == ("queued", 0)


async def test_a_cancel_stands_when_the_service_ends_meanwhile(tmp_path: Path) -> None:
    engine = Lingering()
    async with a_scheduler(tmp_path, engine) as parts:
        job_id = await parts.submit()
        await engine.began.wait()
        cancel = asyncio.create_task(parts.scheduler.cancel(job_id))
        await engine.asked.wait()
        stop = asyncio.create_task(parts.scheduler.stop(grace_seconds=0.0))
        with parts.scheduler.events.subscribe() as news:
            async for _ in news:
                pass
        await asyncio.sleep(0)
        engine.free.set()
        await asyncio.gather(cancel, stop)
        assert isinstance(parts.scheduler.table[job_id].status, Cancelled)


async def test_a_journal_that_cannot_be_written_keeps_nobody_from_stopping(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with a_scheduler(tmp_path) as parts:
        job_id = await parts.submit("[fail hang]")
        await parts.until(job_id, Running)
        connection = await parts.database.write(lambda connection: connection)
        connection.execute("PRAGMA query_only = ON")
        with parts.scheduler.events.subscribe() as news:
            await parts.scheduler.stop(grace_seconds=0.0)
            kinds = [event.job.status.kind async for event in news]
        assert kinds == ["queued"]
        assert parts.scheduler.table[job_id].status == Queued(again=True, reason="shutdown")
    assert "may count as a crash" in caplog.text


async def test_a_cancel_is_durable_when_it_is_answered(tmp_path: Path) -> None:
    async with a_scheduler(tmp_path) as parts:
        job_id = await parts.submit("[fail hang]")
        await parts.until(job_id, Running)
        blocked = threading.Event()
        writing = parts.database.write(lambda _: blocked.wait())
        cancel = asyncio.create_task(parts.scheduler.cancel(job_id))
        await parts.until(job_id, Cancelled)
        await asyncio.sleep(0)
        assert not cancel.done()
        blocked.set()
        await asyncio.gather(cancel, writing)
        assert isinstance((await parts.journal.get(job_id)).status, Cancelled)


class OneByOne(FakeEngine):
    """Draws each picture when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.go = {1: asyncio.Event(), 2: asyncio.Event()}

    @override
    async def generate(
        self, spec: GenerationSpec, turn: Turn
    ) -> AsyncGenerator[Progress | Picture]:
        yield Progress("waiting")
        await self.go[spec.seed].wait()
        png = a_card(width=64, height=64, seed=spec.seed)
        yield Picture(png=png, width=64, height=64, seed=spec.seed)


async def test_a_picture_that_is_stored_during_the_grace_makes_no_suspect(tmp_path: Path) -> None:
    engine = OneByOne()
    async with a_scheduler(tmp_path, engine) as parts:
        job_id = await parts.submit(count=2)
        await parts.until(job_id, Running)
        stop = asyncio.create_task(parts.scheduler.stop(grace_seconds=3600.0))
        with parts.scheduler.events.subscribe() as news:
            async for _ in news:
                pass
        engine.go[1].set()
        while not getattr(parts.scheduler.table[job_id].status, "artifacts", ()):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        await parts.database.write(lambda _: None)  # all that came before it is written, too
        left = await parts.journal.get(job_id)
        assert left.status == Queued(again=True, reason="shutdown")
        engine.go[2].set()
        await stop
        await parts.database.write(lambda _: None)
        assert isinstance((await parts.journal.get(job_id)).status, Succeeded)


async def test_a_cancel_at_the_very_beginning_lists_what_was_stored_before(tmp_path: Path) -> None:
    async with a_scheduler(tmp_path) as parts:
        ask = an_ask("[fail hang]", count=2)
        job = ask.job(number=1, now=SystemClock().now(), highres_cost=64.0)
        drawn = Picture(png=a_card(width=64, height=64, seed=1), width=64, height=64, seed=1)
        artifact = await parts.images.put(job, 0, drawn)
        await parts.journal.add(replace(job, status=Queued(again=True)))
        await parts.journal.pause(True)
    async with a_scheduler(tmp_path) as parts:
        blocked = threading.Event()
        writing = parts.database.write(lambda _: blocked.wait())
        parts.scheduler._dispatch.hold(False)
        await parts.until(job.id, Running)
        cancel = asyncio.create_task(parts.scheduler.cancel(job.id))
        await asyncio.sleep(0)
        blocked.set()
        await asyncio.gather(cancel, writing)
        status = (await parts.journal.get(job.id)).status
        assert isinstance(status, Cancelled)
        assert status.artifacts == (artifact,)
