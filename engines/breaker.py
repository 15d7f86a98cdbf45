"""A circuit breaker: an engine that fails is left alone for a while, then tried once."""

from enum import StrEnum

TOLERATED = 3
FIRST_REST_SECONDS = 1.0
LONGEST_REST_SECONDS = 60.0


class BreakerState(StrEnum):
    """What the breaker lets through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker:
    """Counts failures of one engine; pure, the caller brings the time (seconds, monotonic).

    `TOLERATED` failures in a row, or one that says that nobody is there, open it. After a rest
    that doubles with every reopening it is half open: one probe decides.
    """

    def __init__(self) -> None:
        self.reason = ""
        self._failures = 0
        self._rest_seconds = FIRST_REST_SECONDS
        self._open_until: float | None = None

    def state(self, now: float) -> BreakerState:
        """Say what the breaker lets through now."""
        if self._open_until is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if now < self._open_until else BreakerState.HALF_OPEN

    def wait_seconds(self, now: float) -> float:
        """Return how long it stays open, 0 when it is not."""
        return max(0.0, (self._open_until or now) - now)

    def succeeded(self) -> None:
        """Close it: the engine works."""
        self.reason = ""
        self._failures = 0
        self._rest_seconds = FIRST_REST_SECONDS
        self._open_until = None

    def failed(self, now: float, *, reason: str, gone: bool) -> None:
        """Count a failure of the engine; `gone` when nobody was there.

        What fails while it is open was under way before, and says nothing new.
        """
        self.reason = reason
        self._failures += 1
        if self.state(now) is BreakerState.OPEN:
            return
        if self._open_until is not None:
            self._rest_seconds = min(2 * self._rest_seconds, LONGEST_REST_SECONDS)
        if gone or self._failures >= TOLERATED or self._open_until is not None:
            self._open_until = now + self._rest_seconds
