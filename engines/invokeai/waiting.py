"""How long a server is waited for, and how to wait for what must not be left half done."""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a server is waited for.

    Attributes:
        poll_seconds: Between two looks at the queue; the socket hastens them.
        lost_seconds: How long the server may be out of reach while it draws.
        stall_seconds: How long nothing at all may change before the drawing is given up.
        stop_seconds: How long a cancelled drawing may go on.
    """

    poll_seconds: float = 2.0
    lost_seconds: float = 15.0
    stall_seconds: float = 1800.0
    stop_seconds: float = 300.0


async def joined(work: Awaitable[T]) -> T:
    """Finish `work` whoever cancels us meanwhile; the cancel takes effect afterwards."""
    task, cancelled = asyncio.ensure_future(work), False
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        with suppress(Exception):
            task.result()
        raise asyncio.CancelledError
    return task.result()
