"""Waits for what a task brings about, and not for ever where the task fails."""

import asyncio
from collections.abc import Awaitable


async def meanwhile(working: "asyncio.Future[object]", seen: Awaitable[object]) -> None:
    """Wait until something is `seen` that the work in progress brings about.

    Raises:
        Exception: what the work failed with, where it ended before.
        AssertionError: it ended well, but that was not seen.
    """
    seeing = asyncio.ensure_future(seen)
    await asyncio.wait([working, seeing], return_when=asyncio.FIRST_COMPLETED)
    if not seeing.done():
        seeing.cancel()
        await working
        raise AssertionError("it has ended, and what was waited for was not seen")
    await seeing
