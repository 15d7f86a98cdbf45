"""A turn for benches: always open, and it knows when each step began and ended."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from engines.base import Urgency


@dataclass(slots=True)
class TimedTurn:
    """A turn that is always open and writes down when each step began and ended."""

    picture_id: str
    rank: Urgency = (0.0,)
    ticket: str | None = None
    png: bytes = b""
    entered: list[float] = field(default_factory=list)
    left: list[float] = field(default_factory=list)

    async def keep_ticket(self, ticket: str) -> None:
        """Keep it in memory."""
        self.ticket = ticket

    def urgency(self) -> Urgency:
        """Return the rank that it was given."""
        return self.rank

    def enter(self) -> bool:
        """Begin a step; always allowed."""
        self.entered.append(time.perf_counter())
        return True

    def leave(self) -> None:
        """End a step."""
        self.left.append(time.perf_counter())

    def on_change(self, wake: Callable[[], object]) -> None:
        """Nothing ever changes."""
