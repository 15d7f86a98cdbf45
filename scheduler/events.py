"""News of jobs: numbered, replayable, and never waiting for a listener."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from scheduler.errors import SchedulerError
from scheduler.job import Job, JobId, Running
from scheduler.ports import Clock

KEPT = 10_000
LISTENER_LIMIT = 1_000


class ListenerLostError(SchedulerError):
    """The listener read too slowly and was cut off."""

    code = "listener_lost"


@dataclass(frozen=True, slots=True)
class JobEvent:
    """A job as it stood right after something happened to it."""

    number: int
    at: datetime
    kind: Literal["status", "progress"]
    job: Job


class Subscription:
    """One listener's queue of events; iterate over it."""

    def __init__(self, job_id: JobId | None, backlog: list[JobEvent], limit: int) -> None:
        self._job_id = job_id
        self._pending = deque(backlog)
        self._limit = max(limit, len(backlog))
        self._news = asyncio.Event()
        self._ended = False
        self._lost = False
        if backlog:
            self._news.set()

    def offer(self, event: JobEvent) -> None:
        """Queue an event, or give the listener up."""
        if self._job_id is not None and event.job.id != self._job_id:
            return
        if len(self._pending) >= self._limit:
            self._lost = True
        else:
            self._pending.append(event)
        self._news.set()

    def end(self) -> None:
        """Let the listener read what is queued, then stop."""
        self._ended = True
        self._news.set()

    async def __aiter__(self) -> AsyncIterator[JobEvent]:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._pending and not self._lost:
                yield self._pending.popleft()
            if self._lost:
                raise ListenerLostError
            if self._ended:
                return


def _without_preview(job: Job) -> Job:
    """Return the job as it is kept: a preview is worth something only at its moment."""
    match job.status:
        case Running(progress=progress) as status if progress.preview:
            progress = replace(progress, preview=None)
            return replace(job, status=replace(status, progress=progress))
        case _:
            return job


class Events:
    """Publishes to every listener, and remembers the last `KEPT` events for those who come back.

    Numbers grow by one with each event, and go on growing after a restart because they begin at
    the time of the start (in microseconds).
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._number = int(clock.now().timestamp() * 1e6)
        self._kept: deque[JobEvent] = deque(maxlen=KEPT)
        self._listeners: set[Subscription] = set()
        self._ended = False

    @property
    def last(self) -> int:
        """The number of the newest event."""
        return self._number

    def publish(self, kind: Literal["status", "progress"], job: Job) -> None:
        """Tell every listener; takes the same time however slow they are."""
        self._number += 1
        event = JobEvent(self._number, self._clock.now(), kind, job)
        kept = _without_preview(job)
        self._kept.append(event if kept is job else replace(event, job=kept))
        for listener in self._listeners:
            listener.offer(event)

    @contextmanager
    def subscribe(
        self, *, job_id: JobId | None = None, since: int | None = None, limit: int = LISTENER_LIMIT
    ) -> Iterator[Subscription]:
        """Listen to all jobs or one, from now on or from after event `since` as far as kept."""
        missed = [
            event
            for event in self._kept
            if since is not None
            and event.number > since
            and (job_id is None or event.job.id == job_id)
        ]
        listener = Subscription(job_id, missed, limit)
        if self._ended:
            listener.end()
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    def end(self) -> None:
        """End every subscription, present and future."""
        self._ended = True
        for listener in self._listeners:
            listener.end()
