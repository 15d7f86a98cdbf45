"""Brings pictures that wait in the spool to the store once it is back."""

import asyncio
import logging

from scheduler.errors import IllegalTransitionError, JobNotFoundError, StoreDownError, StoreError
from scheduler.job import Failed, JobId, Storing, Succeeded
from scheduler.ports import Clock, ImageStore
from scheduler.table import JobTable

FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 30.0

_log = logging.getLogger(__name__)


class Uploads:
    """Tries again and again, more and more slowly, until every picture is stored."""

    def __init__(self, *, table: JobTable, images: ImageStore, clock: Clock) -> None:
        self._table = table
        self._images = images
        self._clock = clock
        self._waiting: dict[JobId, None] = {}
        self._news = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, job_id: JobId) -> None:
        """Take in a job whose pictures are in the spool."""
        self._waiting[job_id] = None
        self._news.set()

    async def run(self) -> None:
        """Upload until cancelled."""
        wait_seconds = FIRST_WAIT_SECONDS
        while True:
            if not self._waiting:
                wait_seconds = FIRST_WAIT_SECONDS
                self._news.clear()
                await self._news.wait()
            if await self._upload_all():
                continue
            await asyncio.sleep(wait_seconds)
            wait_seconds = min(2 * wait_seconds, LONGEST_WAIT_SECONDS)

    async def _upload_all(self) -> bool:
        """Upload what waits; False as soon as the store turns out to be down still."""
        for job_id in tuple(self._waiting):
            try:
                job = self._table[job_id]
                artifacts = await self._images.flush(job)
                self._table.move(job_id, Succeeded(tuple(artifacts), self._clock.now()))
            except StoreDownError:
                return False
            except (IllegalTransitionError, JobNotFoundError):
                _log.warning("job %s ended while its pictures were in the spool", job_id)
            except StoreError as error:
                self._fail(job_id, error)
            del self._waiting[job_id]
        return True

    def _fail(self, job_id: JobId, error: StoreError) -> None:
        """End a job whose pictures the store refuses; they stay in the spool."""
        job = self._table[job_id]
        stored = job.status.artifacts if isinstance(job.status, Storing) else ()
        status = Failed(error.code, str(error), self._clock.now(), artifacts=stored)
        self._table.move(job_id, status)
