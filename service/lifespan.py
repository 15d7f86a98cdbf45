"""What runs beside the requests, and the order in which all of it begins and ends."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine

from aiohttp import web

from engines.spec import InputRef
from scheduler.errors import StoreError
from scheduler.events import Events
from scheduler.table import JobTable
from service.keys import (
    CATALOGUE,
    CLOCK,
    GPUS,
    IMAGES,
    INPUTS,
    KEYS,
    LLM,
    METRICS,
    MODELS,
    OBJECTS,
    SCHEDULER,
    SETTINGS,
)
from service.metrics import Metrics
from service.store.rebuild import rebuild
from service.warming import warm

MODELS_EVERY_SECONDS = 60.0
STORE_EVERY_SECONDS = 5.0
REMOVALS_EVERY_SECONDS = 60.0
INPUTS_EVERY_SECONDS = 24 * 3600.0
INPUTS_KEPT_SECONDS = 30 * 24 * 3600.0
START_PATIENCE_SECONDS = 0.4
"""How long the start waits for engines and store; those that take longer come later."""

_SLICE = 1000

_log = logging.getLogger(__name__)


async def lifespan(app: web.Application) -> AsyncIterator[None]:
    """Start the scheduler and its company; end the company when the scheduler has stopped."""
    scheduler = app[SCHEDULER]
    asking = _beside(app[MODELS].refresh(), "first models")
    connecting = _beside(_connect(app), "object store")
    await asyncio.wait({asking, connecting}, timeout=START_PATIENCE_SECONDS)
    for gpu in app[GPUS].values():
        await gpu.start()
    await app[LLM].open()
    await scheduler.start()
    company = [
        asking,
        connecting,
        _beside(_tend_store(app, connecting), "store company"),
        _beside(_count(scheduler.events, app[METRICS]), "metrics"),
        _beside(_keep_asking(app), "models"),
        _beside(_forget_inputs(app), "old inputs"),
        _beside(_end_removals(app), "deletions"),
        _beside(warm(app, asking), "warm-up"),
    ]
    yield
    app[MODELS].cancel()
    for task in company:
        task.cancel()
    await asyncio.gather(*company, return_exceptions=True)
    await app[LLM].aclose()


async def drain(app: web.Application) -> None:
    """End the event streams and bring running jobs to rest, before sockets are closed."""
    await app[SCHEDULER].stop(grace_seconds=app[SETTINGS].shutdown_grace_seconds)
    for gpu in app[GPUS].values():
        await gpu.aclose()


def _beside(work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
    """Let something run beside the requests; the log tells if a bug ends it."""
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_tell)
    return task


def _tell(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        _log.error("a bug has ended what runs beside: %s", task.get_name(), exc_info=error)


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


async def _forget_inputs(app: web.Application) -> None:
    """Delete input pictures that no living job needs and that nobody brought for a month."""
    await app[SCHEDULER].taken_up()
    while True:
        before = app[CLOCK].now().timestamp() - INPUTS_KEPT_SECONDS
        needed = await _needed_inputs(app[SCHEDULER].table)
        try:
            await asyncio.to_thread(app[INPUTS].forget, before=before, but=needed)
        except OSError as error:
            _log.warning("old input pictures could not be deleted: %s", error)
        await asyncio.sleep(INPUTS_EVERY_SECONDS)


async def _end_removals(app: web.Application) -> None:
    """Delete what a crash, or a store that failed, has left of deleted pictures."""
    while True:
        try:
            await app[IMAGES].removals.finish_all()
        except StoreError as error:
            _log.warning("files of deleted pictures are still there: %s: %s", error.code, error)
        await asyncio.sleep(REMOVALS_EVERY_SECONDS)


async def _needed_inputs(table: JobTable) -> set[InputRef]:
    """Return the input pictures of all living jobs, letting others go on now and then."""
    needed: set[InputRef] = set()
    for place, job in enumerate(tuple(table)):
        needed |= job.spec.inputs
        if place % _SLICE == 0:
            await asyncio.sleep(0)
    return needed


async def _connect(app: web.Application) -> None:
    """Connect to the object store, however long that takes."""
    while True:
        try:
            await app[OBJECTS].open()
        except StoreError as error:
            _log.warning("the object store is not ready: %s: %s", error.code, error)
            await asyncio.sleep(STORE_EVERY_SECONDS)
        else:
            return


async def _tend_store(app: web.Application, connected: asyncio.Task[None]) -> None:
    """Once there is a store: upload what was left in the spool, fill an empty catalogue."""
    try:
        # Now, as what is swept would make it look as if nothing were lost.
        lost = not await app[CATALOGUE].count()
    except StoreError as error:
        _log.warning("the catalogue could not be read: %s: %s", error.code, error)
        return
    await connected
    while True:
        try:
            if swept := await app[IMAGES].sweep():
                _log.info("%d pictures went from the spool to the store", swept)
            if lost:
                done = await rebuild(app[CATALOGUE], app[OBJECTS], app[KEYS])
                _log.info("the catalogue was rebuilt: %d pictures", done.entered)
        except StoreError as error:
            _log.warning("the store could not be tended: %s: %s", error.code, error)
            await asyncio.sleep(STORE_EVERY_SECONDS)
        else:
            return
