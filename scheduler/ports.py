"""What the scheduler needs from the floor above, in its own words."""

import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from datetime import UTC, datetime
from typing import Protocol

from engines.base import Picture
from scheduler.job import Artifact, Job, JobId


class Clock(Protocol):
    """Where the time comes from."""

    def now(self) -> datetime:
        """Return the present, aware, in UTC."""

    def monotonic(self) -> float:
        """Return seconds that never jump back."""


class Journal(Protocol):
    """The durable record of jobs.

    What a call returns is done only when it is on the disk; calls that come together share one
    commit.
    """

    def add(self, job: Job) -> Awaitable[Job]:
        """Record a new job.

        Returns the job that an earlier call recorded under the same client and idempotency key,
        where there is one; else the given one.
        """

    def update(self, job: Job) -> Awaitable[None]:
        """Record where a job stands now; progress is left out.

        Records are written in the order of the calls, awaited or not.
        """

    def keyed(self, client: str, key: str) -> Awaitable[Job | None]:
        """Return the job that a client's idempotency key made, None without one."""

    def pause(self, paused: bool) -> Awaitable[None]:
        """Record whether the queue is to stand still, through restarts too."""

    async def paused(self) -> bool:
        """Say whether the queue is to stand still."""

    async def counts(self) -> dict[str, int]:
        """Return how many jobs are in each state, by its `kind`."""

    async def get(self, job_id: JobId) -> Job:
        """Return a job.

        Raises:
            JobNotFoundError: it was never accepted.
        """

    async def last_number(self) -> int:
        """Return the highest number given to a job, 0 when there is none."""

    def unfinished(self, state: str, *, until: int) -> AsyncIterator[Sequence[Job]]:
        """Yield the jobs in a state up to number `until`, oldest first, in small portions."""


class ImageStore(Protocol):
    """Where finished pictures go: object store, spool and catalogue behind one door."""

    async def put(self, job: Job, index: int, picture: Picture) -> Artifact:
        """Store PNG, then sidecar, under keys derived from the job; then enter the catalogue.

        When the store is down the picture waits in the spool instead.

        Raises:
            StoreDownError: the store is down and the picture is now in the spool.
            StoreError: the picture could not even be spooled.
        """

    async def find(self, job: Job) -> Sequence[Artifact | None]:
        """Return for each of the job's pictures the artifact whose sidecar exists, else None.

        Spooled pictures count: they are uploaded first if the store is back.
        """

    async def flush(self, job: Job) -> Sequence[Artifact]:
        """Upload the job's spooled pictures and return the artifacts of all its pictures.

        Raises:
            StoreDownError: the store is still down.
        """


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Return the present in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return the event loop's kind of seconds."""
        return time.monotonic()
