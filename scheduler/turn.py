"""One picture's dealings with the scheduler; implements `engines.base.Turn`."""

from collections.abc import Awaitable, Callable

from engines.base import Urgency
from scheduler.gate import Gate, Hold, Visitor, unheard
from scheduler.job import Job


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
        whole: bool = False,
        parked: Callable[[bool, float], object] = unheard,
    ) -> None:
        """`parked` is told what `Visitor.parked` is."""
        self.picture_id = job.picture_id(index)
        self.ticket = ticket
        self._keep = keep
        self._gate = gate
        self._order = (-job.priority, job.number, index)
        self._work = job.spec.width * job.spec.height / 1e6
        self._visitor = Visitor(
            picture_id=self.picture_id,
            job_id=job.id,
            lane=job.lane,
            whole=whole,
            parked=parked,
        )
        gate.join(self._visitor)

    @property
    def held_seconds(self) -> float:
        """For how long the picture was parked or paused, up to now."""
        return sum(self._gate.held_seconds(self._visitor, hold) for hold in Hold)

    @property
    def parked_seconds(self) -> float:
        """For how long it was parked alone."""
        return self._gate.held_seconds(self._visitor, Hold.PARKED)

    async def keep_ticket(self, ticket: str) -> None:
        """Record durably under which name the engine knows the work."""
        await self._keep(ticket)
        self.ticket = ticket

    def urgency(self) -> Urgency:
        """Return the lane's pass, then priority, then age."""
        return (self._gate.pass_of(self._visitor.lane), *self._order)

    def enter(self) -> bool:
        """Begin a step if the gate is open and the job is not paused."""
        return self._gate.enter(self._visitor)

    def leave(self) -> None:
        """End the step."""
        self._gate.leave(self._visitor, self._work)

    def on_change(self, wake: Callable[[], object]) -> None:
        """Call `wake` whenever `enter` may answer differently."""
        self._visitor.wake = wake

    def pause(self, paused: bool) -> None:
        """Hold the picture back at its next step boundary, or let it go on."""
        self._gate.rest(self._visitor, paused)

    def close(self) -> None:
        """Take no more steps."""
        self._gate.part(self._visitor)
