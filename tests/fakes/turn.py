"""A turn without a scheduler: a test opens and shuts it, and sees what an engine did with it."""

import asyncio
import threading
from collections.abc import Callable

from engines.base import Turn, Urgency


class FreeTurn(Turn):
    """A picture's turn that may be taken at once, unless it was shut.

    Attributes:
        held: Whether a step is under way.
        entered: How often a step began.
        tickets: Everything that was kept, in order.
    """

    picture_id = "job-0"
    ticket: str | None = None

    def __init__(
        self,
        *,
        picture_id: str = "job-0",
        ticket: str | None = None,
        urgency: Urgency = (0.0,),
        shut: bool = False,
    ) -> None:
        self.picture_id = picture_id
        self.ticket = ticket
        self.held = False
        self.entered = 0
        self.tickets: list[str] = []
        self._urgency = urgency
        self._shut = shut
        self._asked = threading.Event()
        self._wake: Callable[[], object] = lambda: None

    async def keep_ticket(self, ticket: str) -> None:
        self.ticket = ticket
        self.tickets.append(ticket)

    def urgency(self) -> Urgency:
        return self._urgency

    def enter(self) -> bool:
        if self._shut:
            self._asked.set()
            return False
        assert not self.held, "a second step began before the first was left"
        self.held = True
        self.entered += 1
        return True

    def leave(self) -> None:
        assert self.held, "a step was left that had not begun"
        self.held = False

    def on_change(self, wake: Callable[[], object]) -> None:
        self._wake = wake

    async def refused(self) -> None:
        """Wait until somebody, in whatever thread, has asked in vain."""
        await asyncio.to_thread(self._asked.wait)

    def shut(self) -> None:
        """Let nobody begin a step."""
        self._shut = True

    def open(self) -> None:
        """Let steps begin again."""
        self._shut = False
        self._wake()
