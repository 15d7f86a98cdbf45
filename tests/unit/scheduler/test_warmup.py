"""A warm-up is a picture like others: it takes turns, and makes room."""

import asyncio
from collections.abc import AsyncGenerator

from typing_extensions import override

from engines.base import Picture, Progress, Turn
from engines.errors import EngineDownError
from engines.fake import NAME, FakeEngine
from engines.spec import GenerationSpec
from scheduler.gate import Hold
from scheduler.gpu import Gpu
from scheduler.job import Job, JobId, Lane
from scheduler.lease import Tenant
from scheduler.ports import SystemClock
from scheduler.seats import Seats
from scheduler.station import Station
from scheduler.warmup import warm_up
from tests.unit.scheduler.parts import an_ask

SPEC = an_ask().spec


def a_station(engine: FakeEngine) -> Station:
    return Station(engine=engine, gpu=Gpu(), seats=Seats(engine, freed=lambda: None))


async def test_a_picture_is_drawn_and_the_model_counts_as_loaded() -> None:
    engine = FakeEngine()
    station = a_station(engine)
    assert await warm_up(station, SPEC, clock=SystemClock())
    assert engine.drawn == 1
    assert station.loaded == SPEC.model
    assert station.gpu.gate.empty
    assert not station.gpu.gate.visitors()


async def test_it_waits_while_a_chat_has_the_gpu() -> None:
    engine = FakeEngine()
    station = a_station(engine)
    async with station.gpu.desk.hold(Tenant.LLM, "a chat"):
        warming = asyncio.create_task(warm_up(station, SPEC, clock=SystemClock()))
        while not any(v.hold is Hold.PARKED for v in station.gpu.gate.visitors()):  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert engine.drawn == 0
    assert await warming
    assert engine.drawn == 1


async def test_nothing_is_drawn_beside_a_suspect() -> None:
    engine, clock = FakeEngine(), SystemClock()
    station = a_station(engine)
    job = Job(JobId("j"), 1, SPEC, NAME, Lane.NORMAL, clock.now(), crashes=1)
    station.enqueue(job)
    assert not await warm_up(station, SPEC, clock=clock)
    assert engine.drawn == 0


async def test_nothing_is_drawn_where_the_model_is_loaded() -> None:
    engine = FakeEngine()
    station = a_station(engine)
    station.loaded = SPEC.model
    assert not await warm_up(station, SPEC, clock=SystemClock())
    assert engine.drawn == 0


class Broken(FakeEngine):
    """Loads, and then cannot draw."""

    @override
    async def generate(
        self, spec: GenerationSpec, turn: Turn
    ) -> AsyncGenerator[Progress | Picture]:
        yield Progress("loading")
        raise EngineDownError("out of memory")


async def test_an_engine_that_fails_is_no_reason_to_fall_over() -> None:
    station = a_station(Broken())
    assert not await warm_up(station, SPEC, clock=SystemClock())
    assert station.loaded == SPEC.model
    assert not station.gpu.gate.visitors()
