"""A fake A1111's state, its errors, and a connection to be cut."""

import asyncio
from dataclasses import dataclass


@dataclass
class State:
    """`shared.state`: of whatever runs, for everybody to see and to set."""

    job: str = ""
    job_count: int = 0
    job_no: int = 0
    job_timestamp: str = "0"
    sampling_step: int = 0
    sampling_steps: int = 0
    skipped: bool = False
    interrupted: bool = False
    stopping_generation: bool = False
    preview_id: int = 0

    @property
    def fraction(self) -> float:
        if self.job_count <= 0:
            return 0.0
        step = self.sampling_step / self.sampling_steps if self.sampling_steps else 0.0
        return min((self.job_no + step) / self.job_count, 1.0)


class Cut:
    """The connection of one request, to be cut."""

    def __init__(self, transport: asyncio.Transport | None) -> None:
        self._transport = transport
        self.done = False

    def now(self) -> None:
        assert self._transport is not None
        self._transport.abort()
        self.done = True


class WebuiError(Exception):
    """What a handler raised: the class of the exception, what it says, and the status."""

    def __init__(self, kind: str, words: str, status: int = 500) -> None:
        super().__init__(words)
        self.kind = kind
        self.status = status


RAISED = {
    "out_of_memory": WebuiError(
        "OutOfMemoryError", "CUDA out of memory. Tried to allocate 20.00 MiB (GPU 0)"
    ),
    "bad_picture": WebuiError(
        "NansException", "A tensor with NaNs was produced in Unet. Use --disable-nan-check"
    ),
    "invalid_spec": WebuiError("HTTPException", "Script 'x' not found", 422),
    "engine_protocol": WebuiError("AssertionError", "No interface for this"),
}
