"""Pictures that wait for the store: each job on its own, and none called done that is not."""

from dataclasses import replace
from pathlib import Path

import pytest

from engines.base import Picture
from engines.card import test_card as a_card
from scheduler.errors import StoreDownError
from scheduler.job import Failed, Job, Storing, Succeeded
from scheduler.ports import SystemClock
from tests.unit.scheduler.parts import a_scheduler, an_ask

CARD = Picture(png=a_card(width=64, height=64, seed=1), width=64, height=64, seed=1)


def storing(number: int) -> Job:
    now = SystemClock().now()
    job = an_ask().job(number=number, now=now, highres_cost=64.0)
    return replace(job, status=Storing(now))


async def test_a_picture_that_is_nowhere_is_not_called_stored(tmp_path: Path) -> None:
    job = storing(1)
    async with a_scheduler(tmp_path) as parts:
        await parts.journal.add(job)
    async with a_scheduler(tmp_path) as parts:
        ended = await parts.until(job.id, Succeeded, Failed)
    assert isinstance(ended.status, Failed)
    assert ended.status.code == "not_found"


async def test_a_job_that_lost_a_picture_lists_the_others(tmp_path: Path) -> None:
    job = replace(storing(1), count=2)
    async with a_scheduler(tmp_path) as parts:
        place = tmp_path / "objects/images" / f"{job.stem(0)}.png"
        place.mkdir(parents=True)
        with pytest.raises(StoreDownError):
            await parts.images.put(job, 0, CARD)
        place.rmdir()
        await parts.journal.add(job)
    async with a_scheduler(tmp_path) as parts:
        ended = await parts.until(job.id, Succeeded, Failed)
        assert isinstance(ended.status, Failed)
        assert [artifact.index for artifact in ended.status.artifacts] == [0]
        assert place.is_file()


async def test_a_picture_that_the_store_refuses_holds_up_no_other(tmp_path: Path) -> None:
    jobs = [storing(1), storing(2)]
    async with a_scheduler(tmp_path) as parts:
        places = [tmp_path / "objects/images" / f"{job.stem(0)}.png" for job in jobs]
        for job, place in zip(jobs, places, strict=True):
            place.mkdir(parents=True)
            with pytest.raises(StoreDownError):
                await parts.images.put(job, 0, CARD)
            await parts.journal.add(job)
    places[1].rmdir()
    async with a_scheduler(tmp_path) as parts:
        assert isinstance((await parts.until(jobs[1].id, Succeeded, Failed)).status, Succeeded)
        assert isinstance(parts.scheduler.table[jobs[0].id].status, Storing)
