"""The jobs that are alive, and the one place where a job's status changes."""

import asyncio
import logging
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

from engines.base import EngineName, Progress
from scheduler.errors import JobNotFoundError
from scheduler.events import Events
from scheduler.job import Job, JobId, Running, Status
from scheduler.outcome import requeued
from scheduler.ports import Journal

FINISHED_KEPT = 5_000

_log = logging.getLogger(__name__)


class JobTable:
    """Jobs by id; finished ones stay for a while, the journal has them all."""

    def __init__(self, *, journal: Journal, events: Events) -> None:
        self._journal = journal
        self._events = events
        self._alive: dict[JobId, Job] = {}
        self._finished: OrderedDict[JobId, Job] = OrderedDict()
        self._unwritten: set[asyncio.Future[None]] = set()
        self._counts: Counter[str] = Counter()
        self._ending = False

    def __getitem__(self, job_id: JobId) -> Job:
        job = self._alive.get(job_id) or self._finished.get(job_id)
        if job is None:
            raise JobNotFoundError(f"there is no job {job_id}")
        return job

    def __contains__(self, job_id: object) -> bool:
        return job_id in self._alive or job_id in self._finished

    def __iter__(self) -> Iterator[Job]:
        return iter(self._alive.values())

    def __len__(self) -> int:
        return len(self._alive)

    @property
    def counts(self) -> Mapping[str, int]:
        """How many jobs there are in each state, ended ones too, by its `kind`."""
        return MappingProxyType(self._counts)

    async def start(self) -> None:
        """Count what the journal has; before the first job is taken in."""
        self._counts.update(await self._journal.counts())

    async def find(self, job_id: JobId) -> Job:
        """Return a job, from the journal if it ended long ago.

        Raises:
            JobNotFoundError: it was never accepted.
        """
        try:
            return self[job_id]
        except JobNotFoundError:
            # It may be called back to life while the journal is read.
            return self.newest(await self._journal.get(job_id))

    def newest(self, job: Job) -> Job:
        """Return the job as it stands now, for one that was read from the journal."""
        return self._alive.get(job.id) or self._finished.get(job.id) or job

    def insert(self, job: Job) -> None:
        """Take in a job that the journal has, and announce it."""
        self._finished.pop(job.id, None)
        self._alive[job.id] = job
        self._counts[job.status.kind] += 1
        self._events.publish("status", job)

    def restore(self, job: Job) -> None:
        """Take in an unfinished job from the journal without announcing it."""
        self._alive[job.id] = job

    def recall(self, job: Job) -> None:
        """Take in a finished job from the journal, so that it can be advanced again."""
        if job.id not in self._alive:
            self._finished[job.id] = job

    async def advance(
        self,
        job_id: JobId,
        status: Status,
        *,
        attempts: int | None = None,
        crashes: int | None = None,
    ) -> None:
        """Move a job one step, announce it, and return when that is durable.

        Raises:
            IllegalTransitionError: there is no such arrow.
        """
        await self._move(job_id, status, attempts, crashes)

    async def foresee_end(self) -> None:
        """Have the journal say, from now on, that what runs is to be queued again.

        Whoever kills the process after that makes no job a suspect. Here nothing changes.

        Raises:
            StoreDownError: it cannot be written.
        """
        self._ending = True
        running = [job for job in self._alive.values() if isinstance(job.status, Running)]
        await asyncio.gather(*(self._record(job) for job in running))

    def move(
        self,
        job_id: JobId,
        status: Status,
        *,
        attempts: int | None = None,
        crashes: int | None = None,
        engine: EngineName | None = None,
    ) -> None:
        """Move a job one step and announce it; the journal follows by itself.

        Raises:
            IllegalTransitionError: there is no such arrow.
        """
        durable = asyncio.ensure_future(self._move(job_id, status, attempts, crashes, engine))
        self._unwritten.add(durable)
        durable.add_done_callback(self._written)

    async def written(self) -> None:
        """Return when all that has happened so far is in the journal, or could not be written."""
        if self._unwritten:
            await asyncio.wait(tuple(self._unwritten))

    def _move(
        self,
        job_id: JobId,
        status: Status,
        attempts: int | None,
        crashes: int | None,
        engine: EngineName | None = None,
    ) -> Awaitable[None]:
        """Walk an arrow: the only place where a job's status changes."""
        was = self[job_id]
        job = was.step(status)
        job = replace(
            job,
            attempts=job.attempts if attempts is None else attempts,
            crashes=job.crashes if crashes is None else crashes,
            engine=engine or job.engine,
        )
        if job.finished:
            self._alive.pop(job_id, None)
            self._finished[job_id] = job
            if len(self._finished) > FINISHED_KEPT:
                self._finished.popitem(last=False)
        else:
            self._finished.pop(job_id, None)
            self._alive[job_id] = job
        self._counts[was.status.kind] -= 1
        self._counts[status.kind] += 1
        durable = self._record(job)
        self._events.publish("status", job)
        return durable

    def _record(self, job: Job) -> Awaitable[None]:
        """Have the journal say where a restart is to find a job."""
        if self._ending and isinstance(job.status, Running):
            job = replace(job, status=requeued(job, "shutdown"))
        return self._journal.update(job)

    def _written(self, durable: asyncio.Future[None]) -> None:
        """Note in the log what the journal could not take; a restart will find it out again."""
        self._unwritten.discard(durable)
        if not durable.cancelled() and (error := durable.exception()):
            _log.error("the journal missed a step: %s", error)

    def report(self, job_id: JobId, progress: Progress, done: float) -> None:
        """Announce how far a running job is (`done` of 1); not recorded."""
        job = self[job_id]
        if isinstance(job.status, Running):
            status = replace(job.status, progress=progress, done=max(done, job.status.done))
            job = replace(job, status=status)
            self._alive[job_id] = job
            self._events.publish("progress", job)
