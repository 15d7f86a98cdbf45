"""What the scheduler refuses, each with a stable code.

SchedulerError
├── JobNotFoundError         job_not_found
├── IllegalTransitionError   illegal_transition   the job cannot go there from where it is
├── QueueFullError           queue_full           try again later
├── IdempotencyError         idempotency_conflict same key, another request
├── ShuttingDownError        shutting_down
├── GpuNotFoundError         gpu_not_found
├── GpuBusyError             gpu_busy             nobody let go of it in time
├── LeaseLostError           lease_lost           expired, released, or an old token
├── LockDownError            lock_down            nobody keeps the lock on the GPU
└── StoreError               store_error          (see scheduler.ports) the store failed
    ├── StoreDownError       store_down           it may work later
    ├── NotStoredError       not_found            there is no such object
    ├── BadKeyError          bad_key              the key is not one of ours
    └── BadPngError          bad_png              the picture is no whole PNG
"""

from typing import ClassVar


class SchedulerError(Exception):
    """The scheduler refused a request."""

    code: ClassVar[str] = "scheduler_error"

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail or (self.__doc__ or "").splitlines()[0])


class JobNotFoundError(SchedulerError):
    """There is no such job."""

    code = "job_not_found"


class IllegalTransitionError(SchedulerError):
    """The job cannot do that in the state that it is in."""

    code = "illegal_transition"


class QueueFullError(SchedulerError):
    """Too many jobs are waiting.

    Attributes:
        retry_after_seconds: When it is worth trying again.
    """

    code = "queue_full"

    def __init__(self, detail: str = "", *, retry_after_seconds: int = 5) -> None:
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds


class IdempotencyError(SchedulerError):
    """The idempotency key was used before with another request."""

    code = "idempotency_conflict"


class ShuttingDownError(SchedulerError):
    """The service is ending and takes no new work."""

    code = "shutting_down"


class GpuNotFoundError(SchedulerError):
    """There is no such GPU."""

    code = "gpu_not_found"


class GpuBusyError(SchedulerError):
    """Nobody let go of the GPU in time.

    Attributes:
        holders: Who has it.
    """

    code = "gpu_busy"

    def __init__(self, detail: str = "", *, holders: tuple[str, ...] = ()) -> None:
        super().__init__(detail)
        self.holders = holders


class LeaseLostError(SchedulerError):
    """The lease is no longer held: it expired, was released, or the token is an older one's."""

    code = "lease_lost"


class LockDownError(SchedulerError):
    """Nobody keeps the lock that processes share a GPU by."""

    code = "lock_down"


class StoreError(SchedulerError):
    """The store cannot do that."""

    code = "store_error"


class StoreDownError(StoreError):
    """The store does not answer; it may later."""

    code = "store_down"


class NotStoredError(StoreError):
    """There is nothing under that key."""

    code = "not_found"


class BadKeyError(StoreError):
    """The key is not one of ours."""

    code = "bad_key"


class BadPngError(StoreError):
    """The picture is no whole PNG."""

    code = "bad_png"
