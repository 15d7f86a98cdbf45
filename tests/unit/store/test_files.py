import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from scheduler.errors import StoreDownError
from service.store.files import FileStore

KEY = "images/a.png"


@pytest.fixture
async def store(tmp_path: Path) -> FileStore:
    made = FileStore(tmp_path / "objects")
    await made.open()
    return made


@pytest.fixture
def small_files() -> Iterator[None]:
    """Let no file of this process grow beyond 64 kB: a disk that fills up in mid-write."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("small_files")
async def test_a_disk_that_fills_up_leaves_the_old_object(store: FileStore) -> None:
    await store.put(KEY, b"old", content_type="image/png")
    with pytest.raises(StoreDownError):
        await store.put(KEY, b"x" * 200_000, content_type="image/png")
    assert await store.get(KEY) == b"old"
    left = [p.name for p in Path(store.uri("x")).parent.rglob("*") if p.is_file()]
    assert left == ["a.png"], "nothing half-written stays behind"


async def test_a_folder_that_cannot_be_made_is_down(tmp_path: Path) -> None:
    (tmp_path / "taken").write_bytes(b"a file")
    with pytest.raises(StoreDownError):
        await FileStore(tmp_path / "taken").open()
    with pytest.raises(StoreDownError):
        await FileStore(tmp_path / "taken").put(KEY, b"x", content_type="image/png")


async def test_half_written_files_are_never_listed_and_go_in_time(store: FileStore) -> None:
    folder = Path(store.uri("x")).parent
    old, fresh = folder / ".incoming" / "old", folder / ".incoming" / "fresh"
    old.write_bytes(b"half")
    fresh.write_bytes(b"half")
    os.utime(old, (0, 0))
    assert [info async for info in store.list("")] == []
    await store.open()
    assert (old.exists(), fresh.exists()) == (False, True)


async def test_a_uri_is_the_path(store: FileStore) -> None:
    await store.put(KEY, b"bytes", content_type="image/png")
    assert Path(store.uri(KEY)).read_bytes() == b"bytes"  # noqa: ASYNC240 - a few bytes


async def test_every_put_changes_the_etag(store: FileStore) -> None:
    seen = set()
    for body in (b"a", b"b", b"c"):
        await store.put(KEY, body, content_type="image/png")
        seen.add((await store.stat(KEY)).etag)
    assert len(seen) >= 2
