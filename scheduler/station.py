"""One engine's place in the scheduler: who waits for it, who draws on it, whether it works."""

from dataclasses import dataclass, field

from engines.base import Engine
from engines.breaker import Breaker, BreakerState
from engines.router import Standing
from scheduler.backlog import Backlog
from scheduler.gpu import Gpu
from scheduler.job import Job, JobId
from scheduler.outcome import MAX_CRASHES
from scheduler.seats import Seats

LAST_CHANCE = MAX_CRASHES - 1
"""A job that was there in so many crashes is failed if it happens once more."""

SETTLE_SECONDS = 2.0
"""Nobody's last chance comes earlier after a start: what kills the service at once, again and
again, is not the job's fault, and meanwhile the service can be reached."""


@dataclass(slots=True, kw_only=True)
class Station:
    """An engine with its GPU, backlog, seats and breaker.

    Attributes:
        suspects: Jobs that were running when the process died. Each is drawn alone, so that
            only the guilty one is there if it happens again.
        alone: The suspect that is drawing now.
        loaded: The model that was drawn with last, None before the first.
        probing: Whether a probe is under way that will close or reopen the breaker.
    """

    engine: Engine
    gpu: Gpu
    seats: Seats
    backlog: Backlog = field(default_factory=Backlog)
    breaker: Breaker = field(default_factory=Breaker)
    suspects: dict[JobId, Job] = field(default_factory=dict)
    alone: JobId | None = None
    loaded: str | None = None
    probing: bool = False

    def standing(self, now: float) -> Standing:
        """Tell the router how the engine stands."""
        closed = self.breaker.state(now) is BreakerState.CLOSED
        return Standing(closed=closed, load=self.waiting + len(self.seats))

    @property
    def waiting(self) -> int:
        """How many jobs wait."""
        return len(self.backlog) + len(self.suspects)

    @property
    def shut(self) -> bool:
        """Whether a job that began now would only sit there: others have the GPU."""
        return self.engine.capabilities.preemption == "job" and self.gpu.gate.closed

    def wants_gpu(self, now: float) -> bool:
        """Say whether it has something to draw and is able to."""
        able = self.breaker.state(now) is BreakerState.CLOSED
        return able and bool(self.waiting or len(self.seats))

    async def release_memory(self) -> None:
        """Free the engine's memory, if it may hold any."""
        if self.loaded is not None or len(self.seats):
            self.loaded = None
            await self.engine.release_memory()

    def enqueue(self, job: Job, *, front: bool = False) -> None:
        """Let a job wait, at the `front` if it had its turn already and lost it."""
        if job.crashes:
            self.suspects[job.id] = job
        else:
            self.backlog.push(job, front=front)

    def holds(self, job_id: JobId) -> bool:
        """Say whether a job waits here."""
        return job_id in self.backlog or job_id in self.suspects

    def withdraw(self, job_id: JobId) -> None:
        """Let a job wait no longer; fine if it does not."""
        self.backlog.remove(job_id)
        self.suspects.pop(job_id, None)

    def next(self, *, uptime_seconds: float) -> Job | None:
        """Take out the job that may begin now, if any may."""
        if self.alone is not None:
            return None
        suspect = self._suspect(uptime_seconds)
        if suspect is not None:
            if len(self.seats):
                return None
            self.alone = suspect.id
            return self.suspects.pop(suspect.id)
        lanes = self.seats.open_to()
        return self.backlog.next(loaded=self.loaded, lanes=lanes) if lanes else None

    def _suspect(self, uptime_seconds: float) -> Job | None:
        """Return the suspect that is to be drawn next, the least suspicious one first."""
        first = min(self.suspects.values(), key=lambda j: (j.crashes, j.number), default=None)
        if first is None or (first.crashes >= LAST_CHANCE and uptime_seconds < SETTLE_SECONDS):
            return None
        return first

    def ended(self, job_id: JobId) -> None:
        """Note that a job draws no longer."""
        if self.alone == job_id:
            self.alone = None
