"""Draws a picture that nobody asked for, so that the first that somebody asks for is not slow."""

import logging
from contextlib import aclosing

from engines.errors import EngineError
from engines.spec import GenerationSpec
from scheduler.job import Job, JobId, Lane
from scheduler.ports import Clock
from scheduler.station import Station

_log = logging.getLogger(__name__)


async def warm_up(station: Station, spec: GenerationSpec, *, clock: Clock) -> bool:
    """Draw a picture and throw it away; say whether it was drawn.

    It takes its turns as every picture does, after all others: chats and real pictures go first.
    Nothing is drawn beside a job that is suspected of having killed the service, nor where a
    picture that somebody asked for has loaded the model.
    """
    if station.suspects or station.loaded == spec.model:
        return False
    name, now = station.engine.name, clock.monotonic()
    job = Job(JobId("warm-up"), 0, spec, name, Lane.BACKGROUND, clock.now())
    turn = station.gpu.turn(job=job, index=0, ticket=None, keep=_forget)
    try:
        async with aclosing(station.engine.generate(spec, turn)) as updates:
            async for _ in updates:
                # Set while it is drawn: whoever wants the memory must know that it is taken.
                station.loaded = spec.model
    except EngineError as error:
        _log.warning("engine %s was not warmed up: %s: %s", name, error.code, error)
        return False
    finally:
        turn.close()
    _log.info("engine %s is warm after %.1f s", name, clock.monotonic() - now)
    return True


async def _forget(_: str) -> None:
    """Keep no ticket: it is not taken up again."""
