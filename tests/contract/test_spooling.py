"""Pictures wait while the place where they belong is away."""

import hashlib
from pathlib import Path

import pytest

from scheduler.errors import StoreDownError, StoreError
from service.store.catalogue import Catalogue
from service.store.database import Database
from service.store.images import PictureStore
from service.store.keys import meta_of
from service.store.rows import SCHEMA
from service.store.spool import Spool
from tests.contract.places import BucketPlace, Place
from tests.contract.staged import JOB, KEYS, Stage, picture


async def test_pictures_wait_while_the_store_is_down(stage: Stage, place: Place) -> None:
    first = await stage.images.put(JOB, 0, picture())
    place.fail()
    with pytest.raises(StoreDownError):
        await stage.images.put(JOB, 1, picture(42))
    assert await stage.spool.waiting() == [KEYS.png(JOB, 1)]
    with pytest.raises(StoreDownError):
        await stage.images.flush(JOB)
    meanwhile = await stage.images.find(JOB)
    assert meanwhile[0] == first, "the catalogue answers for the store"
    assert meanwhile[1] is not None
    assert meanwhile[1].key == KEYS.png(JOB, 1)
    assert await stage.rows() == [first.key], "nobody could fetch the other one yet"

    place.come_back()
    assert await stage.images.flush(JOB) == meanwhile
    assert await stage.spool.waiting() == []
    assert list(stage.spool_folder.glob("images/*")) == []
    assert await stage.rows() == [KEYS.png(JOB, 1), first.key]
    png = await stage.objects.store.get(KEYS.png(JOB, 1))
    assert hashlib.sha256(png).hexdigest() == meanwhile[1].sha256


async def test_a_store_that_dies_between_picture_and_sidecar(stage: Stage, place: Place) -> None:
    def die(key: str) -> None:
        if key.endswith(".json"):
            place.fail()

    stage.objects.before_put = die
    with pytest.raises(StoreDownError):
        await stage.images.put(JOB, 0, picture())
    assert await stage.spool.waiting() == [KEYS.png(JOB, 0)]
    assert await stage.rows() == []

    stage.objects.before_put = lambda key: key
    place.come_back()
    assert await stage.keys() == [KEYS.png(JOB, 0)], "no sidecar yet, so nothing is stored"
    found = await stage.images.find(JOB)
    assert found[0] is not None
    assert await stage.keys() == [meta_of(found[0].key), found[0].key]
    assert await stage.spool.waiting() == []
    assert await stage.rows() == [found[0].key]


async def test_a_second_death_during_the_upload_loses_nothing(stage: Stage, place: Place) -> None:
    place.fail()
    with pytest.raises(StoreDownError):
        await stage.images.put(JOB, 0, picture())
    place.come_back()
    stage.objects.before_put = lambda key: place.fail() if key.endswith(".json") else None
    with pytest.raises(StoreDownError):
        await stage.images.flush(JOB)
    assert await stage.spool.waiting() == [KEYS.png(JOB, 0)]
    stage.objects.before_put = lambda key: key
    place.come_back()
    assert [a.key for a in await stage.images.flush(JOB)] == [KEYS.png(JOB, 0)]


async def test_a_sweep_uploads_what_no_job_asks_for(stage: Stage, place: Place) -> None:
    place.fail()
    for index in range(2):
        with pytest.raises(StoreDownError):
            await stage.images.put(JOB, index, picture(41 + index))
    with pytest.raises(StoreDownError):
        await stage.images.sweep()
    place.come_back()
    assert await stage.images.sweep() == 2
    assert len(await stage.keys()) == 4
    assert await stage.images.sweep() == 0


async def test_a_picture_that_nobody_can_take_is_an_error(stage: Stage, place: Place) -> None:
    place.fail()
    stage.spool_folder.rename(stage.spool_folder.with_name("no-spool"))
    with pytest.raises(StoreError) as lost:
        await stage.images.put(JOB, 0, picture())
    assert not isinstance(lost.value, StoreDownError)


@pytest.mark.server
async def test_a_refused_picture_waits_too(bucket: BucketPlace, tmp_path: Path) -> None:
    database = Database(tmp_path / "kitty.db")
    await database.open(schema=SCHEMA)
    store, spool = bucket.store(secret_key="wrong"), Spool(tmp_path / "spool")
    await spool.open()
    images = PictureStore(objects=store, spool=spool, catalogue=Catalogue(database), keys=KEYS)
    with pytest.raises(StoreDownError, match="S3_SECRET_KEY"):
        await images.put(JOB, 0, picture())
    assert await spool.waiting() == [KEYS.png(JOB, 0)]
    await store.aclose()
    await database.aclose()
