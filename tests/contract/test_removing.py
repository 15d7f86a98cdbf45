"""A deleted picture is gone from wherever it was, or is there as before, whatever happens."""

import asyncio

import pytest

from scheduler.errors import IllegalTransitionError, NotStoredError, StoreDownError
from service.store.images import PictureStore
from service.store.rebuild import Rebuilt, rebuild
from tests.contract.places import Place
from tests.contract.staged import JOB, KEYS, Stage, anybody, picture, remove

KEY, META = KEYS.png(JOB, 0), KEYS.meta(JOB, 0)
OTHER = KEYS.png(JOB, 1)


def again(stage: Stage, forgotten: list[str] | None = None) -> PictureStore:
    """Return the image store as a restart makes it."""

    async def forget(key: str) -> None:
        if forgotten is not None:
            forgotten.append(key)

    return PictureStore(
        objects=stage.objects,  # type: ignore[arg-type]
        spool=stage.spool,
        catalogue=stage.catalogue,
        keys=KEYS,
        forget=forget,
    )


async def test_a_deleted_picture_leaves_nothing_and_no_other(stage: Stage) -> None:
    for index in range(2):
        await stage.images.put(JOB, index, picture(41 + index))
    forgotten: list[str] = []
    await again(stage, forgotten).removals.remove(KEY, allow=anybody)
    assert await stage.keys() == [KEYS.meta(JOB, 1), OTHER]
    assert await stage.rows() == [OTHER]
    assert await stage.catalogue.count() == 1
    assert await stage.catalogue.deleted([KEY, OTHER]) == {KEY}
    assert await stage.catalogue.leaving() == []
    assert forgotten == [KEY]
    assert (await stage.images.find(JOB))[0] is None


async def test_what_is_not_there_cannot_be_deleted(stage: Stage) -> None:
    with pytest.raises(NotStoredError, match=KEY):
        await remove(stage)
    await stage.images.put(JOB, 0, picture())
    await remove(stage)
    with pytest.raises(NotStoredError, match=KEY):
        await remove(stage)


async def test_what_is_not_ours_is_left_alone(stage: Stage) -> None:
    await stage.objects.put(KEY, b"theirs", content_type="image/png")
    await stage.objects.put(META, b'{"theirs": true}', content_type="application/json")
    with pytest.raises(NotStoredError):
        await remove(stage)
    assert await stage.keys() == [META, KEY]


async def test_a_picture_without_its_sidecar_can_be_deleted(stage: Stage) -> None:
    await stage.images.put(JOB, 0, picture())
    await stage.objects.store.delete(META)
    await remove(stage)
    assert (await stage.keys(), await stage.rows()) == ([], [])


async def test_who_may_not_delete_changes_nothing(stage: Stage) -> None:
    await stage.images.put(JOB, 0, picture())
    asked = []

    async def refuse(job_id: str) -> None:
        asked.append(job_id)
        raise IllegalTransitionError

    with pytest.raises(IllegalTransitionError):
        await stage.images.removals.remove(KEY, allow=refuse)
    assert asked == [JOB.id]
    assert (await stage.keys(), await stage.rows()) == ([META, KEY], [KEY])


async def test_nothing_changes_while_the_store_is_down(stage: Stage, place: Place) -> None:
    artifact = await stage.images.put(JOB, 0, picture())
    place.fail()
    with pytest.raises(StoreDownError):
        await remove(stage)
    assert await stage.rows() == [KEY]
    assert await stage.catalogue.deleted([KEY]) == set()
    place.come_back()
    await stage.images.removals.finish_all()
    assert (await stage.images.find(JOB))[0] == artifact
    await remove(stage)
    assert await stage.keys() == []


async def test_a_store_that_dies_before_the_sidecar_is_gone(stage: Stage, place: Place) -> None:
    artifact = await stage.images.put(JOB, 0, picture())
    stage.objects.before_delete = lambda _: place.fail()
    with pytest.raises(StoreDownError):
        await remove(stage)
    assert await stage.rows() == [KEY]
    place.come_back()
    stage.objects.before_delete = lambda key: key
    assert await stage.catalogue.leaving() == []
    assert (await stage.images.find(JOB))[0] == artifact


async def test_a_store_that_dies_after_that_takes_the_rest_later(
    stage: Stage, place: Place
) -> None:
    await stage.images.put(JOB, 0, picture())
    stage.objects.before_delete = lambda key: place.fail() if key == KEY else None
    await remove(stage)
    assert await stage.rows() == []
    assert await stage.catalogue.deleted([KEY]) == {KEY}
    assert await stage.catalogue.leaving() == [KEY]
    with pytest.raises(StoreDownError):
        await again(stage).removals.finish_all()
    place.come_back()
    stage.objects.before_delete = lambda key: key
    assert await stage.keys() == [KEY]
    forgotten: list[str] = []
    await again(stage, forgotten).removals.finish_all()
    assert (await stage.keys(), forgotten) == ([], [KEY])
    assert await stage.catalogue.leaving() == []


async def test_a_crash_right_after_the_decision_is_made_up_for(stage: Stage) -> None:
    await stage.images.put(JOB, 0, picture())
    await stage.catalogue.leave(KEY)
    assert await rebuild(stage.catalogue, stage.objects.store, KEYS) == Rebuilt(entered=1)
    assert await stage.rows() == [], "it is read by the rebuild, and not entered"
    await again(stage).removals.finish_all()
    assert (await stage.keys(), await stage.rows()) == ([], [])


async def test_asking_again_ends_what_was_left_undone(stage: Stage) -> None:
    await stage.images.put(JOB, 0, picture())
    await stage.catalogue.leave(KEY)
    await remove(stage)
    assert (await stage.keys(), await stage.catalogue.leaving()) == ([], [])


async def test_a_waiting_picture_is_deleted_once_the_store_is_back(
    stage: Stage, place: Place
) -> None:
    place.fail()
    with pytest.raises(StoreDownError):
        await stage.images.put(JOB, 0, picture())
    with pytest.raises(StoreDownError):
        await remove(stage)
    assert await stage.spool.waiting() == [KEY]
    place.come_back()
    await remove(stage)
    assert await stage.spool.waiting() == []
    assert await stage.images.sweep() == 0
    assert (await stage.keys(), await stage.rows()) == ([], [])


async def test_a_sweep_brings_nothing_that_is_leaving(stage: Stage, place: Place) -> None:
    place.fail()
    with pytest.raises(StoreDownError):
        await stage.images.put(JOB, 0, picture())
    place.come_back()
    await stage.catalogue.leave(KEY)
    assert await again(stage).sweep() == 0
    assert (await stage.keys(), await stage.spool.waiting()) == ([], [])


async def test_a_sweep_and_a_deletion_at_once_end_in_nothing(stage: Stage, place: Place) -> None:
    place.fail()
    with pytest.raises(StoreDownError):
        await stage.images.put(JOB, 0, picture())
    place.come_back()
    await asyncio.gather(stage.images.sweep(), remove(stage))
    assert (await stage.keys(), await stage.rows()) == ([], [])
    assert await stage.spool.waiting() == []
