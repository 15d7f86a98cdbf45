"""Asks engines that were left alone for a while whether they are back."""

import asyncio
import logging
from collections.abc import Callable, Coroutine

from engines.base import EngineName, Health
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
        self._relieving: dict[EngineName, bool] = {}
        self._ended = False

    def ask(self, station: Station) -> None:
        """Probe an engine, unless it is being probed already."""
        if not station.probing and not self._ended:
            station.probing = True
            self._begin(self._ask(station), f"probe {station.engine.name}")

    def relieve(self, station: Station) -> None:
        """Let others draw what waits for an engine, if it is left alone now."""
        name, state = station.engine.name, station.breaker.state(self._clock.monotonic())
        if state is not BreakerState.OPEN or self._ended:
            return
        if name not in self._relieving:
            self._begin(self._relieve(station), f"relieve {name}")
        self._relieving[name] = True

    def cancel(self) -> None:
        """Ask no more."""
        self._ended = True
        for task in self._tasks:
            task.cancel()

    def _begin(self, work: Coroutine[None, None, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _relieve(self, station: Station) -> None:
        """Relieve an engine, and again if that was asked for meanwhile: more may wait by now."""
        name = station.engine.name
        try:
            while self._relieving[name]:
                self._relieving[name] = False
                await self._failover.relieve(station)
                self._answered()
        except Exception:  # noqa: BLE001 - a bug ends this relief, not the next one
            _log.exception("the relief of engine %s hit a bug", name)
        finally:
            del self._relieving[name]

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
