"""Warms the default engine up after the start, unless that has killed the service before."""

import asyncio
import logging
from pathlib import Path

from aiohttp import web

from engines.diffusers.devices import guess_device
from engines.errors import EngineError
from engines.spec import Draft
from scheduler.station import Station
from scheduler.warmup import warm_up
from service.keys import CLOCK, ROUTER, SCHEDULER, SETTINGS
from service.settings import Settings

STEPS = 4
"""The second step finds out whether replaying pays; the third and fourth replay."""

_log = logging.getLogger(__name__)


async def warm(app: web.Application, asked: "asyncio.Task[None]") -> None:
    """Draw with the default model at its default size, once the models are `asked` for.

    A mark lies in the data folder meanwhile: where it was left behind, the service died of it or
    during it, and this time goes on without.
    """
    await asked
    scheduler, settings = app[SCHEDULER], app[SETTINGS]
    await scheduler.taken_up()
    try:
        route = app[ROUTER].settle(Draft("warm-up", steps=STEPS, seed=0))
    except EngineError as error:
        _log.warning("nothing was warmed up: %s: %s", error.code, error)
        return
    station = scheduler.stations[route.engine]
    if not _wanted(settings, station):
        return
    if scheduler.paused:
        _log.info("nothing is warmed up: the queue is paused")
        return
    mark = settings.data_dir / "warming-up"
    if _left_behind(mark):
        _log.warning("nothing is warmed up this time: the service ended while it did so before")
        return
    try:
        await warm_up(station, route.spec, clock=app[CLOCK])
    finally:
        mark.unlink(missing_ok=True)


def _wanted(settings: Settings, station: Station) -> bool:
    """Say whether to warm up: as the setting says, else where recording calls needs it."""
    if settings.warm_up is not None or not settings.images_enabled:
        return bool(settings.warm_up) and settings.images_enabled
    stepping = station.engine.capabilities.preemption == "step"
    return stepping and guess_device(settings.device) == "cuda"


def _left_behind(mark: Path) -> bool:
    """Leave a mark and return False, or remove the one that is there and return True."""
    if mark.exists():
        mark.unlink()
        return True
    mark.touch()
    return False
