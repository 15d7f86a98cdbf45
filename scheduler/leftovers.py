"""Takes up the jobs that the process before left in the journal, while others come in already."""

import asyncio
import logging
from collections.abc import Callable, Container
from contextlib import suppress

from engines.base import EngineName
from scheduler.errors import JobNotFoundError
from scheduler.job import Job, JobId, Storing
from scheduler.outcome import after_restart
from scheduler.ports import Clock, Journal
from scheduler.table import JobTable
from scheduler.uploads import Uploads

AGAIN_SECONDS = 5.0
"""The journal is read again so long after it could not be."""

_log = logging.getLogger(__name__)


class Leftovers:
    """Reads the journal's unfinished jobs a few at a time, and remembers who came meanwhile.

    Those who come while it reads are the newest, so they stand behind all that is read.

    Attributes:
        unread: How many jobs of the journal are still to be read.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        table: JobTable,
        uploads: Uploads,
        engines: Container[EngineName],
        clock: Clock,
        enqueue: Callable[[Job], object],
    ) -> None:
        self.unread = 0
        self._journal = journal
        self._table = table
        self._uploads = uploads
        self._engines = engines
        self._clock = clock
        self._enqueue = enqueue
        self._behind: list[JobId] = []
        self._until = 0
        self._reading = True
        self._done = asyncio.Event()

    async def start(self) -> None:
        """Take up what was drawing, and count the rest.

        Nothing may be drawn before that: a crash now would count against those jobs once more.
        """
        counts, self._until = self._table.counts, await self._journal.last_number()
        self.unread = sum(counts.get(state, 0) for state in ("running", "queued", "storing"))
        await self._read("running")

    async def run(self) -> None:
        """Take up the rest, however often that takes; then let those wait who came meanwhile.

        They wait no longer than for the first reading, whether that succeeds or not.
        """
        while not await self._read_rest():
            self._let_in()
            await asyncio.sleep(AGAIN_SECONDS)
        self._let_in()
        self.unread = 0
        self._done.set()

    async def taken_up(self) -> None:
        """Return when every job has been taken up."""
        await self._done.wait()

    def enqueue(self, job: Job) -> None:
        """Let a job wait, behind those that are still to be read."""
        if self._reading:
            self._behind.append(job.id)
        else:
            self._enqueue(job)

    async def find(self, job_id: JobId) -> Job:
        """Return a job that something is to be done with, so that the table has to hold it.

        Raises:
            JobNotFoundError: it was never accepted.
        """
        job = await self._table.find(job_id)
        if not job.finished:
            self._take_up(job)
        return self._table.newest(job)

    async def _read_rest(self) -> bool:
        """Read what waits; False if the journal could not be read to its end."""
        try:
            for state in ("queued", "storing"):
                await self._read(state)
        except Exception:  # noqa: BLE001 - the service goes on with what was read
            _log.exception("not all that the journal left over could be read; it is tried again")
            return False
        return True

    def _let_in(self) -> None:
        """Let those wait for their engines who came while the journal was read."""
        self._reading = False
        for job_id in self._behind:
            with suppress(JobNotFoundError):
                self._enqueue(self._table[job_id])
        self._behind.clear()

    async def _read(self, state: str) -> None:
        """Take up the jobs in one state."""
        async for jobs in self._journal.unfinished(state, until=self._until):
            for job in jobs:
                self._take_up(job)

    def _take_up(self, job: Job) -> None:
        """Put a job from before the restart where it belongs, unless it is there already."""
        if job.id in self._table:
            return
        if job.number <= self._until:  # else it is just being accepted, and was never counted
            self.unread -= 1
        self._table.restore(job)
        known, now = job.engine in self._engines, self._clock.now()
        if outcome := after_restart(job, engine_known=known, now=now):
            self._table.move(
                job.id, outcome.status, attempts=outcome.attempts, crashes=outcome.crashes
            )
        job = self._table[job.id]
        if isinstance(job.status, Storing):
            self._uploads.add(job.id)
        self._enqueue(job)
