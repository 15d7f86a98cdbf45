"""What the image store must do, over a folder and over a real S3 server."""

import asyncio
import hashlib
import io
from dataclasses import replace

import pytest
from PIL import Image

from scheduler.errors import BadPngError
from service.store.sidecar import decode
from tests.contract.staged import JOB, KEYS, SPEC, Stage, picture


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
