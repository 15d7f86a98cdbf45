"""The gate in front of one GPU: every step passes it, and it can be closed between steps."""

import threading
from collections.abc import Callable

from scheduler.job import Lane
from scheduler.shares import Shares


class Gate:
    """Counts who is inside a step, and parks everybody while it is closed.

    Engines call `enter` and `leave` from threads of their own, so a lock guards the few fields;
    nothing is ever waited for while it is held.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._closed = False
        self._inside = 0
        self._when_empty: Callable[[], object] | None = None
        self._wakes: dict[int, Callable[[], object]] = {}
        self._lanes: dict[int, Lane] = {}
        self._shares = Shares()

    @property
    def closed(self) -> bool:
        """Whether steps are held back."""
        return self._closed

    def join(self, key: int, lane: Lane) -> None:
        """Admit a picture of a lane to the competition for steps."""
        with self._lock:
            if lane not in self._lanes.values():
                self._shares.join(lane, set(self._lanes.values()))
            self._lanes[key] = lane

    def part(self, key: int) -> None:
        """Forget a picture that takes no more steps."""
        with self._lock:
            self._lanes.pop(key, None)
            self._wakes.pop(key, None)

    def listen(self, key: int, wake: Callable[[], object]) -> None:
        """Call `wake` from now on whenever the gate has been opened."""
        with self._lock:
            self._wakes[key] = wake

    def enter(self) -> bool:
        """Begin a step, unless the gate is closed."""
        with self._lock:
            if self._closed:
                return False
            self._inside += 1
            return True

    def leave(self, lane: Lane, work: float) -> None:
        """End a step and charge its work to the lane."""
        with self._lock:
            self._inside -= 1
            self._shares.charge(lane, work)
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
            wakes = tuple(self._wakes.values())
        for wake in wakes:
            wake()
