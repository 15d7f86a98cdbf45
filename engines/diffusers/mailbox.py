"""Carries the news of one picture from the thread that draws it to the event loop."""

import asyncio
import threading
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

from engines.base import Json, Progress, Shortfall
from engines.diffusers.plan import Files

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Drawn:
    """A finished picture before it is encoded.

    Attributes:
        pixels: Height x width x 3, eight bits.
        files: Every file that took part.
    """

    pixels: "NDArray[np.uint8]"
    facts: dict[str, Json]
    files: Files
    shortfalls: tuple[Shortfall, ...] = ()


@dataclass(frozen=True, slots=True)
class Died:
    """The drawing ended with an error."""

    error: BaseException


News: TypeAlias = Progress | Drawn | Died


@dataclass(slots=True)
class Mailbox:
    """News from a thread, read by one coroutine of the loop in which the mailbox was made.

    Steps that nobody has read yet are replaced by later ones, so a slow reader sees the present
    and costs no memory.
    """

    _news: deque[News] = field(default_factory=deque)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)

    def post(self, news: News) -> None:
        """Leave news; may be called from any thread and never blocks."""
        with self._lock:
            last = self._news[-1] if self._news else None
            if (
                isinstance(news, Progress)
                and isinstance(last, Progress)
                and news.phase == last.phase == "drawing"
            ):
                self._news.pop()
                news = replace(news, preview=news.preview or last.preview)
            self._news.append(news)
        # A loop that is closed has nobody left to read.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._arrived.set)

    async def take(self) -> News:
        """Wait for the next news."""
        while True:
            with self._lock:
                if self._news:
                    return self._news.popleft()
                self._arrived.clear()
            await self._arrived.wait()
