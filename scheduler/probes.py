"""Asks engines that were left alone for a while whether they are back."""

import asyncio
import logging
from collections.abc import Callable

from engines.base import Health
from engines.breaker import BreakerState
from scheduler.failover import Failover
from scheduler.ports import Clock
from scheduler.station import Station

PROBE_SECONDS = 30.0
"""An engine that needs longer to say how it is does not work."""

_log = logging.getLogger(__name__)


class Probes:
    """One question at a time to each engine; while it stays away, others draw its jobs."""

    def __init__(self, *, failover: Failover, clock: Clock, answered: Callable[[], object]) -> None:
        self._failover = failover
        self._clock = clock
        self._answered = answered
        self._tasks: set[asyncio.Task[None]] = set()

    def ask(self, station: Station) -> None:
        """Probe an engine, unless it is being probed already."""
        if not station.probing:
            station.probing = True
            task = asyncio.create_task(self._ask(station), name=f"probe {station.engine.name}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def relieve(self, station: Station) -> None:
        """Let others draw what waits for an engine, if it is left alone now."""
        if station.breaker.state(self._clock.monotonic()) is BreakerState.OPEN:
            self._failover.relieve(station)

    def cancel(self) -> None:
        """Ask no more."""
        for task in self._tasks:
            task.cancel()

    async def _ask(self, station: Station) -> None:
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                health = await station.engine.probe()
        except TimeoutError:
            health = Health(ok=False, detail="it does not say how it is")
        except Exception as error:  # noqa: BLE001 - a bug ends the probe, not the probing
            _log.exception("the probe of engine %s hit a bug", station.engine.name)
            health = Health(ok=False, detail=f"unexpected {type(error).__name__}")
        finally:
            station.probing = False
        if health.ok:
            station.breaker.succeeded()
        else:
            station.breaker.failed(self._clock.monotonic(), reason=health.detail, gone=True)
            self.relieve(station)
        self._answered()
