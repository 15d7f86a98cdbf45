"""The scheduler as its users see it: submit, cancel, retry, pause, look, start and stop."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from types import MappingProxyType

from engines.base import Engine, EngineName
from scheduler.ask import Ask
from scheduler.dispatch import Dispatch
from scheduler.errors import (
    IllegalTransitionError,
    JobNotFoundError,
    ShuttingDownError,
    StoreDownError,
)
from scheduler.eta import Eta, Forecast
from scheduler.events import Events
from scheduler.failover import Alternative, no_alternative
from scheduler.gpu import Gpu
from scheduler.intake import Intake, Limits
from scheduler.job import Cancelled, Failed, Job, JobId, Queued, Running
from scheduler.leftovers import Leftovers
from scheduler.outcome import StopReason
from scheduler.outlook import outlook
from scheduler.ports import Clock, ImageStore, Journal
from scheduler.seats import Seats
from scheduler.station import Station
from scheduler.table import JobTable
from scheduler.uploads import Uploads


class Scheduler:
    """Holds the parts together; construct it, `start` it, `stop` it."""

    def __init__(
        self,
        *,
        engines: Mapping[EngineName, tuple[Engine, Gpu]],
        journal: Journal,
        images: ImageStore,
        clock: Clock,
        limits: Limits,
        alternative: Alternative = no_alternative,
    ) -> None:
        self.events = Events(clock)
        self.table = JobTable(journal=journal, events=self.events)
        self._journal = journal
        self._clock = clock
        self._limits = limits
        self._intake = Intake(journal=journal, clock=clock, limits=limits)
        self._stopping = False
        self._stations = {
            name: Station(engine=engine, gpu=gpu, seats=Seats(engine, freed=self._wake))
            for name, (engine, gpu) in engines.items()
        }
        self._forecast = Forecast()
        self._uploads = Uploads(table=self.table, images=images, clock=clock)
        self._dispatch = Dispatch(
            stations=self._stations,
            table=self.table,
            images=images,
            uploads=self._uploads,
            forecast=self._forecast,
            alternative=alternative,
            clock=clock,
        )
        self._leftovers = Leftovers(
            journal=journal,
            table=self.table,
            uploads=self._uploads,
            engines=self._stations,
            clock=clock,
            enqueue=self._enqueue,
        )
        self._loops: list[asyncio.Task[None]] = []

    @property
    def stations(self) -> Mapping[EngineName, Station]:
        """The engines and how they are doing."""
        return MappingProxyType(self._stations)

    @property
    def paused(self) -> bool:
        """Whether no job is begun at present."""
        return self._dispatch.paused

    @property
    def waiting(self) -> int:
        """How many jobs wait for their turn."""
        return self._leftovers.unread + sum(s.waiting for s in self._stations.values())

    @property
    def queued(self) -> int:
        """How many jobs are accepted and neither drawn nor ended: also those that are paused."""
        alive = self._leftovers.unread + len(self.table)
        return alive - len(self._dispatch) - len(self._uploads)

    async def start(self) -> None:
        """Begin with what the journal left over, the oldest first; return before all is read."""
        await self._intake.start()
        await self.table.start()
        self._dispatch.hold(await self._journal.paused())
        await self._leftovers.start()
        loops = (self._dispatch.run(), self._uploads.run(), self._leftovers.run())
        self._loops = [asyncio.create_task(loop) for loop in loops]

    async def taken_up(self) -> None:
        """Return when all that the journal left over has its place, and the table holds it."""
        await self._leftovers.taken_up()

    async def stop(self, *, grace_seconds: float) -> None:
        """Refuse new jobs, end the event streams, let running jobs end, send the rest back."""
        self._stopping = True
        await self._dispatch.close()
        self.events.end()
        await self._dispatch.drain(grace_seconds)
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        self._loops.clear()

    async def submit(self, ask: Ask) -> tuple[Job, bool]:
        """Accept a job durably; return it, and whether an earlier request had made it.

        Raises:
            QueueFullError: too many jobs wait.
            IdempotencyError: the key belongs to another request.
            ShuttingDownError: too late.
        """
        if self._stopping:
            raise ShuttingDownError
        job, new = await self._intake.accept(ask, queued=self.queued)
        if new:
            self.table.insert(job)
            self._leftovers.enqueue(job)
            return job, False
        return await self.table.find(job.id), True

    async def cancel(self, job_id: JobId) -> Job:
        """End a job if it has not ended; drawn pictures that only wait for the store are kept.

        Raises:
            JobNotFoundError: there is no such job.
        """
        kept = await self._uploads.kept(await self._leftovers.find(job_id))
        job = await self._leftovers.find(job_id)
        if job_id in self._dispatch:
            stop = self._dispatch.stop_job(job_id, StopReason.USER)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop, self._limits.cancel_seconds)
            await self.table.written()
        elif isinstance(job.status, Queued):
            self._stations[job.engine].withdraw(job_id)
            status = Cancelled(StopReason.USER.value, self._clock.now(), artifacts=kept)
            await self.table.advance(job_id, status)
        return self.table[job_id] if not job.finished else job

    async def retry(self, job_id: JobId) -> Job:
        """Queue a failed or cancelled job again, with a clean record.

        Raises:
            JobNotFoundError: there is no such job.
            IllegalTransitionError: it has not failed.
        """
        job = await self._leftovers.find(job_id)
        if not isinstance(job.status, Failed | Cancelled):
            raise IllegalTransitionError(f"a {job.status.kind} job cannot be retried")
        self._station(job)
        self.table.recall(job)
        try:
            await self.table.advance(job_id, Queued(again=True), attempts=0, crashes=0)
        finally:
            self._leftovers.enqueue(self.table[job_id])
        return self.table[job_id]

    async def pause(self, job_id: JobId, *, paused: bool) -> Job:
        """Hold one job, queued or running, or let it go on; again is fine.

        Raises:
            JobNotFoundError: there is no such job.
            IllegalTransitionError: it has ended.
        """
        job = await self._leftovers.find(job_id)
        match job.status:
            case Queued() as status if job_id not in self._dispatch:
                await self._pause_queued(job, status, paused=paused)
            case Queued() | Running() as status:
                self._dispatch.pause_job(job_id, paused=paused)
                await self.table.advance(job_id, replace(status, paused=paused))
            case _:
                raise IllegalTransitionError(f"a {job.status.kind} job cannot be paused")
        return self.table[job_id]

    async def pause_all(self, *, paused: bool) -> None:
        """Begin no more jobs, through restarts too, or begin them again; running ones go on.

        Raises:
            ShuttingDownError: nothing is begun any more.
            StoreDownError: it cannot be recorded, and is as it was.
        """
        if self._stopping:
            raise ShuttingDownError
        was = self._dispatch.hold(paused)
        try:
            await self._journal.pause(paused)
        except StoreDownError:
            self._dispatch.hold(was or self._stopping)
            raise

    def position(self, job: Job) -> int | None:
        """Return about how many jobs go before this one; None if it is not waiting."""
        station = self._stations.get(job.engine)
        return station.backlog.position(job.id) if station else None

    def eta(self, job: Job) -> Eta | None:
        """Return when a job will be done, None while that is not known."""
        station = self._stations.get(job.engine)
        if station is None or (self.paused and isinstance(job.status, Queued)):
            return None
        return outlook(job, station, self._forecast)

    def _enqueue(self, job: Job) -> None:
        """Let a queued job wait for its engine, unless it is paused or has its place already."""
        if not isinstance(job.status, Queued) or job.status.paused or job.id in self._dispatch:
            return
        station = self._station(job)
        if not station.holds(job.id):
            station.enqueue(job)
            self._wake()

    async def _pause_queued(self, job: Job, status: Queued, *, paused: bool) -> None:
        """Take a waiting job out of the backlog, or put it back."""
        if paused:
            self._stations[job.engine].withdraw(job.id)
        try:
            await self.table.advance(job.id, replace(status, paused=paused))
        finally:
            self._leftovers.enqueue(self.table[job.id])

    def _station(self, job: Job) -> Station:
        """Return the station of a job's engine."""
        try:
            return self._stations[job.engine]
        except KeyError:
            raise JobNotFoundError(f"its engine {job.engine} is not configured") from None

    def _wake(self) -> None:
        self._dispatch.wake()
