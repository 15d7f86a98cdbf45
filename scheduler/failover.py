"""Moves jobs from an engine that does not work to one that does and can draw the same."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from engines.base import EngineName
from engines.spec import GenerationSpec
from scheduler.job import Job, Queued
from scheduler.station import Station
from scheduler.table import JobTable

Alternative = Callable[[EngineName, GenerationSpec], EngineName | None]
"""Names another engine that works now and can draw the spec; None if there is none."""


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
    ) -> None:
        self._stations = stations
        self._table = table
        self._alternative = alternative

    def relieve(self, station: Station) -> None:
        """Move what can be moved; the rest goes on waiting for the engine."""
        for job in (*station.suspects.values(), *station.backlog):
            name = None if job.pinned else self._alternative(job.engine, job.spec)
            if name is not None and isinstance(job.status, Queued):
                self._move(station, job, job.status, name)

    def _move(self, station: Station, job: Job, status: Queued, name: EngineName) -> None:
        """Let a job wait for another engine; a ticket means nothing there."""
        station.withdraw(job.id)
        moved = replace(status, reason=status.reason or "engine_down", tickets={})
        self._table.move(job.id, moved, engine=name)
        self._stations[name].enqueue(self._table[job.id])
