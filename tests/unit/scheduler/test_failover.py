"""What waits for an engine that is away goes to another, and nobody waits for that."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from typing_extensions import override

from engines.base import EngineName, Health, Picture, Progress, Turn
from engines.errors import EngineDownError
from engines.fake import FakeEngine
from engines.spec import GenerationSpec
from scheduler.failover import SLICE, Failover
from scheduler.job import Cancelled, JobId, Queued, Succeeded
from scheduler.ports import SystemClock
from scheduler.station import Station
from tests.unit.scheduler.parts import Parts, a_scheduler, an_ask

AWAY, THERE = EngineName("away"), EngineName("there")


class Named(FakeEngine):
    """One of several engines."""

    def __init__(self, name: EngineName) -> None:
        super().__init__()
        self.name = name


class Away(Named):
    """Nobody is there."""

    @override
    async def generate(
        self, spec: GenerationSpec, turn: Turn
    ) -> AsyncGenerator[Progress | Picture]:
        raise EngineDownError("connection refused")
        yield Progress("drawing")

    @override
    async def probe(self) -> Health:
        return Health(ok=False, detail="connection refused")


class Rig:
    """A backlog in front of an engine that went away, beside one that works."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.away, self.there = (parts.scheduler.stations[name] for name in (AWAY, THERE))
        self.asked = 0
        stations = {AWAY: self.away, THERE: self.there}
        self.failover = Failover(
            stations=stations,
            table=parts.scheduler.table,
            alternative=self.alternative,
            clock=SystemClock(),
        )

    def alternative(self, engine: EngineName, spec: GenerationSpec) -> EngineName | None:
        self.asked += 1
        assert engine == AWAY
        return None if spec.prompt == "only there" else THERE

    async def fill(
        self, count: int, *, prompt: str = "a card", pinned: bool = False
    ) -> list[JobId]:
        ask = replace(an_ask(prompt, engine=AWAY), pinned=pinned)
        made = await asyncio.gather(*(self.parts.scheduler.submit(ask) for _ in range(count)))
        return [job.id for job, _ in made]

    def shut(self, station: Station) -> None:
        station.breaker.failed(SystemClock().monotonic(), reason="engine_down", gone=True)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with a_scheduler(tmp_path, Named(AWAY), Named(THERE)) as parts:
        await parts.scheduler.pause_all(paused=True)
        yield Rig(parts)


async def slices(rig: Rig) -> AsyncIterator[int]:
    """Relieve; yield how many jobs were looked at each time that others got the loop."""
    relief, before = asyncio.create_task(rig.failover.relieve(rig.away)), rig.asked
    while not relief.done():
        await asyncio.sleep(0)
        yield rig.asked - before
        before = rig.asked
    await relief


async def test_all_that_can_move_moves_a_slice_at_a_time(rig: Rig) -> None:
    movable = await rig.fill(5 * SLICE + 1)
    pinned, odd = await rig.fill(3, pinned=True), await rig.fill(3, prompt="only there")
    rig.shut(rig.away)
    seen = [looked async for looked in slices(rig)]
    assert max(seen) == SLICE
    assert sum(seen) == len(movable) + len(odd)
    assert rig.there.backlog.ids() == tuple(movable)
    assert sorted(rig.away.backlog.ids()) == sorted([*pinned, *odd])
    table = rig.parts.scheduler.table
    moved = [table[job_id] for job_id in movable]
    assert {job.engine for job in moved} == {THERE}
    assert all(job.status == Queued(reason="engine_down") for job in moved)


@asynccontextmanager
async def half_way(rig: Rig, count: int) -> AsyncIterator[None]:
    """Relieve of so many jobs; the block runs after the first slice."""
    relief = asyncio.create_task(rig.failover.relieve(rig.away))
    while not len(rig.there.backlog):  # noqa: ASYNC110 - each look is a turn of the loop
        await asyncio.sleep(0)
    assert len(rig.away.backlog) > count - 2 * SLICE
    yield
    await relief


async def test_a_job_that_is_cancelled_or_paused_meanwhile_stays_so(rig: Rig) -> None:
    jobs, scheduler = await rig.fill(4 * SLICE), rig.parts.scheduler
    rig.shut(rig.away)
    async with half_way(rig, len(jobs)):
        rig.away.withdraw(jobs[-1])
        ending = asyncio.ensure_future(
            scheduler.table.advance(jobs[-1], Cancelled("cancelled_by_user", SystemClock().now()))
        )
        rig.away.withdraw(jobs[-2])
    await ending
    assert isinstance(scheduler.table[jobs[-1]].status, Cancelled)
    assert scheduler.table[jobs[-2]].engine == AWAY
    assert rig.there.backlog.ids() == tuple(jobs[:-2])


async def test_an_engine_that_is_back_keeps_the_rest(rig: Rig) -> None:
    jobs = await rig.fill(4 * SLICE)
    rig.shut(rig.away)
    async with half_way(rig, len(jobs)):
        rig.away.breaker.succeeded()
    assert 0 < len(rig.there.backlog) <= 2 * SLICE
    assert len(rig.away.backlog) + len(rig.there.backlog) == len(jobs)


async def test_where_nobody_works_nobody_is_asked(rig: Rig) -> None:
    await rig.fill(3)
    rig.shut(rig.away)
    rig.shut(rig.there)
    await rig.failover.relieve(rig.away)
    assert rig.asked == 0


async def test_jobs_of_an_engine_that_goes_away_are_drawn_by_another(tmp_path: Path) -> None:
    def alternative(engine: EngineName, _: GenerationSpec) -> EngineName | None:
        return THERE if engine == AWAY else None

    engines = Away(AWAY), Named(THERE)
    async with a_scheduler(tmp_path, *engines, alternative=alternative) as parts:
        asks = [an_ask(engine=AWAY) for _ in range(2 * SLICE)]
        made = await asyncio.gather(*(parts.scheduler.submit(ask) for ask in asks))
        for job, _ in made:
            done = await parts.until(job.id, Succeeded)
            assert done.engine == THERE
