"""One engine's place in the scheduler: who waits for it, who draws on it, whether it works."""

from dataclasses import dataclass, field

from engines.base import Engine
from engines.breaker import Breaker
from scheduler.backlog import Backlog
from scheduler.gpu import Gpu
from scheduler.job import Job, JobId
from scheduler.seats import Seats


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

    @property
    def waiting(self) -> int:
        """How many jobs wait."""
        return len(self.backlog) + len(self.suspects)

    def enqueue(self, job: Job, *, front: bool = False) -> None:
        """Let a job wait, at the `front` if it had its turn already and lost it."""
        if job.crashes:
            self.suspects[job.id] = job
        else:
            self.backlog.push(job, front=front)

    def withdraw(self, job_id: JobId) -> None:
        """Let a job wait no longer; fine if it does not."""
        self.backlog.remove(job_id)
        self.suspects.pop(job_id, None)

    def next(self) -> Job | None:
        """Take out the job that may begin now, if any may."""
        if self.alone is not None:
            return None
        if self.suspects:
            if len(self.seats):
                return None
            self.alone = next(iter(self.suspects))
            return self.suspects.pop(self.alone)
        lanes = self.seats.open_to()
        return self.backlog.next(loaded=self.loaded, lanes=lanes) if lanes else None

    def ended(self, job_id: JobId) -> None:
        """Note that a job draws no longer."""
        if self.alone == job_id:
            self.alone = None
