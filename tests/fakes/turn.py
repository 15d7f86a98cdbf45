"""Turns without a scheduler: a test opens and shuts them, and sees what an engine did."""

import asyncio
import threading
from collections.abc import Callable

from engines.base import Turn, Urgency


class GateTurn:
    """One picture's turn: open or closed, with an urgency, and a count of what was stepped.

    Attributes:
        entered: How often `enter` said yes.
        held: Whether a step is under way.
        on_enter: Called inside `enter` before it answers, from the engine's thread.
    """

    def __init__(
        self,
        picture_id: str = "picture-0",
        *,
        urgency: Urgency = (0.0,),
        is_open: bool = True,
        on_enter: Callable[[], object] | None = None,
    ) -> None:
        self.picture_id = picture_id
        self.ticket: str | None = None
        self.entered = 0
        self.held = False
        self.on_enter = on_enter
        self._urgency = urgency
        self._open = is_open
        self._lock = threading.Lock()
        self._wakes: list[Callable[[], object]] = []

    async def keep_ticket(self, ticket: str) -> None:
        self.ticket = ticket

    def urgency(self) -> Urgency:
        return self._urgency

    def enter(self) -> bool:
        if self.on_enter is not None:
            self.on_enter()
        with self._lock:
            assert not self.held, "entered twice without leaving"
            if self._open:
                self.entered += 1
                self.held = True
            return self._open

    def leave(self) -> None:
        with self._lock:
            assert self.held, "left without having entered"
            self.held = False

    def on_change(self, wake: Callable[[], object]) -> None:
        self._wakes.append(wake)

    def open(self) -> None:
        with self._lock:
            self._open = True
        self.change()

    def close(self) -> None:
        with self._lock:
            self._open = False
        self.change()

    def hurry(self, urgency: Urgency) -> None:
        self._urgency = urgency
        self.change()

    def change(self) -> None:
        for wake in self._wakes:
            wake()


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
