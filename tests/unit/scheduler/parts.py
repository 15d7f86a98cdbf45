"""A scheduler on real parts: SQLite, a folder, and engines that a test holds in its hand."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from typing_extensions import override

from engines.base import Engine, EngineName, Picture, Progress, Turn
from engines.fake import NAME, FakeEngine
from engines.spec import GenerationSpec
from scheduler.ask import Ask
from scheduler.failover import Alternative, no_alternative
from scheduler.gpu import Gpu
from scheduler.intake import Limits
from scheduler.job import Job, JobId, Status
from scheduler.ports import SystemClock
from scheduler.scheduler import Scheduler
from service.store import journal, rows
from service.store.catalogue import Catalogue
from service.store.database import Database
from service.store.files import FileStore
from service.store.images import PictureStore
from service.store.keys import Keys
from service.store.spool import Spool


class Endless(FakeEngine):
    """Never ends a picture by itself."""

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
            await self.let_go()

    async def let_go(self) -> None:
        """Do what is to be done when a picture is cut off."""


class Lingering(Endless):
    """Needs a while to let go of a picture."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.free = asyncio.Event(), asyncio.Event()

    @override
    async def let_go(self) -> None:
        self.asked.set()
        await self.free.wait()


def an_ask(prompt: str = "a card", *, count: int = 1, engine: EngineName = NAME) -> Ask:
    """Return a request for small cards."""
    spec = GenerationSpec(
        prompt=prompt, model="test-card", width=64, height=64, steps=4, cfg=7.0, seed=1,
        sampler="euler",
    )  # fmt: skip
    return Ask(spec=spec, engine=engine, count=count)


@dataclass(frozen=True, slots=True)
class Parts:
    """A running scheduler, and what it stands on."""

    scheduler: Scheduler
    database: Database
    journal: journal.Journal
    images: PictureStore

    async def submit(self, prompt: str = "a card", *, count: int = 1) -> JobId:
        """Submit a request and return its job's id."""
        job, _ = await self.scheduler.submit(an_ask(prompt, count=count))
        return job.id

    async def until(self, job_id: JobId, *kinds: type[Status]) -> Job:
        """Return a job when its status is of one of these kinds."""
        with self.scheduler.events.subscribe(job_id=job_id) as news:
            job = await self.scheduler.table.find(job_id)
            if isinstance(job.status, kinds):
                return job
            async for event in news:
                if isinstance(event.job.status, kinds):
                    return event.job
        raise AssertionError("the news ended")


@asynccontextmanager
async def a_scheduler(
    folder: Path,
    *engines: Engine,
    alternative: Alternative = no_alternative,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    journal_on: Callable[[Database], journal.Journal] = journal.Journal,
    taken_up: bool = True,
) -> AsyncIterator[Parts]:
    """Run a scheduler, `taken_up` once it has all leftovers; all engines draw on one GPU."""
    database = Database(folder / "kitty.sqlite3")
    await database.open(schema=journal.SCHEMA + rows.SCHEMA)
    objects, spool = FileStore(folder / "objects"), Spool(folder / "spool")
    await asyncio.gather(objects.open(), spool.open())
    images = PictureStore(objects=objects, spool=spool, catalogue=Catalogue(database), keys=Keys())
    gpu, record = Gpu(), journal_on(database)
    scheduler = Scheduler(
        engines={engine.name: (engine, gpu) for engine in engines or (FakeEngine(),)},
        journal=record,
        images=images,
        clock=SystemClock(),
        limits=limits,
        alternative=alternative,
    )
    await scheduler.start()
    if taken_up:
        await scheduler.taken_up()
    try:
        yield Parts(scheduler, database, record, images)
    finally:
        await scheduler.stop(grace_seconds=0.0)
        await database.aclose()
