"""The gate in front of one GPU: every step passes it, and it can be closed between steps."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from scheduler.job import JobId, Lane
from scheduler.shares import Shares


def unheard(*_: object) -> None:
    """Tell nobody."""


class Hold(StrEnum):
    """Why a picture is not let in."""

    PARKED = "parked"
    PAUSED = "paused"


@dataclass(slots=True, eq=False, kw_only=True)
class Visitor:
    """A picture as its gate knows it; the gate alone changes the second half.

    Attributes:
        whole: It stays inside from its first step to its last.
        parked: Told, from any thread, whether the picture is parked now, and for how many seconds
            it was until now.
        hold: Why it is not let in now, and `since` when.
        held: For how many seconds it was held in all, by reason.
    """

    picture_id: str
    job_id: JobId
    lane: Lane
    whole: bool = False
    parked: Callable[[bool, float], object] = unheard
    wake: Callable[[], object] | None = None
    inside: bool = False
    resting: bool = False
    hold: Hold | None = None
    since: float = 0.0
    held: dict[Hold, float] = field(default_factory=lambda: dict.fromkeys(Hold, 0.0))


class Gate:
    """Counts who is inside a step, and parks everybody while it is closed.

    Engines call `enter` and `leave` from threads of their own, so a lock guards the few fields;
    nothing is ever waited for, and nobody told, while it is held.
    """

    def __init__(
        self,
        *,
        closed: bool = False,
        seconds: Callable[[], float] = time.monotonic,
        changed: Callable[[], object] = unheard,
    ) -> None:
        """`changed` is told, from any thread, when somebody comes, parks or goes."""
        self._lock = threading.Lock()
        self._seconds = seconds
        self._changed = changed
        self._closed = closed
        self._inside = 0
        self._busy_seconds = 0.0
        self._busy_since = 0.0
        self._when_empty: Callable[[], object] | None = None
        self._visitors: dict[Visitor, None] = {}
        self._shares = Shares()

    @property
    def closed(self) -> bool:
        """Whether steps are held back."""
        return self._closed

    @property
    def empty(self) -> bool:
        """Whether nobody is inside."""
        return not self._inside

    @property
    def wanted(self) -> bool:
        """Whether there are pictures that would step if they could."""
        return any(not visitor.resting for visitor in tuple(self._visitors))

    def visitors(self) -> tuple[Visitor, ...]:
        """Return the pictures that are at the gate or inside, in the order of their coming."""
        with self._lock:
            return tuple(self._visitors)

    def busy_seconds(self) -> float:
        """Return for how long somebody was inside, all in all."""
        with self._lock:
            now = self._seconds() - self._busy_since if self._inside else 0.0
            return self._busy_seconds + now

    def join(self, visitor: Visitor) -> None:
        """Admit a picture to the competition for steps."""
        with self._lock:
            self._compete(visitor.lane)
            self._visitors[visitor] = None
        self._changed()

    def part(self, visitor: Visitor) -> None:
        """Forget a picture that takes no more steps."""
        with self._lock:
            parked, seconds = visitor.hold is Hold.PARKED, self._hold(visitor, None)
            self._visitors.pop(visitor, None)
        if parked:
            visitor.parked(False, seconds)
        self._changed()

    def rest(self, visitor: Visitor, resting: bool) -> None:
        """Let a picture step no more, or step on."""
        with self._lock:
            if visitor.resting and not resting:
                self._compete(visitor.lane)
            visitor.resting = resting
            wake = visitor.wake if not resting else None
        if wake:
            wake()
        self._changed()

    def enter(self, visitor: Visitor) -> bool:
        """Begin a picture's step, unless the gate is closed or the picture rests."""
        with self._lock:
            was, seconds = visitor.hold, 0.0
            hold = Hold.PAUSED if visitor.resting else Hold.PARKED if self._closed else None
            if hold is not was:
                seconds = self._hold(visitor, hold)
            if hold is None:
                self._go_in(visitor)
        parked = hold is Hold.PARKED
        if parked is not (was is Hold.PARKED):
            visitor.parked(parked, 0.0 if parked else seconds)
            self._changed()
        return hold is None

    def leave(self, visitor: Visitor, work: float) -> None:
        """End a picture's step and charge its work to the lane."""
        with self._lock:
            visitor.inside = False
            self._inside -= 1
            if not self._inside:
                self._busy_seconds += self._seconds() - self._busy_since
            self._shares.charge(visitor.lane, work)
            empty = self._when_empty if self._closed and not self._inside else None
            if empty:
                self._when_empty = None
        if empty:
            empty()

    def pass_of(self, lane: Lane) -> float:
        """Return how much the lane has had for its weight."""
        return self._shares.pass_of(lane)

    def close(self, when_empty: Callable[[], object]) -> None:
        """Let nobody in; call `when_empty`, from any thread, once nobody is inside."""
        with self._lock:
            self._closed = True
            self._when_empty = when_empty if self._inside else None
            empty = not self._inside
        if empty:
            when_empty()

    def open(self) -> None:
        """Let steps pass again and wake those who were parked."""
        with self._lock:
            self._closed = False
            self._when_empty = None
            wakes = tuple(visitor.wake for visitor in self._visitors)
        for wake in wakes:
            if wake:
                wake()

    def held_seconds(self, visitor: Visitor, hold: Hold) -> float:
        """Return for how long a picture has been held for a reason, up to now."""
        with self._lock:
            now = self._seconds() - visitor.since if visitor.hold is hold else 0.0
            return visitor.held[hold] + now

    def _go_in(self, visitor: Visitor) -> None:
        if not self._inside:
            self._busy_since = self._seconds()
        self._inside += 1
        visitor.inside = True

    def _hold(self, visitor: Visitor, hold: Hold | None) -> float:
        """Note why a picture is held from now on; return for how long it was until now."""
        now = self._seconds()
        seconds = now - visitor.since if visitor.hold is not None else 0.0
        if visitor.hold is not None:
            visitor.held[visitor.hold] += seconds
        visitor.hold, visitor.since = hold, now
        return seconds

    def _compete(self, lane: Lane) -> None:
        """Let a lane that was idle begin where the others are."""
        busy = {visitor.lane for visitor in self._visitors if not visitor.resting}
        if lane not in busy:
            self._shares.join(lane, busy)
