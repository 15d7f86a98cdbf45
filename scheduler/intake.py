"""The door for new jobs: numbered, bounded, idempotent, and durable before they are in."""

from dataclasses import dataclass

from scheduler.ask import Ask
from scheduler.errors import IdempotencyError, QueueFullError
from scheduler.job import Job
from scheduler.ports import Clock, Journal


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is let in.

    Attributes:
        queue_max: Jobs that wait, paused ones too, beyond which a submit is refused.
        highres_cost: Megapixel-steps beyond which a job goes to the lane `highres`.
        cancel_seconds: How long a cancel waits for the engine to let go.
    """

    queue_max: int = 200_000
    highres_cost: float = 64.0
    cancel_seconds: float = 10.0


class Intake:
    """Turns requests into journalled jobs."""

    def __init__(self, *, journal: Journal, clock: Clock, limits: Limits) -> None:
        self._journal = journal
        self._clock = clock
        self._limits = limits
        self._number = 0
        self._entering = 0

    async def start(self) -> None:
        """Go on numbering where the journal ends."""
        self._number = await self._journal.last_number()

    async def accept(self, ask: Ask, *, queued: int) -> tuple[Job, bool]:
        """Record a job durably; return it and True, or the one that the same key made and False.

        Raises:
            QueueFullError: `queued` jobs, or those and the ones on their way in, are too many.
            IdempotencyError: the key belongs to another request.
        """
        if queued + self._entering >= self._limits.queue_max:
            return await self._known(ask, queued), False
        self._number += 1
        now, cost = self._clock.now(), self._limits.highres_cost
        job = ask.job(number=self._number, now=now, highres_cost=cost)
        self._entering += 1
        try:
            recorded = await self._journal.add(job)
        finally:
            self._entering -= 1
        if recorded.id == job.id:
            return recorded, True
        return _same(recorded, ask), False

    async def _known(self, ask: Ask, queued: int) -> Job:
        """Return the job that the request made before: there is no room for a new one."""
        found = None
        if ask.idempotency_key:
            found = await self._journal.keyed(ask.client, ask.idempotency_key)
        if found is None:
            raise QueueFullError(f"{queued} jobs are waiting already")
        return _same(found, ask)


def _same(job: Job, ask: Ask) -> Job:
    """Return the job that a key made, if it was for the same request."""
    if job.digest != ask.digest:
        raise IdempotencyError(f"the key was used for job {job.id}")
    return job
