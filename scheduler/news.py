"""What happens on a GPU, for metrics and logs."""

from dataclasses import dataclass
from typing import TypeAlias

from scheduler.job import JobId
from scheduler.lease import Tenant


@dataclass(frozen=True, slots=True)
class Waited:
    """Somebody got a lease, after so many seconds."""

    gpu: str
    tenant: Tenant
    seconds: float


@dataclass(frozen=True, slots=True)
class LeaseExpired:
    """A holder died, or forgot its lease."""

    gpu: str
    tenant: Tenant


@dataclass(frozen=True, slots=True)
class Parked:
    """A picture goes on, or has ended, after so many seconds of being parked."""

    gpu: str
    job_id: JobId
    seconds: float


@dataclass(frozen=True, slots=True)
class Interrupted:
    """A job lost its picture to a chat and is queued again."""

    gpu: str
    job_id: JobId


News: TypeAlias = Waited | LeaseExpired | Parked | Interrupted
