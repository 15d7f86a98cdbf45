"""The catalogue is rebuilt from what is stored."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

from scheduler.job import JobId
from service.store.base import ObjectInfo
from service.store.keys import meta_of
from service.store.rebuild import Rebuilt, rebuild
from tests.contract.staged import JOB, KEYS, Stage, Watched, picture


async def test_the_catalogue_is_rebuilt_from_the_sidecars(stage: Stage) -> None:
    times = [JOB.created_at + timedelta(milliseconds=n) for n in range(210)]
    jobs = [
        replace(JOB, id=JobId(f"job-{n}"), created_at=at, count=1) for n, at in enumerate(times)
    ]
    for first in range(0, len(jobs), 30):
        await asyncio.gather(
            *(stage.images.put(job, 0, picture()) for job in jobs[first : first + 30])
        )
    before = await stage.rows()
    assert before == [KEYS.png(job, 0) for job in reversed(jobs)]
    foreign = "images/20200101_000000_00000000.json"
    await stage.objects.store.put(foreign, b'{"old": 1}', content_type="application/json")
    await stage.objects.store.delete(KEYS.meta(jobs[7], 0))
    await stage.catalogue.remove([KEYS.png(job, 0) for job in jobs[20:]])

    done = await rebuild(stage.catalogue, stage.objects, KEYS)  # type: ignore[arg-type]
    assert done == Rebuilt(entered=209, removed=1, skipped=1)
    assert await stage.catalogue.count() == 209
    gone = KEYS.png(jobs[7], 0)
    assert stage.objects.stats == [meta_of(gone)], "nothing is asked for that the list told"
    assert await stage.rows() == [key for key in before if key != gone]
    again = await rebuild(stage.catalogue, stage.objects.store, KEYS)
    assert again == Rebuilt(entered=209, removed=0, skipped=1)
    assert await stage.catalogue.count() == 209


async def test_a_rebuild_keeps_a_picture_that_is_stored_meanwhile(stage: Stage) -> None:
    await stage.images.put(JOB, 0, picture())

    class Late(Watched):
        """Stores another picture once the list has been read."""

        async def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
            found = [info async for info in self.store.list(prefix)]
            await stage.images.put(JOB, 1, picture(42))
            for info in found:
                yield info

    late = Late(stage.objects.store)
    assert await rebuild(stage.catalogue, late, KEYS) == Rebuilt(entered=1)  # type: ignore[arg-type]
    assert await stage.catalogue.count() == 2
