"""A deleted picture comes back only when it is drawn again, or brought back on purpose."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from scheduler.errors import StoreDownError
from service.store.base import ObjectInfo
from service.store.catalogue import Catalogue
from service.store.database import Database
from service.store.rebuild import rebuild
from service.store.rows import SCHEMA
from tests.contract.places import Place
from tests.contract.staged import JOB, KEYS, Stage, Watched, picture, remove

KEY = KEYS.png(JOB, 0)


async def test_a_rebuild_that_has_read_the_sidecar_does_not_bring_it_back(stage: Stage) -> None:
    await stage.images.put(JOB, 0, picture())

    class Early(Watched):
        """Is read before the picture is deleted, and entered after."""

        async def get(self, key: str) -> bytes:
            found = await self.store.get(key)
            await remove(stage)
            return found

        async def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
            async for info in self.store.list(prefix):
                yield info

    early = Early(stage.objects.store)
    await rebuild(stage.catalogue, early, KEYS)  # type: ignore[arg-type]
    assert await stage.rows() == []


async def test_a_picture_that_is_drawn_again_is_there_again(stage: Stage, place: Place) -> None:
    await stage.images.put(JOB, 0, picture())
    stage.objects.before_delete = lambda key: place.fail() if key == KEY else None
    await remove(stage)
    stage.objects.before_delete = lambda key: key
    place.come_back()
    artifact = await stage.images.put(JOB, 0, picture())
    await stage.images.removals.finish_all()
    assert await stage.images.find(JOB) == [artifact, None]
    assert await stage.catalogue.deleted([KEY]) == set()


async def test_a_job_that_is_tried_again_finds_nothing_that_is_leaving(stage: Stage) -> None:
    await stage.images.put(JOB, 0, picture())
    await stage.catalogue.leave(KEY)
    assert await stage.images.find(JOB) == [None, None]
    assert await stage.keys() == []


async def test_a_picture_that_somebody_brought_back_is_entered_by_a_rebuild(
    stage: Stage, tmp_path: Path
) -> None:
    await stage.images.put(JOB, 0, picture())
    files = {key: await stage.objects.store.get(key) for key in await stage.keys()}
    await remove(stage)
    database = Database(tmp_path / "kitty.db")
    await database.open(schema=SCHEMA)
    for key, data in files.items():
        await stage.objects.store.put(key, data, content_type="image/png")
    later = Catalogue(database)
    assert await later.deleted([KEY]) == {KEY}
    await rebuild(later, stage.objects.store, KEYS)
    assert await stage.rows() == [KEY]
    assert await later.deleted([KEY]) == set()
    await database.aclose()


async def test_a_waiting_picture_that_stays_is_not_listed(stage: Stage, place: Place) -> None:
    place.fail()
    with pytest.raises(StoreDownError):
        await stage.images.put(JOB, 0, picture())
    place.come_back()
    stage.objects.before_delete = lambda _: place.fail()
    with pytest.raises(StoreDownError):
        await remove(stage)
    assert (await stage.rows(), await stage.spool.waiting()) == ([], [KEY])
    assert await stage.catalogue.leaving() == []


async def test_a_picture_that_is_drawn_again_waits_for_the_store(
    stage: Stage, place: Place
) -> None:
    await stage.images.put(JOB, 0, picture())
    await stage.catalogue.leave(KEY)
    place.fail()
    with pytest.raises(StoreDownError):
        await stage.images.put(JOB, 0, picture())
    place.come_back()
    assert await stage.images.sweep() == 1
    assert await stage.rows() == [KEY]
