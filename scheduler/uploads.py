"""Brings pictures that wait in the spool to the store once it is back."""

import asyncio
import logging

from scheduler.errors import (
    IllegalTransitionError,
    JobNotFoundError,
    NotStoredError,
    StoreDownError,
    StoreError,
)
from scheduler.job import Artifact, Failed, Job, JobId, Queued, Storing, Succeeded
from scheduler.ports import Clock, ImageStore
from scheduler.table import JobTable

FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 30.0

_log = logging.getLogger(__name__)


class Uploads:
    """Tries again and again, more and more slowly, until every picture is stored.

    A job that the store would not take goes behind the others, so that it holds up none of them.
    """

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

    async def kept(self, job: Job) -> tuple[Artifact, ...]:
        """Return what earlier runs stored of a job that waits for the next."""
        if not isinstance(job.status, Queued) or not job.status.again:
            return ()
        return tuple(artifact for artifact in await self._images.find(job) if artifact)

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
                await self._upload(job_id)
            except StoreDownError:
                self._waiting[job_id] = self._waiting.pop(job_id)
                return False
            except (IllegalTransitionError, JobNotFoundError):
                _log.warning("job %s ended while its pictures were in the spool", job_id)
            except StoreError as error:
                await self._fail(job_id, error)
            except Exception:  # noqa: BLE001 - a bug ends the job, never the loop
                _log.exception("the upload of job %s hit a bug", job_id)
                await self._fail(job_id, StoreError("a bug; the log has the details"))
            del self._waiting[job_id]
        return True

    async def _upload(self, job_id: JobId) -> None:
        """Upload what waits of one job, and end it."""
        job = self._table[job_id]
        artifacts = await self._images.flush(job)
        if len(artifacts) < job.count:
            lost = job.count - len(artifacts)
            raise NotStoredError(f"{lost} of {job.count} pictures are neither stored nor waiting")
        self._table.move(job_id, Succeeded(tuple(artifacts), self._clock.now()))

    async def _fail(self, job_id: JobId, error: StoreError) -> None:
        """End a job whose pictures the store refuses; those that it took are listed."""
        job = self._table[job_id]
        try:
            stored = tuple(artifact for artifact in await self._images.find(job) if artifact)
        except Exception:  # noqa: BLE001 - the job ends all the same, with what it lists already
            _log.exception("what is stored of job %s is not known", job_id)
            stored = job.status.artifacts if isinstance(job.status, Storing) else ()
        status = Failed(error.code, str(error), self._clock.now(), artifacts=stored)
        self._table.move(job_id, status)
