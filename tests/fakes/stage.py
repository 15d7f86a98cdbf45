"""What every fake engine server has in common: a test directs it, and sees what it did.

A server embeds one `Stage`, tells it what happens (`accepted`, `step`, `ended`, …) and asks it
what should go wrong. Nothing here sleeps: whatever waits, waits for the test's word.
"""

import asyncio
from collections.abc import Callable
from enum import StrEnum


class Phase(StrEnum):
    """When a connection breaks."""

    SUBMIT = "submit"  # before the server has taken the work in
    ANSWER = "answer"  # after it has, before it says so
    DRAWING = "drawing"  # while it draws: every connection is cut once
    FETCHING = "fetching"  # in the midst of the finished picture's bytes


class Flaw(StrEnum):
    """What is wrong with a picture."""

    FLAT = "flat"  # one colour
    HALF = "half"  # its bytes end too early
    SIZE = "size"  # not the size that was asked for
    FOREIGN = "foreign"  # not the picture that was asked for, or none at all


class Stage:
    """The state of a fake server that tests direct and look at.

    Attributes:
        begun: Drawings that the server took in, repeats included.
        finished: Drawings that it drew to their last step.
        at_once: Drawings that it has now, waiting ones included.
        most_at_once: The most that it ever had.
        on_accept: Called whenever it takes one in.
        error: A code (`out_of_memory`, …) with which the next drawing fails.
    """

    def __init__(self) -> None:
        self.begun = 0
        self.finished = 0
        self.at_once = 0
        self.most_at_once = 0
        self.on_accept: Callable[[], None] = lambda: None
        self.error = ""
        self._cut: Phase | None = None
        self._flaw: Flaw | None = None
        self._go, self._let_go = asyncio.Event(), asyncio.Event()
        self._go.set()
        self._let_go.set()
        self._standing, self._stopping = asyncio.Event(), asyncio.Event()

    # -- for tests

    @property
    def busy(self) -> bool:
        """Whether anything is drawn or waits."""
        return self.at_once > 0

    def hold(self) -> None:
        """Let drawings take one step and no more, until `release`."""
        self._go.clear()
        self._standing.clear()

    def release(self) -> None:
        """Let drawings go on."""
        self._go.set()

    async def drawing(self) -> None:
        """Wait until a held drawing has taken its first step."""
        await self._standing.wait()

    def linger(self) -> None:
        """Let an interrupted drawing go on for a while, until `let_go`, as real ones do."""
        self._let_go.clear()
        self._stopping.clear()

    async def stopping(self) -> None:
        """Wait until an interrupted drawing lingers."""
        await self._stopping.wait()

    def let_go(self) -> None:
        """Let the interrupted drawing end."""
        self._let_go.set()

    def cut(self, phase: Phase) -> None:
        """Break the connection at the next occasion in this phase."""
        self._cut = phase

    def spoil(self, flaw: Flaw) -> None:
        """Return the next picture with this flaw."""
        self._flaw = flaw

    # -- for servers

    def cuts(self, phase: Phase) -> bool:
        """Say whether the connection breaks here; answers yes once."""
        if self._cut is not phase:
            return False
        self._cut = None
        return True

    def flaw(self) -> Flaw | None:
        """Take the flaw of the picture that is being returned."""
        flaw, self._flaw = self._flaw, None
        return flaw

    def failure(self) -> str:
        """Take the code with which this drawing fails, empty when it does not."""
        error, self.error = self.error, ""
        return error

    def accepted(self) -> None:
        """A drawing was taken in."""
        self.begun += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.on_accept()

    async def stepped(self, interrupted: asyncio.Event) -> None:
        """A drawing took a step; returns at once when it was interrupted while held."""
        if self._go.is_set():
            await asyncio.sleep(0)
            return
        self._standing.set()
        waits = [asyncio.ensure_future(event.wait()) for event in (self._go, interrupted)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def lingered(self) -> None:
        """An interrupted drawing is about to end."""
        self._stopping.set()
        await self._let_go.wait()

    def ended(self, *, finished: bool) -> None:
        """A drawing is gone; `finished` when it came to its last step."""
        self.at_once -= 1
        self.finished += finished
