"""The jobs that are alive, and the one place where a job's status changes."""

from collections import OrderedDict
from collections.abc import Awaitable, Iterator
from dataclasses import replace

from engines.base import Progress
from scheduler.errors import JobNotFoundError
from scheduler.events import Events
from scheduler.job import Job, JobId, Running, Status
from scheduler.ports import Journal

FINISHED_KEPT = 5_000


class JobTable:
    """Jobs by id; finished ones stay for a while, the journal has them all."""

    def __init__(self, *, journal: Journal, events: Events) -> None:
        self._journal = journal
        self._events = events
        self._alive: dict[JobId, Job] = {}
        self._finished: OrderedDict[JobId, Job] = OrderedDict()

    def __getitem__(self, job_id: JobId) -> Job:
        job = self._alive.get(job_id) or self._finished.get(job_id)
        if job is None:
            raise JobNotFoundError(f"there is no job {job_id}")
        return job

    def __iter__(self) -> Iterator[Job]:
        return iter(self._alive.values())

    def __len__(self) -> int:
        return len(self._alive)

    async def find(self, job_id: JobId) -> Job:
        """Return a job, from the journal if it ended long ago.

        Raises:
            JobNotFoundError: it was never accepted.
        """
        try:
            return self[job_id]
        except JobNotFoundError:
            return await self._journal.get(job_id)

    def insert(self, job: Job) -> None:
        """Take in a job that the journal has, and announce it."""
        self._finished.pop(job.id, None)
        self._alive[job.id] = job
        self._events.publish("status", job)

    def advance(
        self,
        job_id: JobId,
        status: Status,
        *,
        attempts: int | None = None,
        crashes: int | None = None,
    ) -> Awaitable[None]:
        """Move a job one step and announce it; what is returned is done when it is durable.

        Raises:
            IllegalTransitionError: there is no such arrow.
        """
        job = self[job_id].step(status)
        job = replace(
            job,
            attempts=job.attempts if attempts is None else attempts,
            crashes=job.crashes if crashes is None else crashes,
        )
        if job.finished:
            self._alive.pop(job_id, None)
            self._finished[job_id] = job
            if len(self._finished) > FINISHED_KEPT:
                self._finished.popitem(last=False)
        else:
            self._finished.pop(job_id, None)
            self._alive[job_id] = job
        durable = self._journal.update(job)
        self._events.publish("status", job)
        return durable

    def report(self, job_id: JobId, progress: Progress) -> None:
        """Announce how far a running job is; not recorded."""
        job = self[job_id]
        if isinstance(job.status, Running):
            job = replace(job, status=replace(job.status, progress=progress))
            self._alive[job_id] = job
            self._events.publish("progress", job)
