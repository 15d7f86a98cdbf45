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
        queue_max: Waiting jobs beyond which a submit is refused.
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

    async def accept(self, ask: Ask, *, waiting: int) -> tuple[Job, bool]:
        """Record a job durably; return it and True, or the one that the same key made and False.

        Raises:
            QueueFullError: too many jobs wait.
            IdempotencyError: the key belongs to another request.
        """
        if waiting + self._entering >= self._limits.queue_max:
            raise QueueFullError(f"{waiting} jobs are waiting already")
        self._number += 1
        now, cost = self._clock.now(), self._limits.highres_cost
        job = ask.job(number=self._number, now=now, highres_cost=cost)
        self._entering += 1
        try:
            recorded = await self._journal.add(job)
        finally:
            self._entering -= 1
        if recorded.id != job.id and recorded.digest != job.digest:
            raise IdempotencyError(f"the key was used for job {recorded.id}")
        return recorded, recorded.id == job.id
