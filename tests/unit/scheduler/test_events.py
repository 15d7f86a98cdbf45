"""News: in order, replayable, and cut off rather than waited for."""

import itertools

import pytest

from engines.base import Progress
from scheduler.events import Events, JobEvent, ListenerLostError, Subscription
from scheduler.job import JobId, Running
from scheduler.ports import SystemClock
from tests.unit.scheduler.test_backlog import job
from tests.unit.scheduler.test_job import NOW


async def collect(news: Subscription) -> list[JobEvent]:
    return [event async for event in news]


async def test_a_listener_hears_all_in_order_and_the_end() -> None:
    events = Events(SystemClock())
    with events.subscribe() as news:
        for number in range(5):
            events.publish("status", job(number))
        events.end()
        heard = await collect(news)
    assert [event.job.number for event in heard] == [0, 1, 2, 3, 4]
    assert [b.number - a.number for a, b in itertools.pairwise(heard)] == [1] * 4


async def test_what_was_missed_is_repeated() -> None:
    events = Events(SystemClock())
    events.publish("status", job(1))
    seen = events.last
    events.publish("status", job(2))
    events.publish("status", job(3))
    with events.subscribe(since=seen, job_id=JobId("j3")) as news:
        events.end()
        assert [event.job.number for event in await collect(news)] == [3]


async def test_a_slow_listener_is_cut_off_and_nobody_waits() -> None:
    events = Events(SystemClock())
    with events.subscribe(limit=3) as slow, events.subscribe(limit=10) as quick:
        for number in range(5):
            events.publish("status", job(number))
        events.end()
        with pytest.raises(ListenerLostError):
            await collect(slow)
        assert len(await collect(quick)) == 5


async def test_numbers_grow_over_a_restart() -> None:
    first = Events(SystemClock())
    first.publish("status", job(1))
    assert Events(SystemClock()).last > first.last


async def test_previews_are_for_those_who_listen_now() -> None:
    events, drawing = (
        Events(SystemClock()),
        Running(NOW, progress=Progress("drawing", preview=b"j")),
    )
    with events.subscribe() as now:
        events.publish("progress", job(1).step(drawing))
        with events.subscribe(since=0) as later:
            events.end()
            heard = [(await collect(news))[0].job.status for news in (now, later)]
    assert heard == [drawing, Running(NOW, progress=Progress("drawing"))]
