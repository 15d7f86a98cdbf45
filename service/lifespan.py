"""What runs beside the requests, and the order in which all of it ends."""

import asyncio
import logging
from collections.abc import AsyncIterator

from aiohttp import web

from scheduler.events import Events
from service.keys import METRICS, MODELS, OBJECTS, SCHEDULER, SETTINGS
from service.metrics import Metrics
from service.resources import open_objects

MODELS_EVERY_SECONDS = 60.0
STORE_EVERY_SECONDS = 5.0

_log = logging.getLogger(__name__)


async def lifespan(app: web.Application) -> AsyncIterator[None]:
    """Start the scheduler and its company; stop it when the server has stopped listening."""
    scheduler = app[SCHEDULER]
    await app[MODELS].refresh()
    await scheduler.start()
    company = [
        asyncio.create_task(_count(scheduler.events, app[METRICS]), name="metrics"),
        asyncio.create_task(_keep_asking(app), name="models"),
        asyncio.create_task(_connect(app), name="object store"),
    ]
    app.on_shutdown.append(_drain)
    yield
    for task in company:
        task.cancel()
    await asyncio.gather(*company, return_exceptions=True)


async def _drain(app: web.Application) -> None:
    """End the event streams and bring running jobs to rest, before sockets are closed."""
    await app[SCHEDULER].stop(grace_seconds=app[SETTINGS].shutdown_grace_seconds)


async def _count(events: Events, metrics: Metrics) -> None:
    """Feed the counters."""
    with events.subscribe(limit=1_000_000) as news:
        async for event in news:
            metrics.count(event)


async def _keep_asking(app: web.Application) -> None:
    """Ask the engines now and then what they can draw with."""
    while True:
        await asyncio.sleep(MODELS_EVERY_SECONDS)
        await app[MODELS].refresh()


async def _connect(app: web.Application) -> None:
    """Connect to the object store, however long that takes."""
    while reason := await open_objects(app[OBJECTS]):
        _log.warning("the object store is not ready: %s", reason)
        await asyncio.sleep(STORE_EVERY_SECONDS)
