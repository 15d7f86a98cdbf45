"""Moves jobs from an engine that does not work to one that does and can draw the same."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import islice

from engines.base import EngineName
from engines.breaker import BreakerState
from engines.spec import GenerationSpec
from scheduler.job import JobId, Queued
from scheduler.ports import Clock
from scheduler.station import Station
from scheduler.table import JobTable

Alternative = Callable[[EngineName, GenerationSpec], EngineName | None]
"""Names another engine that works now and can draw the spec; None if there is none."""

SLICE = 64
"""Jobs that are looked at before others get the event loop: a few milliseconds if all move."""


def no_alternative(_: EngineName, __: GenerationSpec) -> None:
    """Know of no other engine."""


class Failover:
    """Relieves an engine of what waits for it, except jobs whose request named that engine."""

    def __init__(
        self,
        *,
        stations: Mapping[EngineName, Station],
        table: JobTable,
        alternative: Alternative,
        clock: Clock,
    ) -> None:
        self._stations = stations
        self._table = table
        self._alternative = alternative
        self._clock = clock

    async def relieve(self, station: Station) -> None:
        """Move what can be moved, until the engine works again; the rest goes on waiting for it.

        Between two slices anything may happen to a job, so each is looked up when its turn comes.
        """
        waiting = iter((*station.suspects, *station.backlog.ids()))
        while self._may_help(station) and (jobs := tuple(islice(waiting, SLICE))):
            for job_id in jobs:
                if station.holds(job_id):
                    self._consider(station, job_id)
            await asyncio.sleep(0)

    def _may_help(self, station: Station) -> bool:
        """Say whether the engine is away still, and any other works."""
        now = self._clock.monotonic()
        works = {n: s.breaker.state(now) is BreakerState.CLOSED for n, s in self._stations.items()}
        return not works.pop(station.engine.name) and any(works.values())

    def _consider(self, station: Station, job_id: JobId) -> None:
        """Let a job wait for another engine if one can draw it; a ticket means nothing there."""
        job = self._table[job_id]
        name = None if job.pinned else self._alternative(job.engine, job.spec)
        if name is None or not isinstance(job.status, Queued):
            return
        station.withdraw(job_id)
        moved = replace(job.status, reason=job.status.reason or "engine_down", tickets={})
        self._table.move(job_id, moved, engine=name)
        self._stations[name].enqueue(self._table[job_id])
