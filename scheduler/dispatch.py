"""Lets waiting jobs onto engines that have room, and writes down how each one ends."""

import asyncio
import logging
from collections.abc import Iterator, Mapping
from functools import partial

from engines.base import EngineName
from engines.breaker import BreakerState
from engines.errors import EngineDownError, LostError
from scheduler.current import Current, traced
from scheduler.errors import StoreDownError
from scheduler.eta import Forecast
from scheduler.failover import Alternative, Failover
from scheduler.gpu import Resident
from scheduler.job import Job, JobId, Queued, Running, Status, Storing
from scheduler.outcome import Outcome, StopReason, after_error, after_stop
from scheduler.ports import Clock, ImageStore
from scheduler.probes import Probes
from scheduler.runner import Runner
from scheduler.station import SETTLE_SECONDS, Station
from scheduler.table import JobTable
from scheduler.uploads import Uploads

REST_SECONDS = 0.5
"""Nothing is begun for so long after the journal could not be written, or after a bug."""

_log = logging.getLogger(__name__)


class Dispatch:
    """The loop: one decision at a time, none of them waits."""

    def __init__(
        self,
        *,
        stations: Mapping[EngineName, Station],
        table: JobTable,
        images: ImageStore,
        uploads: Uploads,
        forecast: Forecast,
        alternative: Alternative,
        clock: Clock,
    ) -> None:
        self.paused = False
        self._stations = stations
        self._table = table
        self._images = images
        self._uploads = uploads
        self._forecast = forecast
        self._clock = clock
        self._current: dict[JobId, Current] = {}
        failover = Failover(stations=stations, table=table, alternative=alternative, clock=clock)
        self._probes = Probes(failover=failover, clock=clock, answered=self.wake)
        self._wake = asyncio.Event()
        self._begun = clock.monotonic()
        self._rest_until = self._begun
        for station in stations.values():
            self._settle_in(station)

    def __contains__(self, job_id: object) -> bool:
        return job_id in self._current

    def __len__(self) -> int:
        return len(self._current)

    def hold(self, paused: bool) -> bool:
        """Begin no more jobs, or begin them again; return how it was."""
        was, self.paused = self.paused, paused
        self.wake()
        return was

    def wake(self) -> None:
        """Look again whether somebody can go."""
        self._wake.set()

    def pause_job(self, job_id: JobId, *, paused: bool) -> None:
        """Hold a running job at its next step boundary, or let it go on."""
        self._current[job_id].runner.pause(paused)
        for station in self._stations.values():
            station.ended(job_id)  # while it is held it need not be alone

    async def run(self) -> None:
        """Dispatch until cancelled."""
        while True:
            self._wake.clear()
            waits = [] if self.paused else self._look()
            try:
                await asyncio.wait_for(self._wake.wait(), min(waits, default=None))
            except TimeoutError:
                continue

    def interrupt(self, job_id: JobId) -> bool:
        """Send a running job back to the queue, since its GPU is taken; False if it cannot be."""
        current = self._current.get(job_id)
        if current is None or current.task.cancelling():
            return False
        current.stop(StopReason.GPU)
        return True

    async def stop_job(self, job_id: JobId, reason: StopReason) -> None:
        """Stop a running job and return when its engine is free of it and its end is written."""
        current = self._current.get(job_id)
        if current is None:
            return
        current.stop(reason)
        await asyncio.wait([current.task])
        await asyncio.sleep(0)

    async def close(self) -> None:
        """Begin nothing more; see that a kill from now on makes no job a suspect."""
        self.paused = True
        self._probes.cancel()
        try:
            await self._table.foresee_end()
        except StoreDownError as error:
            _log.error("a kill from now on may count as a crash of what runs: %s", error)

    async def drain(self, seconds: float) -> None:
        """Let running jobs end for a while, then send them back to the queue."""
        tasks = [current.task for current in self._current.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
        await asyncio.gather(
            *(self.stop_job(job_id, StopReason.SHUTDOWN) for job_id in tuple(self._current))
        )

    def _look(self) -> list[float]:
        """Dispatch; a bug costs this look, never the loop."""
        try:
            return list(self._dispatch_all())
        except Exception:  # noqa: BLE001 - see above
            _log.exception("a look at who may begin hit a bug")
            return [REST_SECONDS]

    def _dispatch_all(self) -> Iterator[float]:
        """Begin all that can begin; yield after how many seconds it is worth looking again."""
        now = self._clock.monotonic()
        if now < self._rest_until:
            yield self._rest_until - now
            return
        for station in self._stations.values():
            if not station.waiting:
                continue
            match station.breaker.state(now):
                case BreakerState.OPEN:
                    yield station.breaker.wait_seconds(now)
                case BreakerState.HALF_OPEN:
                    self._probes.ask(station)
                case BreakerState.CLOSED:
                    yield from self._fill(station)

    def _fill(self, station: Station) -> Iterator[float]:
        """Seat jobs while there is room and somebody who may take it."""
        if station.shut:
            station.gpu.poke()
            return
        uptime = self._clock.monotonic() - self._begun
        while (job := station.next(uptime_seconds=uptime)) is not None:
            self._begin(station, job)
        if station.suspects and uptime < SETTLE_SECONDS:
            yield SETTLE_SECONDS - uptime

    def _settle_in(self, station: Station) -> None:
        """Introduce an engine to its GPU."""
        station.gpu.attach(
            Resident(
                wanting=lambda: not self.paused and station.wants_gpu(self._clock.monotonic()),
                opened=self.wake,
                interrupt=self.interrupt,
                release=station.release_memory,
            )
        )

    def _begin(self, station: Station, job: Job) -> None:
        """Start a job's task."""
        runner = Runner(
            job=job,
            engine=station.engine,
            gpu=station.gpu,
            seat=station.seats.take(job.lane),
            seats=station.seats,
            cold=station.loaded != job.spec.model,
            table=self._table,
            images=self._images,
            forecast=self._forecast,
            clock=self._clock,
        )
        station.loaded = job.spec.model
        task = asyncio.create_task(traced(job, runner.run()), name=f"job {job.id}")
        self._current[job.id] = Current(runner, task)
        task.add_done_callback(partial(self._ended, station, job.id))

    def _ended(self, station: Station, job_id: JobId, task: asyncio.Task[Status]) -> None:
        """Write the end of a job's task, whatever it was; the task itself may never have begun."""
        current = self._current.pop(job_id)
        job = self._table[job_id]
        outcome = self._outcome(station, job, current, task)
        self._table.move(job_id, outcome.status, attempts=outcome.attempts, crashes=outcome.crashes)
        match outcome.status:
            case Queued(paused=False):
                station.enqueue(self._table[job_id], front=True)
            case Storing():
                self._uploads.add(job_id)
            case _:
                pass
        station.ended(job_id)
        current.runner.seat.release()
        self._probes.relieve(station)
        self.wake()

    def _outcome(
        self, station: Station, job: Job, current: Current, task: asyncio.Task[Status]
    ) -> Outcome:
        """Decide how a task ended, and what that says about its engine."""
        error = None if task.cancelled() else task.exception()
        if task.cancelled() or (error is not None and current.reason is not None):
            # An engine may answer an interrupt with an error; the job was stopped all the same.
            reason = current.reason or StopReason.SHUTDOWN
            return after_stop(job, reason, now=self._clock.now())
        if error is None:
            station.breaker.succeeded()
            return Outcome(task.result(), job.attempts, 0)
        if isinstance(error, LostError):
            now = self._clock.monotonic()
            gone = isinstance(error, EngineDownError)
            station.breaker.failed(now, reason=f"{error.code}: {error}", gone=gone)
        if isinstance(error, StoreDownError):
            _log.error("nothing is begun for a while: %s", error)
            self._rest_until = self._clock.monotonic() + REST_SECONDS
        if not isinstance(error, Exception):
            raise error
        outcome = after_error(job, error, now=self._clock.now())
        if getattr(outcome.status, "code", "") == "internal":
            _log.error("job %s hit a bug", job.id, exc_info=error)
        if not isinstance(job.status, Running) and not isinstance(outcome.status, Queued):
            self._table.move(job.id, Running(self._clock.now()))
        return outcome
