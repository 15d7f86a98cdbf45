"""Works for a client for as long as it is there."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from aiohttp import web

GONE_SECONDS = 0.05
"""How often it is looked whether the client is still there; aiohttp has no event for that."""


async def while_there(
    request: web.Request, work: Coroutine[Any, Any, web.StreamResponse]
) -> web.StreamResponse:
    """Do the work, and return what it returns, unless the client leaves: then cancel it."""
    task = asyncio.create_task(work)
    try:
        while not task.done():
            if request.transport is None:
                task.cancel()
            await asyncio.wait([task], timeout=GONE_SECONDS)
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
    # Nobody will read the answer to a request that was left.
    return web.Response(status=499) if task.cancelled() else task.result()
