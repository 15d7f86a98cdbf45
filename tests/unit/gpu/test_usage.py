"""How a GPU was used, how long pictures are held back, and what that makes of a forecast."""

import pytest

from engines.fake import FakeEngine
from scheduler.eta import Eta, Forecast
from scheduler.gpu import Gpu
from scheduler.job import Job, Queued, Running
from scheduler.lease import Tenant
from scheduler.outlook import outlook
from scheduler.seats import Seats
from scheduler.station import Station
from scheduler.usage import Closures, Usage
from tests.unit.gpu.pictures import a_job, a_turn


def test_shares_are_those_of_the_last_hour() -> None:
    usage = Usage()
    usage.book(0.0, llm=False, images_total=0.0)
    usage.book(1800.0, llm=True, images_total=0.0)
    usage.book(3600.0, llm=False, images_total=900.0)
    shares = usage.shares(3600.0)
    assert (shares.llm, shares.images) == (pytest.approx(0.5), pytest.approx(0.25))
    usage.book(5400.0, llm=False, images_total=900.0)
    shares = usage.shares(5400.0)
    assert (shares.llm, shares.images) == (pytest.approx(0.0), pytest.approx(0.25))
    usage.book(90_000.0, llm=True, images_total=900.0)
    assert usage.shares(90_000.0).llm == pytest.approx(1.0, abs=0.02)


def held_back(*lengths: float) -> Closures:
    closures, now = Closures(), 0.0
    for length in lengths:
        closures.note(now, True)
        now += length
        closures.note(now, False)
    return closures


def test_nothing_is_said_until_enough_was_seen() -> None:
    closures = held_back(5.0, 5.0)
    assert closures.remaining(10.0) == Eta(0.0, 0.0), "nothing is held back"
    closures.note(10.0, True)
    assert closures.remaining(11.0) is None


def test_what_is_left_is_judged_by_those_that_took_as_long() -> None:
    closures = held_back(1.0, 1.0, 10.0, 20.0, 30.0)
    closures.note(100.0, True)
    closures.note(101.0, True)
    assert closures.remaining(102.0) == Eta(18.0, 28.0)
    assert closures.remaining(115.0) is None


def a_station(gpu: Gpu) -> Station:
    engine = FakeEngine()
    return Station(engine=engine, gpu=gpu, seats=Seats(engine, freed=lambda: None))


def learned(job: Job) -> Forecast:
    forecast = Forecast()
    for seconds in (10.0, 10.0, 20.0):
        forecast.learn(job.engine, job.spec, cold=False, seconds=seconds)
    return forecast


def running(job: Job, done: float) -> Job:
    return job.step(Running(job.created_at, done=done))


def test_a_running_job_needs_what_is_left_of_it() -> None:
    job = a_job()
    station, forecast = a_station(Gpu()), learned(job)
    assert outlook(running(job, 0.5), station, forecast) == Eta(5.0, 10.0)
    assert outlook(job.step(Queued(paused=True)), station, forecast) is None
    assert outlook(running(job, 0.5), station, Forecast()) is None


async def test_a_parked_job_needs_what_the_chat_needs_too() -> None:
    job, gpu = a_job(), Gpu()
    station, forecast = a_station(gpu), learned(job)
    a_turn(gpu)
    gpu.poke()
    for _ in range(3):
        async with gpu.desk.hold(Tenant.LLM, "a chat"):
            assert outlook(running(job, 0.5), station, forecast) is None, "nobody can know"
    async with gpu.desk.hold(Tenant.LLM, "a chat"):
        gpu._closures = held_back(1000.0, 1000.0, 1000.0)
        gpu._note_closure()
        eta = outlook(running(job, 0.5), station, forecast)
        assert eta is not None
        assert 900.0 < eta.p50_seconds <= 1005.0


async def test_memory_is_freed_once_for_what_was_loaded() -> None:
    engine = FakeEngine()
    station = Station(engine=engine, gpu=Gpu(), seats=Seats(engine, freed=lambda: None))
    await station.release_memory()
    assert engine.released == 0, "nothing was loaded"
    station.loaded = "a model"
    for _ in range(2):
        await station.release_memory()
    assert (engine.released, station.loaded) == (1, None)


def test_an_engine_that_is_down_wants_no_gpu() -> None:
    station = a_station(Gpu())
    assert not station.wants_gpu(0.0), "nothing waits"
    station.enqueue(a_job())
    assert station.wants_gpu(0.0)
    station.breaker.failed(0.0, reason="it is gone", gone=True)
    assert not station.wants_gpu(0.0)
