"""What the image store must do, over a folder and over a real S3 server."""

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from PIL import Image

from engines.base import EngineName, Picture, Shortfall
from engines.spec import GenerationSpec
from scheduler.errors import BadPngError, StoreDownError, StoreError
from scheduler.job import Job, JobId, Lane
from service.store.base import ObjectInfo, ObjectStore
from service.store.catalogue import Catalogue
from service.store.database import Database
from service.store.images import PictureStore
from service.store.keys import Keys, meta_of
from service.store.rebuild import Rebuilt, rebuild
from service.store.rows import SCHEMA
from service.store.sidecar import decode
from service.store.spool import Spool
from tests.contract.places import BucketPlace, Place

KEYS = Keys()
SPEC = GenerationSpec("a kitten, 猫", "mini", 16, 8, 5, 7.0, 41, "euler")
JOB = Job(
    id=JobId("job-1"),
    number=1,
    spec=SPEC,
    engine=EngineName("fake"),
    lane=Lane.NORMAL,
    created_at=datetime(2026, 1, 2, 3, 4, 5, 678901, UTC),
    count=2,
    tags=("pets",),
    shortfalls=(Shortfall("unknown_field", "ignored", "foo"),),
)


def picture(seed: int = 41) -> Picture:
    out = io.BytesIO()
    Image.new("RGB", (16, 8), (seed % 256, 2, 3)).save(out, "PNG")
    return Picture(out.getvalue(), 16, 8, seed, facts={"model_hash": "abc"})


class Watched:
    """A real store that tells of each put before it is done."""

    def __init__(self, store: ObjectStore) -> None:
        self.store = store
        self.puts: list[str] = []
        self.stats: list[str] = []
        self.before_put: Callable[[str], object] = lambda key: key

    async def put(self, key: str, data: bytes, *, content_type: str) -> None:
        self.before_put(key)
        await self.store.put(key, data, content_type=content_type)
        self.puts.append(key)

    async def stat(self, key: str) -> ObjectInfo:
        self.stats.append(key)
        return await self.store.stat(key)

    def __getattr__(self, name: str) -> object:
        return getattr(self.store, name)


@dataclass
class Stage:
    """An image store with all its parts within reach."""

    objects: Watched
    spool: Spool
    catalogue: Catalogue
    images: PictureStore
    spool_folder: Path

    async def keys(self) -> list[str]:
        return [info.key async for info in self.objects.store.list("")]

    async def rows(self) -> list[str]:
        return [e.artifact.key for e in (await self.catalogue.latest(limit=1000)).items]


@pytest.fixture
async def stage(objects: ObjectStore, tmp_path: Path) -> AsyncIterator[Stage]:
    database = Database(tmp_path / "kitty.db")
    await database.open(schema=SCHEMA)
    watched, spool, catalogue = Watched(objects), Spool(tmp_path / "spool"), Catalogue(database)
    await spool.open()
    images = PictureStore(objects=watched, spool=spool, catalogue=catalogue, keys=KEYS)  # type: ignore[arg-type]
    yield Stage(watched, spool, catalogue, images, tmp_path / "spool")
    await database.aclose()


async def test_a_picture_is_stored_described_and_listed(stage: Stage) -> None:
    artifact = await stage.images.put(JOB, 0, picture())
    png = await stage.objects.store.get(artifact.key)
    assert Image.open(io.BytesIO(png)).size == (16, 8)
    assert hashlib.sha256(png).hexdigest() == artifact.sha256
    assert (len(png), artifact.seed, artifact.index) == (artifact.size_bytes, 41, 0)
    sidecar = decode(await stage.objects.store.get(artifact.meta_key), artifact.meta_key)
    assert sidecar is not None
    assert sidecar.artifact == artifact
    assert (sidecar.spec, sidecar.tags, sidecar.warnings) == (SPEC, JOB.tags, JOB.shortfalls)
    assert await stage.rows() == [artifact.key]


async def test_the_picture_comes_first_and_the_sidecar_last(stage: Stage) -> None:
    artifact = await stage.images.put(JOB, 0, picture())
    assert stage.objects.puts == [artifact.key, artifact.meta_key]


async def test_a_repeat_overwrites_itself_with_equal_bytes(stage: Stage) -> None:
    first = await stage.images.put(JOB, 0, picture())
    bodies = [await stage.objects.store.get(key) for key in await stage.keys()]
    assert await stage.images.put(replace(JOB, attempts=2), 0, picture()) == first
    assert [await stage.objects.store.get(key) for key in await stage.keys()] == bodies
    assert await stage.keys() == [first.meta_key, first.key]
    assert await stage.catalogue.count() == 1


async def test_the_pictures_of_a_job_lie_side_by_side(stage: Stage) -> None:
    both = await asyncio.gather(*(stage.images.put(JOB, i, picture(41 + i)) for i in range(2)))
    assert len(await stage.keys()) == 4
    assert await stage.images.find(JOB) == list(both)
    assert await stage.images.flush(JOB) == list(both)
    assert await stage.rows() == [both[1].key, both[0].key]


async def test_nothing_is_found_of_a_job_that_drew_nothing(stage: Stage) -> None:
    assert await stage.images.find(JOB) == [None, None]
    assert await stage.images.flush(JOB) == []


async def test_a_picture_without_its_sidecar_is_not_stored(stage: Stage) -> None:
    artifact = await stage.images.put(JOB, 1, picture(42))
    await stage.objects.store.delete(artifact.meta_key)
    assert await stage.images.find(JOB) == [None, None]


async def test_a_damaged_or_foreign_sidecar_does_not_count(stage: Stage) -> None:
    first = await stage.images.put(JOB, 0, picture())
    copy = await stage.objects.store.get(first.meta_key)
    for body in (b"", b"{}", b'{"prompt": "a cat"}', copy):
        await stage.objects.store.put(KEYS.meta(JOB, 1), body, content_type="application/json")
        assert await stage.images.find(JOB) == [first, None]


async def test_a_crash_before_the_catalogue_is_made_up_for(stage: Stage) -> None:
    artifact = await stage.images.put(JOB, 0, picture())
    await stage.catalogue.remove([artifact.key])
    assert await stage.images.find(JOB) == [artifact, None]
    assert await stage.rows() == [artifact.key]


async def test_what_is_no_png_is_stored_nowhere(stage: Stage) -> None:
    half = replace(picture(), png=picture().png[:-20])
    for broken in (half, replace(half, png=b""), replace(half, png=b"<html>")):
        with pytest.raises(BadPngError):
            await stage.images.put(JOB, 0, broken)
    assert await stage.keys() == []
    assert await stage.spool.waiting() == []


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
