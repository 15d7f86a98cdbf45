"""One device that several parties share."""

from collections.abc import Awaitable, Callable

from scheduler.gate import Gate
from scheduler.job import Job
from scheduler.turn import PictureTurn


class Gpu:
    """A GPU by name, and the gate through which every step on it passes."""

    def __init__(self, name: str = "local") -> None:
        self.name = name
        self.gate = Gate()

    def turn(
        self,
        *,
        job: Job,
        index: int,
        ticket: str | None,
        keep: Callable[[str], Awaitable[None]],
    ) -> PictureTurn:
        """Return a picture's turn; close it when the picture takes no more steps."""
        return PictureTurn(job=job, index=index, gate=self.gate, ticket=ticket, keep=keep)
