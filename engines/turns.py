"""Holding a turn for longer than a step, as engines do that draw on a server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from engines.base import Turn


@asynccontextmanager
async def stepping(turn: Turn) -> AsyncIterator[None]:
    """Hold a turn for the length of the block, waiting for it first."""
    loop, changed = asyncio.get_running_loop(), asyncio.Event()
    turn.on_change(lambda: loop.call_soon_threadsafe(changed.set))
    while True:
        changed.clear()
        if turn.enter():
            break
        await changed.wait()
    try:
        yield
    finally:
        turn.leave()
