"""One picture's dealings with the scheduler; implements `engines.base.Turn`."""

import itertools
from collections.abc import Awaitable, Callable

from engines.base import Urgency
from scheduler.gate import Gate
from scheduler.job import Job

_keys = itertools.count()


class PictureTurn:
    """Lets one picture step when the gate is open and its job is not paused."""

    def __init__(
        self,
        *,
        job: Job,
        index: int,
        gate: Gate,
        ticket: str | None,
        keep: Callable[[str], Awaitable[None]],
    ) -> None:
        self.picture_id = job.picture_id(index)
        self.ticket = ticket
        self._keep = keep
        self._gate = gate
        self._job = job
        self._order = (-job.priority, job.number, index)
        self._work = job.spec.width * job.spec.height / 1e6
        self._key = next(_keys)
        self._paused = False
        self._wake: Callable[[], object] | None = None
        gate.join(self._key, job.lane)

    async def keep_ticket(self, ticket: str) -> None:
        """Record durably under which name the engine knows the work."""
        await self._keep(ticket)
        self.ticket = ticket

    def urgency(self) -> Urgency:
        """Return the lane's pass, then priority, then age."""
        return (self._gate.pass_of(self._job.lane), *self._order)

    def enter(self) -> bool:
        """Begin a step if the gate is open and the job is not paused."""
        return not self._paused and self._gate.enter()

    def leave(self) -> None:
        """End the step."""
        self._gate.leave(self._job.lane, self._work)

    def on_change(self, wake: Callable[[], object]) -> None:
        """Call `wake` whenever `enter` may answer differently."""
        self._wake = wake
        self._gate.listen(self._key, wake)

    def pause(self, paused: bool) -> None:
        """Hold the picture back at its next step boundary, or let it go on."""
        self._paused = paused
        if not paused and self._wake is not None:
            self._wake()

    def close(self) -> None:
        """Take no more steps."""
        self._gate.part(self._key)
