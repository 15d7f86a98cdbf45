"""What every object store must do, over a folder and over a real S3 server."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from scheduler.errors import BadKeyError, NotStoredError, StoreDownError
from service.store.base import ObjectStore
from service.store.files import FileStore
from tests.contract.places import Place

PNG = "image/png"

KEY = "images/20260102_030405_0123abcd.png"

BAD_KEYS = [
    "", "/", "/etc/passwd", "images/", "images//a.png", "../a.png", "images/../../a.png",
    "images/..", "images/.hidden", "images/%2e%2e/a.png", "images\\a.png", "images/a\0.png",
    "images/a.png\n", "images/ä.png", "images/a b.png", "a/" * 600 + "a.png",
]  # fmt: skip


async def keys_of(store: ObjectStore, prefix: str) -> list[str]:
    return [info.key async for info in store.list(prefix)]


async def test_what_was_put_comes_back(objects: ObjectStore) -> None:
    await objects.put(KEY, b"\x89PNG" * 1000, content_type=PNG)
    assert await objects.get(KEY) == b"\x89PNG" * 1000
    info = await objects.stat(KEY)
    assert (info.key, info.size_bytes) == (KEY, 4000)
    age = datetime.now(UTC) - info.modified
    assert abs(age) < timedelta(minutes=5)


async def test_an_empty_object_is_an_object(objects: ObjectStore) -> None:
    await objects.put(KEY, b"", content_type=PNG)
    assert await objects.get(KEY) == b""
    assert await objects.get(KEY, start=0, length=5) == b""
    assert (await objects.stat(KEY)).size_bytes == 0


async def test_a_put_replaces_and_changes_the_etag(objects: ObjectStore) -> None:
    await objects.put(KEY, b"one", content_type=PNG)
    before = await objects.stat(KEY)
    await objects.put(KEY, b"two", content_type=PNG)
    assert await objects.get(KEY) == b"two"
    assert (await objects.stat(KEY)).etag != before.etag
    assert await keys_of(objects, "") == [KEY]


async def test_puts_under_one_key_at_once_leave_one_of_them_whole(objects: ObjectStore) -> None:
    bodies = [bytes([n]) * 100_000 for n in range(8)]
    await asyncio.gather(*(objects.put(KEY, body, content_type=PNG) for body in bodies))
    assert await objects.get(KEY) in bodies


async def test_a_range(objects: ObjectStore) -> None:
    await objects.put(KEY, b"0123456789", content_type=PNG)
    for start, length, expected in (
        (0, 3, b"012"), (3, None, b"3456789"), (8, 5, b"89"), (10, None, b""), (99, 2, b""),
        (4, 0, b""),
    ):  # fmt: skip
        assert await objects.get(KEY, start=start, length=length) == expected


async def test_nothing_is_stored_under_an_unused_key(objects: ObjectStore) -> None:
    with pytest.raises(NotStoredError):
        await objects.get(KEY)
    with pytest.raises(NotStoredError):
        await objects.get(KEY, start=3, length=0)
    with pytest.raises(NotStoredError):
        await objects.stat(KEY)
    await objects.delete(KEY)


async def test_a_deleted_object_is_gone(objects: ObjectStore) -> None:
    await objects.put(KEY, b"x", content_type=PNG)
    await objects.delete(KEY)
    assert await keys_of(objects, "") == []
    with pytest.raises(NotStoredError):
        await objects.get(KEY)


async def test_a_key_that_is_not_plain_is_refused_everywhere(objects: ObjectStore) -> None:
    for key in BAD_KEYS:
        with pytest.raises(BadKeyError):
            await objects.put(key, b"x", content_type=PNG)
        with pytest.raises(BadKeyError):
            await objects.get(key)
        with pytest.raises(BadKeyError):
            await objects.stat(key)
        with pytest.raises(BadKeyError):
            await objects.delete(key)
        with pytest.raises(BadKeyError):
            objects.uri(key)
    assert await keys_of(objects, "") == []


async def test_the_list_has_only_the_prefix_in_the_order_of_the_keys(
    objects: ObjectStore,
) -> None:
    keys = ["images/a.png", "images/a/b.png", "images/a-b.png", "images/B.png", "images2/a.png",
            "other/a.png", "images/aa.json"]  # fmt: skip
    for key in keys:
        await objects.put(key, key.encode(), content_type=PNG)
    assert await keys_of(objects, "images/") == sorted(k for k in keys if k.startswith("images/"))
    assert await keys_of(objects, "images/a") == sorted(k for k in keys if k[:8] == "images/a")
    assert await keys_of(objects, "nowhere/") == []
    assert await keys_of(objects, "") == sorted(keys)
    sizes = [info.size_bytes async for info in objects.list("images/")]
    assert sizes == [len(k) for k in sorted(keys) if k.startswith("images/")]


async def test_a_list_is_longer_than_a_page(objects: ObjectStore) -> None:
    keys = [f"images/20260102_030405_{number:08x}.png" for number in range(1100)]
    for first in range(0, len(keys), 50):
        await asyncio.gather(
            *(objects.put(key, b"x", content_type=PNG) for key in keys[first : first + 50])
        )
    assert await keys_of(objects, "images/") == keys


async def test_a_second_opening_keeps_what_is_there(place: Place, objects: ObjectStore) -> None:
    await objects.put(KEY, b"x", content_type=PNG)
    await objects.open()
    second = place.store()
    await second.open()
    assert await second.get(KEY) == b"x"
    await second.aclose()
    await second.aclose()


async def test_a_store_that_fails_is_down_until_it_is_back(
    place: Place, objects: ObjectStore
) -> None:
    await objects.put(KEY, b"before", content_type=PNG)
    place.fail()
    with pytest.raises(StoreDownError):
        await objects.put(KEY, b"meanwhile", content_type=PNG)
    with pytest.raises(StoreDownError):
        await objects.get(KEY)
    with pytest.raises(StoreDownError):
        await objects.stat(KEY)
    with pytest.raises(StoreDownError):
        await keys_of(objects, "images/")
    place.come_back()
    assert await objects.get(KEY) == b"before"
    await objects.put(KEY, b"after", content_type=PNG)
    assert await objects.get(KEY) == b"after"


async def test_a_uri_names_the_object(objects: ObjectStore) -> None:
    assert objects.uri(KEY).endswith(KEY)


async def test_a_folder_has_no_links(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    await store.open()
    assert await store.link(KEY, seconds=60) is None
