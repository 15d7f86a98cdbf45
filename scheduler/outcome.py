"""What becomes of a job when its drawing ended badly, or the service did; pure decisions."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from engines.errors import EngineError
from scheduler.errors import StoreDownError, StoreError
from scheduler.job import Artifact, Cancelled, Failed, Job, Queued, Running, Status, Storing

MAX_ATTEMPTS = 3
MAX_CRASHES = 3


class StopReason(StrEnum):
    """Why a running job's task was cancelled; noted before the cancel."""

    USER = "cancelled_by_user"
    SHUTDOWN = "shutdown"
    GPU = "gpu_taken"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The job's next status and its counters from now on."""

    status: Status
    attempts: int
    crashes: int


def requeued(job: Job, reason: str) -> Queued:
    """Return the status of a job that goes back to the queue with what it has."""
    match job.status:
        case Running(tickets=tickets, paused=paused) | Queued(tickets=tickets, paused=paused):
            return Queued(again=True, reason=reason, tickets=tickets, paused=paused)
        case _:
            return Queued(again=True, reason=reason)


def after_error(job: Job, error: Exception, *, now: datetime) -> Outcome:
    """Decide what an exception in the drawing means.

    1. Worth retrying, and attempts are left: back to the queue, one attempt spent.
    2. The journal cannot be written: back to the queue, since the job did nothing wrong.
    3. A failure with a code of ours: failed with that code.
    4. Anything else is a bug: failed with `internal`; the traceback is in the log.
    """
    attempts = job.attempts + 1
    match error:
        case EngineError(worth_retrying=True) if attempts < MAX_ATTEMPTS:
            return Outcome(requeued(job, error.code), attempts, job.crashes)
        case StoreDownError():
            return Outcome(requeued(job, error.code), job.attempts, job.crashes)
        case EngineError() | StoreError():
            status = Failed(error.code, str(error), now, artifacts=_stored(job))
        case _:
            message = f"unexpected {type(error).__name__}; the log has the details"
            status = Failed("internal", message, now, artifacts=_stored(job))
    return Outcome(status, attempts, job.crashes)


def after_stop(job: Job, reason: StopReason, *, now: datetime) -> Outcome:
    """Decide what becomes of a job whose task was cancelled; no attempt is spent."""
    status: Status = requeued(job, reason.value)
    if reason is StopReason.USER:
        status = Cancelled(reason.value, now, artifacts=_stored(job))
    return Outcome(status, job.attempts, job.crashes)


def after_crash(job: Job, *, now: datetime) -> Outcome:
    """Decide what becomes of a job that was running when the process died."""
    crashes = job.crashes + 1
    if crashes >= MAX_CRASHES:
        message = f"the service died {crashes} times while it drew this job"
        failed = Failed("poison_job", message, now, artifacts=_stored(job))
        return Outcome(failed, job.attempts, crashes)
    return Outcome(requeued(job, "restart"), job.attempts, crashes)


def after_restart(job: Job, *, engine_known: bool, now: datetime) -> Outcome | None:
    """Decide what becomes of an unfinished job from before a restart; None: it stays as it is."""
    if not engine_known and not isinstance(job.status, Storing):
        message = f"the engine {job.engine} is no longer configured"
        failed = Failed("engine_unknown", message, now, artifacts=_stored(job))
        return Outcome(failed, job.attempts, job.crashes)
    return after_crash(job, now=now) if isinstance(job.status, Running) else None


def _stored(job: Job) -> tuple[Artifact, ...]:
    """Return what is known to be stored of a job that runs."""
    return job.status.artifacts if isinstance(job.status, Running) else ()
