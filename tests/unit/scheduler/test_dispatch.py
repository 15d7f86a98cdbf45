"""Jobs begin and end as they should, whatever the engine does meanwhile."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

from typing_extensions import override

from engines.base import Picture, Progress, Turn
from engines.errors import EngineDownError
from engines.fake import NAME, FakeEngine
from engines.spec import GenerationSpec
from scheduler.job import Cancelled, Failed
from tests.unit.scheduler.parts import a_scheduler


class Stubborn(FakeEngine):
    """Answers an interrupt with an error, as a server does that dies of it."""

    def __init__(self) -> None:
        super().__init__()
        self.began = asyncio.Event()

    @override
    async def generate(
        self, spec: GenerationSpec, turn: Turn
    ) -> AsyncGenerator[Progress | Picture]:
        self.began.set()
        try:
            await asyncio.Event().wait()
            yield Progress("drawing")
        finally:
            raise EngineDownError("the interrupt was too much")


class Lingering(FakeEngine):
    """Needs a while to let go of a picture."""

    def __init__(self) -> None:
        super().__init__()
        self.began, self.asked, self.free = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @override
    async def generate(
        self, spec: GenerationSpec, turn: Turn
    ) -> AsyncGenerator[Progress | Picture]:
        self.began.set()
        try:
            await asyncio.Event().wait()
            yield Progress("drawing")
        finally:
            self.asked.set()
            await self.free.wait()


async def test_a_picture_that_fails_at_once_costs_no_seat(tmp_path: Path) -> None:
    async with a_scheduler(tmp_path) as parts:
        job_id = await parts.submit("[fail invalid_spec]", count=4)
        await parts.until(job_id, Failed)
        assert len(parts.scheduler.stations[NAME].seats) == 0


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
